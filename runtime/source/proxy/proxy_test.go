package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"fapws/runtime/backend"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/runtimetest"
	"fapws/runtime/source/proxy"
	"fapws/runtime/waittest"
)

// front serves a proxy below prefix and returns its address and what was
// logged.
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
	_, address = runtimetest.Serve(t, cfg, nil, exchange.Mount{Prefix: prefix, Handler: pool.Handler(p), Tunnels: true, Resolved: true})
	t.Cleanup(func() { p.Close() }) // before the server
	return address, logged
}

// patience ends a test that hangs, also on a machine that is many times slower.
const patience = waittest.Patience

// talk sends a request and returns the whole response.
func talk(t *testing.T, address, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	go io.WriteString(c, request)
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("after %.100q: %v", got, err)
	}
	return string(got)
}

func TestFields(t *testing.T) {
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Accel-Redirect", "/stays")
		w.Header().Set("Keep-Alive", "timeout=5")
		w.Header().Set("Connection", "x-hop")
		w.Header().Set("X-Hop", "gone")
		w.Header().Set("Fapws-Channel", "news")
		w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
		w.Header().Set("Server", "behind")
		fmt.Fprintf(w, "%s %s host=%s", r.Method, r.RequestURI, r.Host)
		for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "X-Real-Ip", "X-Kept", "X-Named", "Te", "Upgrade", "Keep-Alive", "X_real_ip", "User-Agent", "Accept-Encoding", "Cookie"} {
			if v := r.Header[name]; v != nil {
				fmt.Fprintf(w, " %s=%q", name, v)
			}
		}
	}))
	defer behind.Close()
	address, _ := front(t, "/", proxy.Options{Target: behind.URL})
	got := talk(t, address, "GET /a%2Fb/%20c?x=%zz&y HTTP/1.1\r\nHost: outside.example:80\r\nConnection: close, X-Named\r\nX-Named: 1\r\nX-Kept: 2\r\n"+
		"TE: trailers\r\nKeep-Alive: 1\r\nUpgrade: h2c\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nX-Forwarded-Host: evil\r\nX_Real_IP: 6.6.6.6\r\nCookie: a\r\n\r\n")
	head, body, _ := strings.Cut(got, "\r\n\r\n")
	want := `GET /a%2Fb/%20c?x=%zz&y host=outside.example:80 X-Forwarded-For=["127.0.0.1"] X-Forwarded-Proto=["http"] ` +
		`X-Forwarded-Host=["outside.example:80"] Forwarded=["for=127.0.0.1;proto=http;host=\"outside.example:80\""] X-Real-Ip=["127.0.0.1"] X-Kept=["2"] Te=["trailers"] Cookie=["a"]`
	if body != want {
		t.Errorf("the server behind sees\n%s, want\n%s", body, want)
	}
	for _, line := range []string{"X-Accel-Redirect: /stays", "Set-Cookie: a=1", "Set-Cookie: b=2", "Server: behind", fmt.Sprintf("Content-Length: %d", len(want))} {
		if strings.Count(head, line) != 1 {
			t.Errorf("%s is missing in %q", line, head)
		}
	}
	for _, name := range []string{"X-Hop", "timeout=5", "Server: fapws", "Fapws-Channel"} {
		if strings.Contains(head, name) {
			t.Errorf("%s is in %q", name, head)
		}
	}
	if strings.Count(head, "Date: ") != 1 {
		t.Errorf("%q", head)
	}
}

func TestTargets(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %d", r.Method, r.RequestURI, r.Host, len(body))
	})
	behind := httptest.NewServer(echo)
	defer behind.Close()
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	go http.Serve(ln, echo)
	defer ln.Close()
	host := strings.TrimPrefix(behind.URL, "http://")
	for _, test := range []struct {
		prefix  string
		options proxy.Options
		request string
		want    string
	}{
		{"/", proxy.Options{Target: behind.URL}, "GET /x", "GET /x h.example 0"},
		{"/", proxy.Options{Target: behind.URL}, "GET //x//y?", "GET //x//y? h.example 0"},
		{"/", proxy.Options{Target: behind.URL, ReplaceHost: true}, "GET /x", "GET /x " + host + " 0"},
		{"/api/", proxy.Options{Target: behind.URL}, "GET /api/x", "GET /api/x h.example 0"},
		{"/api/", proxy.Options{Target: behind.URL + "/base/"}, "GET /api/x%20y?q", "GET /base/x%20y?q h.example 0"},
		{"/api", proxy.Options{Target: behind.URL + "/base"}, "GET /api/x", "GET /base/x h.example 0"},
		{"/api/", proxy.Options{Target: behind.URL + "/base/"}, "GET /api/x//y", "GET /base/x//y h.example 0"},
		{"/api/", proxy.Options{Target: behind.URL + "/base/"}, "GET //api/x/../y", "GET /base/y h.example 0"},
		{"/", proxy.Options{Target: behind.URL}, "GET /x%2Fy%2e", "GET /x%2Fy%2e h.example 0"},
		// One server's segment is a part of the other's: it is not to resolve them again.
		{"/", proxy.Options{Target: behind.URL}, "GET /x/y%2f..%2f..%2fz//a%20b", "GET /z//a%20b h.example 0"},
		{"/", proxy.Options{Target: "unix:" + socket}, "GET /x", "GET /x h.example 0"},
		{"/a/", proxy.Options{Target: "unix:" + socket + ":/b/"}, "DELETE /a/x", "DELETE /b/x h.example 0"},
	} {
		address, _ := front(t, test.prefix, test.options)
		if got := talk(t, address, test.request+" HTTP/1.1\r\nHost: h.example\r\nConnection: close\r\n\r\n"); !strings.HasSuffix(got, "\r\n\r\n"+test.want) {
			t.Errorf("%s to %s: %q, want %q", test.request, test.options.Target, got, test.want)
		}
	}
	for _, target := range []string{"", "host:80", "http://", "ftp://x", "unix:relative", "unix:/x:y", "http://u:p@x/", "http://x/?q"} {
		if _, err := proxy.New(proxy.Options{Target: target}); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", target, err)
		}
	}
}

