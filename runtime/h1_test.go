package runtime

import (
	"io"
	"testing"
	"time"

	"fapws/runtime/sites"
)

// TestH1ConnectionStates: a connection reads requests, writes responses, closes,
// and knows whether it is closed, or stale: one that has waited for too long.
func TestH1ConnectionStates(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := serve(t, Config{Sites: sites.Config{KeepAlive: time.Hour}}, newApp(true, func(c *call) {
		go func() {
			<-release
			c.reply(200, "done")
		}()
	}))
	only := func() (c *sites.Conn) {
		s.do(func() {
			for _, one := range s.loop.all() {
				c = one
			}
		})
		return c
	}
	await := func(c *sites.Conn, want sites.State) {
		t.Helper()
		var now sites.State
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
			s.do(func() { now = c.State() })
			if now == want {
				return
			}
		}
		t.Fatalf("the connection is %s, not %s", now, want)
	}
	remote := s.dial(t)
	var c *sites.Conn
	for c == nil {
		c = only()
	}
	await(c, sites.StateNew)
	io.WriteString(remote, "POST / HTTP/1.1\r\nHost: a\r\n")
	await(c, sites.StateHead)
	io.WriteString(remote, "Content-Length: 4\r\n\r\nab")
	await(c, sites.StateBody)
	io.WriteString(remote, "cd")
	await(c, sites.StateReady) // for the next request; this one is active
	s.do(func() {
		if !c.Busy() {
			t.Error("no response is under way")
		}
	})
	io.WriteString(remote, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
	await(c, sites.StateWaiting)
	close(release)
	await(c, sites.StateReady)
	s.do(func() {
		if idle := time.Duration(c.Deadline() - c.Stamp); idle < time.Hour || idle > time.Hour+time.Second {
			t.Errorf("stale after %v, and it may be idle for an hour", idle)
		}
		s.cfg.Sites.KeepAlive = time.Millisecond
		s.configure(s.cfg)
		c.Schedule()
	})
	await(c, sites.StateClosed) // no request came
	if left := only(); left != nil {
		t.Errorf("%s is still looked after", left)
	}
}
