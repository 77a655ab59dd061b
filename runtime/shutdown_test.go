package runtime

import (
	"context"
	"errors"
	"fapws/runtime/checktest"
	"fapws/runtime/conn"
	"os"
	"testing"
	"time"
)

func TestLoopDoesNotTickWithoutConnections(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{})
	s.talk(t, "GET / HTTP/1.0\r\n\r\n")
	s.gone(t)
	eventually(t, "the clock stops", func() bool { // at first, a posted tick may still run
		var before, after int64
		s.do(func() { before = s.loop.now() })
		time.Sleep(time.Duration(3 * tickLength))
		s.do(func() { after = s.loop.now() })
		return after == before
	})
}

func TestStuckLoopDoesNotDelayTheShutdown(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{})
	gate, stuck := make(chan struct{}), make(chan struct{})
	defer close(gate)
	go s.do(func() { close(stuck); <-gate })
	<-stuck
	s.dial(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	err := s.Shutdown(ctx)
	checktest.Truef(t, errors.Is(err, context.DeadlineExceeded), "Shutdown: %v", err)
}

func TestLateListenerIsClosed(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{})
	s.StopAccepting()
	ln := checktest.Try(conn.Listen("127.0.0.1:0", conn.ListenOptions{})).Must(t)
	s.Accept(ln)
	err := ln.Close()
	checktest.Truef(t, errors.Is(err, os.ErrClosed), "%v", err)
}
