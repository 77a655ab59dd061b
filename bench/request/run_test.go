package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fapws/runtime/backend/backendtest"
	"fapws/runtime/checktest"
)

func serve(t *testing.T, secure bool, h http.HandlerFunc) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	if secure {
		s.EnableHTTP2 = true
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func run(t *testing.T, args ...string) *Result {
	t.Helper()
	return checktest.Try(Run(context.Background(), checktest.Try(ParseArgs(args, io.Discard)).Must(t))).Must(t)
}

func answers(t *testing.T, r *Result, n int64, status int) {
	t.Helper()
	if r.finished != n || r.statuses[status] != n || len(r.failures)+len(r.refused) > 0 || r.latency.TotalCount() != n {
		var text bytes.Buffer
		r.WriteText(&text)
		t.Errorf("not %d × %d:\n%s", n, status, &text)
	}
}

func TestResponsesOfAllKindsAreRead(t *testing.T) {
	big := bytes.Repeat([]byte("x"), 300000)
	var asked, bodies atomic.Int64
	handler := func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if body, _ := io.ReadAll(r.Body); r.Host == "example.org" && r.Header.Get("X-One") == "1" && bytes.Equal(body, big) {
			bodies.Add(1)
		}
		switch r.URL.Path {
		case "/chunked":
			for range 3 {
				_, _ = w.Write([]byte("part"))
				w.(http.Flusher).Flush()
			}
		case "/big":
			_, _ = w.Write(big)
		case "/interim":
			w.WriteHeader(http.StatusEarlyHints)
			_, _ = w.Write([]byte("end"))
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		case "/close":
			w.Header().Set("Connection", "close")
		case "/missing":
			http.NotFound(w, r)
		}
	}
	plain, secure := serve(t, false, handler), serve(t, true, handler)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	checktest.Must(t, os.WriteFile(ca, text, 0o600))
	for _, p := range []struct {
		name, url string
		flags     []string
	}{
		{"HTTP/1.1", plain.URL, nil},
		{"HTTP/1.0 and close", plain.URL, []string{"--close"}},
		{"HTTPS", secure.URL, []string{"--cacert", ca}},
		{"HTTPS and close", secure.URL, []string{"-k", "--close"}},
		{"HTTP/2", secure.URL, []string{"-k", "--http2", "--streams", "3"}},
	} {
		t.Run(p.name, func(t *testing.T) {
			flags := append(p.flags, "-t", "2", "-c", "3", "-n", "50")
			for _, path := range []string{"/", "/chunked", "/big", "/interim", "/empty", "/close"} {
				status := 200
				if path == "/empty" {
					status = 204
				}
				asked.Store(0)
				r := run(t, append(flags, p.url+path)...)
				answers(t, r, 50, status)
				checktest.Truef(t, asked.Load() == 50 && !r.Failed(), "%s: the server was asked %d times", path, asked.Load())
				checktest.Truef(t, path != "/big" || r.received >= 50*int64(len(big)), "%d bytes were received", r.received)
			}
			answers(t, run(t, append(flags, "-m", "HEAD", p.url+"/big")...), 50, 200)
			r := run(t, append(flags, p.url+"/missing")...)
			answers(t, r, 50, 404)
			checktest.Truef(t, r.Failed(), "404 is no failure")
			bodies.Store(0)
			answers(t, run(t, append(flags, "-b", string(big), "-H", "X-One: 1", "-H", "Host: example.org", p.url)...), 50, 200)
			checktest.Equalf(t, bodies.Load(), 50, "requests with their body, their field and their host")
		})
	}
}

// The user and password of the URL become the field Authorization, unless -H sets this field. The report does not show
// the password.
func TestUserOfAURLLogsIn(t *testing.T) {
	s := serve(t, false, func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "a:b" {
			w.WriteHeader(401)
		}
	})
	url := strings.Replace(s.URL, "//", "//me:a%3Ab@", 1)
	r := run(t, "-n", "2", url)
	answers(t, r, 2, 200)
	var text bytes.Buffer
	if r.WriteText(&text); strings.Contains(text.String(), "a%3Ab") || !strings.Contains(text.String(), "me:xxxxx@") {
		t.Error(text.String())
	}
	answers(t, run(t, "-n", "2", "-H", "Authorization: Basic eA==", url), 2, 401)
}

func TestUnixSocketIsWrittenLikeATargetOfProxies(t *testing.T) {
	name := filepath.Join(t.TempDir(), "s")
	l := checktest.Try(net.Listen("unix", name)).Must(t)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.String() != "/a?b=c:d" && r.URL.String() != "/" {
			w.WriteHeader(404)
		}
		_, _ = w.Write(make([]byte, 300000))
	}))
	s.Listener.Close()
	s.Listener = l
	s.Start()
	defer s.Close()
	for _, path := range []string{"", ":", ":/a?b=c:d"} {
		answers(t, run(t, "-n", "20", "-c", "5", "unix:"+name+path), 20, 200)
	}
	_, err := Run(context.Background(), checktest.Try(ParseArgs([]string{"unix:" + name + "-none"}, io.Discard)).Must(t))
	checktest.Truef(t, err != nil && err.Error() == "unix:"+name+
		"-none: no such file or directory; start the server there, or correct the address", "%v", err)
}

