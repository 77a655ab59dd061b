package proxy_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"fapws/runtime/backend/backendtest"
	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/runtimetest"
	"fapws/runtime/source/proxy"
)

func front(t *testing.T, prefix string, o proxy.Options) (address string, logged *backendtest.Log) {
	t.Helper()
	cfg := runtimetest.Config()
	logged = new(backendtest.Log)
	o.Log = func(_, line string) { logged.Add(line) }
	o.Idle = cmp.Or(o.Idle, patience)
	p := checktest.Try(proxy.New(o)).Must(t)
	cfg.Sites.HTTP1Hints = true
	cfg.Sites.MaxBodySize, cfg.Sites.Proxies = 100<<20, []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}
	cfg.Log = func(level logfile.Level, line string) { logged.Add(level.String() + " " + line) }
	t.Cleanup(func() { checktest.Lacks(t, logged.String(), "bug:") })
	_, address = runtimetest.Serve(t, cfg, nil, exchange.Mount{Prefix: prefix, Handler: p,
		Upgrades: exchange.ToUpstream, Resolved: true, Streams: o.Streams})
	t.Cleanup(func() { p.Close() })
	return address, logged
}

// patience is longer than any test takes on a machine that is many times slower.
const patience = checktest.Patience

func talk(t *testing.T, address, request string) string {
	t.Helper()
	c := backendtest.Dial(t, address)
	defer c.Close()
	go io.WriteString(c, request)
	got, err := io.ReadAll(c)
	checktest.Mustf(t, err, "after %.100q", got)
	return string(got)
}

func TestInvalidTargetsAreRejected(t *testing.T) {
	for _, target := range []string{"", "host:80", "http://", "ftp://x", "unix:relative", "unix:/x:y", "http://u:p@x/",
		"http://x/?q"} {
		_, err := proxy.New(proxy.Options{Targets: []string{target}})
		checktest.Truef(t, err != nil && !strings.Contains(err.Error(), "\n"), "%q: %v", target, err)
	}
}

func TestPiecesOfAResponseAreForwardedAtOnce(t *testing.T) {
	for _, framing := range []string{"Content-Length: 10", "Connection: close"} {
		taken := make(chan bool)
		url, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) {
			for _, piece := range []string{"HTTP/1.1 200 OK\r\n" + framing + "\r\n\r\n", "01234", "56789"} {
				io.WriteString(c, piece)
				<-taken
			}
		})
		address, _ := front(t, "/", proxy.Options{Targets: []string{url}})
		_, r := client(t, address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		response := status(t, r, 200)
		taken <- true
		reads(t, response.Body, "01234")
		taken <- true
		reads(t, response.Body, "56789")
		taken <- true
	}
}

func TestClientThatDisconnectsEndsTheRequestToTheUpstream(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan error, 1)
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		select {
		case <-r.Context().Done():
			ended <- r.Context().Err()
		case <-time.After(patience):
			ended <- errors.New("not noticed")
		}
	}))
	defer behind.Close()
	address, _ := front(t, "/", proxy.Options{Targets: []string{behind.URL}})
	c, _ := client(t, address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-begun
	c.SetLinger(0)
	c.Close()
	err := <-ended
	checktest.Truef(t, errors.Is(err, context.Canceled), "%v", err)
}

func TestPiecesOfAStreamedBodyAreForwardedAtOnce(t *testing.T) {
	received := make(chan bool)
	works, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, r *http.Request) {
		first := make([]byte, 5)
		_, err := io.ReadFull(r.Body, first)
		checktest.Equal(t, err, nil)
		received <- true
		rest, err := io.ReadAll(r.Body)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%s%s, %v", first, rest, err)
	})
	refuses := "http://" + backendtest.Unused(t)
	for range 3 { // repeat the test, because the proxy chooses the first upstream at random
		address, _ := front(t, "/", proxy.Options{Targets: []string{refuses, works}, Streams: true})
		for _, parts := range [][3]string{
			{"Content-Length: 10", "01234", "56789"},
			{"Transfer-Encoding: chunked", "5\r\n01234\r\n", "5\r\n56789\r\n0\r\n\r\n"},
		} {
			c, r := client(t, address, "POST / HTTP/1.1\r\nHost: x\r\n"+parts[0]+"\r\n\r\n"+parts[1])
			<-received
			checktest.Try(io.WriteString(c, parts[2])).Must(t)
			reads(t, status(t, r, 200).Body, "0123456789, <nil>")
		}
	}
}

