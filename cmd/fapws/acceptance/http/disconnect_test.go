package http_test

import (
	"io"
	"net"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestCloseOfAResultIsAlwaysCalled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, path string
		leave      func(*fapwstest.Client)
	}{
		{"reset in a stream", "/endless?1000", (*fapwstest.Client).Reset},
		{"closed in a stream", "/endless?1000", func(w *fapwstest.Client) { w.Close() }},
		{"closed in large blocks", "/endless?1000000", func(w *fapwstest.Client) { w.Close() }},
		{"reset in a slow stream", "/ticks", (*fapwstest.Client).Reset},
		{"closed in a slow stream", "/ticks", func(w *fapwstest.Client) { w.Close() }},
		{"half-closed in a slow stream", "/ticks",
			func(w *fapwstest.Client) { _ = w.Conn.(*net.TCPConn).CloseWrite() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
				s, folder := fapwstest.ServeSlow(t, m)
				w := s.Dial()
				w.Get(c.path)
				r := w.Head("GET")
				if _, err := io.ReadFull(r.Body, make([]byte, 5)); err != nil {
					t.Fatal(err)
				}
				c.leave(w)
				fapwstest.FileSays(t, folder+"/closed", "yes")
				s.Get("/", 200).Is(t, "quick")
			})
		})
	}
	t.Run("reset before the head", func(t *testing.T) {
		fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
			s, folder := fapwstest.ServeSlow(t, m)
			w := s.Dial()
			w.Get("/wait")
			fapwstest.FileSays(t, folder+"/entered", "yes")
			w.Get("/endless?10")
			w.Reset()
			fapwstest.Write(t, folder+"/go", "")
			s.Get("/", 200).Is(t, "quick")
		})
	})
}
