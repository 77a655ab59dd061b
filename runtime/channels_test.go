package runtime

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/runtime/exchange"
	"fapws/runtime/live"
	"fapws/runtime/websocket/wstest"
)

// listening is an application whose /listen/a,b answers with channels a and b; all
// else is demo. The body of the request is sent first. /listen404/a is an error.
func listening(c *call) {
	status := 200
	path := c.Path
	if rest, ok := strings.CutPrefix(path, "/listen404/"); ok {
		path, status = "/listen/"+rest, 404
	}
	names, ok := strings.CutPrefix(path, "/listen/")
	if !ok {
		demo(c)
		return
	}
	c.part(exchange.Part{Last: true, File: -1, Body: []byte(c.Body), Head: exchange.Head{
		Status: status, Length: -1, Channel: []byte(names), Request: []byte(c.Head),
		Fields: []byte("X-Mine: yes\r\nContent-Type: text/plain\r\n"),
	}})
}

func (s *testServer) publish(t testing.TB, name, data string) string {
	t.Helper()
	seq, err := s.Subscribers().Publish(0, &live.Message{Name: name, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	return live.MakeID("e", seq)
}

func (s *testServer) subscribers(name string) (n int) {
	s.do(func() { n = s.loop.subscribers.Streams(name) })
	return n
}

func (s *testServer) awaitSubscribers(t testing.TB, name string, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d subscribers of %s", n, name), func() bool { return s.subscribers(name) == n })
}

func channelConfig() Config { return Config{Channels: live.StreamConfig{Epoch: "e"}} }

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

// hears fails unless these are the next messages.
func hears(t testing.TB, c *wstest.Client, want ...string) {
	t.Helper()
	for _, text := range want {
		if _, got, err := c.Receive(); err != nil || string(got) != text {
			t.Fatalf("%.60q, %v, want %.60q", got, err, text)
		}
	}
}

// saysBack sends a message and waits for its echo.
func saysBack(t testing.TB, c *wstest.Client, text string) {
	t.Helper()
	if err := c.SendText(text); err != nil {
		t.Fatal(err)
	}
	hears(t, c, text)
}

// A burst that is much larger than what a subscriber may leave waiting is no reason to
// drop those that read.
func TestBurst(t *testing.T) {
	t.Parallel()
	cfg := channelConfig()
	cfg.Channels.Buffer = 16 << 10
	s := serve(t, cfg, newApp(false, listening))
	const events, size = 300, 4 << 10
	var readers sync.WaitGroup
	for range 4 {
		c := s.dial(t)
		io.WriteString(c, "GET /listen/news HTTP/1.0\r\nHost: x\r\n\r\n")
		readers.Go(func() {
			got, lines := 0, bufio.NewScanner(c)
			for got < events && lines.Scan() {
				if strings.HasPrefix(lines.Text(), "data: x") {
					got++
				}
			}
			if got < events {
				t.Errorf("%d events of %d: %v", got, events, lines.Err())
			}
		})
	}
	s.awaitSubscribers(t, "news", 4)
	for range events {
		s.publish(t, "news", strings.Repeat("x", size))
	}
	readers.Wait()
	eventually(t, "nothing is counted any more", func() bool { return s.loop.subscribers.Waiting() == 0 })
}
