package http_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

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

// The kernel does not report each piece of a large body. The pieces of a client that has become slow must still count.
func TestClientThatBecomesSlowInItsBodyIsServed(t *testing.T) {
	t.Parallel()
	const app = `def app(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d bytes" % len(body)]
`
	checktest.InItsTime(t, func(timeout time.Duration) (wrong string) {
		s := fapwstest.Command{Script: fapwstest.Write(t, t.TempDir()+"/app.py", app),
			Flags: []string{"--body-timeout", timeout.String()}}.Serve(t, fapwstest.Threads)
		for _, size := range []int{2_000_000, 10_000_000} {
			slow, late := s.Dial(), s.Dial()
			text := fapwstest.Request("POST", "/", strings.Repeat("b", size))
			first := len(text) - 40_000
			slow.Send(text[:first])
			late.Send(text[:first])
			for range 4 {
				time.Sleep(timeout * 3 / 4)
				slow.Send(text[first : first+10_000])
				first += 10_000
			}
			if a, err := slow.Reads(); err != nil || a.Text != fmt.Sprint(size, " bytes") {
				return fmt.Sprint(size, a, err)
			}
			late.Answer().Want(t, 408)
		}
		return ""
	})
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

// While the application takes no input, the server does not read the body. The deadline of the client begins anew when
// the application continues.
func TestClientOfABodyThatHadToWaitIsNotTimedOut(t *testing.T) {
	const app = `import asyncio
import os


async def app(scope, receive, send):
    assert scope["type"] == "http"
    n = 0
    for name, size in (("go", int(os.environ["FIRST"])), ("last", 300000)):
        while not os.path.exists(name):
            await asyncio.sleep(0.01)
        while n < size:
            n += len((await receive())["body"])
        open(name + ".read", "w").close()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d bytes" % n})
`
	const size = 300_000
	// After the first part of the body, the server waits for the application.
	for protocol, first := range map[string]int{"HTTP/1.1": 200_000, "HTTP/2": 64 << 10} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			checktest.InItsTime(t, func(timeout time.Duration) (wrong string) {
				dir := t.TempDir()
				s := fapwstest.Command{Script: fapwstest.Write(t, dir+"/app.py", app), Dir: dir,
					Env: []string{fmt.Sprint("FIRST=", first)}, Flags: []string{"--h2c", "--body-timeout", timeout.String(),
						"--body-min-rate", "0"}}.Serve(t, fapwstest.Threads)
				body, w := io.Pipe()
				wait := fapwstest.InBackground(1, func(int) {
					w.Write(make([]byte, first))
					time.Sleep(timeout + 2*time.Second)
					fapwstest.Write(t, dir+"/go", "")
					fapwstest.Eventually(t, "the first part is read", func() bool { return fapwstest.Exists(dir + "/go.read") })
					time.Sleep(timeout * 3 / 4)
					fapwstest.Write(t, dir+"/last", "")
					w.Write(make([]byte, size-first))
					w.Close()
				})
				defer wait()
				r, err := newClient(t, protocol).Post(s.URL, "text/plain", body)
				if err != nil {
					return err.Error()
				}
				defer r.Body.Close()
				text, err := io.ReadAll(r.Body)
				if err != nil || string(text) != "300000 bytes" {
					return fmt.Sprintf("%d %q, %v", r.StatusCode, text, err)
				}
				return ""
			})
		})
	}
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

// unsent returns how many bytes of unsent responses a server has in memory, and how many responses it has aborted
// because of --max-unsent.
func unsent(s *fapwstest.Server) (bytes, cut int) {
	code, stdout, stderr := s.Ctl("status", "--json")
	var report struct{ Workers []struct{ Unsent, Cut int } }
	err := json.Unmarshal([]byte(stdout), &report)
	fapwstest.Needf(s.T, err == nil && len(report.Workers) != 0, "%d %q: %v %s", code, stdout, err, stderr)
	for _, w := range report.Workers {
		bytes, cut = bytes+w.Unsent, cut+w.Cut
	}
	return bytes, cut
}

var protocols = []string{"HTTP/1.1", "HTTP/2"}

// newClient returns a client that does not add Accept-Encoding and does not decompress bodies. The kernel buffers
// little for its connections.
func newClient(t *testing.T, protocol string) *http.Client {
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil {
			_ = c.(*net.TCPConn).SetReadBuffer(64 << 10)
		}
		return c, err
	}
	transport := &http.Transport{DisableCompression: true, DialContext: dial, Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(protocol == "HTTP/1.1")
	transport.Protocols.SetUnencryptedHTTP2(protocol == "HTTP/2")
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// inProtocols runs a test for each protocol. newReader returns a client with connections of its own.
func inProtocols(t *testing.T, test func(t *testing.T, newReader func() *http.Client)) {
	t.Parallel()
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			test(t, func() *http.Client { return newClient(t, protocol) })
		})
	}
}