// The client sends the rest of the body only after it has received the response.
func TestUpstreamMayRejectAStreamedBodyEarly(t *testing.T) {
	url, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, r *http.Request) {
		_, err := io.ReadFull(r.Body, make([]byte, 5))
		checktest.Equal(t, err, nil)
		io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig")
	})
	address, _ := front(t, "/", proxy.Options{Targets: []string{url}, Streams: true})
	_, r := client(t, address, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nbegin")
	reads(t, status(t, r, 413).Body, "big")
}

// Each upstream closes the connection after it has received the request head.
func TestStreamedBodyIsSentOnce(t *testing.T) {
	closes := func(*net.TCPConn, *bufio.Reader, *http.Request) {}
	one, first := server(t, closes)
	two, second := server(t, closes)
	address, _ := front(t, "/", proxy.Options{Targets: []string{one, two}, Streams: true})
	_, r := client(t, address, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nbegin")
	status(t, r, 502)
	checktest.Equalf(t, first.Load()+second.Load(), 1, "upstreams have received it")
}

// Both upstreams wait for the rest of the body.
func TestClientThatPausesInAStreamedBodyDisablesNoUpstream(t *testing.T) {
	waits := func(c *net.TCPConn, _ *bufio.Reader, r *http.Request) { io.Copy(io.Discard, r.Body) }
	one, _ := server(t, waits)
	two, _ := server(t, waits)
	address, logged := front(t, "/", proxy.Options{Targets: []string{one, two}, Streams: true, Timeout: time.Second / 10})
	_, r := client(t, address, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nbegin")
	status(t, r, 504)
	lines := logged.String()
	if !strings.Contains(lines, "no response within 100ms (--timeout)") || strings.Contains(lines, "it gets no requests") {
		t.Error(lines)
	}
}

func TestStreamedBodyArrivesWhole(t *testing.T) {
	url, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%d, %v", n, err)
	})
	address, _ := front(t, "/", proxy.Options{Targets: []string{url}, Streams: true})
	const size = 20 << 20
	a := backendtest.Ask(t, address, "POST", "/", strings.Repeat("x", size))
	checktest.Truef(t, a.Text == fmt.Sprintf("%d, <nil>", size) && a.Err == nil, "%s %q, %v", a.Status, a.Text, a.Err)
}

