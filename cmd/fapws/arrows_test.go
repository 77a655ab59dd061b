package main

import (
	"os/exec"
	"path"
	"regexp"
	"strings"
	"testing"
)

// TestArrows: packages import downwards only. The loop knows no Python, the
// bridge no connections, and the parser nothing at all. What systems have in different
// forms (runtime/system) is for all others.
func TestArrows(t *testing.T) {
	for _, c := range []struct {
		from   string
		allows []string
	}{
		{"fapws/runtime/http1", nil},
		{"fapws/runtime/exchange", []string{"fapws/runtime/http1", "fapws/runtime/loglevel"}},
		{"fapws/runtime/listen", []string{"fapws/runtime/http1"}},
		{"fapws/runtime/eventloop", []string{"fapws/runtime/http1", "fapws/runtime/exchange", "fapws/runtime/loglevel"}},
		{"fapws/runtime/websocket", []string{"fapws/runtime/http1"}},
		{"fapws/runtime/protocol/websocket", []string{"fapws/runtime/websocket", "fapws/runtime/conn", "fapws/runtime/pubsub", "fapws/runtime/eventloop", "fapws/runtime/exchange", "fapws/runtime/http1", "fapws/runtime/accesslog", "fapws/runtime/logfile", "fapws/runtime/strftime", "fapws/runtime/descriptors", "fapws/runtime/loglevel", "fapws/runtime/netio", "fapws/runtime/tracecontext"}},
		{"fapws/runtime/descriptors", nil},
		{"fapws/runtime/strftime", nil},
		{"fapws/runtime/workqueue", nil},
		{"fapws/runtime/loglevel", nil},
		{"fapws/runtime/metrics", nil},
		{"fapws/runtime/tracecontext", []string{"fapws/runtime/http1"}},
		{"fapws/runtime/system", nil},
		{"fapws/runtime/accept", []string{"fapws/runtime/listen", "fapws/runtime/loglevel", "fapws/runtime/descriptors", "fapws/runtime/eventloop", "fapws/runtime/exchange", "fapws/runtime/http1", "fapws/runtime/netio"}},
		{"fapws/runtime/conn", []string{"fapws/runtime/loglevel", "fapws/runtime/descriptors", "fapws/runtime/eventloop", "fapws/runtime/exchange", "fapws/runtime/http1", "fapws/runtime/netio"}},
		{"fapws/runtime/secure", []string{"fapws/runtime/conn", "fapws/runtime/metrics", "fapws/runtime/loglevel", "fapws/runtime/descriptors", "fapws/runtime/eventloop", "fapws/runtime/exchange", "fapws/runtime/http1", "fapws/runtime/netio"}},
		{"fapws/runtime/netio", []string{"fapws/runtime/descriptors"}},
		{"fapws/runtime/protocol/http", []string{"fapws/runtime/http1", "fapws/runtime/filter/header", "fapws/runtime/mediatype", "fapws/runtime/conn", "fapws/runtime/netio", "fapws/runtime/descriptors", "fapws/runtime/eventloop", "fapws/runtime/exchange", "fapws/runtime/loglevel"}},
		{"fapws/runtime/protocol/http1", []string{"fapws/runtime/protocol/http", "fapws/runtime/http1", "fapws/runtime/filter/header", "fapws/runtime/mediatype", "fapws/runtime/websocket", "fapws/runtime/conn", "fapws/runtime/netio", "fapws/runtime/descriptors", "fapws/runtime/eventloop", "fapws/runtime/exchange", "fapws/runtime/loglevel"}},
		{"fapws/runtime/protocol/http2", []string{"fapws/runtime/protocol/http", "fapws/runtime/http1", "fapws/runtime/filter/header", "fapws/runtime/mediatype", "fapws/runtime/conn", "fapws/runtime/netio", "fapws/runtime/descriptors", "fapws/runtime/eventloop", "fapws/runtime/exchange", "fapws/runtime/loglevel"}},
		{"fapws/runtime/protocol/tunnel", []string{"fapws/runtime/conn", "fapws/runtime/netio", "fapws/runtime/descriptors", "fapws/runtime/http1", "fapws/runtime/eventloop", "fapws/runtime/exchange", "fapws/runtime/loglevel"}},
		{"fapws/runtime/logfile", []string{"fapws/runtime/descriptors"}},
		{"fapws/runtime/route", []string{"fapws/runtime/http1", "fapws/runtime/exchange", "fapws/runtime/loglevel"}},
		{"fapws/runtime/accesslog", []string{"fapws/runtime/strftime", "fapws/runtime/descriptors", "fapws/runtime/http1", "fapws/runtime/logfile", "fapws/runtime/tracecontext"}},
		{"fapws/runtime/mediatype", []string{"fapws/runtime/http1", "fapws/runtime/exchange", "fapws/runtime/loglevel"}},
		{"fapws/runtime/filter/compress", nil},
		{"fapws/runtime/pubsub", nil},
		{"fapws/runtime/protocol/sse", []string{"fapws/runtime/conn", "fapws/runtime/pubsub", "fapws/runtime/eventloop", "fapws/runtime/exchange", "fapws/runtime/http1", "fapws/runtime/filter/header", "fapws/runtime/accesslog", "fapws/runtime/logfile", "fapws/runtime/strftime", "fapws/runtime/descriptors", "fapws/runtime/listen", "fapws/runtime/loglevel", "fapws/runtime/netio", "fapws/runtime/tracecontext"}},
		{"fapws/runtime/filter/header", []string{"fapws/runtime/http1"}},
		{"fapws/runtime/source/refusal", []string{"fapws/runtime/filter/header", "fapws/runtime/http1", "fapws/runtime/exchange", "fapws/runtime/loglevel", "fapws/runtime/source/static", "fapws/runtime/filter/compress", "fapws/runtime/mediatype"}},
		{"fapws/runtime/source/fixed", []string{"fapws/runtime/filter/header", "fapws/runtime/http1", "fapws/runtime/exchange", "fapws/runtime/loglevel", "fapws/runtime/route"}},
		{"fapws/runtime/source/cache", []string{"fapws/runtime/http1", "fapws/runtime/exchange", "fapws/runtime/loglevel", "fapws/runtime/route", "fapws/runtime/source/static", "fapws/runtime/filter/header", "fapws/runtime/filter/compress", "fapws/runtime/mediatype"}},
		{"fapws/runtime/source/app", []string{"fapws/runtime/http1", "fapws/runtime/exchange", "fapws/runtime/loglevel", "fapws/runtime/source/refusal", "fapws/runtime/source/static", "fapws/runtime/filter/header", "fapws/runtime/filter/compress", "fapws/runtime/mediatype"}},
		{"fapws/runtime/source/static", []string{"fapws/runtime/filter/header", "fapws/runtime/http1", "fapws/runtime/exchange", "fapws/runtime/loglevel", "fapws/runtime/filter/compress", "fapws/runtime/mediatype"}},
		{"fapws/runtime/subrequest", []string{"fapws/runtime/http1", "fapws/runtime/exchange", "fapws/runtime/loglevel"}},
		{"fapws/runtime/backend", []string{"fapws/runtime/http1", "fapws/runtime/exchange", "fapws/runtime/loglevel", "fapws/runtime/tracecontext"}},
		{"fapws/runtime/spawn", nil},
		{"fapws/runtime/source/cgi", []string{"fapws/runtime/spawn", "fapws/runtime/http1", "fapws/runtime/exchange", "fapws/runtime/loglevel", "fapws/runtime/backend", "fapws/runtime/tracecontext"}},
		{"fapws/runtime/source/fastcgi", []string{"fapws/runtime/descriptors", "fapws/runtime/spawn", "fapws/runtime/http1", "fapws/runtime/exchange", "fapws/runtime/loglevel", "fapws/runtime/backend", "fapws/runtime/source/cgi", "fapws/runtime/tracecontext"}},
		{"fapws/runtime/source/scgi", []string{"fapws/runtime/spawn", "fapws/runtime/http1", "fapws/runtime/exchange", "fapws/runtime/loglevel", "fapws/runtime/backend", "fapws/runtime/source/cgi", "fapws/runtime/source/refusal", "fapws/runtime/source/static", "fapws/runtime/filter/header", "fapws/runtime/filter/compress", "fapws/runtime/mediatype", "fapws/runtime/tracecontext"}},
		{"fapws/runtime/source/php", []string{"fapws/runtime/descriptors", "fapws/runtime/spawn", "fapws/runtime/http1", "fapws/runtime/exchange", "fapws/runtime/loglevel", "fapws/runtime/backend", "fapws/runtime/source/cgi", "fapws/runtime/source/fastcgi", "fapws/runtime/tracecontext"}},
		{"fapws/runtime/source/ssi", []string{"fapws/runtime/filter/header", "fapws/runtime/strftime", "fapws/runtime/spawn", "fapws/runtime/http1", "fapws/runtime/exchange", "fapws/runtime/loglevel", "fapws/runtime/source/static", "fapws/runtime/filter/compress", "fapws/runtime/backend", "fapws/runtime/mediatype", "fapws/runtime/tracecontext"}},
		{"fapws/runtime/source/upload", []string{"fapws/runtime/backend", "fapws/runtime/auth", "fapws/runtime/descriptors", "fapws/runtime/http1", "fapws/runtime/exchange", "fapws/runtime/loglevel", "fapws/runtime/tracecontext"}},
		{"fapws/runtime/auth", []string{"fapws/runtime/descriptors"}},
		{"fapws/runtime/login", []string{"fapws/runtime/auth", "fapws/runtime/backend", "fapws/runtime/descriptors", "fapws/runtime/exchange", "fapws/runtime/http1", "fapws/runtime/loglevel", "fapws/runtime/tracecontext"}},
		{"fapws/runtime/source/proxy", []string{"fapws/runtime/netio", "fapws/runtime/descriptors", "fapws/runtime/http1", "fapws/runtime/exchange", "fapws/runtime/loglevel", "fapws/runtime/backend", "fapws/runtime/websocket", "fapws/runtime/tracecontext"}},
		{"fapws/runtime/sites", []string{"fapws/runtime/login", "fapws/runtime/backend", "fapws/runtime/metrics", "fapws/runtime/accept", "fapws/runtime/accesslog", "fapws/runtime/auth", "fapws/runtime/conn", "fapws/runtime/descriptors", "fapws/runtime/eventloop", "fapws/runtime/exchange", "fapws/runtime/filter/compress", "fapws/runtime/filter/header", "fapws/runtime/http1", "fapws/runtime/listen", "fapws/runtime/logfile", "fapws/runtime/loglevel", "fapws/runtime/mediatype", "fapws/runtime/netio", "fapws/runtime/protocol/http", "fapws/runtime/protocol/http1", "fapws/runtime/protocol/http2", "fapws/runtime/protocol/sse", "fapws/runtime/protocol/tunnel", "fapws/runtime/protocol/websocket", "fapws/runtime/pubsub", "fapws/runtime/route", "fapws/runtime/secure", "fapws/runtime/source/app", "fapws/runtime/source/cache", "fapws/runtime/source/refusal", "fapws/runtime/source/static", "fapws/runtime/strftime", "fapws/runtime/websocket", "fapws/runtime/tracecontext"}},
		{"fapws/runtime", []string{"fapws/runtime/login", "fapws/runtime/backend", "fapws/runtime/metrics", "fapws/runtime/sites", "fapws/runtime/secure", "fapws/runtime/subrequest", "fapws/runtime/source/refusal", "fapws/runtime/filter/header", "fapws/runtime/strftime", "fapws/runtime/listen", "fapws/runtime/netio", "fapws/runtime/protocol/tunnel", "fapws/runtime/protocol/http", "fapws/runtime/protocol/http1", "fapws/runtime/protocol/http2", "fapws/runtime/accept", "fapws/runtime/conn", "fapws/runtime/descriptors", "fapws/runtime/auth", "fapws/runtime/http1", "fapws/runtime/eventloop", "fapws/runtime/exchange", "fapws/runtime/route", "fapws/runtime/websocket", "fapws/runtime/source/static", "fapws/runtime/filter/compress", "fapws/runtime/source/app", "fapws/runtime/source/cache", "fapws/runtime/pubsub", "fapws/runtime/protocol/sse", "fapws/runtime/protocol/websocket", "fapws/runtime/accesslog", "fapws/runtime/logfile", "fapws/runtime/loglevel", "fapws/runtime/mediatype", "fapws/runtime/tracecontext"}},
		{"fapws/pybridge", []string{"fapws/runtime/metrics", "fapws/runtime/workqueue", "fapws/runtime/descriptors", "fapws/runtime/http1", "fapws/runtime/exchange", "fapws/runtime/loglevel", "fapws/runtime/tracecontext"}},
		{"fapws/cmd/fapws/watch", nil},
		{"fapws/cmd/fapws/certificates", []string{"fapws/cmd/fapws/acme", "fapws/cmd/fapws/authority", "fapws/cmd/fapws/watch", "fapws/runtime/loglevel"}},
		{"fapws/cmd/fapws/acme", []string{"fapws/runtime/loglevel"}},
		{"fapws/cmd/fapws/keyreader", []string{"fapws/cmd/fapws/certificates", "fapws/cmd/fapws/acme", "fapws/cmd/fapws/authority", "fapws/cmd/fapws/watch", "fapws/cmd/fapws/pool", "fapws/cmd/fapws/process", "fapws/cmd/fapws/memory", "fapws/cmd/fapws/cgroup", "fapws/runtime/loglevel"}},
		{"fapws/cmd/fapws/authority", nil},
		{"fapws/cmd/fapws/cgroup", nil},
		{"fapws/cmd/fapws/memory", []string{"fapws/cmd/fapws/cgroup"}},
		{"fapws/cmd/fapws/version", nil},
		{"fapws/cmd/fapws/exit", nil},
		{"fapws/cmd/fapws/banner", []string{"fapws/cmd/fapws/version", "fapws/cmd/fapws/settings", "fapws/cmd/fapws/tomlfile", "fapws/runtime/..."}},
		{"fapws/cmd/fapws/configfile", []string{"fapws/cmd/fapws/exit", "fapws/cmd/fapws/settings", "fapws/cmd/fapws/tomlfile", "fapws/runtime/..."}},
		{"fapws/cmd/fapws/ctl", []string{"fapws/runtime/metrics"}},
		{"fapws/cmd/fapws/loadgen", []string{"fapws/cmd/fapws/settings", "fapws/cmd/fapws/tomlfile", "fapws/cmd/fapws/version", "fapws/runtime/..."}},
		{"fapws/cmd/fapws/chroot", nil},
		{"fapws/cmd/fapws/orphan", nil},
		{"fapws/cmd/fapws/sigmask", nil},
		{"fapws/cmd/fapws/limits", nil},
		{"fapws/cmd/fapws/sandbox", nil},
		{"fapws/cmd/fapws/notify", nil},
		{"fapws/cmd/fapws/pidfile", nil},
		{"fapws/cmd/fapws/privilege", nil},
		{"fapws/cmd/fapws/process", nil},
		{"fapws/cmd/fapws/tomlfile", nil},
		{"fapws/cmd/fapws/settings", []string{"fapws/runtime/strftime", "fapws/runtime/descriptors", "fapws/cmd/fapws/tomlfile", "fapws/runtime/http1", "fapws/runtime/accesslog", "fapws/runtime/logfile", "fapws/runtime/tracecontext"}},
		{"fapws/cmd/fapws/site", []string{"fapws/runtime/protocol/...", "fapws/runtime/filter/...", "fapws/runtime/source/...", "fapws/cmd/fapws/tomlfile", "fapws/cmd/fapws/settings", "fapws/runtime", "fapws/runtime/..."}},
		{"fapws/cmd/fapws/pool", []string{"fapws/cmd/fapws/memory", "fapws/cmd/fapws/cgroup", "fapws/runtime/loglevel"}},
	} {
		out, err := exec.Command("go", "list", "-deps", c.from).Output()
		if err != nil {
			t.Fatalf("go list %s: %v", c.from, err)
		}
		allowed := " " + c.from + " fapws/runtime/system " + strings.Join(c.allows, " ") + " "
		for _, dep := range strings.Fields(string(out)) {
			below, _ := path.Split(dep)
			if strings.HasPrefix(dep, "fapws/") && !strings.Contains(allowed, " "+dep+" ") && !strings.Contains(allowed, " "+below+"... ") {
				t.Errorf("%s imports %s", c.from, dep)
			}
			if c.from == "fapws/runtime/http1" && strings.Contains(dep, ".") {
				t.Errorf("%s imports %s, which is not std", c.from, dep)
			}
		}
	}
}

