package runtime

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
	"fapws/runtime/conn"
	"fapws/runtime/conn/certtest"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/live"
	"fapws/runtime/logfile"
	"fapws/runtime/source/cache"
	"fapws/runtime/websocket/wstest"
)

type rawClient struct {
	t  testing.TB
	fd int
}

func dialRaw(t testing.TB, addr string) rawClient {
	t.Helper()
	fd := checktest.Try(unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)).Must(t)
	var port int
	fmt.Sscanf(addr, "127.0.0.1:%d", &port)
	checktest.Must(t, unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port}))
	tv := unix.NsecToTimeval(int64(patience))
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv)
	return rawClient{t, fd}
}

func (c rawClient) ask(request, buf []byte, size int) {
	unix.Write(c.fd, request)
	for got := 0; got < size; {
		got += c.read(buf)
	}
}

func (c rawClient) read(buf []byte) int {
	n, err := unix.Read(c.fd, buf)
	for err == unix.EINTR {
		n, err = unix.Read(c.fd, buf)
	}
	if err != nil || n == 0 { // without allocations for the message of a check
		c.t.Fatal(n, err)
	}
	return n
}

var (
	plain = []byte("GET /hello?name=world HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n")
	form  = append([]byte("POST /form HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"+
		"Content-Length: 4096\r\n\r\n"), bytes.Repeat([]byte("x"), 4096)...)
	pipelined = bytes.Repeat(plain, 16)
)

func TestRequestsDoNotAllocate(t *testing.T) {
	ruled := exchange.Mount{Prefix: "/ruled", Rules: mustRules(t, exchange.Rules{
		Set: []http1.HeaderField{{Name: "X-Frame-Options", Value: "DENY"}}, Remove: []string{"X-Other"},
		Allow: mustPrefixes("127.0.0.0/8"), Methods: []string{"GET"},
	})}
	cached := checktest.Try(cache.Compile(cache.Rule{TTL: time.Hour})).Must(t)
	mounts := append(tree(t, map[string]string{"hello": "hello", "cached": string(pattern(50000)),
		"open": string(pattern(100000))}), ruled)
	cfg := settled(Config{CacheSize: 1 << 20, Sites: exchange.Config{Proxies: mustPrefixes("127.0.0.0/8"),
		RootPath: "/app"}})
	application := &instant{}
	s := start(t, cfg, application, exchange.Mount{Prefix: "/"})
	mounts = append(mounts, exchange.Mount{Prefix: "/page", Cache: func(source exchange.Source) exchange.Source {
		return s.Cached(cached, source)
	}}, exchange.Mount{Prefix: "/"})
	checktest.Must(t, s.Replace([]exchange.Site{{Table: mounts}}, application, nil))
	for _, test := range []struct {
		name        string
		request     []byte
		size, times int
	}{
		{"plain", plain, 13, 1},
		{"with rules", []byte("GET /ruled HTTP/1.1\r\nHost: x\r\n\r\n"), 13, 1},
		{"with a body", form, 4096, 1},
		{"large body", plain, 100000, 1},
		{"pipelined", pipelined, 13, 16},
		{"file from memory", []byte("GET /s/hello HTTP/1.1\r\nHost: x\r\n\r\n"), 0, 1},
		{"larger file from memory", []byte("GET /s/cached HTTP/1.1\r\nHost: x\r\n\r\n"), 0, 1},
		{"open file", []byte("GET /s/open HTTP/1.1\r\nHost: x\r\n\r\n"), 100000, 1},
		{"page of the cache", []byte("GET /page HTTP/1.1\r\nHost: x\r\n\r\n"), 13, 1},
		{"of a trusted proxy", bytes.Replace(plain, []byte("\r\n\r\n"),
			[]byte("\r\nX-Forwarded-For: 192.0.2.1, 127.0.0.2\r\nX-Forwarded-Proto: https\r\n\r\n"), 1), 13, 1},
		{"part of an open file", []byte("GET /s/open HTTP/1.1\r\nHost: x\r\nRange: bytes=70000-79999\r\n\r\n"), 10000, 1},
	} {
		s.do(func() { application.body = bytes.Repeat([]byte("x"), test.size) })
		c := dialRaw(t, s.addr)
		buf := make([]byte, 1<<20)
		unix.Write(c.fd, test.request)
		one := c.read(buf)
		_, body, _ := bytes.Cut(buf[:one], []byte("\r\n\r\n"))
		size := one
		if test.times == 1 && test.size > 0 {
			size = one - len(body) + test.size
		}
		for got := one; got < size; {
			got += c.read(buf)
		}
		for range 100 {
			c.ask(test.request, buf, size)
		}
		n := testing.AllocsPerRun(300, func() { c.ask(test.request, buf, size) })
		checktest.Truef(t, n == 0, "%s: %v allocations a request", test.name, n)
		unix.Close(c.fd)
	}
}