// The head of the client's response names the announced trailers. Fields that must not be trailers are dropped.
func TestTrailersReachClientsThatAcceptThem(t *testing.T) {
	const (
		field = "Trailer: X-Sum, content-digest\r\n"
		body  = "\r\n5\r\nhello\r\n0\r\n"
	)
	many := strings.Repeat("X-A: b\r\n", http1.MaxTrailers)
	url, _ := upstream(t, func(r *http.Request) []string {
		head := "HTTP/1.1 200 OK\r\nDate: d\r\nX-TE: " + r.Header.Get("TE") + "\r\n"
		switch trailers := r.URL.Query().Get("t"); r.URL.Path {
		case "/announced":
			return []string{head + "Trailer: X-Sum, Set-Cookie\r\nTrailer: content-digest\r\n" +
				"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n" + trailers + "\r\n"}
		case "/many":
			return []string{head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n" + many + trailers + "\r\n"}
		case "/empty":
			return []string{head + "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\n"}
		default:
			return []string{head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n" + trailers + "\r\n"}
		}
	})
	address, logged := front(t, "/", proxy.Options{Targets: []string{url}})
	for _, test := range []struct{ path, te, ends, lacks string }{
		{"/?t=X-Sum:+1%0d%0a", "trailers", body + "X-Sum: 1\r\n\r\n", "Trailer:"},
		{"/?t=X-Sum:+1%0d%0aX-Sum:+2%0d%0a", "trailers", body + "X-Sum: 1\r\nX-Sum: 2\r\n\r\n", ""},
		{"/?t=X-Sum:+1%0d%0a", "gzip", body + "\r\n", "X-Sum"},
		{"/announced?t=X-Sum:+1%0d%0aSet-Cookie:+a%0d%0a", "trailers", body + "X-Sum: 1\r\n\r\n", "Cookie"},
		{"/announced?t=X-Sum:+1%0d%0a", "gzip", body + "\r\n", "Trailer:"},
		{"/announced", "trailers", body + "\r\n", ""},
		{"/empty", "trailers", "\r\n\r\n0\r\nX-Sum: 1\r\n\r\n", ""},
		{"/many", "trailers", body + many + "\r\n", ""},
		{"/many?t=X-B:+c%0d%0a", "trailers", body + "\r\n", ""},
		{"/?t=Content-Length:+1%0d%0aX_S:+1%0d%0a", "trailers", body + "X_S: 1\r\n\r\n", "Length"},
	} {
		got := talk(t, address, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: h\r\nTE: %s\r\nConnection: close\r\n\r\n",
			test.path, test.te))
		wantTE := "X-TE: \r\n"
		if test.te == "trailers" {
			wantTE = "X-TE: trailers\r\n"
		}
		checktest.Truef(t, strings.HasSuffix(got, test.ends) && (test.lacks == "" || !strings.Contains(got, test.lacks)) &&
			strings.Contains(strings.ReplaceAll(got, "X-Te", "X-TE"), wantTE), "%s, TE: %s: %q", test.path, test.te, got)
		announces := strings.HasPrefix(test.path, "/announced") && test.te == "trailers"
		checktest.Equalf(t, strings.Contains(got, field), announces, "%s, TE: %s: %q", test.path, test.te, got)
	}
	got := talk(t, address, "HEAD /announced HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: close\r\n\r\n")
	checktest.Truef(t, !strings.Contains(got, "Trailer:") && strings.HasSuffix(got, "\r\n\r\n"), "HEAD: %q", got)
	checktest.Has(t, logged.String(), `dropped the trailer field "Set-Cookie"`)
}

func TestBodyThatIsWrittenAtOnceIsNotCopied(t *testing.T) {
	const size, rounds = 12 << 10, 200
	path := t.TempDir() + "/upstream"
	listener := checktest.Try(net.Listen("unix", path)).Must(t)
	defer listener.Close()
	answer := func(c net.Conn, answer []byte, buffer []byte) {
		for got := 0; ; {
			n, err := c.Read(buffer[got:])
			if err != nil {
				return
			}
			got += n
			if end := bytes.Index(buffer[:got], []byte("\r\n\r\n")); end >= 0 && got == end+4+size {
				c.Write(answer)
				got = 0
			}
		}
	}
	go func() {
		for c, err := listener.Accept(); err == nil; c, err = listener.Accept() {
			go answer(c, []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), make([]byte, 64<<10))
		}
	}()
	address, _ := front(t, "/", proxy.Options{Targets: []string{"unix:" + path}})
	c := backendtest.Dial(t, address)
	defer c.Close()
	request := fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", size, make([]byte, size))
	buffer := make([]byte, 4<<10)
	post := func() {
		checktest.Try(c.Write(request)).Must(t)
		n, err := c.Read(buffer)
		checktest.Truef(t, bytes.HasSuffix(buffer[:n], []byte("ok")) && err == nil, "%q, %v", buffer[:n], err)
	}
	for range rounds {
		post()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		post()
	}
	runtime.ReadMemStats(&after)
	each := (after.TotalAlloc - before.TotalAlloc) / rounds
	checktest.Truef(t, each < size/2, "%d bytes allocated for each body of %d bytes", each, size)
}
