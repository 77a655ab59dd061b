package runtime

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/conn/certtest"
	"fapws/runtime/exchange"
	"fapws/runtime/live"
	"fapws/runtime/sites"
	"fapws/runtime/websocket/wstest"

	"golang.org/x/sys/unix"
)

func serverTLS() *tls.Config {
	cert, _ := certtest.Localhost()
	return &tls.Config{Certificates: []tls.Certificate{cert}}
}

// secureListener opens a listener with TLS, on a free port.
func secureListener(t testing.TB) *conn.Listener {
	t.Helper()
	ln, err := conn.Listen("127.0.0.1:0", conn.DefaultListenOptions)
	if err != nil {
		t.Fatal(err)
	}
	ln.Secure = true
	return ln
}

// listenSecure makes s accept on another port, with TLS, and returns its address.
func (s *testServer) listenSecure(t testing.TB) string {
	t.Helper()
	ln := secureListener(t)
	addr := ln.Addr().String()
	s.SetTLS(serverTLS())
	s.Accept(ln)
	return addr
}

// dialSecure connects to the address of a listener with TLS.
func dialSecure(t testing.TB, addr string) *tls.Conn {
	t.Helper()
	below, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	below.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { below.Close() })
	_, pool := certtest.Localhost()
	c := tls.Client(below, &tls.Config{ServerName: "localhost", RootCAs: pool})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return c
}

// talkSecure is talk over TLS. The server has to end with close_notify.
func talkSecure(t testing.TB, addr, request string) string {
	t.Helper()
	c := dialSecure(t, addr)
	io.WriteString(c, request)
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("after %q: %v", got, err)
	}
	c.Close()
	return string(got)
}

// Handlers are told that the client uses HTTPS, and plain clients of the same server are served as before.
func TestTLSPeer(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}, newApp(true, func(c *call) {
		version := ""
		if c.Peer.TLS != nil {
			version = tls.VersionName(c.Peer.TLS.Version)
		}
		c.reply(200, fmt.Sprintf("%q %q", c.Peer.Scheme, version))
	}))
	addr := s.listenSecure(t)
	const request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	if got := bodies(t, talkSecure(t, addr, request)); got != `200:"https" "TLS 1.3"` {
		t.Error(got)
	}
	if got := bodies(t, s.talk(t, request)); got != `200:"" ""` {
		t.Error(got)
	}
}

// A trusted proxy that connects with TLS may say which scheme its client uses, and else it is https.
func TestTLSBehindProxy(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{Sites: sites.Config{Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}, newApp(true, func(c *call) {
		c.reply(200, c.Peer.Scheme+" "+c.Peer.Addr+" "+c.Peer.ServerPort)
	}))
	addr := s.listenSecure(t)
	_, port, _ := net.SplitHostPort(addr)
	for _, test := range []struct{ fields, want string }{
		{"", "200:https 127.0.0.1 " + port},
		{"X-Forwarded-For: 192.0.2.1\r\n", "200:https 192.0.2.1 " + port},
		{"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: example.org\r\n", "200:https 192.0.2.1 443"},
		{"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n", "200:http 192.0.2.1 80"},
	} {
		if got := bodies(t, talkSecure(t, addr, "GET / HTTP/1.1\r\nHost: localhost\r\n"+test.fields+"Connection: close\r\n\r\n")); got != test.want {
			t.Errorf("%q: %q, not %q", test.fields, got, test.want)
		}
	}
}

// The header of the PROXY protocol comes before TLS.
func TestTLSBehindProxyProtocol(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{Sites: sites.Config{Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, ProxyProtocol: true}}, newApp(true, func(c *call) {
		c.reply(200, c.Peer.Scheme+" "+c.Peer.Addr)
	}))
	addr := s.listenSecure(t)
	for _, header := range []string{"PROXY TCP4 192.0.2.1 192.0.2.2 1111 443\r\n", "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"} {
		for _, together := range []bool{false, true} {
			below, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			below.SetDeadline(time.Now().Add(patience))
			defer below.Close()
			announced := &announcer{Conn: below, header: header}
			if !together {
				io.WriteString(below, header)
				announced.header = ""
			}
			c := tls.Client(announced, &tls.Config{InsecureSkipVerify: true})
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
			got, err := io.ReadAll(c)
			want := "200:https 192.0.2.1"
			if header[0] != 'P' {
				want = "200:https 127.0.0.1"
			}
			if err != nil || bodies(t, string(got)) != want {
				t.Errorf("%q: %q, %v", header, got, err)
			}
		}
	}
}

