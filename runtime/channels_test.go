package runtime

import (
	"bufio"
	"fmt"
	"io"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
	"fapws/runtime/live"
)

func (s *testServer) publish(t testing.TB, name, data string) string {
	t.Helper()
	return live.MakeID("e", checktest.Try(s.Subscribers().Publish(0, &live.Message{Name: name, Data: data})).Must(t))
}

func (s *testServer) subscribers() (n int) {
	s.do(func() {
		for _, c := range s.loop.conns.All() {
			if kindOf(c.Protocol()) == "sse" {
				n++
			}
		}
	})
	return n
}

func (s *testServer) awaitSubscribers(t testing.TB, name string, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d subscribers of %s", n, name), func() bool { return s.subscribers() == n })
}

func serveNews(t *testing.T, cfg live.StreamConfig) *testServer {
	t.Helper()
	cfg.Epoch = "e"
	return start(t, patient(Config{Channels: cfg}), &instant{channel: []byte("news")}, exchange.Mount{Prefix: "/"})
}

func many(t testing.TB, s *testServer, n int) (clients []rawClient) {
	t.Helper()
	before := s.subscribers()
	request := []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
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

func TestSubscribersAreSmall(t *testing.T) {
	const n = 2000
	s := serveNews(t, live.StreamConfig{PerAddress: n + 1})
	clients := many(t, s, 1)
	before := memory()
	var begin, end goruntime.MemStats
	goruntime.ReadMemStats(&begin)
	clients = append(clients, many(t, s, n)...)
	goruntime.ReadMemStats(&end)
	// Go returns a page of its heap only if no object in the page is in use, so garbage that is allocated beside
	// subscribers uses memory while they are connected.
	allocated := (end.TotalAlloc - begin.TotalAlloc) / n
	checktest.Truef(t, allocated <= 3000, "%d bytes were allocated for each subscriber and its client", allocated)
	eachCosts(t, "a subscriber", before, n, 640)
	for _, c := range clients {
		unix.Close(c.fd)
	}
	s.awaitSubscribers(t, "news", 0)
}

func TestLargeBurstDoesNotDropSubscribersThatRead(t *testing.T) {
	t.Parallel()
	s := serveNews(t, live.StreamConfig{Buffer: 16 << 10})
	const events, size = 300, 4 << 10
	var readers sync.WaitGroup
	for range 4 {
		c := s.dial(t)
		io.WriteString(c, "GET / HTTP/1.0\r\nHost: x\r\n\r\n")
		readers.Go(func() {
			got, lines := 0, bufio.NewScanner(c)
			for got < events && lines.Scan() {
				if strings.HasPrefix(lines.Text(), "data: x") {
					got++
				}
			}
			checktest.Truef(t, got >= events, "%d events of %d: %v", got, events, lines.Err())
		})
	}
	s.awaitSubscribers(t, "news", 4)
	for range events {
		s.publish(t, "news", strings.Repeat("x", size))
	}
	readers.Wait()
	eventually(t, "nothing is counted any more", func() bool { return s.loop.subscribers.Waiting() == 0 })
}
