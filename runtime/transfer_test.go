package runtime

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/sites"
	"fapws/runtime/source/static"

	"golang.org/x/sys/unix"
)

// pattern returns n bytes in which every place can be told from the others.
func pattern(n int) []byte {
	b := make([]byte, 0, n+16)
	for i := 0; len(b) < n; i += 16 {
		b = fmt.Appendf(b, "%015x\n", i)
	}
	return b[:n]
}

// slowly makes c's receive buffer so small that large responses do not fit.
func slowly(t *testing.T, s *testServer) *net.TCPConn {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, rc syscall.RawConn) error {
		return rc.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) })
	}}
	c, err := d.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// readBody reads one response with Content-Length.
func readBody(t *testing.T, r io.Reader) []byte {
	t.Helper()
	var head []byte
	one := make([]byte, 1)
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		if _, err := io.ReadFull(r, one); err != nil {
			t.Fatalf("in a head, after %q: %v", head, err)
		}
		head = append(head, one[0])
	}
	var n int
	if i := bytes.Index(head, []byte("Content-Length: ")); i < 0 {
		t.Fatalf("no Content-Length in %q", head)
	} else {
		fmt.Sscan(string(head[i+16:]), &n)
	}
	body := make([]byte, n)
	if k, err := io.ReadFull(r, body); err != nil {
		t.Fatalf("%d of %d bytes: %v", k, n, err)
	}
	return body
}

func TestLargeResponses(t *testing.T) {
	const size = 12 << 20 // more than the sockets' buffers
	want := pattern(size)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := static.New(static.Options{Root: filepath.Dir(path)})
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	kinds := func(c *call) {
		switch c.Path {
		case "/bytes":
			c.reply(200, string(want))
		case "/file":
			c.file(path, 0, size)
		case "/both":
			fd, _ := unix.Open(path, unix.O_RDONLY, 0)
			c.part(exchange.Part{File: -1, Body: want[:10], Head: exchange.Head{Status: 200, Length: size}})
			c.part(exchange.Part{File: fd, Body: want[10:1000], Offset: 1000, Count: size - 1000 - 5})
			c.part(exchange.Part{Last: true, File: -1, Body: want[size-5:]})
		default:
			c.reply(200, "small")
		}
	}
	modes(t, func(t *testing.T, inline bool) {
		a := newApp(inline, kinds)
		s := serve(t, Config{}, a, sites.Mount{Prefix: "/static/", Source: static.NewSource(files, false)}, sites.Mount{Prefix: "/"})
		before := openFiles(t)
		for _, target := range []string{"/bytes", "/file", "/both", "/static/file"} {
			// Twice on one connection, with a request sent ahead each time.
			c := slowly(t, s)
			for range 2 {
				io.WriteString(c, "GET "+target+" HTTP/1.1\r\nHost: x\r\n\r\nGET /s HTTP/1.1\r\nHost: x\r\n\r\n")
				if got := readBody(t, c); !bytes.Equal(got, want) {
					t.Errorf("%s: wrong bytes", target)
				}
				if got := readBody(t, c); string(got) != "small" {
					t.Errorf("%s: then %q", target, got)
				}
			}
			c.Close()
		}
		eventually(t, "all released", a.idle)
		const kept = 1 // of the document root, for the next requests
		eventually(t, "descriptors closed", func() bool { return openFiles(t) <= before+kept })
	})
}

// A stream waits for its client, and the handler for the stream.
func TestSlowReaderHoldsTheHandler(t *testing.T) {
	t.Parallel()
	const piece, pieces = 256 << 10, 100
	a := newApp(false, func(c *call) {
		c.stream(pieces, func(i int) string { return strings.Repeat(string(rune('a'+i%26)), piece) })
	})
	s := serve(t, Config{}, a)
	c := slowly(t, s)
	io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := bytes.Cut(all, []byte("\r\n\r\n"))
	if len(body) != piece*pieces {
		t.Errorf("%d bytes, want %d", len(body), piece*pieces)
	}
	for i := range pieces {
		if body[i*piece] != byte('a'+i%26) || body[(i+1)*piece-1] != byte('a'+i%26) {
			t.Fatalf("piece %d is wrong", i)
		}
	}
	eventually(t, "all released", a.idle)
	if a.maxHeld > 2*piece {
		t.Errorf("%d bytes were held", a.maxHeld)
	}
}

func TestWriteTimeout(t *testing.T) {
	a := newApp(true, demo)
	s := serve(t, Config{WriteTimeout: 100 * time.Millisecond}, a)
	before := openFiles(t)
	c := slowly(t, s)
	io.WriteString(c, "GET /big/20000000 HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "the response is given up", a.idle)
	eventually(t, "logged", func() bool { return strings.Contains(s.log.String(), "closed after write timeout of 100ms") })
	if all, err := io.ReadAll(c); err == nil {
		t.Errorf("%d bytes look whole", len(all))
	}
	c.Close()
	eventually(t, "descriptors closed", func() bool { return openFiles(t) <= before })
}

// Clients that leave in the middle leave nothing behind.
func TestClientsThatLeave(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, pattern(8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := static.New(static.Options{Root: filepath.Dir(path)})
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	modes(t, func(t *testing.T, inline bool) {
		a := newApp(inline, func(c *call) {
			if c.Path == "/file" {
				c.file(path, 0, 8<<20)
				return
			}
			demo(c)
		})
		s := serve(t, Config{}, a, sites.Mount{Prefix: "/static/", Source: static.NewSource(files, false)}, sites.Mount{Prefix: "/"})
		// files keeps it open for up to ten seconds, and now before.
		s.talk(t, "GET /static/file HTTP/1.0\r\n\r\n")
		before := openFiles(t)
		requests := []string{
			"GET /big/8000000 HTTP/1.1\r\nHost: x\r\n\r\n",
			"GET /file HTTP/1.1\r\nHost: x\r\n\r\n",
			"GET /static/file HTTP/1.1\r\nHost: x\r\n\r\n",
			"GET /stream/300 HTTP/1.1\r\nHost: x\r\n\r\n",
			"GET /later HTTP/1.1\r\nHost: x\r\n\r\n",
			"GET /later HTTP/1.1\r\nHost: x\r\n\r\nGET /big/8000000 HTTP/1.1\r\nHost: x\r\n\r\nGET /x HTTP/1.1\r\nHost: x\r\n\r\n",
			"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc",
			"GET / HTT",
			"",
		}
		leave := map[string]func(*net.TCPConn){
			"close": func(c *net.TCPConn) { c.Close() },
			"reset": func(c *net.TCPConn) { c.SetLinger(0); c.Close() },
			"read a little, reset": func(c *net.TCPConn) {
				c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
				c.Read(make([]byte, 100))
				c.SetLinger(0)
				c.Close()
			},
			"shut down": func(c *net.TCPConn) { c.CloseWrite() },
		}
		var shut []*net.TCPConn
		for range 3 {
			for _, f := range leave {
				for _, r := range requests {
					c := slowly(t, s)
					io.WriteString(c, r)
					f(c)
					shut = append(shut, c)
				}
			}
		}
		// Those that have only shut down their side may read to the end; the
		// test's clean-up would come too late, so they stop here.
		for _, c := range shut {
			c.Close()
		}
		eventually(t, "all released", a.idle)
		eventually(t, "connections gone", func() bool { return s.loop.live.Load() == 0 })
		eventually(t, "descriptors closed", func() bool { return openFiles(t) <= before })
	})
}