// announcer writes a header together with what is written first.
type announcer struct {
	net.Conn
	header string
}

func (a *announcer) Write(b []byte) (int, error) {
	header := a.header
	a.header = ""
	n, err := a.Conn.Write(append([]byte(header), b...))
	return max(0, n-len(header)), err
}

// Clients that are not served because there are too many are closed without a handshake.
func TestTLSReject(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{Accept: conn.AcceptConfig{MaxClients: 1, Refuse: true}}, newApp(true, func(c *call) { c.reply(200, "") }))
	addr := s.listenSecure(t)
	first := dialSecure(t, addr)
	below, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer below.Close()
	below.SetDeadline(time.Now().Add(patience))
	if n, err := below.Read(make([]byte, 1)); n > 0 || err != io.EOF {
		t.Errorf("%d, %v", n, err)
	}
	first.Close()
}

// serveOneHandshake returns a server that makes one TLS handshake at a time, and the client whose handshake it is.
func serveOneHandshake(t *testing.T) (*testServer, *conn.Listener, net.Conn) {
	t.Helper()
	s := serve(t, Config{TLSHandshakes: 1}, newApp(true, func(c *call) { c.reply(200, "served") }))
	ln := secureListener(t)
	s.SetTLS(serverTLS())
	s.Accept(ln)
	silent, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	eventually(t, "a handshake has begun", func() bool { return s.loop.live.Load() == 1 })
	return s, ln, silent
}

