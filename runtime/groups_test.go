package runtime

import (
	"fmt"
	"math/rand/v2"
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
