package runtime

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/sites"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// seen is what the application saw of a request.
type seen struct {
	Script, Path, Body string
	Mount              int
	Peer               exchange.Peer
}

func showSeen(c *call) {
	text, err := json.Marshal(seen{c.Script, c.Path, c.Body, c.Mount, c.Peer})
	if err != nil {
		panic(err)
	}
	c.reply(200, string(text))
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// answered reads the application's view out of a response.
func answered(t *testing.T, response string) (s seen) {
	t.Helper()
	_, body, _ := strings.Cut(response, "\r\n\r\n")
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatalf("%v: %q", err, response)
	}
	return s
}

func TestRootPath(t *testing.T) {
	t.Parallel()
	cut := func(s string) []string { return strings.Split(s, "") }
	for _, c := range []struct {
		root, prefix, target string
		script, path         string
		mount                int
	}{
		{"/app", "", "/app/x", "/app", "/x", 1},
		{"/app", "", "/x", "/app", "/x", 1},
		{"/app", "", "/app", "/app", "", 1},
		{"/app", "", "/app/", "/app", "/", 1},
		{"/app", "", "/", "/app", "/", 1},
		{"/app", "", "/apple", "/app", "/apple", 1},
		{"/app", "", "/app/sub/x", "/app/sub", "/x", 0},
		{"/app", "", "/sub/x", "/app/sub", "/x", 0},
		{"/app", "", "/sub", "/app/sub", "", 0},
		{"/app", "", "/%61pp/%73ub/%78", "/app/sub", "/x", 0},
		{"/app", "", "/%73ub/%78", "/app/sub", "/x", 0},
		{"/a/b", "", "/a/b/sub", "/a/b/sub", "", 0},
		{"", "/p", "/p/sub/x", "/p/sub", "/x", 0},
		{"", "/p", "/sub/x", "/p/sub", "/x", 0},
		{"/app", "/p", "/x", "/p", "/x", 1},
		{"/app", "/", "/x", "/app", "/x", 1},
		{"/app", "/..", "/x", "/app", "/x", 1},
		{"", "", "/sub/x", "/sub", "/x", 0},
	} {
		s := serve(t, Config{Sites: sites.Config{Proxies: loopback, RootPath: c.root}}, newApp(true, showSeen), sites.Mount{Prefix: "/sub"}, sites.Mount{Prefix: "/"})
		fields := "Host: h\r\nConnection: close\r\n"
		if c.prefix != "" {
			fields += "X-Forwarded-Prefix: " + c.prefix + "\r\n"
		}
		for body, request := range map[string][]string{
			"":     {"GET " + c.target + " HTTP/1.1\r\n" + fields + "\r\n"},
			"body": cut("POST " + c.target + " HTTP/1.1\r\n" + fields + "Content-Length: 4\r\n\r\nbody"),
		} {
			conn := s.dial(t)
			conn.SetNoDelay(true)
			for _, piece := range request {
				io.WriteString(conn, piece)
			}
			text, _ := io.ReadAll(conn)
			got := answered(t, string(text))
			if got.Script != c.script || got.Path != c.path || got.Mount != c.mount || got.Body != body {
				t.Errorf("root %q, prefix %q, %s: %+v", c.root, c.prefix, c.target, got)
			}
		}
	}
}

// proxyVersion2 is a header of version 2 of the PROXY protocol.
func proxyVersion2(command, family byte, payload string) string {
	size := binary.BigEndian.AppendUint16(nil, uint16(len(payload)))
	return "\r\n\r\n\x00\r\nQUIT\n" + string([]byte{command, family}) + string(size) + payload
}

const fourFour = "\xc0\x00\x02\x01\x0a\x00\x00\x02\x12\x67\x00\x50" // 192.0.2.1:4711 to 10.0.0.2:80

