package runtime

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"

	"fapws/runtime/exchange"
	"fapws/runtime/live"
	"fapws/runtime/sites"
	"fapws/runtime/websocket/wstest"
)

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

func TestGroups(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	counts := map[string]int{}
	cfg := Config{}
	cfg.Channels.Counted = func(name string, n int) {
		mu.Lock()
		counts[name] = n
		mu.Unlock()
	}
	s, _ := crowd(t, cfg)
	plain, packed := s.socket(t), s.socket(t, wstest.Deflate)
	for _, c := range []*wstest.Client{plain, packed} {
		saysBack(t, c, "hello")
	}
	long := strings.Repeat("a text that gets smaller. ", 100)
	s.broadcast(t, "all", "1")
	s.broadcast(t, "all", long)
	if err := s.Sockets().Broadcast(0, &live.GroupMessage{Group: "all", Binary: true, Data: long[1:]}); err != nil {
		t.Error(err)
	}
	for _, c := range []*wstest.Client{plain, packed} {
		hears(t, c, "1", long)
		if op, got, err := c.Receive(); op != wstest.Binary || string(got) != long[1:] || err != nil {
			t.Errorf("%d, %.20q, %v", op, got, err)
		}
	}
	saysBack(t, plain, "join red")
	saysBack(t, plain, "join red")
	saysBack(t, packed, "join red")
	saysBack(t, packed, "join blue")
	saysBack(t, packed, "leave blue")
	s.broadcast(t, "blue", "no one")
	s.broadcast(t, "red", "two")
	hears(t, plain, "two")
	hears(t, packed, "two")
	saysBack(t, plain, "leave red")
	s.broadcast(t, "red", "one")
	s.broadcast(t, "all", "both")
	hears(t, plain, "both")
	hears(t, packed, "one", "both")
	mu.Lock()
	if fmt.Sprint(counts) != "map[all:2 blue:0 red:1]" {
		t.Error(counts)
	}
	mu.Unlock()
	plain.Conn.Close()
	packed.CloseWith(1000, "")
	eventually(t, "all have left", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return fmt.Sprint(counts) == "map[all:0 blue:0 red:0]"
	})
	eventually(t, "nothing is kept", func() (ok bool) {
		s.do(func() {
			ok = s.Sockets().Waiting() == 0 && s.Sockets().Kept() == 0
		})
		return ok
	})
}

// TestGroupWhileOpening: what is broadcast before the application has accepted a WebSocket comes behind the 101, and not
// at all if it is refused.
func TestGroupWhileOpening(t *testing.T) {
	t.Parallel()
	s, a := crowd(t, Config{})
	asked := make(chan *talk, 2)
	s.do(func() { a.opened = func(k *talk) { asked <- k } })
	open := func() net.Conn {
		c := s.dial(t)
		fmt.Fprint(c, wstest.Handshake("/"))
		return c
	}
	first, second := open(), open()
	one, other := <-asked, <-asked
	for i := range 50 {
		s.broadcast(t, "all", fmt.Sprint(i))
	}
	eventually(t, "the loop has them", func() bool { return s.Sockets().Waiting() == 0 })
	one.accept("")
	other.reply(403, "no")
	sockets := 0
	for _, conn := range []net.Conn{first, second} {
		c, err := wstest.Answered(conn)
		if err != nil {
			continue
		}
		sockets++
		for i := range 50 {
			hears(t, c, fmt.Sprint(i))
		}
	}
	if sockets != 1 {
		t.Errorf("%d WebSockets, want 1", sockets)
	}
}

// TestGroupBurst: a burst that is much larger than the buffer of a client closes no client that reads.
func TestGroupBurst(t *testing.T) {
	t.Parallel()
	s, _ := crowd(t, Config{})
	const n, events = 4, 200
	text := strings.Repeat("x", 30000)
	var readers sync.WaitGroup
	for i := range n {
		fields := []string{}
		if i%2 > 0 {
			fields = append(fields, wstest.Deflate)
		}
		c := s.socket(t, fields...)
		saysBack(t, c, "hello")
		readers.Go(func() {
			for i := range events {
				if _, got, err := c.Receive(); err != nil || string(got) != fmt.Sprint(i, text) {
					t.Errorf("message %d: %.10q, %v", i, got, err)
					return
				}
			}
		})
	}
	for i := range events {
		s.broadcast(t, "all", fmt.Sprint(i, text))
	}
	readers.Wait()
}

// TestGroupOrder: messages of the handler and to its group keep the order of each, and nothing stays of WebSockets that come
// and go.
func TestGroupOrder(t *testing.T) {
	t.Parallel()
	s, _ := crowd(t, Config{})
	stop := make(chan struct{})
	var others sync.WaitGroup
	for range 3 {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := wstest.Dial(s.addr, "/")
				if err != nil {
					continue
				}
				c.SendText("join b")
				if rand.IntN(2) == 0 {
					c.Receive()
					c.CloseWith(1000, "")
				}
				c.Conn.Close()
			}
		})
	}
	c := s.socket(t)
	saysBack(t, c, "join b")
	const n = 300
	go func() {
		for i := range n {
			s.broadcast(t, "ab"[i%2:i%2+1], fmt.Sprint("b", i))
			s.broadcast(t, "all", fmt.Sprint("g", i))
			c.SendText(fmt.Sprint("h", i))
		}
	}()
	next := map[byte]int{'b': 1}
	for next['g'] < n || next['h'] < n || next['b'] < n {
		_, got, err := c.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("%c%d", got[0], next[got[0]]); string(got) != want {
			t.Fatalf("%q, want %q", got, want)
		}
		if next[got[0]]++; got[0] == 'b' {
			next['b']++
		}
	}
	close(stop)
	others.Wait()
	c.Conn.Close()
	eventually(t, "all have left", func() (empty bool) {
		s.do(func() { empty = s.Sockets().Members("all") == 0 && s.Sockets().Members("b") == 0 })
		return empty
	})
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