func TestBodies(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 1<<17) // 2 MiB
	release := make(chan struct{})
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/echo":
			if r.ContentLength < 0 {
				w.WriteHeader(411)
				return
			}
			io.Copy(w, r.Body)
		case "/sized":
			w.Header().Set("Content-Length", fmt.Sprint(len(large)))
			io.WriteString(w, large)
		case "/chunked":
			for range 16 {
				io.WriteString(w, large[:1<<17])
				w.(http.Flusher).Flush()
			}
		case "/stream":
			io.WriteString(w, "first\n")
			w.(http.Flusher).Flush()
			<-release
			io.WriteString(w, "second\n")
		case "/204":
			w.WriteHeader(204)
		case "/304":
			w.Header().Set("ETag", `"x"`)
			w.WriteHeader(304)
		case "/418":
			w.WriteHeader(418)
		}
	}))
	defer behind.Close()
	address, _ := front(t, "/", proxy.Options{Target: behind.URL})
	get := func(request string) (head, body string) {
		head, body, _ = strings.Cut(talk(t, address, request), "\r\n\r\n")
		return head, body
	}
	if head, body := get("GET /sized HTTP/1.0\r\n\r\n"); body != large || !strings.Contains(head, "Content-Length: 2097152") {
		t.Errorf("sized: %d bytes, %s", len(body), head)
	}
	if head, body := get("HEAD /sized HTTP/1.0\r\n\r\n"); body != "" || !strings.Contains(head, "Content-Length: 2097152") {
		t.Errorf("HEAD: %d bytes, %s", len(body), head)
	}
	if head, body := get("GET /chunked HTTP/1.0\r\n\r\n"); body != large || strings.Contains(head, "chunked") {
		t.Errorf("chunked: %d bytes, %s", len(body), head)
	}
	for _, body := range []string{"small", large} { // the large one comes from a file
		sized := fmt.Sprintf("POST /echo HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		if _, got := get(sized); got != body {
			t.Errorf("POST: %d bytes of %d", len(got), len(body))
		}
		chunked := fmt.Sprintf("POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
		if head, _ := get(chunked); !strings.HasPrefix(head, "HTTP/1.1 200") {
			t.Errorf("chunked POST: %s", head)
		}
	}
	for _, status := range []string{"204", "304", "418"} {
		if head, body := get("GET /" + status + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(head, "HTTP/1.1 "+status) || body != "" {
			t.Errorf("%s: %q %q", status, head, body)
		}
	}
	// What has come is passed on before the rest is there.
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, "GET /stream HTTP/1.0\r\n\r\n")
	for r := bufio.NewReader(c); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "first\n" {
			close(release)
		}
		if line == "second\n" {
			break
		}
	}
}

// The head of a response, and each piece of its body, reach the client when the server behind has sent them, also where the length is known.
func TestPiecesAreNotKept(t *testing.T) {
	for _, framing := range []string{"Content-Length: 10", "Connection: close"} {
		taken := make(chan bool)
		url, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) {
			for _, piece := range []string{"HTTP/1.1 200 OK\r\n" + framing + "\r\n\r\n", "01234", "56789"} {
				io.WriteString(c, piece)
				<-taken
			}
		})
		address, _ := front(t, "/", proxy.Options{Target: url})
		_, r := client(t, address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		response := status(t, r, 200)
		taken <- true
		reads(t, response.Body, "01234")
		taken <- true
		reads(t, response.Body, "56789")
		taken <- true
	}
}

// A client that leaves ends the request to the server behind.
func TestClientLeaves(t *testing.T) {
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
	address, _ := front(t, "/", proxy.Options{Target: behind.URL})
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-begun
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