// A handshake that takes longer than a second loses its place to another connection, but not while none waits.
func TestTLSHandshakeKeepsPlace(t *testing.T) {
	t.Parallel()
	s, ln, slow := serveOneHandshake(t)
	secondsLater := func() {
		s.do(func() {
			s.loop.conns.SetTime(time.Now().Add(2 * time.Second))
			s.loop.accepting.Resume()
		})
	}
	secondsLater()
	s.do(func() {}) // the loop has had its turn
	if s.loop.live.Load() != 1 {
		t.Error("the handshake was cut off for nothing")
	}
	other, cut := make(chan string, 1), make(chan error, 1)
	go func() {
		other <- talkSecure(t, ln.Addr().String(), "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	}()
	go func() {
		_, err := slow.Read(make([]byte, 1))
		cut <- err
	}()
	eventually(t, "the handshake is cut off", func() bool {
		secondsLater()
		return len(cut) > 0
	})
	if err := <-cut; err != io.EOF {
		t.Error(err)
	}
	if got := bodies(t, <-other); got != "200:served" {
		t.Error(got)
	}
}

// Bodies arrive as over plain connections: from memory, from files, in pieces, uploaded.
func TestTLSBodies(t *testing.T) {
	t.Parallel()
	large := string(pattern(10_000_000))
	mounts := append(tree(t, map[string]string{"small": "hello", "kept": string(pattern(50_000)), "file": large}), sites.Mount{Prefix: "/"})
	s := serve(t, Config{Sites: sites.Config{MaxBodySize: -1}}, newApp(true, func(c *call) {
		switch c.Path {
		case "/large":
			c.reply(200, large)
		case "/pieces":
			c.part(exchange.Part{First: true, File: -1, Head: exchange.Head{Status: 200, Length: -1}, Body: []byte(large[:100])})
			for i := 100; i < 2_000_100; i += 20_000 {
				c.part(exchange.Part{File: -1, Body: []byte(large[i : i+20_000])})
			}
			c.part(exchange.Part{Last: true, File: -1})
		default:
			c.reply(200, fmt.Sprint(c.Size))
		}
	}), mounts...)
	addr := s.listenSecure(t)
	_, pool := certtest.Localhost()
	secure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{ServerName: "localhost", RootCAs: pool}}}
	defer secure.CloseIdleConnections()
	get := func(c *http.Client, url, body string) string {
		t.Helper()
		method := "GET"
		if body != "" {
			method = "POST"
		}
		req, err := http.NewRequest(method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		got, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(res.StatusCode, res.ContentLength, " ", string(got))
	}
	for _, path := range []string{"/large", "/pieces", "/s/small", "/s/kept", "/s/file", "/s/none"} {
		for range 2 {
			if plain, over := get(http.DefaultClient, "http://"+s.addr+path, ""), get(secure, "https://"+addr+path, ""); plain != over {
				t.Errorf("%s: %.100q, not %.100q", path, over, plain)
			}
		}
	}
	if got := get(secure, "https://"+addr+"/upload", large); got != fmt.Sprintf("200 8 %d", len(large)) {
		t.Error(got)
	}
}

// WebSockets work over TLS. When the server is replaced, they are closed with 1012, also if others move, as nobody else could go on with their
// connections.
func TestTLSWebSocket(t *testing.T) {
	t.Parallel()
	s, _ := mover(t, "all")
	addr := s.listenSecure(t)
	c, err := wstest.Open(dialSecure(t, addr), "/")
	if err != nil {
		t.Fatal(err)
	}
	saysBack(t, c, "hello")
	saysBack(t, c, strings.Repeat("x", 1<<20))
	young, _ := mover(t, "all")
	done := make(chan int)
	go func() { done <- moves(t, s, young) }()
	var closed *wstest.Closed
	if _, _, err := c.Receive(); !errors.As(err, &closed) || closed.Code != 1012 {
		t.Errorf("%v", err)
	}
	c.Conn.Close()
	if n := <-done; n != 0 {
		t.Errorf("%d were handed over", n)
	}
}

// An idle connection with TLS costs at most 12 KiB of Go's memory, all in all. One that has received large records keeps room for one more in
// crypto/tls.
func TestIdleTLSConnectionsAreSmall(t *testing.T) {
	s := serveInstant(t, 13)
	addr := s.listenSecure(t)
	buf := make([]byte, 4096)
	ask := func(request []byte) int {
		raw := dialRaw(t, addr)
		unix.SetsockoptInt(raw.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		c := tls.Client(rawConn{raw}, &tls.Config{InsecureSkipVerify: true, DynamicRecordSizingDisabled: true})
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(buf); err != nil {
			t.Fatal(err)
		}
		return raw.fd
	}
	upload := fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n%050000d", 1)
	var descriptors []int
	for _, c := range []struct {
		what    string
		n       int64
		request []byte
		most    int64
	}{
		{"an idle connection with TLS", 1000, plain, 12 << 10},
		{"an idle connection with TLS behind an upload", 200, upload, 25 << 10},
	} {
		descriptors = append(descriptors, ask(c.request))
		before := memory()
		for range c.n {
			descriptors = append(descriptors, ask(c.request))
		}
		eachCosts(t, c.what, before, c.n, c.most)
	}
	for _, fd := range descriptors {
		unix.Close(fd)
	}
}

// rawConn is a rawClient as a net.Conn.
type rawConn struct{ c rawClient }

func (r rawConn) Read(b []byte) (int, error)       { return r.c.read(b), nil }
func (r rawConn) Write(b []byte) (int, error)      { return unix.Write(r.c.fd, b) }
func (r rawConn) Close() error                     { return nil }
func (r rawConn) LocalAddr() net.Addr              { return nil }
func (r rawConn) RemoteAddr() net.Addr             { return nil }
func (r rawConn) SetDeadline(time.Time) error      { return nil }
func (r rawConn) SetReadDeadline(time.Time) error  { return nil }
func (r rawConn) SetWriteDeadline(time.Time) error { return nil }

// An application that speaks for itself gets a socket of a pair, and what it writes and reads goes through TLS.
func TestTLSDetachedSocket(t *testing.T) {
	a := newApp(false, shout)
	s := serve(t, Config{}, a, detaching)
	addr := s.listenSecure(t)
	shoutThrice(t, a, func() net.Conn { return dialSecure(t, addr) })
}

// An application that does not want the socket answers as always, and the connection goes on.
func TestTLSDetachedSocketDeclined(t *testing.T) {
	t.Parallel()
	a := newApp(false, func(c *call) {
		if conn := socketOf(c); conn != nil {
			conn.Close()
		}
		c.reply(403, "not here")
	})
	s := serve(t, Config{}, a, detaching)
	addr := s.listenSecure(t)
	c := dialSecure(t, addr)
	r := bufio.NewReader(c)
	for range 3 {
		io.WriteString(c, upgrade)
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 403 || string(body) != "not here" {
			t.Errorf("%d %q, %v", res.StatusCode, body, err)
		}
	}
	c.Close()
	eventually(t, "all released", a.idle)
}

// A client that leaves ends the socket of the application.
func TestTLSDetachedSocketLeaves(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 2)
	a := newApp(false, func(c *call) {
		conn := socketOf(c)
		defer conn.Close()
		if c.Path == "/talks" {
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
		}
		_, err := io.ReadAll(conn)
		ended <- err
		c.part(exchange.Part{Last: true, Taken: true, File: -1, Head: exchange.Head{Status: 200}})
	})
	s := serve(t, Config{}, a, detaching)
	addr := s.listenSecure(t)
	for _, path := range []string{"/silent", "/talks"} {
		c := dialSecure(t, addr)
		io.WriteString(c, strings.Replace(upgrade, "/ws", path, 1))
		if path == "/talks" {
			if res, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || res.StatusCode != 101 {
				t.Fatal(res, err)
			}
		} else {
			eventually(t, "its request", func() bool { return !a.idle() })
		}
		c.Close()
		if err := <-ended; err != nil {
			t.Errorf("%s: %v", path, err)
		}
		eventually(t, "all released", a.idle)
	}
}

// Subscribers of channels get the same events over TLS. A stream ends properly when the server is replaced, though others move, and goes on where it
// was when the client comes back.
func TestTLSSubscriber(t *testing.T) {
	t.Parallel()
	cfg := channelConfig()
	cfg.Channels.HandOver = true
	s := serve(t, cfg, newApp(false, listening))
	addr := s.listenSecure(t)
	l := listenOver(t, dialSecure(t, addr), "GET /listen/news HTTP/1.1\r\nHost: x\r\n\r\n")
	l.expect("retry: 3000\n")
	s.awaitSubscribers(t, "news", 1)
	const n = 100
	go func() {
		for i := range n {
			s.Subscribers().Publish(0, &live.Message{Name: "news", Data: strings.Repeat("x", i*100)})
		}
	}()
	for i := range n {
		l.expect(fmt.Sprintf("id: e-%d\ndata: %s\n", i+1, strings.Repeat("x", i*100)))
	}
	retired := make(chan error, 1)
	go func() { retired <- s.Retire(t.Context(), time.Millisecond) }()
	if rest, err := l.block(); rest != "" || err != io.EOF {
		t.Errorf("%q, %v", rest, err)
	}
	l.conn.Close()
	if moved, err := s.Subscribers().Export(t.Context(), func(*live.StreamState, int) error { return nil }); moved != 0 || err != nil {
		t.Errorf("%d have moved, %v", moved, err)
	}
	if err := <-retired; err != nil {
		t.Error(err)
	}
	next := serve(t, cfg, newApp(false, listening))
	nextAddr := next.listenSecure(t)
	for seq := range uint64(n + 1) {
		next.Subscribers().Publish(seq+1, &live.Message{Name: "news", Data: "again"})
	}
	back := listenOver(t, dialSecure(t, nextAddr), fmt.Sprintf("GET /listen/news HTTP/1.1\r\nHost: x\r\nLast-Event-ID: e-%d\r\n\r\n", n))
	back.expect("retry: 3000\n")
	back.expect(fmt.Sprintf("id: e-%d\ndata: again\n", n+1))
}

// A subscriber that does not read is dropped, and one that leaves is forgotten.
func TestTLSSubscriberEnds(t *testing.T) {
	t.Parallel()
	cfg := channelConfig()
	cfg.Channels.MaxEvent = 1 << 20
	s := serve(t, cfg, newApp(false, listening))
	addr := s.listenSecure(t)
	slow := listenOver(t, dialSecure(t, addr), "GET /listen/news HTTP/1.1\r\nHost: x\r\n\r\n")
	leaves := listenOver(t, dialSecure(t, addr), "GET /listen/news HTTP/1.1\r\nHost: x\r\n\r\n")
	reads := listenOver(t, dialSecure(t, addr), "GET /listen/news HTTP/1.0\r\nHost: x\r\n\r\n")
	s.awaitSubscribers(t, "news", 3)
	leaves.conn.Close()
	s.awaitSubscribers(t, "news", 2)
	reads.expect("retry: 3000\n")
	large := strings.Repeat("x", 500_000)
	for i := 0; s.subscribers("news") > 1; i++ {
		s.publish(t, "news", large)
		reads.expect(fmt.Sprintf("id: e-%d\ndata: %s\n", i+1, large))
	}
	if _, err := io.Copy(io.Discard, slow.conn); err == nil {
		t.Error("the slow one has seen a proper end")
	}
	s.publish(t, "news", "last")
	if text, err := reads.block(); err != nil || !strings.Contains(text, "data: last\n") {
		t.Errorf("%q, %v", text, err)
	}
}
