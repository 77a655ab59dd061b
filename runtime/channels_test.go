package runtime

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/exchange"
	"fapws/runtime/live"
	"fapws/runtime/sites"
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

// BenchmarkEvents measures the CPU of the server's loop, which has a separate thread, for an event to one of many
// subscribers, which read between the bursts.
func BenchmarkEvents(b *testing.B) {
	for _, bench := range []struct{ clients, burst int }{{1000, 1}, {1000, 20}, {9000, 1}, {9000, 5}} {
		b.Run(fmt.Sprintf("%d subscribers, %d at once", bench.clients, bench.burst), func(b *testing.B) {
			cfg := channelConfig()
			cfg.Channels.PerAddress, cfg.Accept.MaxClients = bench.clients, 2*bench.clients
			s := serve(b, cfg, newApp(true, listening))
			clients := many(b, s, bench.clients)
			defer func() {
				for _, c := range clients {
					unix.Close(c.fd)
				}
			}()
			buf := make([]byte, 16<<10)
			text := strings.Repeat("x", 100)
			usage := func() (u syscall.Rusage) {
				s.Do(func() { syscall.Getrusage(1, &u) }) // RUSAGE_THREAD
				return u
			}
			var spent int64
			for b.Loop() {
				before := usage()
				for range bench.burst {
					s.publish(b, "news", text)
				}
				for s.loop.subscribers.Waiting() > 0 {
					time.Sleep(time.Millisecond)
				}
				after := usage()
				spent += cpu(&after) - cpu(&before)
				for _, c := range clients {
					for got := 0; got < bench.burst*len(text); {
						got += c.read(buf)
					}
				}
			}
			b.ReportMetric(float64(spent)/float64(b.N*bench.burst*bench.clients), "cpu-ns/event")
		})
	}
}

// crowd is an application whose WebSockets all join the group "all", and those that a message names.
func crowd(t testing.TB, cfg Config) (*testServer, *talkApp) {
	a := newTalkApp()
	s := serveTalks(t, cfg, a, sites.Mount{Prefix: "/", WebSocket: true, Group: "all"})
	message := func(k *talk, op exchange.Op, data []byte) {
		verb, group, _ := strings.Cut(string(data), " ")
		switch verb {
		case "join":
			s.JoinGroup(k.ticket, group)
		case "leave":
			s.LeaveGroup(k.ticket, group)
		}
		k.send(op, data)
	}
	s.do(func() { a.message = message })
	return s, a
}

func (s *testServer) broadcast(t testing.TB, group, text string) {
	t.Helper()
	if err := s.Sockets().Broadcast(0, &live.GroupMessage{Group: group, Data: text}); err != nil {
		t.Error(err)
	}
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

// BenchmarkBroadcast sends a message of 100 bytes to many WebSockets.
func BenchmarkBroadcast(b *testing.B) {
	for _, n := range []int{100, 2000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, _ := crowd(b, Config{})
			var readers sync.WaitGroup
			for range n {
				c := s.socket(b)
				saysBack(b, c, "hello")
				go func() {
					for {
						if _, _, err := c.Receive(); err != nil {
							return
						}
						readers.Done()
					}
				}()
			}
			text := strings.Repeat("x", 100)
			for b.Loop() {
				readers.Add(n)
				s.broadcast(b, "all", text)
				readers.Wait()
			}
		})
	}
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
