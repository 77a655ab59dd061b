package runtime

import (
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"fapws/runtime/backend"
	"fapws/runtime/exchange"
)

// Pipelined requests of a connection run side by side, three at most, and their responses keep their order.
func TestPipelining(t *testing.T) {
	const most = exchange.MaxAhead + 1
	var running atomic.Int32
	release := make(chan struct{})
	pool := backend.New(32, func(line string) { t.Error(line) })
	handler := pool.Handler(backend.Func(func(w *backend.Response, r *backend.Request) {
		if n := running.Add(1); n > most {
			t.Errorf("%d pipelined requests run at the same time", n)
		}
		<-release
		defer running.Add(-1)
		io.WriteString(w, r.Path)
	}))
	s := start(t, patient(Config{}), nil, exchange.Mount{Handler: handler})
	c := s.dial(t)
	for i := range 16 {
		fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
	}
	eventually(t, "three run", func() bool { return running.Load() == most })
	close(release)
	for i := range 16 {
		if got, want := string(readBody(t, c)), fmt.Sprintf("/%d", i); got != want {
			t.Fatalf("response %d is %q", i, got)
		}
	}
}
