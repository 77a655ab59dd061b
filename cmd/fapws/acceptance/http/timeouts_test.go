package http_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestEachWaitForAClientIsLimited(t *testing.T) {
	t.Parallel()
	is408 := func(w *fapwstest.Client, a *fapwstest.Answer) {
		w.T.Helper()
		if a.StatusCode != 408 || !a.Close {
			w.T.Errorf("status %d, close %v", a.StatusCode, a.Close)
		}
		w.Closed()
	}
	late := func(text, more string) func(*fapwstest.Server) {
		return func(s *fapwstest.Server) {
			w := s.Dial()
			drip(w, text, more)
			is408(w, w.Answer())
		}
	}
	// If a client sends no data until a timeout, the server closes the connection without a response. On a slow
	// machine, this may also happen to a client in this test.
	lateHead := func(text, more string) func(*fapwstest.Server) {
		return func(s *fapwstest.Server) {
			fapwstest.Eventually(s.T, "an unfinished head is answered", func() bool {
				w := s.Dial()
				drip(w, text, more)
				a, err := w.Tries("")
				if err == nil {
					is408(w, a)
				}
				return err == nil
			})
		}
	}
	cases := []struct {
		name, flag string
		test       func(*fapwstest.Server)
	}{
		{"nothing", "--head-timeout=2s", func(s *fapwstest.Server) { s.Dial().Gone() }},
		{"half a line", "--head-timeout=2s", lateHead("GET / HT", "")},
		{"half a head", "--head-timeout=2s", lateHead("GET / HTTP/1.1\r\nHost: a\r\nX-A", "")},
		{"a head by drips", "--head-timeout=2s", lateHead("GET / HTTP/1.1\r\n", "X-A: b\r\n")},
		{"half a head, second request", "--head-timeout=2s", func(s *fapwstest.Server) {
			fapwstest.Eventually(s.T, "the first request is in time", func() bool {
				w := s.Dial()
				a, err := w.Tries(fapwstest.Get("/") + "GET / HTTP/1.1\r\n")
				if err == nil {
					a.Is(s.T, "0 bytes")
					is408(w, w.Answer())
				}
				return err == nil
			})
		}},
		{"no body", "--body-timeout=2s", late("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", "")},
		{"half a body", "--body-timeout=2s", late("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab", "")},
		{"half a chunk", "--body-timeout=2s", late(chunk("5\r\nab"), "")},
		{"a body by drips", "--body-timeout=2s", late("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n",
			"b")},
		{"idle", "--keep-alive=2s", func(s *fapwstest.Server) {
			w := s.Dial()
			w.Fetch("/").Is(w.T, "0 bytes")
			w.Closed()
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := fapwstest.Serve(t, fapwstest.Threads, "entered.py", c.flag)
			c.test(s)
			fapwstest.Eventually(t, "others are served", func() bool {
				a, err := s.Dial().Tries(fapwstest.Get("/count"))
				return err == nil && a.StatusCode == 200
			})
		})
	}
}

func drip(w *fapwstest.Client, text, more string) {
	io.WriteString(w.Conn, text)
	if more == "" {
		return
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, err := io.WriteString(w.Conn, more); err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	}()
	w.T.Cleanup(func() { w.Close(); <-ended })
}

func TestSlowHandlerDoesNotTimeOutItsClient(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		inItsTime(t, func(t *testing.T, timeout time.Duration, p *pace) error {
			limit := timeout.String()
			s, folder := fapwstest.ServeSlow(t, m, "--head-timeout", limit, "--keep-alive", limit, "--body-timeout",
				limit, "--write-timeout", limit)
			p.restart()
			w, answered := s.Dial(), make(chan error, 1)
			go func() {
				a, err := w.Tries(fapwstest.Get("/wait"))
				if err == nil && a.Text != "waited" {
					err = errors.New(a.Status)
				}
				answered <- err
			}()
			var err error
			fapwstest.Eventually(t, "the handler runs", func() bool {
				_, missing := os.Stat(folder + "/entered")
				select {
				case err = <-answered:
				default:
				}
				return missing == nil || err != nil
			})
			if err != nil {
				return err
			}
			p.step()
			time.Sleep(timeout + 2*time.Second)
			p.restart()
			fapwstest.Write(t, folder+"/go", "")
			return <-answered
		})
	})
}

func TestClientThatStopsReadingIsDisconnected(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, path string
		closes     bool
	}{
		{"large", "/large", false}, {"stream", "/endless?1000", true}, {"stream of blocks", "/endless?1000000", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
				s, folder := fapwstest.ServeSlow(t, m, "--write-timeout", "500ms")
				before := s.RSS()
				w := s.Dial()
				_ = w.Conn.(*net.TCPConn).SetReadBuffer(4096)
				w.Get(c.path)
				if c.closes {
					fapwstest.FileSays(t, folder+"/closed", "yes")
				} else {
					fapwstest.Eventually(t, "the connection is gone", func() bool { return connections(s) == 0 })
				}
				if grown := s.RSS() - before; grown > 48<<20 {
					t.Errorf("grown by %d MiB", grown>>20)
				}
				s.Get("/", 200).Is(t, "quick")
			})
		})
	}
}

func TestSlowClientThatContinuesToReadGetsTheWholeResponse(t *testing.T) {
	t.Parallel()
	inItsTime(t, func(t *testing.T, timeout time.Duration, p *pace) error {
		s, _ := fapwstest.ServeSlow(t, fapwstest.Threads, "--write-timeout", timeout.String())
		p.restart()
		w := s.Dial()
		_ = w.Conn.(*net.TCPConn).SetReadBuffer(64 << 10)
		w.Get("/large")
		r := w.Head("GET")
		n := int64(0)
		for range 15 {
			k, err := io.CopyN(io.Discard, r.Body, 1<<20)
			if n += k; err != nil {
				return fmt.Errorf("after %d bytes: %v", n, err)
			}
			p.step()
			time.Sleep(timeout / 12)
		}
		k, err := io.Copy(io.Discard, stepping{r.Body, p})
		if n += k; err != nil || n != 30_000_000 {
			return fmt.Errorf("after %d bytes: %v", n, err)
		}
		w.Fetch("/").Is(t, "quick")
		if strings.Contains(s.Stderr.String(), "warning") {
			t.Error("there was a warning")
		}
		return nil
	})
}