// The server answers nothing for 400 ms. The latency of a request begins when the request was due, even if it was sent
// later (coordinated omission).
func TestRequestsThatAServerDelaysCountWithTheirWait(t *testing.T) {
	stopped := make(chan struct{})
	var first sync.Once
	s := serve(t, false, func(http.ResponseWriter, *http.Request) {
		first.Do(func() { time.AfterFunc(400*time.Millisecond, func() { close(stopped) }) })
		<-stopped
	})
	r := run(t, "-c", "1", "-t", "1", "-r", "1000", "-n", "400", s.URL)
	answers(t, r, 400, 200)
	if median := time.Duration(r.latency.ValueAtQuantile(50)); median < 100*time.Millisecond {
		t.Errorf("half of the requests that were due in 400 ms without a response took %v or less", median)
	}
}

func TestRequestsThatWereDueButNeverSentCount(t *testing.T) {
	stopped := make(chan struct{})
	s := serve(t, false, func(http.ResponseWriter, *http.Request) { <-stopped })
	defer close(stopped)
	r := run(t, "-c", "1", "-t", "1", "-r", "1000", "-d", "0.2", "--timeout", "0.3", s.URL)
	checktest.Truef(t, r.unsent >= 150 && r.latency.TotalCount() == r.unsent && r.failures["timed out"] != 0 && r.Failed(),
		"%d not sent, %d latencies, %v", r.unsent, r.latency.TotalCount(), r.failures)
}

func TestFixedRateSpreadsRequests(t *testing.T) {
	s := serve(t, true, func(http.ResponseWriter, *http.Request) {})
	for _, flags := range [][]string{{}, {"--http2", "--streams", "2"}} {
		r := run(t, append(flags, "-k", "-c", "4", "-t", "2", "-r", "200", "-n", "40", s.URL)...)
		answers(t, r, 40, 200)
		checktest.Truef(t, r.last >= 39*time.Second/200, "40 requests, of which 200 are due in a second, took %v", r.last)
	}
}

func raw(t *testing.T, answer string) string {
	return "http://" + backendtest.Serve(t, func(_ int, c *net.TCPConn) {
		_, _ = c.Read(make([]byte, 1000))
		_, _ = io.WriteString(c, answer)
		_ = c.CloseWrite()
		_, _ = io.Copy(io.Discard, c)
	})
}

func TestInvalidResponsesFailWithAReason(t *testing.T) {
	for _, c := range []struct{ answer, flag, reason string }{
		{"", "-n=2", "closed before the response"},
		{"HTTP/1.1 200 OK\r\n", "-n=2", "closed before the response"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "-n=2", "closed before the response"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc", "-n=2", "more than the response has come"},
		{"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nabc", "-n=2", "Content-Length is wrong"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", "-n=2", "Content-Length is wrong"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "-n=2", "the chunks of a response are malformed"},
		{"SSH-2.0-OpenSSH_9.2p1\r\n\r\n", "-n=2", "the response is not HTTP/1.1"},
		{strings.Repeat("x", maxHead+1), "-n=2", "the head of a response is too long"},
	} {
		r := run(t, "-n", "2", c.flag, raw(t, c.answer))
		checktest.Truef(t, r.failures[c.reason] == 2 && len(r.failures) == 1, "%q: %v", c.answer, r.failures)
	}
	answers(t, run(t, "-n", "2", raw(t, "HTTP/1.0 200 OK\r\n\r\nuntil the end")), 2, 200)
	answers(t, run(t, "-n", "2", raw(t, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nConnection: "+
		"close\r\nContent-Length: 1\r\n\r\n1")), 2, 200)
}

func TestInterruptEndsTheRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := serve(t, false, func(http.ResponseWriter, *http.Request) { cancel() })
	r, err := Run(ctx, checktest.Try(ParseArgs([]string{"-d", "1h", s.URL}, io.Discard)).Must(t))
	checktest.Truef(t, err == nil && r.stopped, "%v %v", r, err)
}

func TestReportsAreTextAndJSON(t *testing.T) {
	s := serve(t, false, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) })
	r := run(t, "-n", "1000", "-c", "2", s.URL)
	var text bytes.Buffer
	r.WriteText(&text)
	for _, want := range []string{"GET " + s.URL + ", 2 connections", "Requests   1,000 in ",
		"Responses  1,000 × 503 Service Unavailable\n", "\n  99.9 %   ", "█"} {
		checktest.Has(t, text.String(), want)
	}
	text.Reset()
	checktest.Must(t, r.WriteJSON(&text))
	var got struct {
		Responses int64
		Statuses  map[string]int64
		Latency   struct {
			Max         float64
			Percentiles map[string]float64
			Histogram   []struct{ Share float64 }
		}
	}
	checktest.Must(t, json.Unmarshal(text.Bytes(), &got))
	shares := 0.0
	for _, b := range got.Latency.Histogram {
		shares += b.Share
	}
	checktest.Truef(t, got.Responses == 1000 && got.Statuses["503"] == 1000 &&
		!(got.Latency.Percentiles["99.9"] > got.Latency.Max) && !(shares < 0.999) &&
		!(shares > 1.001), "%+v of %s", got, &text)
}