// layers are the packages of cmd/fapws, those first that need the least. A package imports
// from layers before its own.
var layers = []string{
	"cgroup",
	"acme authority broker/redistest chroot ctl exit limits memory notify orphan pidfile privilege process sandbox sigmask tomlfile version watch",
	"certificates pool settings",
	"application banner broker configfile keyreader loadgen logs site statuspage",
	"bind plan",
	"presence",
	"worker",
	"supervisor",
	"command",
}

// TestLayers: packages of cmd/fapws import downwards only.
func TestLayers(t *testing.T) {
	const above = "fapws/cmd/fapws/"
	level := map[string]int{}
	for i, names := range layers {
		for _, name := range strings.Fields(names) {
			level[name] = i + 1
		}
	}
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		packages := strings.Fields(line)
		from, within := strings.CutPrefix(packages[0], above)
		if !within || strings.HasPrefix(from, "acceptance") {
			continue
		}
		if level[from] == 0 {
			t.Errorf("%s is in no layer", from)
		}
		for _, name := range packages[1:] {
			if name, within := strings.CutPrefix(name, above); within && level[name] >= level[from] {
				t.Errorf("%s imports %s, which is not below it", from, name)
			}
		}
	}
}

// TestTestsOnly: packages for tests are not part of the executable.
func TestTestsOnly(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "fapws/cmd/fapws").Output()
	if err != nil {
		t.Fatal(err)
	}
	forTests := regexp.MustCompile(`^(github\.com/(chromedp|gobwas|rogpeppe)|fapws/cmd/fapws/acceptance)\b|^fapws/.*test$`)
	for name := range strings.FieldsSeq(string(out)) {
		if forTests.MatchString(name) {
			t.Errorf("the executable has %s", name)
		}
	}
}
