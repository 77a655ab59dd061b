package runtime

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTimeouts(t *testing.T) {
	t.Parallel()
	const get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
	quick := Config{HeadTimeout: ample, KeepAlive: ample, BodyTimeout: ample}
	slow := Config{HeadTimeout: time.Hour, KeepAlive: time.Hour, BodyTimeout: time.Hour}
	with := func(c Config, f func(*Config)) Config { f(&c); return c }
	for _, test := range []struct {
		name string
		cfg  Config
		sent string
		want string
		log  string
	}{
		{"nothing sent", quick, "", "", ""},
		{"empty line sent", quick, "\r\n", "408:timed out waiting for the request\n", ""},
		{"half a head", with(slow, func(c *Config) { c.HeadTimeout = ample }), "GET / HT", "408:timed out waiting for the request\n", ""},
		{"idle", with(slow, func(c *Config) { c.KeepAlive = time.Millisecond }), get, "200:GET /a?", ""},
		{"half a second head", with(slow, func(c *Config) { c.HeadTimeout = ample }), get + "GET", "200:GET /a? 408:timed out waiting for the request\n", ""},
		{"half a body", with(slow, func(c *Config) { c.BodyTimeout = ample }),
			"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc", "408:timed out waiting for the request body\n", ""},
		{"half a chunk", with(slow, func(c *Config) { c.BodyTimeout = ample }),
			"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", "408:timed out waiting for the request body\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := newApp(true, demo)
			s := serve(t, test.cfg, a)
			got := ""
			eventually(t, "the first byte is in time", func() bool {
				got = bodies(t, s.talk(t, test.sent))
				return got != "" || test.want == ""
			})
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			eventually(t, "all released", a.idle)
		})
	}
}

// A request whose body does not come is in the access log with its request line and the site's rules.
func TestBodyTimeoutLogged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	log, closeLog := openLog(t, path, "common")
	s := serve(t, Config{AccessLog: log, BodyTimeout: ample}, newApp(true, demo))
	s.talk(t, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
	eventually(t, "it is gone", func() bool { return s.loop.live.Load() == 0 })
	closeLog()
	if text, _ := os.ReadFile(path); !strings.Contains(string(text), `"POST /echo HTTP/1.1" 408 `) {
		t.Errorf("access log: %q", text)
	}
}

// A body that keeps trickling in is ended by its rate.
func TestBodyRate(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{BodyTimeout: 300 * time.Millisecond, BodyRate: 1000}, newApp(true, demo))
	c := s.dial(t)
	io.WriteString(c, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				io.WriteString(c, "x")
			}
		}
	}()
	all, err := io.ReadAll(c)
	close(stop)
	if err != nil {
		t.Fatal(err)
	}
	if got := bodies(t, string(all)); got != "408:timed out waiting for the request body\n" {
		t.Errorf("got %q", got)
	}
}

// A connection that works is not idle, however short the timeout.
func TestTimeoutsSpareWhoWorks(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	a := newApp(false, func(c *call) {
		<-gate
		c.reply(200, "done")
	})
	s := serve(t, Config{KeepAlive: time.Millisecond, HeadTimeout: time.Hour}, a)
	c := s.dial(t)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	time.AfterFunc(1500*time.Millisecond, func() { close(gate) }) // three looks of the loop
	all, err := io.ReadAll(c)
	if got := bodies(t, string(all)); err != nil || got != "200:done" {
		t.Errorf("%q, %v", got, err)
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
