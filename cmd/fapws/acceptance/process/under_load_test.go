package process_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func answering(s *fapwstest.Server) (pids []int) {
	s.T.Helper()
	for range 40 {
		pid := s.Dial().InTime("/pid").Number(s.T)
		if !slices.Contains(pids, pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// A load is a group of clients. Each client waits 2 ms after a response, so that the reloads also get CPU time.
type load struct {
	t        *testing.T
	dial     func() (net.Conn, error)
	request  func(fields ...string) string
	end      chan struct{}
	clients  sync.WaitGroup
	answered atomic.Int64
	stops    atomic.Bool // the server is stopping, so a client that it refuses ends

	mu     sync.Mutex
	failed []string
}

func underLoad(t *testing.T, s *fapwstest.Server, path string, keeping, connecting int) *load {
	t.Helper()
	return startLoad(&load{t: t, dial: func() (net.Conn, error) { return net.Dial("tcp", s.Address) },
		request: func(fields ...string) string { return fapwstest.Get(path, fields...) }}, keeping, connecting)
}

// underLoadOverTLS makes clients send requests that they do not retry.
func underLoadOverTLS(t *testing.T, s *fapwstest.Server, config *tls.Config, path string, keeping, connecting int) *load {
	t.Helper()
	return startLoad(&load{t: t, dial: func() (net.Conn, error) { return tls.Dial("tcp", s.Address, config) },
		request: func(fields ...string) string { return fapwstest.Request("POST", path, "body", fields...) }},
		keeping, connecting)
}

func startLoad(l *load, keeping, connecting int) *load {
	l.end = make(chan struct{})
	for range keeping {
		l.clients.Go(func() { l.run(true) })
	}
	for range connecting {
		l.clients.Go(func() { l.run(false) })
	}
	l.t.Cleanup(func() { l.stop() })
	return l
}

func (l *load) stop() []string {
	select {
	case <-l.end:
	default:
		close(l.end)
	}
	l.clients.Wait()
	return l.failed
}

func (l *load) unharmed() {
	l.t.Helper()
	failed := l.stop()
	fapwstest.Truef(l.t, len(failed) == 0, "%d of %d requests failed: %.1000q", len(failed), l.answered.Load(), failed)
	fapwstest.Truef(l.t, l.answered.Load() >= 100, "only %d requests were answered", l.answered.Load())
}

func (l *load) goesOn(n int64) {
	l.t.Helper()
	from := l.answered.Load()
	fapwstest.Eventually(l.t, "requests are answered", func() bool { return l.answered.Load() >= from+n })
}

func (l *load) run(keep bool) {
	request := l.request("Connection: close")
	if keep {
		request = l.request()
	}
	var w *fapwstest.Client
	for {
		select {
		case <-l.end:
			if w != nil {
				w.Close()
			}
			return
		default:
		}
		if w == nil {
			c, err := l.dial()
			if errors.Is(err, syscall.ECONNREFUSED) && l.stops.Load() {
				return
			}
			if err != nil {
				l.fail("connecting", err)
				time.Sleep(time.Millisecond)
				continue
			}
			_ = c.SetDeadline(time.Now().Add(fapwstest.Patience))
			w = &fapwstest.Client{T: l.t, Conn: c, In: bufio.NewReader(c)}
		}
		a, err := w.Tries(request)
		switch {
		case err == nil && a.Err != nil:
			err = a.Err
		case err == nil && a.StatusCode != 200:
			err = errors.New(a.Status)
		}
		if err != nil {
			l.fail("asking", err)
		} else {
			l.answered.Add(1)
		}
		time.Sleep(2 * time.Millisecond)
		if err != nil || a.Close {
			w.Close()
			w = nil
		}
	}
}

func (l *load) fail(what string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = append(l.failed, what+": "+err.Error())
}