func memory() int64 {
	goruntime.GC()
	goruntime.GC()
	var m goruntime.MemStats
	goruntime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// eachCosts computes how many bytes of memory each of n objects uses, from the growth of the memory in use. The
// goroutines that made the objects may still hold memory, so eachCosts waits until the result falls below a maximum.
func eachCosts(t *testing.T, what string, before, n, most int64) (each int64) {
	t.Helper()
	eventually(t, fmt.Sprintf("at most %d bytes for %s", most, what), func() bool {
		each = (memory() - before) / n
		return each <= most
	})
	t.Logf("%d bytes for %s", each, what)
	return each
}

type echoing struct {
	instant
	parts  []exchange.Part
	theirs []exchange.Ticket // the ticket of each element of parts
	next   int
	buf    []byte
}

// accepting is an exchange.Then that accepts a WebSocket.
type accepting struct{ s *Server }

func (a accepting) Continue(x *exchange.Exchange, p *exchange.Part) exchange.ThenOutcome {
	return a.s.Sockets().Accept(x, p, nil, nil)
}

func (h *echoing) Submit(t exchange.Ticket, r *exchange.Request) bool {
	if !r.Upgrade {
		return h.instant.Submit(t, r)
	}
	h.add(t, exchange.Part{First: true, Head: exchange.Head{Then: accepting{h.server}}})
	return true
}

func (h *echoing) Deliver(in exchange.Input) {
	if in.Op == exchange.OpClose {
		h.add(in.Ticket, exchange.Part{End: exchange.Complete})
		return
	}
	at := len(h.buf)
	h.buf = append(h.buf, in.Data...)
	h.add(in.Ticket, exchange.Part{Op: in.Op, Body: h.buf[at:len(h.buf):len(h.buf)]})
	h.add(in.Ticket, exchange.Part{Op: exchange.OpCredit, Number: int64(len(in.Data)) + exchange.InputCost})
}

func (h *echoing) add(t exchange.Ticket, p exchange.Part) {
	h.theirs, h.parts = append(h.theirs, t), append(h.parts, p)
}

func (h *echoing) Cancel(t exchange.Ticket, _ time.Duration) {
	h.add(t, exchange.Part{End: exchange.Complete})
}

func (h *echoing) Next(p *exchange.Part) (exchange.Ticket, bool) {
	if h.next == len(h.parts) {
		h.parts, h.theirs, h.next, h.buf = h.parts[:0], h.theirs[:0], 0, h.buf[:0]
		return h.instant.Next(p)
	}
	*p = h.parts[h.next]
	h.next++
	return h.theirs[h.next-1], true
}

func serveEchoing(t testing.TB) *testServer {
	t.Helper()
	return start(t, settled(Config{}), &echoing{}, exchange.Mount{Prefix: "/", Upgrades: exchange.ToMessages})
}

func TestWebSocketMessagesDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := serveEchoing(t)
	for _, test := range []struct {
		name   string
		fields []string
		size   int
	}{{"small", nil, 20}, {"large", nil, 10000}, {"compressed", []string{wstest.Deflate}, 1000}} {
		c := dialRaw(t, s.addr)
		buf := make([]byte, 64<<10)
		unix.Write(c.fd, []byte(wstest.Handshake("/", test.fields...)))
		c.read(buf)
		message := []byte(strings.Repeat("0123456789", test.size/10))
		client := &wstest.Client{Deflate: test.fields != nil}
		frame := client.AppendFrame(nil, wstest.Fin|wstest.Text, message)
		if client.Deflate {
			frame = client.AppendFrame(nil, wstest.Fin|wstest.RSV1|wstest.Text, client.Pack(message))
		}
		unix.Write(c.fd, frame)
		size := 4
		for n := 0; n < size; {
			n += c.read(buf[n:])
			if length := int(buf[1]); n >= 4 && length == 126 { // RFC 6455 §5.2
				size = 4 + int(binary.BigEndian.Uint16(buf[2:]))
			} else if n >= 4 {
				size = 2 + length
			}
		}
		for range 100 {
			c.ask(frame, buf, size)
		}
		n := testing.AllocsPerRun(300, func() { c.ask(frame, buf, size) })
		checktest.Truef(t, n == 0, "%s: %v allocations a message", test.name, n)
		unix.Close(c.fd)
	}
}

