package http_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/checktest"
)

func TestEachWaitForAClientIsLimited(t *testing.T) {
	t.Parallel()
	is408 := func(w *fapwstest.Client, a *fapwstest.Answer) {
		w.T.Helper()
		fapwstest.Truef(w.T, a.StatusCode == 408 && a.Close, "status %d, close %v", a.StatusCode, a.Close)
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
	for flag, tests := range map[string]map[string]func(*fapwstest.Server){
		"--head-timeout=2s": {
			"nothing":         func(s *fapwstest.Server) { s.Dial().Gone() },
			"half a line":     lateHead("GET / HT", ""),
			"half a head":     lateHead("GET / HTTP/1.1\r\nHost: a\r\nX-A", ""),
			"a head by drips": lateHead("GET / HTTP/1.1\r\n", "X-A: b\r\n"),
			"half a head, second request": func(s *fapwstest.Server) {
				fapwstest.Eventually(s.T, "the first request is in time", func() bool {
					w := s.Dial()
					a, err := w.Tries(fapwstest.Get("/") + "GET / HTTP/1.1\r\n")
					if err == nil {
						a.Is(s.T, "0 bytes")
						is408(w, w.Answer())
					}
					return err == nil
				})
			},
		},
		"--body-timeout=2s": {
			"no body":         late("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", ""),
			"half a body":     late("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab", ""),
			"half a chunk":    late(chunk("5\r\nab"), ""),
			"a body by drips": late("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n", "b"),
		},
		"--keep-alive=2s": {
			"idle": func(s *fapwstest.Server) {
				w := s.Dial()
				w.Fetch("/").Is(w.T, "0 bytes")
				w.Closed()
			},
		},
	} {
		t.Run(flag, func(t *testing.T) {
			t.Parallel()
			s := fapwstest.Serve(t, fapwstest.Threads, "entered.py", flag)
			var ends sync.WaitGroup
			for name, test := range tests {
				ends.Go(func() {
					test(s)
					t.Log(name)
				})
			}
			ends.Wait()
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
		checktest.InItsTime(t, func(timeout time.Duration) (wrong string) {
			limit := timeout.String()
			s, folder := fapwstest.ServeSlow(t, m, "--head-timeout", limit, "--keep-alive", limit, "--body-timeout",
				limit, "--write-timeout", limit)
			w := s.DialGet("/wait")
			time.Sleep(timeout + 2*time.Second)
			fapwstest.Write(t, folder+"/go", "")
			if a, err := w.Reads(); err != nil || a.Text != "waited" {
				return fmt.Sprint(a, err)
			}
			return ""
		})
	})
}

func TestClientThatStopsReadingIsDisconnected(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s, folder := fapwstest.ServeSlow(t, m, "--write-timeout", "500ms")
		for _, path := range []string{"/large", "/endless?1000", "/endless?1000000"} {
			before := s.RSS()
			w := s.Dial()
			_ = w.Conn.(*net.TCPConn).SetReadBuffer(4096)
			w.Get(path)
			if path == "/large" {
				fapwstest.Eventually(t, "the connection is gone", func() bool { return connections(s) == 0 })
			} else {
				fapwstest.FileSays(t, folder+"/closed", "yes")
				fapwstest.Must(t, os.Remove(folder+"/closed"))
			}
			s.GrownAtMost(before, 48<<20)
			s.Get("/", 200).Is(t, "quick")
		}
	})
}

func TestSlowClientThatContinuesToReadGetsTheWholeResponse(t *testing.T) {
	t.Parallel()
	checktest.InItsTime(t, func(timeout time.Duration) (wrong string) {
		s, _ := fapwstest.ServeSlow(t, fapwstest.Threads, "--write-timeout", timeout.String())
		w := s.Dial()
		_ = w.Conn.(*net.TCPConn).SetReadBuffer(64 << 10)
		w.Get("/large")
		body, size := w.Head("GET").Body, int64(0)
		for range 15 {
			n, err := io.CopyN(io.Discard, body, 1<<20)
			if size += n; err != nil {
				return fmt.Sprintf("after %d bytes: %v", size, err)
			}
			time.Sleep(timeout / 12)
		}
		n, err := io.Copy(io.Discard, body)
		if size += n; err != nil || size != 30_000_000 {
			return fmt.Sprintf("after %d bytes: %v", size, err)
		}
		w.Fetch("/").Is(t, "quick")
		fapwstest.Truef(t, !strings.Contains(s.Stderr.String(), "warning"), "there was a warning")
		return ""
	})
}
