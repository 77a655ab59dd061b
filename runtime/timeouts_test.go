package runtime

import (
	"fapws/runtime/sites"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A request whose body does not come is in the access log with its request line and the site's rules.
func TestBodyTimeoutLogged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	log, closeLog := openLog(t, path, "common")
	s := serve(t, Config{Sites: sites.Config{AccessLog: log, BodyTimeout: ample}}, newApp(true, demo))
	s.talk(t, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
	eventually(t, "it is gone", func() bool { return s.loop.live.Load() == 0 })
	closeLog()
	if text, _ := os.ReadFile(path); !strings.Contains(string(text), `"POST /echo HTTP/1.1" 408 `) {
		t.Errorf("access log: %q", text)
	}
}

// Without connections nothing ticks.
func TestNoTicksWhenIdle(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}, newApp(true, demo))
	s.talk(t, "GET / HTTP/1.0\r\n\r\n")
	eventually(t, "no connections", func() bool { return s.loop.live.Load() == 0 })
	eventually(t, "the clock stops", func() bool { // a tick may have been on its way
		var before, after int64
		s.do(func() { before = s.loop.now() })
		time.Sleep(time.Duration(3 * tickLength))
		s.do(func() { after = s.loop.now() })
		return after == before
	})
}

func TestDateAdvances(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}, newApp(true, demo))
	date := func() string {
		_, rest, _ := strings.Cut(s.talk(t, "GET / HTTP/1.0\r\n\r\n"), "Date: ")
		d, _, _ := strings.Cut(rest, "\r\n")
		return d
	}
	begin := time.Now()
	first := date()
	if d, err := time.Parse(time.RFC1123, first); err != nil || d.Before(begin.Add(-time.Minute)) || d.After(time.Now()) {
		t.Errorf("date %q", first)
	}
	eventually(t, "another second", func() bool { return date() != first })
}
