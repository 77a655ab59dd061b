package secure

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/loglevel"

	"golang.org/x/sys/unix"
)

// patience ends a test that hangs, also on a machine that is many times slower.
const patience = 2 * time.Minute

// certificate is for localhost, and made once.
var certificate = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
})

// server is a Server with a loop of its own.
type server struct {
	Server
	t     *testing.T
	conns conn.Set
	addr  string

	mu    sync.Mutex
	lines []string
	made  []*peer
	new   func() *peer
}

// newServer starts a server whose connections are those that peers returns; nil: they echo.
func newServer(t *testing.T, peers func() *peer) *server {
	t.Helper()
	loop, err := eventloop.New()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, new: peers}
	if peers == nil {
		s.new = func() *peer { return &peer{echo: true} }
	}
	s.conns.Init()
	s.conns.SetReadSize(64 << 10)
	s.conns.Events, s.conns.WriteTimeout = loop, time.Hour
	s.conns.Log = func(level loglevel.Level, format string, args ...any) { s.log(level, fmt.Sprintf(format, args...)) }
	s.conns.Unsent.Max = 1 << 40
	s.Init(&s.conns)
	cert, _ := certificate()
	s.SetConfig(&tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}})
	s.LogClient = func(level loglevel.Level, client, line string) { s.log(level, "client: "+line) }
	ended := make(chan error)
	go func() { ended <- loop.Run() }()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	go s.accept(ln)
	t.Cleanup(func() {
		ln.Close()
		s.do(func() { s.conns.CloseAll("the test has ended") })
		loop.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		loop.Close()
	})
	return s
}

func (s *server) log(level loglevel.Level, line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprint(level)+" "+line)
}

// logged returns the lines of the log.
func (s *server) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

// accept makes connections of clients.
func (s *server) accept(ln net.Listener) {
	for {
		accepted, err := ln.Accept()
		if err != nil {
			return
		}
		file, err := accepted.(*net.TCPConn).File()
		if err != nil {
			panic(err)
		}
		fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			panic(err)
		}
		unix.SetNonblock(fd, true)
		file.Close()
		accepted.Close()
		p := s.new()
		p.s = s
		p.Init(fd, accepted.LocalAddr(), accepted.RemoteAddr())
		s.mu.Lock()
		s.made = append(s.made, p)
		s.mu.Unlock()
		s.conns.Events.Post(func() {
			if err := p.Open(&s.conns, s.Handshake(&p.Conn, p, func(t *Transport) { p.transport = t })); err == nil {
				p.Schedule()
			}
		})
	}
}

// do runs a function on the loop.
func (s *server) do(run func()) {
	done := make(chan struct{})
	if s.conns.Events.Post(func() {
		defer close(done)
		run()
	}) {
		<-done
	}
}

// until waits until something is true on the loop.
func (s *server) until(what string, holds func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		ok := false
		s.do(func() { ok = holds() })
		if ok {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("never: %s; the log: %s", what, s.logged())
		}
	}
}

// only returns the connection that was made, when there is one.
func (s *server) only() (p *peer) {
	s.t.Helper()
	s.until("a connection", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.made) > 0 {
			p = s.made[len(s.made)-1]
		}
		return p != nil
	})
	return p
}

// peer is what a connection speaks behind TLS.
type peer struct {
	conn.Conn
	s         *server
	transport *Transport
	echo      bool
	stays     bool // EOF returns it
	answer    func(p *peer, b []byte)
	got       []byte
	ends      int
	closed    bool
	gone      bool
	finish    bool
	writable  int
	sent      []error
}

func (p *peer) Input(b []byte) {
	p.got = append(p.got, b...)
	if p.answer != nil {
		p.answer(p, b)
	}
	if p.echo {
		p.send(b)
	}
}

// send sends a copy of b behind what waits.
func (p *peer) send(b []byte) {
	p.Keep(b)
	p.push()
}

// push writes the pending input.
func (p *peer) push() {
	if p.Writing() || len(p.Pending()) == 0 {
		return
	}
	rest, err := p.Write(bytes.Clone(p.Pending()), nil, nil)
	p.DropInput()
	if rest != nil {
		p.Queue(conn.Output{Items: rest}, true)
	} else if err != nil {
		p.Close(err.Error())
	}
}

