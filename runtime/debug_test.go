package runtime

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"fapws/runtime/sites"
)

func TestAccessLog(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	log, closeLog := openLog(t, path, "timed")
	mounts := tree(t, map[string]string{"a": "hello", "large": strings.Repeat("x", 1<<20)})
	a := newApp(false, demo)
	s := serve(t, Config{Sites: sites.Config{AccessLog: log, MaxBodySize: 10}}, a, mounts...)
	for _, r := range []string{
		"GET /app/x?y HTTP/1.1\r\nHost: x\r\nUser-Agent: test \"1\"\r\nReferer: http://r/\r\n\r\n" +
			"POST /app/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
		"HEAD /app/big/1000 HTTP/1.0\r\n\r\n",
		"GET /s/a HTTP/1.0\r\n\r\n",
		"GET /s/large HTTP/1.0\r\n\r\n",
		"GET /nowhere HTTP/1.0\r\n\r\n",
		"POST /app HTTP/1.0\r\nContent-Length: 11\r\n\r\n",
		"broken\r\n\r\n",
	} {
		s.talk(t, r)
	}
	eventually(t, "all released", a.idle)
	eventually(t, "gone", func() bool { return s.loop.live.Load() == 0 })
	closeLog()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`\[[^]]*\]`).ReplaceAll(text, []byte("[t]"))
	text = regexp.MustCompile(`\d+\n`).ReplaceAll(text, []byte("n\n"))
	const want = `127.0.0.1 - - [t] "GET /app/x?y HTTP/1.1" 200 8 "http://r/" "test \"1\"" n
127.0.0.1 - - [t] "POST /app/echo HTTP/1.1" 200 5 "-" "-" n
127.0.0.1 - - [t] "HEAD /app/big/1000 HTTP/1.0" 200 - "-" "-" n
127.0.0.1 - - [t] "GET /s/a HTTP/1.0" 200 5 "-" "-" n
127.0.0.1 - - [t] "GET /s/large HTTP/1.0" 200 1048576 "-" "-" n
127.0.0.1 - - [t] "GET /nowhere HTTP/1.0" 404 10 "-" "-" n
127.0.0.1 - - [t] "POST /app HTTP/1.0" 413 19 "-" "-" n
127.0.0.1 - - [t] "broken" 400 23 "-" "-" n`
	if got := string(text); !strings.HasPrefix(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Each level adds to the one below, and level 0 logs nothing.
func TestDebugLevels(t *testing.T) {
	t.Parallel()
	var before int
	for level, want := range []string{
		0: "",
		1: `connected, 1 open|"GET /app/x HTTP/1.1" 200, 7 bytes, |disconnected, 0 open`,
		2: `exchange 0 goes to the application|bytes|is closed: the last response is out`,
		3: `sent 51 bytes: "GET /app/x HTTP/1.1\r\nHost: x\r\n|gets "HTTP/1.1 200 OK\r\n`,
	} {
		s := serve(t, Config{Debug: level}, newApp(true, demo), sites.Mount{Prefix: "/app"})
		s.talk(t, "GET /app/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		eventually(t, "gone", func() bool { return s.loop.live.Load() == 0 })
		var text string
		eventually(t, "logged", func() bool { text = s.log.String(); return level == 0 || strings.Contains(text, "disconnected") })
		n := strings.Count(text, "\n")
		if level == 0 && text != "" || level > 0 && n <= before {
			t.Errorf("level %d: %s", level, text)
		}
		before = n
		for _, w := range strings.Split(want, "|") {
			if !strings.Contains(text, w) {
				t.Errorf("level %d: %q is missing in\n%s", level, w, text)
			}
		}
	}
}