func begin(t *testing.T, c *http.Client, url string) io.ReadCloser {
	t.Helper()
	r := fapwstest.Try(c.Get(url)).Must(t)
	t.Cleanup(func() { r.Body.Close() })
	return r.Body
}

func all(t *testing.T, body io.Reader, size int64) {
	t.Helper()
	n, err := io.Copy(io.Discard, body)
	fapwstest.Truef(t, n == size && err == nil, "%d of %d bytes, %v", n, size, err)
}

const (
	wholeSize = 8 << 20
	hugeSize  = 80 << 20
)

// The server never aborts a response because of its size if the same client has no other unsent response.
func TestSlowReaderDoesNotDelayOtherRequestsOfItsAddress(t *testing.T) {
	inProtocols(t, func(t *testing.T, newReader func() *http.Client) {
		s := fapwstest.Serve(t, fapwstest.Threads, "ahead.py", "--h2c", "--max-unsent", "12M")
		slow := begin(t, newReader(), s.URL+"/huge")
		fapwstest.Eventually(t, "it waits", func() bool { n, _ := unsent(s); return n >= hugeSize })
		all(t, begin(t, newReader(), s.URL+"/whole"), wholeSize)
		n, cut := unsent(s)
		fapwstest.Truef(t, n == hugeSize && cut == 0, "%d bytes wait, %d responses were ended", n, cut)
		all(t, slow, hugeSize)
	})
}

