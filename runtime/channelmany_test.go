package runtime

import (
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// many opens raw connections that listen to news, as others may do already.
func many(t *testing.T, s *testServer, n int) (clients []rawClient) {
	t.Helper()
	before := s.listeners("news")
	request := []byte("GET /listen/news HTTP/1.1\r\nHost: x\r\n\r\n")
	buf := make([]byte, 4096)
	for range n {
		c := dialRaw(t, s.addr)
		unix.Write(c.fd, request)
		var got []byte
		for !strings.HasSuffix(string(got), "retry: 3000\n\n\r\n") {
			got = append(got, buf[:c.read(buf)]...)
		}
		clients = append(clients, c)
	}
	s.awaitListeners(t, "news", before+n)
	return clients
}

// A listener costs at most 512 bytes of Go's memory.
func TestListenersAreSmall(t *testing.T) {
	const n = 2000
	cfg := channelConfig()
	cfg.Channels.PerAddress = n + 1
	s := serve(t, cfg, newApp(true, listening))
	measure := func() uint64 {
		goruntime.GC()
		goruntime.GC()
		var m goruntime.MemStats
		goruntime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	clients := many(t, s, 1)
	before := measure()
	clients = append(clients, many(t, s, n)...)
	if each := (int64(measure()) - int64(before)) / n; each > 512 {
		t.Errorf("%d bytes for a listener", each)
	} else {
		t.Logf("%d bytes for a listener", each)
	}
	for _, c := range clients {
		unix.Close(c.fd)
	}
	s.awaitListeners(t, "news", 0)
}

// While events go to very many, other requests are answered.
func TestManyListeners(t *testing.T) {
	const n, events = 1000, 5
	cfg := channelConfig()
	cfg.Channels.PerAddress = n
	s := serve(t, cfg, newApp(true, listening))
	clients := many(t, s, n)
	defer func() {
		for _, c := range clients {
			unix.Close(c.fd)
		}
	}()
	hello := dialRaw(t, s.addr)
	defer unix.Close(hello.fd)
	buf := make([]byte, 4096)
	var times []time.Duration
	begin := time.Now()
	for range events {
		s.publish(t, "news", "hello")
		for range 20 {
			at := time.Now()
			hello.ask([]byte("GET /x HTTP/1.1\r\nHost: x\r\n\r\n"), buf, 1)
			times = append(times, time.Since(at))
		}
	}
	for _, c := range clients {
		for got := 0; got < events*len("15\r\nid: e-1\ndata: hello\n\n\r\n"); {
			got += c.read(buf)
		}
	}
	slices.Sort(times)
	t.Logf("%d listeners had all events after %v; requests meanwhile took %v, at most %v", n, time.Since(begin), times[len(times)/2], times[len(times)-1])
	if slow := times[len(times)-1]; slow > 2*time.Second {
		t.Errorf("a request took %v", slow)
	}
}
