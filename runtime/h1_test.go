package runtime

import (
	"io"
	"testing"
	"time"
)

// TestH1ConnectionStates: a connection reads requests, writes responses, closes,
// and knows whether it is closed, or stale: one that has waited for too long.
func TestH1ConnectionStates(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, Config{KeepAlive: time.Hour}, newApp(true, func(c *call) {
		go func() {
			<-release
			c.reply(200, "done")
		}()
	}))
	only := func() (c *httpConn) {
		s.do(func() {
			for _, one := range s.loop.all() {
				c = one
			}
		})
		return c
	}
	await := func(c *httpConn, want connState) {
		t.Helper()
		var now connState
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
			s.do(func() { now = c.state })
			if now == want {
				return
			}
		}
		t.Fatalf("the connection is %s, not %s", now, want)
	}
	client := s.dial(t)
	var c *httpConn
	for c == nil {
		c = only()
	}
	await(c, stateNew)
	io.WriteString(client, "POST / HTTP/1.1\r\nHost: a\r\n")
	await(c, stateHead)
	io.WriteString(client, "Content-Length: 4\r\n\r\nab")
	await(c, stateBody)
	io.WriteString(client, "cd")
	await(c, stateReady) // for the next request; this one is in flight
	s.do(func() {
		if !c.busy() {
			t.Error("no response is under way")
		}
	})
	io.WriteString(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
	await(c, stateWaiting)
	close(release)
	await(c, stateReady)
	s.do(func() {
		if idle := time.Duration(c.Deadline() - c.Stamp); idle < time.Hour || idle > time.Hour+time.Second {
			t.Errorf("stale after %v, and it may be idle for an hour", idle)
		}
		s.loop.keepAlive = int64(time.Millisecond)
		c.Schedule()
	})
	await(c, stateClosed) // nobody asked for anything any more
	if left := only(); left != nil {
		t.Errorf("%s is still looked after", left)
	}
}
