package pybridge

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

// All differences between modes, and between kinds, are in tables (core_mode and core_kind of core_pool.h, asgi_kind of
// asgi.h, mode.go, kind.go).
func TestModesAndKindsAreComparedOnlyToSelectATable(t *testing.T) {
	names :=
		regexp.MustCompile(
			`\bCORE_(WSGI|ASGI|ASYNC_HANDLER|WEBSOCKET)\b|\b(wsgi_handlers|live_websockets|asgi_http|asgi_websocket|` +
				`asgi_handler|core_threads|core_inline|asgi_mode)\b[^.]|\bKind\s*[=!]=|[=!]=\s*(WSGI|ASGI|` +
				`AsyncHandler|WebSocket)\b|[=!]=\s*(threaded|inline|asyncio)\{`)
	chosen :=
		regexp.MustCompile(
			`^(extern )?const (core|asgi)_(kind|mode) |mount_bind\(presence, |core_pool_start\(o, |the_pool\.mode = |` +
				`the_thread\.thread\.mode = |t->mode = |enum \{ CORE_WSGI`)
	for _, name := range sources(t, "*.c", "*.h", "*.go") {
		if name == "kind.go" {
			continue
		}
		for i, line := range lines(t, name) {
			line = prose.ReplaceAllString(line, "")
			checktest.Truef(t, !names.MatchString(line) || chosen.MatchString(line) || name == "live_module.c" &&
				strings.HasPrefix(line, "    [CORE_"), "%s:%d asks for a mode or a kind: %s", name, i+1, line)
		}
	}
}

var prose = regexp.MustCompile(`"(\\.|[^"\\])*"|/\*.*|^ *\*( .*)?$|//.*`)

// A function, type or macro has the prefix of the layer that defines it. No layer may mention the prefix of a higher
// layer. Each of the four layers has one header, which includes the header of the next lower layer.
func TestPartsOfTheCCallOnlyLowerParts(t *testing.T) {
	parts := []string{"core", "wsgi", "asgi", "live"}
	includes := map[string][]string{"core_python.h": {}, "core_pool.h": {"core_python.h", "shim.h"},
		"core.h": {"core_pool.h"},
		"wsgi.h": {"core.h"}, "asgi.h": {"wsgi.h"}, "live.h": {"asgi.h"}, "shim.h": {}}
	for _, header := range sources(t, "*.h") {
		_, known := includes[header]
		checktest.Truef(t, known, "unknown header %s", header)
	}
	for level, part := range parts {
		higher := regexp.MustCompile(`(?i)\b(` + strings.Join(append(parts[level+1:], "fapws"), "|") + `)_\w+`)
		defined := regexp.MustCompile(`^(?:\w[\w *]*?[ *])?(\w+)(?:\(.*\) \{.*|(?:\[\])? = .*|;|\[.*\];)$`)
		for _, name := range sources(t, part+"_*.c", part+"*.h") {
			for i, line := range lines(t, name) {
				if include, ok := strings.CutPrefix(line, `#include "`); ok {
					include = strings.TrimSuffix(include, `"`)
					allowed, isHeader := includes[name]
					checktest.Truef(t, (!isHeader || slices.Contains(allowed, include)) && (isHeader || include == part+".h"),
						"%s:%d includes %s", name, i+1, include)
					continue
				}
				line = prose.ReplaceAllString(line, "")
				if found := higher.FindString(line); found != "" && !strings.Contains(found, "_H") && found != "fapws_main" {
					t.Errorf("%s:%d mentions %s: %s", name, i+1, found, line)
				}
				found := defined.FindStringSubmatch(line)
				if found == nil || strings.HasPrefix(line, "static ") || strings.HasPrefix(line, "extern ") ||
					strings.HasPrefix(line, "typedef ") || strings.HasPrefix(line, "__attribute__") {
					continue
				}
				checktest.Truef(t, strings.HasPrefix(found[1], part+"_") || replacesLibc[found[1]],
					"%s:%d defines %s", name, i+1, found[1])
			}
		}
	}
}

// replacesLibc lists functions that replace functions of libc, and a variable of cgo (__SANITIZE_THREAD__).
var replacesLibc = map[string]bool{"_exit": true, "abort": true, "dlclose": true, "dlerror": true, "dlopen": true, "dlsym": true}

func sources(t *testing.T, patterns ...string) (names []string) {
	t.Helper()
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		checktest.Needf(t, err == nil && len(found) > 0, "%s %v", pattern, err)
		for _, name := range found {
			if !strings.HasSuffix(name, "_test.go") {
				names = append(names, name)
			}
		}
	}
	return names
}

func lines(t *testing.T, name string) []string {
	t.Helper()
	text := checktest.Try(os.ReadFile(name)).Must(t)
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}
