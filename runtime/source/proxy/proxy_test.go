package proxy_test

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"fapws/runtime/backend"
	"fapws/runtime/backend/backendtest"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/runtimetest"
	"fapws/runtime/source/proxy"
	"fapws/runtime/waittest"
)

func front(t *testing.T, prefix string, o proxy.Options) (address string, logged func() string) {
	t.Helper()
	cfg := runtimetest.Config()
	var mu sync.Mutex
	var lines []string
	note := func(line string) {
		mu.Lock()
		lines = append(lines, line)
		mu.Unlock()
	}
	o.Log = func(_, line string) { note(line) }
	o.Idle = cmp.Or(o.Idle, patience)
	p, err := proxy.New(o)
	if err != nil {
		t.Fatal(err)
	}
	pool := backend.New(64, note)
	cfg.Sites.MaxBodySize, cfg.Sites.Proxies = 100<<20, []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}
	cfg.Log = func(level logfile.Level, line string) { note(level.String() + " " + line) }
	logged = func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(lines, "\n")
	}
	t.Cleanup(func() {
		if text := logged(); strings.Contains(text, "bug:") {
			t.Error(text)
		}
	})
	_, address = runtimetest.Serve(t, cfg, nil, exchange.Mount{Prefix: prefix, Handler: pool.Handler(p),
		Upgrades: exchange.ToUpstream, Resolved: true, Streams: o.Streams})
	t.Cleanup(func() { p.Close() })
	return address, logged
}

// patience is longer than any test takes on a machine that is many times slower.
const patience = waittest.Patience

func talk(t *testing.T, address, request string) string {
	t.Helper()
	c := backendtest.Dial(t, address)
	defer c.Close()
	go io.WriteString(c, request)
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("after %.100q: %v", got, err)
	}
	return string(got)
}

func TestInvalidTargetsAreRejected(t *testing.T) {
	for _, target := range []string{"", "host:80", "http://", "ftp://x", "unix:relative", "unix:/x:y", "http://u:p@x/",
		"http://x/?q"} {
		_, err := proxy.New(proxy.Options{Targets: []string{target}})
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", target, err)
		}
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
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
