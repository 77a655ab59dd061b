package runtime

import (
	"bytes"
	"fmt"
	goruntime "runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/source/cache"
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
	plain = []byte("GET /hello?name=world HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: test\r\nAccept: " +
		"*/*\r\n\r\n")
	form = append([]byte("POST /form HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: "+
		"4096\r\n\r\n"), bytes.Repeat([]byte("x"), 4096)...)
	pipelined = bytes.Repeat(plain, 16)
)

func TestRequestsDoNotAllocate(t *testing.T) {
	ruled := exchange.Mount{Prefix: "/ruled", Rules: mustRules(t, exchange.Rules{
		Set: []http1.HeaderField{{Name: "X-Frame-Options", Value: "DENY"}}, Remove: []string{"X-Other"},
		Allow: mustPrefixes("127.0.0.0/8"), Methods: []string{"GET"},
	})}
	cached := checktest.Try(cache.Compile(cache.Rule{TTL: time.Hour})).Must(t)
	mounts := append(tree(t, map[string]string{"hello": "hello", "cached": string(pattern(50000)),
		"open": string(pattern(100000))}), ruled,
		exchange.Mount{Prefix: "/page", Cache: cached}, exchange.Mount{Prefix: "/"})
	cfg := settled(Config{CacheSize: 1 << 20, Sites: exchange.Config{Proxies: mustPrefixes("127.0.0.0/8"),
		RootPath: "/app"}})
	application := &instant{}
	s := start(t, cfg, application, mounts...)
	for _, test := range []struct {
		name    string
		request []byte
		size    int
		times   int
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
		{"part of an open file", []byte("GET /s/open HTTP/1.1\r\nHost: x\r\nRange: bytes=70000-79999\r\n\r\n"), 10000,
			1},
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
		checktest.Truef(t, n <= eventloop.BatchAllocations, "%s: %v allocations a request", test.name, n)
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
