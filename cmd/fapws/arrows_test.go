package main

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

// rooms lists the packages of package runtime, one layer a line. A package may import only packages from earlier lines.
var rooms = []string{
	"runtime/http1 runtime/metrics runtime/system",
	"runtime/eventloop runtime/logfile runtime/websocket",
	"runtime/conn runtime/otel",
	"runtime/route",
	"runtime/exchange",
	"runtime/compress runtime/live runtime/ratelimit",
	"runtime/backend",
	"runtime/auth runtime/http1conn runtime/http2 runtime/source/proxy runtime/source/static",
	"runtime/source/cache runtime/source/upload",
	"runtime/source/app runtime/source/programs",
	"runtime/source/ssi",
	"runtime",
}

// No package of runtime may import pybridge (Python) or cmd, and pybridge may not import runtime/conn.
func TestRuntimePackagesImportOnlyEarlierLayers(t *testing.T) {
	level := map[string]int{}
	for i, names := range rooms {
		for name := range strings.FieldsSeq(names) {
			level["fapws/"+name] = i + 1
		}
	}
	level["fapws/pybridge"] = level["fapws/runtime/exchange"] + 1
	imports, err := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "fapws/runtime/...",
		"fapws/pybridge").Output()
	checktest.Must(t, err)
	for line := range strings.Lines(string(imports)) {
		packages := strings.Fields(line)
		from := packages[0]
		if strings.HasSuffix(from, "test") {
			continue
		}
		checktest.Truef(t, level[from] != 0, "%s is in no line of rooms", from)
		for _, name := range packages[1:] {
			checktest.Truef(t, !strings.HasPrefix(name, "fapws/") || level[name] != 0 && level[name] < level[from],
				"%s imports %s, which is not below it", from, name)
			checktest.Truef(t, from != "fapws/pybridge" || name != "fapws/runtime/conn", "%s imports %s", from, name)
			checktest.Truef(t, from != "fapws/runtime/http1" || !strings.Contains(name, "."),
				"%s imports %s, which is not std", from, name)
		}
	}
}

// layers lists the packages of this command, one layer a line.
var layers = []string{
	"bundle confine pool/redistest watch",
	"process",
	"certificates settings",
	"pool",
	"ctl",
	"plan",
	"worker",
	"supervisor",
}

func TestCommandPackagesImportOnlyEarlierLayers(t *testing.T) {
	const above = "fapws/cmd/fapws/"
	level := map[string]int{}
	for i, names := range layers {
		for _, name := range strings.Fields(names) {
			level[name] = i + 1
		}
	}
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "./...").Output()
	checktest.Must(t, err)
	for line := range strings.Lines(string(out)) {
		packages := strings.Fields(line)
		from, within := strings.CutPrefix(packages[0], above)
		if !within || strings.HasPrefix(from, "acceptance") {
			continue
		}
		checktest.Truef(t, level[from] != 0, "%s is in no layer", from)
		for _, name := range packages[1:] {
			name, within := strings.CutPrefix(name, above)
			checktest.Truef(t, !within || level[name] < level[from], "%s imports %s, which is not below it", from, name)
		}
	}
}

func TestExecutableHasNoPackagesForTests(t *testing.T) {
	out := checktest.Try(exec.Command("go", "list", "-deps", "fapws/cmd/fapws").Output()).Must(t)
	forTests :=
		regexp.MustCompile(`^(github\.com/(chromedp|gobwas|rogpeppe)|fapws/cmd/fapws/acceptance)\b|^fapws/.*test$`)
	for name := range strings.FieldsSeq(string(out)) {
		checktest.Truef(t, !forTests.MatchString(name), "the executable has %s", name)
	}
}
