package http_test

import (
	"io"
	"net"
	"os"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestCloseOfAResultIsAlwaysCalled(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s, folder := fapwstest.ServeSlow(t, m)
		closes := func(w *fapwstest.Client) { w.Close() }
		for _, c := range []struct {
			name, path string
			leave      func(*fapwstest.Client)
		}{
			{"reset in a stream", "/endless?1000", (*fapwstest.Client).Reset},
			{"closed in a stream", "/endless?1000", closes},
			{"closed in large blocks", "/endless?1000000", closes},
			{"reset in a slow stream", "/ticks", (*fapwstest.Client).Reset},
			{"closed in a slow stream", "/ticks", closes},
			{"half-closed in a slow stream", "/ticks",
				func(w *fapwstest.Client) { _ = w.Conn.(*net.TCPConn).CloseWrite() }},
		} {
			t.Log(c.name)
			w := s.Dial()
			w.Get(c.path)
			_, err := io.ReadFull(w.Head("GET").Body, make([]byte, 5))
			fapwstest.Must(t, err)
			c.leave(w)
			fapwstest.FileSays(t, folder+"/closed", "yes")
			fapwstest.Must(t, os.Remove(folder+"/closed"))
			s.Get("/", 200).Is(t, "quick")
		}
		w := s.Dial() // the last client leaves before the head
		w.Get("/wait")
		fapwstest.FileSays(t, folder+"/entered", "yes")
		w.Get("/endless?10")
		w.Reset()
		fapwstest.Write(t, folder+"/go", "")
		s.Get("/", 200).Is(t, "quick")
	})
}