func (p *peer) EOF() bool       { p.ends++; return p.stays }
func (p *peer) Flushed()        {}
func (p *peer) Deadline() int64 { return p.s.conns.Now() + int64(time.Hour) }
func (p *peer) Expired()        {}
func (p *peer) Drain(bool)      {}
func (p *peer) Account() string { return "" }
func (p *peer) Closed()         { p.closed = true }
func (p *peer) Gone()           { p.gone = true }
func (p *peer) Sent(err error)  { p.sent = append(p.sent, err) }
func (p *peer) Writable() {
	p.writable++
	p.push()
	if p.finish && !p.Writing() {
		p.Finish()
	}
}

// tcp connects without TLS.
func (s *server) tcp() *net.TCPConn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn)
}

// clientConfig trusts the server.
func clientConfig() *tls.Config {
	_, pool := certificate()
	return &tls.Config{ServerName: "localhost", RootCAs: pool, NextProtos: []string{"http/1.1"}}
}

// dial connects with TLS through what over makes of the connection; nil: nothing.
func (s *server) dial(config *tls.Config, over func(net.Conn) net.Conn) *tls.Conn {
	s.t.Helper()
	var below net.Conn = s.tcp()
	if over != nil {
		below = over(below)
	}
	if config == nil {
		config = clientConfig()
	}
	c := tls.Client(below, config)
	if err := c.Handshake(); err != nil {
		s.t.Fatalf("%v; the log: %s", err, s.logged())
	}
	return c
}

// pattern returns n bytes that tell where they are.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return b
}

// echoes checks that the server sends what c sends.
func echoes(t *testing.T, c net.Conn, sent []byte) {
	t.Helper()
	failed := make(chan error, 1)
	go func() {
		_, err := c.Write(sent)
		failed <- err
	}()
	got := make([]byte, len(sent))
	if n, err := io.ReadFull(c, got); err != nil {
		t.Fatalf("%d of %d bytes: %v", n, len(sent), err)
	}
	if !bytes.Equal(got, sent) {
		t.Fatal("other bytes")
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
}

// Every version, and all kinds of ciphers, carry bytes of any number.
func TestVersions(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			s := newServer(t, nil)
			config := clientConfig()
			config.MinVersion, config.MaxVersion = version, version
			c := s.dial(config, nil)
			for _, n := range []int{1, 2, 100, 16 << 10, 16<<10 + 1, 1 << 20, 3_333_333} {
				echoes(t, c, pattern(n))
			}
			var state tls.ConnectionState
			p := s.only()
			s.do(func() { state = p.transport.tls.ConnectionState() })
			if state.Version != version || state.NegotiatedProtocol != "http/1.1" || !state.HandshakeComplete {
				t.Errorf("%+v", state)
			}
		})
	}
}

// A session is resumed with a ticket.
func TestResumption(t *testing.T) {
	s := newServer(t, nil)
	config := clientConfig()
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for i := range 3 {
		c := s.dial(config, nil)
		echoes(t, c, []byte("hello"))
		if c.ConnectionState().DidResume != (i > 0) {
			t.Errorf("connection %d: resumed: %v", i, i == 0)
		}
		c.Close()
	}
}

// cutter writes what it is given in other pieces, each of which is sent before the next one.
type cutter struct {
	net.Conn
	next func(left int) int // size of the next piece
}

func (c cutter) Write(b []byte) (n int, err error) {
	for n < len(b) {
		k := min(len(b)-n, c.next(len(b)-n))
		m, err := c.Conn.Write(b[n : n+k])
		if n += m; err != nil {
			return n, err
		}
	}
	return n, nil
}

// Records may arrive in any pieces, byte by byte as well.
func TestByteByByte(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s := newServer(t, nil)
		config := clientConfig()
		config.MinVersion, config.MaxVersion = version, version
		c := s.dial(config, func(c net.Conn) net.Conn { return cutter{c, func(int) int { return 1 }} })
		for _, n := range []int{1, 3, 1000} {
			echoes(t, c, pattern(n))
		}
	}
}

