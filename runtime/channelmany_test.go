package runtime

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// many opens raw connections that listen to news, as others may do already.
func many(t testing.TB, s *testServer, n int) (clients []rawClient) {
	t.Helper()
	before := s.subscribers("news")
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
	s.awaitSubscribers(t, "news", before+n)
	return clients
}

// A subscriber costs at most 512 bytes of Go's memory.
func TestSubscribersAreSmall(t *testing.T) {
	const n = 2000
	cfg := channelConfig()
	cfg.Channels.PerAddress = n + 1
	s := serve(t, cfg, newApp(true, listening))
	clients := many(t, s, 1)
	before := memory()
	clients = append(clients, many(t, s, n)...)
	eachCosts(t, "a subscriber", before, n, 512)
	for _, c := range clients {
		unix.Close(c.fd)
	}
	s.awaitSubscribers(t, "news", 0)
}

// While events go to very many, other requests are answered.
func TestManySubscribers(t *testing.T) {
	t.Parallel()
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
	sent, overtook := 0, 0
	for i := 1; overtook < events; i++ {
		if i > 100*events {
			t.Fatalf("%d requests of %d were answered before all subscribers had an event", overtook, i)
		}
		s.publish(t, "news", "hello")
		hello.ask([]byte("GET /x HTTP/1.1\r\nHost: x\r\n\r\n"), buf, 1)
		if s.loop.subscribers.Waiting() > 0 {
			overtook++
		}
		eventually(t, "all have it", func() bool { return s.loop.subscribers.Waiting() == 0 })
		sent += len(fmt.Sprintf("15\r\nid: e-%d\ndata: hello\n\n\r\n", i))
	}
	for _, c := range clients {
		for got := 0; got < sent; {
			got += c.read(buf)
		}
	}
}
