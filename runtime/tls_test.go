package runtime

import (
	"bufio"
	"crypto/tls"
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
	"fapws/runtime/sites"

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
