package runtime

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
	"fapws/runtime/conn"
	"fapws/runtime/http1conn"
)

func TestLoopContinuesWhileItsThreadDoesOtherWork(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{})
	thread := 0
	for range 3 {
		var now int
		s.DoBeside(func() {
			now = unix.Gettid()
			got := s.talk(t, "GET / HTTP/1.0\r\n\r\n")
			checktest.Truef(t, strings.HasSuffix(got, "\r\n\r\nhello"), "meanwhile: %q", got)
			s.do(func() { checktest.Truef(t, unix.Gettid() != now, "the loop is on the same thread") })
		})
		checktest.Truef(t, thread == 0 || now == thread, "it has another thread")
		thread = now
	}
	s.Do(func() { checktest.Equalf(t, unix.Gettid(), thread, "the loop is on another thread") })
}

func TestRecentHeadDoesNotTimeOutIfTheClockOfTheLoopIsLate(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{Timeout: time.Hour})
	half := s.dial(t)
	io.WriteString(half, "GET /half HTTP/1.1\r\n")
	const limit = 100 * time.Millisecond
	eventually(t, "it has begun", func() (begun bool) {
		s.do(func() {
			l := s.loop
			all := l.all()
			begun = l.now() > 2*tickLength && slices.ContainsFunc(all, func(c *http1conn.Conn) bool {
				return c.State() == http1conn.StateHead
			})
			if !begun {
				return
			}
			l.clock(time.Now().Add(-time.Duration(2*tickLength) * 9 / 10))
			s.cfg.Sites.HeadTimeout = limit
			s.configure(s.cfg)
			for _, c := range all {
				c.Stamp = l.now()
				c.Schedule()
			}
			l.ticked()
			l.cfg.Sites.HeadTimeout = time.Hour
			for _, c := range l.all() {
				c.Schedule()
			}
		})
		return begun
	})
	io.WriteString(half, "Host: x\r\nConnection: close\r\n\r\n")
	text, err := io.ReadAll(half)
	checktest.Truef(t, strings.HasPrefix(string(text), "HTTP/1.1 200 ") && err == nil, "got %q, %v", text, err)
}

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