func TestIdleWebSocketsAreSmall(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has memory of its own")
	}
	const n = 1000
	path := filepath.Join(t.TempDir(), "log")
	each := func(what, request string, also []byte, most int64) {
		t.Run(what, func(t *testing.T) {
			format := checktest.Try(logfile.ParseFormat("combined")).Must(t)
			file := checktest.Try(logfile.Open(logfile.Options{Path: path})).Must(t)
			t.Cleanup(func() { file.Close() })
			// no pings, because these clients would not answer them
			cfg := Config{Sites: exchange.Config{AccessLog: &logfile.AccessLog{File: file, Format: format}},
				WebSockets: live.SocketConfig{Ping: time.Hour}}
			ts := start(t, settled(cfg), &echoing{}, exchange.Mount{Prefix: "/", Upgrades: exchange.ToMessages})
			buf := make([]byte, 4096)
			var clients []rawClient
			open := func() {
				c := dialRaw(t, ts.addr)
				// an incomplete request, which the server must keep until the rest arrives
				unix.Write(c.fd, []byte(request[:20]))
				unix.Write(c.fd, []byte(request[20:]))
				c.read(buf)
				if also != nil { // a WebSocket message, in two pieces
					unix.Write(c.fd, also[:7])
					unix.Write(c.fd, also[7:])
				}
				clients = append(clients, c)
			}
			open()
			before := memory()
			for range n {
				open()
			}
			ts.do(func() {})
			eachCosts(t, what, before, n, most)
			for _, c := range clients {
				unix.Close(c.fd)
			}
		})
	}
	const fields = "Host: localhost:8080\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 " +
		"Firefox/128.0\r\n"
	each("an idle connection", "GET / HTTP/1.1\r\n"+fields+"\r\n", nil, 4096)
	message := (&wstest.Client{}).AppendFrame(nil, wstest.Fin|wstest.Ping, make([]byte, 100))
	handshake := wstest.Handshake("/", strings.TrimSpace(fields[strings.Index(fields, "User"):]), wstest.Deflate)
	each("an idle WebSocket", handshake, message, 2250)
}

// After a large record, crypto/tls would keep a large buffer for the next record.
func TestIdleTLSConnectionsAreSmall(t *testing.T) {
	cert, _ := certtest.Localhost()
	s := serve(t, Config{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
	ln := checktest.Try(conn.Listen("127.0.0.1:0", conn.ListenOptions{})).Must(t)
	ln.Secure = true
	s.Accept(ln)
	buf := make([]byte, 4096)
	ask := func(request []byte) int {
		raw := dialRaw(t, ln.Addr().String())
		unix.SetsockoptInt(raw.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		c := tls.Client(rawConn{c: raw}, &tls.Config{InsecureSkipVerify: true, DynamicRecordSizingDisabled: true})
		checktest.Try(c.Write(request)).Must(t)
		checktest.Try(c.Read(buf)).Must(t)
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
		{"an idle connection with TLS", 400, plain, 12 << 10},
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

// A rawConn is a net.Conn with only the methods that crypto/tls calls in this test.
type rawConn struct {
	net.Conn
	c rawClient
}

func (r rawConn) Read(b []byte) (int, error)  { return r.c.read(b), nil }
func (r rawConn) Write(b []byte) (int, error) { return unix.Write(r.c.fd, b) }
