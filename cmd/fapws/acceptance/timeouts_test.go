package acceptance

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// Each wait for a client has an end of its own. The flags make it short; that
// nothing ends too soon shows in the tests with the defaults.
func TestTimeouts(t *testing.T) {
	late := func(w *wire) {
		w.t.Helper()
		if a := w.answer(); a.StatusCode != 408 || !a.Close {
			w.t.Errorf("status %d, close %v", a.StatusCode, a.Close)
		}
		w.closed()
	}
	cases := []struct {
		name, flag string
		test       func(w *wire)
	}{
		{"nothing", "--head-timeout=2s", func(w *wire) { w.gone() }},
		{"half a line", "--head-timeout=2s", func(w *wire) { w.send("GET / HT"); late(w) }},
		{"half a head", "--head-timeout=2s", func(w *wire) { w.send("GET / HTTP/1.1\r\nHost: a\r\nX-A"); late(w) }},
		{"half a head, second request", "--head-timeout=2s", func(w *wire) {
			w.send(get("/"), "GET / HTTP/1.1\r\n")
			w.answer().is(w.t, "0 bytes")
			late(w)
		}},
		{"a head by drips", "--head-timeout=2s", func(w *wire) {
			drip(w, "GET / HTTP/1.1\r\n", "X-A: b\r\n")
			late(w)
		}},
		{"no body", "--body-timeout=2s", func(w *wire) {
			w.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
			late(w)
		}},
		{"half a body", "--body-timeout=2s", func(w *wire) {
			w.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
			late(w)
		}},
		{"half a chunk", "--body-timeout=2s", func(w *wire) { w.send(chunk("5\r\nab")); late(w) }},
		{"a body by drips", "--body-timeout=2s", func(w *wire) {
			drip(w, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n", "b")
			late(w)
		}},
		{"idle", "--keep-alive=2s", func(w *wire) {
			w.get("/")
			w.answer().is(w.t, "0 bytes")
			w.closed()
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			inModes(t, func(t *testing.T, m mode) {
				s := serve(t, m, "entered.py", c.flag)
				c.test(s.dial())
				s.get("/count", 200)
			})
		})
	}
}

// drip sends a piece again and again until the server has had enough.
func drip(w *wire, first, piece string) {
	w.send(first)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, err := io.WriteString(w.Conn, piece); err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond) // the pace is what is tested
		}
	}()
	w.t.Cleanup(func() { w.Close(); <-ended })
}

// A request that is slow to be handled is no slow client.
func TestHandlerIsNotTimed(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s, folder := waiting(t, m, "--head-timeout", "2s", "--keep-alive", "2s", "--body-timeout", "2s", "--write-timeout", "2s")
		w := s.dial()
		w.get("/wait")
		fileSays(t, folder+"/entered", "yes")
		time.Sleep(3500 * time.Millisecond) // longer than all of them, and the sweep's step
		write(t, folder+"/go", "")
		w.answer().is(t, "waited")
	})
}

// A client that does not read is cut off, and costs little memory until then.
func TestSlowReader(t *testing.T) {
	for _, c := range []struct {
		name, path string
		closes     bool
	}{
		{"large", "/large", false}, {"stream", "/endless?1000", true}, {"stream of blocks", "/endless?1000000", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			inModes(t, func(t *testing.T, m mode) {
				s, folder := waiting(t, m, "--write-timeout", "500ms")
				before := s.rss()
				w := s.dial()
				_ = w.Conn.(*net.TCPConn).SetReadBuffer(4096)
				w.get(c.path)
				if c.closes {
					fileSays(t, folder+"/closed", "yes")
				} else {
					eventually(t, "the connection is gone", func() bool { return s.connections() == 0 })
				}
				if grown := s.rss() - before; grown > 48<<20 { // /large itself has 30 MB
					t.Errorf("grown by %d MiB", grown>>20)
				}
				s.get("/", 200).is(t, "quick")
			})
		})
	}
}

// A slow reader that goes on reading gets it all.
func TestPatientWithReaders(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s, _ := waiting(t, m, "--write-timeout", "4s")
		w := s.dial()
		_ = w.Conn.(*net.TCPConn).SetReadBuffer(64 << 10)
		w.get("/large")
		r := w.head("GET")
		n := int64(0)
		for range 15 {
			k, err := io.CopyN(io.Discard, r.Body, 1<<20)
			if n += k; err != nil {
				t.Fatalf("after %d bytes: %v", n, err)
			}
			time.Sleep(300 * time.Millisecond) // together longer than the timeout
		}
		k, err := io.Copy(io.Discard, r.Body)
		if n += k; err != nil || n != 30_000_000 {
			t.Errorf("%d bytes, %v", n, err)
		}
		w.get("/")
		w.answer().is(t, "quick")
		if strings.Contains(s.stderr.String(), "warning") {
			t.Error("there was a warning")
		}
	})
}
