package acceptance

import (
	"io"
	"net"
	"testing"
)

// waiting starts slow.py with a folder of its own, in which the script and
// the test leave files for each other.
func waiting(t *testing.T, m mode, flags ...string) (s *server, folder string) {
	t.Helper()
	folder = t.TempDir()
	return command{script: "slow.py", args: []string{folder}, flags: flags}.serve(t, m), folder
}

// close() of a result runs whatever became of the response.
func TestClose(t *testing.T) {
	for _, c := range []struct {
		name, path string
		leave      func(*wire)
	}{
		{"reset in a stream", "/endless?1000", (*wire).reset},
		{"closed in a stream", "/endless?1000", func(w *wire) { w.Close() }},
		{"closed in large blocks", "/endless?1000000", func(w *wire) { w.Close() }},
		{"reset in a slow stream", "/ticks", (*wire).reset},
		{"closed in a slow stream", "/ticks", func(w *wire) { w.Close() }},
		{"half-closed in a slow stream", "/ticks", func(w *wire) { _ = w.Conn.(*net.TCPConn).CloseWrite() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			inModes(t, func(t *testing.T, m mode) {
				s, folder := waiting(t, m)
				w := s.dial()
				w.get(c.path)
				r := w.head("GET")
				if _, err := io.ReadFull(r.Body, make([]byte, 5)); err != nil {
					t.Fatal(err)
				}
				c.leave(w)
				fileSays(t, folder+"/closed", "yes")
				s.get("/", 200).is(t, "quick")
			})
		})
	}
	t.Run("whole", func(t *testing.T) {
		inModes(t, func(t *testing.T, m mode) {
			s, folder := waiting(t, m)
			s.get("/short", 200).is(t, "ab")
			fileSays(t, folder+"/short closed", "yes")
		})
	})
	t.Run("HEAD", func(t *testing.T) {
		inModes(t, func(t *testing.T, m mode) {
			s, folder := waiting(t, m)
			s.ask(request("HEAD", "/endless?10", "")).want(t, 200)
			fileSays(t, folder+"/closed", "yes")
		})
	})
	t.Run("raised", func(t *testing.T) {
		inModes(t, func(t *testing.T, m mode) {
			s, folder := waiting(t, m)
			s.complains = true
			s.get("/broken", 500)
			fileSays(t, folder+"/closed", "yes")
		})
	})
	t.Run("reset before the head", func(t *testing.T) {
		inModes(t, func(t *testing.T, m mode) {
			s, folder := waiting(t, m)
			w := s.dial()
			w.get("/wait")
			fileSays(t, folder+"/entered", "yes")
			w.get("/endless?10") // behind the one that is waited for
			w.reset()
			write(t, folder+"/go", "")
			s.get("/", 200).is(t, "quick")
		})
	})
}

// A client that has shut down its side gets the answers to what it has asked.
func TestHalfClose(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s, folder := waiting(t, m)
		w := s.dial()
		w.get("/")
		_ = w.Conn.(*net.TCPConn).CloseWrite()
		w.answer().is(t, "quick")
		w.closed()

		w = s.dial()
		w.get("/wait")
		fileSays(t, folder+"/entered", "yes")
		_ = w.Conn.(*net.TCPConn).CloseWrite()
		write(t, folder+"/go", "")
		w.answer().is(t, "waited")
		w.closed()
	})
}

// Clients that vanish at any point harm nobody else.
func TestClientsVanish(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s, _ := waiting(t, m)
		post := request("POST", "/", string(make([]byte, 400_000)))
		for _, text := range []string{"", "G", "GET / HT", get("/"), get("/large"), get("/endless?100000"), post[:100], post[:300_000], post,
			get("/") + get("/") + "GET", get("/large") + get("/")} {
			for _, leave := range []func(*wire){(*wire).reset, func(w *wire) { w.Close() }} {
				w := s.dial()
				w.send(text)
				leave(w)
			}
		}
		w := s.dial()
		w.get("/large")
		w.head("GET")
		w.reset()
		for range 20 {
			s.get("/", 200).is(t, "quick")
		}
	})
}