func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	const request = "GET /x HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 198.51.100.9\r\nConnection: close\r\n\r\n"
	line := "PROXY TCP4 192.0.2.1 10.0.0.2 4711 80\r\n"
	announced := exchange.Peer{Addr: "192.0.2.1", Port: "4711", ServerName: "10.0.0.2", ServerPort: "80"}
	for _, c := range []struct {
		name, header string
		want         string // address of the client; empty: closed
	}{
		{"version 1", line, "192.0.2.1"},
		{"version 2", proxyVersion2(0x21, 0x11, fourFour+"\x03\x00\x04abcd"), "192.0.2.1"},
		{"longest", proxyVersion2(0x21, 0x11, fourFour+strings.Repeat("x", 4096-28)), "192.0.2.1"},
		{"local", proxyVersion2(0x20, 0, ""), "198.51.100.9"}, // the proxy's own, and trusted
		{"unknown", "PROXY UNKNOWN\r\n", "127.0.0.1"},
		{"a trusted proxy before it", "PROXY TCP4 127.0.0.9 10.0.0.2 4711 80\r\n", "198.51.100.9"},
		{"missing", "", ""},
		{"twice", line + line, "400"},
		{"malformed", "PROXY TCP4 192.0.2.1\r\n", ""},
		{"too long", proxyVersion2(0x21, 0x11, strings.Repeat("x", 5000)), ""},
	} {
		s := serve(t, Config{Sites: sites.Config{Proxies: loopback, ProxyProtocol: true}}, newApp(true, showSeen))
		for _, pieces := range [][]string{{c.header + request}, {c.header, request}, strings.Split(c.header+request, "")} {
			conn := s.dial(t)
			conn.SetNoDelay(true)
			for _, piece := range pieces {
				if _, err := io.WriteString(conn, piece); err != nil {
					break // it has been closed
				}
			}
			text, _ := io.ReadAll(conn)
			switch got := string(text); c.want {
			case "":
				if got != "" {
					t.Errorf("%s: %q", c.name, got)
				}
			case "400":
				if !strings.HasPrefix(got, "HTTP/1.1 400") {
					t.Errorf("%s: %q", c.name, got)
				}
			case announced.Addr:
				if answered(t, got).Peer != announced {
					t.Errorf("%s: %q", c.name, got)
				}
			default:
				if answered(t, got).Peer.Addr != c.want {
					t.Errorf("%s: %q", c.name, got)
				}
			}
		}
		if c.want == "" && !strings.Contains(s.log.String(), "warning client 127.0.0.1:") {
			t.Errorf("%s: no line in the log: %s", c.name, s.log)
		}
	}
}

func TestProxyProtocolOfOthers(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{Sites: sites.Config{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, ProxyProtocol: true}}, newApp(true, demo))
	if got := s.talk(t, "PROXY TCP4 192.0.2.1 10.0.0.2 4711 80\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400") {
		t.Errorf("%q", got)
	}
	if got := s.talk(t, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Errorf("%q", got)
	}
}

// A proxy that never says its header does not keep its connection.
func TestProxyHeaderTimesOut(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{Sites: sites.Config{Proxies: loopback, ProxyProtocol: true, HeadTimeout: 1}}, newApp(true, demo))
	conn := s.dial(t)
	io.WriteString(conn, "PROXY TCP4 ")
	if got, err := io.ReadAll(conn); len(got) > 0 || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// A proxy that says the same again costs no allocation.
func TestTrustedProxiesDoNotAllocate(t *testing.T) {
	s, err := New(settled(Config{Sites: sites.Config{Proxies: loopback, RootPath: "/app"}}))
	if err != nil {
		t.Fatal(err)
	}
	ts := &testServer{Server: s}
	ts.listen(t, &instant{body: []byte("x")})
	t.Cleanup(func() { s.Close() })
	c := dialRaw(t, ts.addr)
	defer unix.Close(c.fd)
	request := bytes.Replace(plain, []byte("\r\n\r\n"), []byte("\r\nX-Forwarded-For: 192.0.2.1, 127.0.0.2\r\nX-Forwarded-Proto: https\r\n\r\n"), 1)
	buf := make([]byte, 64<<10)
	unix.Write(c.fd, request)
	size := c.read(buf)
	for range 100 {
		c.ask(request, buf, size)
	}
	if n := testing.AllocsPerRun(1000, func() { c.ask(request, buf, size) }); n > eventloop.BatchAllocations {
		t.Errorf("%v allocations a request", n)
	}
}

// A connection that the process makes to itself has no proxy before it.
func TestEnrolledNeedNoProxyHeader(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{Sites: sites.Config{ProxyUnix: true, ProxyProtocol: true}}, newApp(true, demo))
	fds, err := system.Socketpair(unix.SOCK_STREAM)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socketpair")
		if ends[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
		defer ends[i].Close()
	}
	if err := s.Enrol(ends[0]); err != nil {
		t.Fatal(err)
	}
	io.WriteString(ends[1], "GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	if got, err := io.ReadAll(ends[1]); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 200") {
		t.Errorf("%q, %v", got, err)
	}
}