func TestUnreadSmallChunksDoNotFillMemory(t *testing.T) {
	const size, bound = 1 << 19, 8 << 20
	inProtocols(t, func(t *testing.T, newReader func() *http.Client) {
		s := fapwstest.Serve(t, fapwstest.Threads, "ahead.py", "--h2c")
		s.Get("/made", 200)
		before := s.RSS()
		slow := begin(t, newReader(), s.URL+"/letters")
		s.Stalls("the iterator waits for the client", "/made")
		s.GrownAtMost(before, bound)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			all(t, slow, size)
		}()
		for reading := true; reading; {
			s.Get("/made", 200)
			select {
			case <-ended:
				reading = false
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
}

func TestUnreadSmallChunksCountTowardsMaxUnsent(t *testing.T) {
	const clients, most = 40, 4 << 20
	inProtocols(t, func(t *testing.T, newReader func() *http.Client) {
		s := fapwstest.Serve(t, fapwstest.Threads, "ahead.py", "--h2c", "--max-unsent", strconv.Itoa(most))
		for range clients {
			begin(t, newReader(), s.URL+"/kibibytes")
		}
		fapwstest.Eventually(t, "some responses are ended", func() bool {
			n, cut := unsent(s)
			return cut > 0 && n < 2*most
		})
	})
}

func TestMemoryThatIsSentToSeveralClientsCountsOnce(t *testing.T) {
	inProtocols(t, func(t *testing.T, newReader func() *http.Client) {
		s := fapwstest.Serve(t, fapwstest.Threads, "ahead.py", "--h2c", "--max-unsent", "4M")
		bodies := fapwstest.Repeat(6, func(int) io.Reader { return begin(t, newReader(), s.URL+"/shared") })
		n, cut := unsent(s)
		fapwstest.Truef(t, n == wholeSize && cut == 0, "%d bytes wait, %d responses were ended", n, cut)
		for _, body := range bodies {
			all(t, body, wholeSize)
		}
		fapwstest.Eventually(t, "nothing waits", func() bool { n, _ := unsent(s); return n == 0 })
	})
}

func TestUnreadResponsesAreAbortedIfTooMuchDataWaits(t *testing.T) {
	const most = 32 << 20
	inProtocols(t, func(t *testing.T, newReader func() *http.Client) {
		s := fapwstest.Serve(t, fapwstest.Threads, "ahead.py", "--h2c", "--max-unsent", strconv.Itoa(most))
		honest := begin(t, newReader(), s.URL+"/huge")
		read := int64(0)
		for range time.NewTicker(50 * time.Millisecond).C {
			n := fapwstest.Try(io.CopyN(io.Discard, honest, 256<<10)).Must(t)
			if read += n; read >= 20<<20 {
				break
			}
		}
		unread := fapwstest.Repeat(12, func(int) io.Reader { return begin(t, newReader(), s.URL+"/whole") })
		s.Says(`warning client 127\.0\.0\.1:\d+: response ended with \d+\.\d MiB unread(, and \d+ more since the last ` +
			`such line)?: more than 32 MiB wait for slow clients; see --max-unsent`)
		fapwstest.Eventually(t, "the rest is ended", func() bool {
			n, cut := unsent(s)
			return n <= most+hugeSize && cut >= len(unread)-most/wholeSize
		})
		all(t, honest, hugeSize-read)
		broken := 0
		for _, body := range unread {
			n, err := io.Copy(io.Discard, body)
			if err != nil || n < wholeSize {
				broken++
			}
			stream := http2.StreamError{}
			fapwstest.Truef(t, !errors.As(err, &stream) || stream.Code == http2.ErrCodeEnhanceYourCalm, "%v", err)
		}
		fapwstest.Eventually(t, fmt.Sprintf("%d responses were ended, as many as are not complete", broken),
			func() bool { _, cut := unsent(s); return broken == cut })
		_, text, _ := s.Ctl("status")
		fapwstest.Has(t, text, fmt.Sprintf(": %d responses ended because more than max-unsent waited", broken))
		s.Get("/whole", 200)
	})
}

func TestFewStreamsOfAClientThatDoesNotReadBeginResponses(t *testing.T) {
	t.Parallel()
	const streams, most = 20, 16
	for _, path := range []string{"/whole", "/asgi"} {
		t.Run(path[1:], func(t *testing.T) {
			t.Parallel()
			s := fapwstest.Serve(t, fapwstest.Threads, "ahead.py", "--h2c")
			where := map[bool]string{true: "/async/begun", false: "/begun"}[path == "/asgi"]
			begun := func() int { return s.Get(where, 200).Number(t) }
			c := newClient(t, "HTTP/2")
			gate := make(chan struct{})
			wait := fapwstest.InBackground(streams, func(i int) {
				r, err := c.Get(fmt.Sprintf("%s%s?%d", s.URL, path, i))
				if err != nil {
					t.Error(err)
					return
				}
				<-gate
				all(t, r.Body, wholeSize)
			})
			fapwstest.Eventually(t, "some have begun", func() bool { return begun() > 3 })
			for range 20 {
				if n := begun(); n > most {
					t.Errorf("%d have begun, and nothing was read", n)
					break
				}
			}
			close(gate)
			wait()
			fapwstest.Equalf(t, begun(), streams, "requests begun")
		})
	}
}

// While the client does not read, the application begins only three responses: the response that is being sent, and two
// more.
func TestApplicationBeginsFewResponsesForAClientThatDoesNotRead(t *testing.T) {
	const requests, size = 6, 8 << 20
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "ahead.py")
		for path, count := range map[string]string{"/whole": "/begun", "/items": "/begun", "/generator": "/begun",
			"/handler": "/async/begun", "/asgi": "/async/begun"} {
			before := s.Get(count, 200).Number(t)
			begun := func() int { return s.Get(count, 200).Number(t) - before }
			w := s.Dial()
			_ = w.Conn.(*net.TCPConn).SetReadBuffer(256 << 10)
			w.Send(strings.Repeat(fapwstest.Get(path), requests))
			fapwstest.Eventually(t, "the first has begun", func() bool { return begun() > 0 })
			for range 20 {
				n := begun()
				fapwstest.Needf(t, n <= 3, "%s: %d have begun, and nothing was read", path, n)
			}
			for i := range requests {
				n, err := io.Copy(io.Discard, w.Head("GET").Body)
				fapwstest.Needf(t, err == nil && n == size, "%s: answer %d: %d bytes, %v", path, i, n, err)
			}
			fapwstest.Equalf(t, begun(), requests, "%s: requests begun", path)
		}
	})
}

const totals = `
async def application(scope, receive, send):
    if scope["type"] != "http":
        return
    size, more = 0, True
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while more:
        message = await receive()
        size, more = size + len(message["body"]), message["more_body"]
        await send({"type": "http.response.body", "body": b"%d\n" % size, "more_body": more})
`

// While a body arrives fast, the server lets the kernel report only large pieces, until the next tick. A client that
// then stops and waits for a response must get it before the tick.
func TestHandlerGetsTheRestOfAFastPieceAtOnce(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, fapwstest.Write(t, filepath.Join(t.TempDir(), "app.py"), totals))
	const piece, pieces = 600_001, 100
	began, text := time.Now(), strings.Repeat("b", piece)
	w := s.DialSend(fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", piece*pieces), text)
	r := checktest.Try(http.ReadResponse(w.In, nil)).Must(t)
	lines := bufio.NewScanner(r.Body)
	for sent, got := piece, 0; sent <= piece*pieces; sent += piece {
		for got < sent {
			fapwstest.Truef(t, lines.Scan(), "the response ended after %d bytes: %v", got, lines.Err())
			got = checktest.Try(strconv.Atoi(lines.Text())).Must(t)
		}
		if sent < piece*pieces {
			w.Send(text)
		}
	}
	took := time.Since(began)
	fapwstest.Truef(t, took < pieces*time.Second/2, "%v for %d pieces", took, pieces)
}