// Cuts at random places, of several records at once as well, make no difference, however much is read at once.
func TestRandomCuts(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			next := generator(seed)
			s := newServer(t, nil)
			size := []int{1, 7, 100, 5000, 64 << 10}[next(5)]
			s.do(func() { s.conns.SetReadSize(size) })
			gathered := &gatherer{next: next}
			c := s.dial(nil, func(c net.Conn) net.Conn {
				gathered.Conn = c
				return gathered
			})
			gathered.gathers = true
			for range 20 {
				sent := pattern(1 + next(1+next(60000)))
				for rest := sent; len(rest) > 0; {
					n := 1 + next(len(rest))
					if _, err := c.Write(rest[:n]); err != nil {
						t.Fatal(err)
					}
					rest = rest[n:]
				}
				done := make(chan error, 1)
				go func() { done <- gathered.send() }()
				got := make([]byte, len(sent))
				if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
					t.Fatal(err)
				}
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// generator returns pseudorandom numbers below n.
func generator(seed uint64) func(n int) int {
	state := seed*2862933555777941757 + 3037000493
	return func(n int) int {
		state = state*6364136223846793005 + 1442695040888963407
		return int(state>>33) % n
	}
}

// gatherer keeps records, and sends them in random pieces.
type gatherer struct {
	net.Conn
	next    func(n int) int
	gathers bool
	kept    []byte
}

func (g *gatherer) Write(b []byte) (int, error) {
	if !g.gathers {
		return g.Conn.Write(b)
	}
	g.kept = append(g.kept, b...)
	return len(b), nil
}

func (g *gatherer) send() error {
	for len(g.kept) > 0 {
		n := 1 + g.next(1+g.next(len(g.kept)))
		if _, err := g.Conn.Write(g.kept[:n]); err != nil {
			return err
		}
		g.kept = g.kept[n:]
	}
	return nil
}

// close_notify is the end of what the client sends. It gets an answer after it, and then that of the server.
func TestCloseNotify(t *testing.T) {
	s := newServer(t, func() *peer { return &peer{stays: true} })
	c := s.dial(nil, nil)
	c.Write([]byte("question"))
	c.CloseWrite()
	p := s.only()
	s.until("its end", func() bool { return p.ends == 1 })
	if string(p.got) != "question" {
		t.Errorf("%q", p.got)
	}
	s.do(func() {
		p.send([]byte("answer"))
		p.Finish()
	})
	if got, err := io.ReadAll(c); err != nil || string(got) != "answer" {
		t.Errorf("%q, %v", got, err)
	}
}

// A client that closes its socket without close_notify ends, too; in the middle of a record this is an error.
func TestTruncated(t *testing.T) {
	for _, rest := range []string{"", "\x17\x03\x03\x00\x50half"} {
		s := newServer(t, func() *peer { return &peer{stays: true} })
		c := s.dial(nil, nil)
		c.Write([]byte("question"))
		below := c.NetConn().(*net.TCPConn)
		below.Write([]byte(rest))
		below.CloseWrite()
		p := s.only()
		s.until("its end", func() bool { return p.ends == 1 || p.closed })
		if string(p.got) != "question" || p.closed != (rest != "") {
			t.Errorf("%q: %q, closed: %v", rest, p.got, p.closed)
		}
	}
}

// Finish says close_notify, also if the client is still sending: then its input is thrown away until it closes.
func TestFinish(t *testing.T) {
	for _, linger := range []bool{false, true} {
		s := newServer(t, func() *peer {
			return &peer{answer: func(p *peer, _ []byte) {
				if len(p.got) >= 8 {
					p.send([]byte("answer"))
					p.Linger = linger
					p.Finish()
				}
			}}
		})
		c := s.dial(nil, nil)
		c.Write([]byte("question"))
		if linger {
			c.Write(pattern(100_000))
		}
		if got, err := io.ReadAll(c); err != nil || string(got) != "answer" {
			t.Errorf("%q, %v", got, err)
		}
		c.Close()
		p := s.only()
		s.until("the connection is closed", func() bool { return p.gone })
	}
}

// A connection that is closed to show that something is missing says no close_notify.
func TestReset(t *testing.T) {
	s := newServer(t, func() *peer {
		return &peer{answer: func(p *peer, _ []byte) {
			p.send([]byte("half an answer"))
			p.Reset = true
			p.Finish()
		}}
	})
	c := s.dial(nil, nil)
	c.Write([]byte("question"))
	if _, err := io.ReadAll(c); err == nil {
		t.Error("the client has seen a proper end")
	}
}

// A client that does not read keeps a bounded amount of records in memory, and gets everything when it reads.
func TestSlowReader(t *testing.T) {
	body := pattern(20 << 20)
	s := newServer(t, func() *peer {
		return &peer{finish: true, answer: func(p *peer, _ []byte) {
			rest, err := p.Write([]byte("head"), body, []byte("tail"))
			if rest == nil || err != nil {
				p.s.t.Errorf("the socket has taken all of it: %v", err)
				return
			}
			p.Queue(conn.Output{Items: rest, Owner: p}, true)
		}}
	})
	c := s.dial(nil, nil)
	c.Write([]byte("question"))
	p := s.only()
	s.until("records wait", func() bool { return p.AwaitsRoom() && p.transport.wire.waiting() > 0 })
	s.do(func() {
		if n := p.transport.wire.waiting(); n > 2*pieceSize+4<<10 {
			t.Errorf("%d bytes of records wait", n)
		}
	})
	got, err := io.ReadAll(c)
	if want := "head" + string(body) + "tail"; err != nil || string(got) != want {
		t.Fatalf("%d of %d bytes, %v", len(got), len(want), err)
	}
	s.do(func() {
		if len(p.sent) != 1 || p.sent[0] != nil {
			t.Errorf("%v", p.sent)
		}
	})
}

// The log says why a handshake has failed, and not for every one of many.
func TestFailures(t *testing.T) {
	s := newServer(t, nil)
	config := clientConfig()
	config.RootCAs = x509.NewCertPool()
	if err := tls.Client(s.tcp(), config).Handshake(); err == nil {
		t.Fatal("an unknown certificate was accepted")
	}
	s.until("a line", func() bool { return strings.Contains(s.logged(), "the client has refused it") })
	config = clientConfig()
	config.MaxVersion, config.MinVersion = tls.VersionTLS11, tls.VersionTLS10
	if err := tls.Client(s.tcp(), config).Handshake(); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.1: %v", err)
	}
	s.until("a line", func() bool {
		return strings.Contains(s.logged(), "client offered only unsupported versions: TLS 1.1, TLS 1.0")
	})
	s.SetConfig(nil)
	if err := tls.Client(s.tcp(), clientConfig()).Handshake(); err == nil {
		t.Error("a handshake without a certificate")
	}
	s.until("a line", func() bool { return strings.Contains(s.logged(), "there is no certificate") })
	for range 2 * mostLines {
		c := s.tcp()
		c.Write([]byte{0x80, 1, 2, 3})
		if _, err := io.ReadAll(c); err != nil && !errors.Is(err, unix.ECONNRESET) {
			t.Fatal(err)
		}
	}
	s.do(func() {
		if s.counts.failed != [reasons]int64{refused: 1, incompatible: 1, other: 1, notTLS: 2 * mostLines} {
			t.Errorf("counted %v", s.counts.failed)
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lines) != mostLines {
		t.Errorf("%d lines: %q", len(s.lines), s.lines)
	}
}

// A request without TLS is told where to go.
func TestPlainHTTP(t *testing.T) {
	for _, c := range []struct{ request, want string }{
		{"GET /a?b=1&c HTTP/1.1\r\nHost: example.org:8443\r\n\r\n", "Use https://example.org:8443/a?b=1&c\n"},
		{"GET /a?b=1&c HTTP/1.1\r\nHost: example.org\r\nAccept: text/html,*/*\r\n\r\n", `<a href="https://example.org/a?b=1&amp;c">`},
		{"GET /%22%3e<script> HTTP/1.1\r\nHost: example.org\r\nAccept: text/html\r\n\r\n", "This is an HTTPS port."},
		{"POST /a HTTP/1.1\r\nHost: example.org\r\nContent-Length: 100000\r\n\r\n" + string(pattern(1000)), "Use https://example.org/a\n"},
		{"HEAD / HTTP/1.0\r\n\r\n", "This is an HTTPS port.\n"},
		{"GARBAGE\r\n\r\n", "This is an HTTPS port.\n"},
		{strings.Repeat("A", 2*maxPlain), "This is an HTTPS port.\n"},
	} {
		for _, cut := range []bool{false, true} {
			s := newServer(t, nil)
			client := s.tcp()
			if cut {
				cutter{client, func(int) int { return 1 }}.Write([]byte(c.request))
			} else {
				client.Write([]byte(c.request))
			}
			got, err := io.ReadAll(client)
			if err != nil && !cut || !strings.HasPrefix(string(got), "HTTP/1.1 400 Bad Request\r\n") || !strings.Contains(string(got), c.want) || strings.Contains(string(got), "<script>") {
				t.Errorf("%.50q: %q, %v", c.request, got, err)
			}
			if !strings.Contains(s.logged(), "plain HTTP on an HTTPS port") {
				t.Errorf("log: %s", s.logged())
			}
		}
	}
}
