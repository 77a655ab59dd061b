package pybridge

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTables: no code compares modes or kinds, except where a table is chosen. The differences stand in the tables
// (mode.h, kind.h, mode.go, kind.go).
func TestTables(t *testing.T) {
	names := regexp.MustCompile(`\bFAPWS_(WSGI|ASGI|ASYNC_HANDLER|WEBSOCKET)\b|\bfapws_(wsgi|websocket_callbacks|asgi_http|asgi_websocket|async_handler|threads|inline|asyncio)\b[^.]|\bKind\s*[=!]=|[=!]=\s*(WSGI|ASGI|AsyncHandler|WebSocket)\b|[=!]=\s*(threaded|inline|asyncio)\{`)
	chosen := regexp.MustCompile(`^(extern )?const fapws_(kind|mode) |fapws_mount_bind\(presence, |P\.mode = |A\.thread\.mode = |t->mode = |enum \{ FAPWS_WSGI`)
	prose := regexp.MustCompile(`"(\\.|[^"\\])*"|/\*.*|^ \*.*|//.*`) // texts and comments
	for _, name := range sources(t, "*.c", "*.h", "*.go") {
		if name == "kind.c" || name == "kind.go" {
			continue
		}
		for i, line := range lines(t, name) {
			line = prose.ReplaceAllString(line, "")
			if names.MatchString(line) && !chosen.MatchString(line) {
				t.Errorf("%s:%d asks for a mode or a kind: %s", name, i+1, line)
			}
		}
	}
}

// TestHeaders: a header is short, and begins with its purpose.
func TestHeaders(t *testing.T) {
	for _, name := range sources(t, "*.h") {
		if text := lines(t, name); len(text) > 150 || !strings.HasPrefix(text[0], "/* ") {
			t.Errorf("%s has %d lines, and begins with %q", name, len(text), text[0])
		}
	}
}

func sources(t *testing.T, patterns ...string) (names []string) {
	t.Helper()
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatal(pattern, err)
		}
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
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}
