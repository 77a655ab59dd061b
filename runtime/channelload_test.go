package runtime

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// All subscribers get all events in the order of their numbers, however many publish
// and however many join and leave meanwhile.
func TestOrder(t *testing.T) {
	t.Parallel()
	s := serve(t, channelConfig(), newApp(false, listening))
	const publishers, events = 4, 400
	var readers, writers sync.WaitGroup
	stop := make(chan struct{})
	for i := range 12 {
		names := [...]string{"a", "a,b", "b,c,a", "d,c,b,a"}[i%4]
		l := s.listenTo(t, names, "")
		l.expect("retry: 3000\n")
		readers.Go(func() {
			last := 0
			for n := 0; n < events*(strings.Count(names, ",")+1); n++ {
				text, err := l.block()
				var number int
				if _, e := fmt.Sscanf(text, "id: e-%d\n", &number); err != nil || e != nil || number <= last {
					t.Errorf("%s: got %q, %v after %d", names, text, err, last)
					return
				}
				last = number
			}
		})
	}
	s.awaitSubscribers(t, "a", 12)
	for i := range publishers {
		writers.Go(func() {
			for n := range events {
				s.publish(t, "abcd"[i:i+1], strings.Repeat("x", n%50))
				if n%8 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	var guests sync.WaitGroup
	for range 2 {
		guests.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if c, err := net.Dial("tcp", s.addr); err == nil {
					io.WriteString(c, "GET /listen/a,c HTTP/1.1\r\nHost: x\r\n\r\n")
					c.Read(make([]byte, 100))
					c.Close()
				}
			}
		})
	}
	writers.Wait()
	readers.Wait()
	close(stop)
	guests.Wait()
	eventually(t, "nothing is counted any more", func() bool { return s.loop.subscribers.Waiting() == 0 })
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
		l := s.listenTo(t, "news", "")
		readers.Go(func() { l.takes(events) })
	}
	s.awaitSubscribers(t, "news", 4)
	for range events {
		s.publish(t, "news", strings.Repeat("x", size))
	}
	readers.Wait()
	eventually(t, "nothing is counted any more", func() bool { return s.loop.subscribers.Waiting() == 0 })
}

// takes reads so many events, which begin with the first one.
func (s *stream) takes(n int) {
	for i := range n + 1 {
		want := fmt.Sprintf("id: e-%d\n", i)
		if i == 0 {
			want = "retry: 3000\n"
		}
		if text, err := s.block(); err != nil || !strings.HasPrefix(text, want) {
			s.t.Errorf("%.40q, %v, want %q", text, err, want)
			return
		}
	}
}

// A subscriber that does not read is dropped, and costs nothing that stays; others get
// all.
func TestSlowSubscriber(t *testing.T) {
	t.Parallel()
	cfg := channelConfig()
	cfg.Channels.Buffer = 16 << 10
	s := serve(t, cfg, newApp(false, listening))
	slow, quick := s.listenTo(t, "news", ""), s.listenTo(t, "news", "")
	slow.conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	s.awaitSubscribers(t, "news", 2)
	quick.expect("retry: 3000\n")
	for i := 1; s.subscribers("news") == 2; i++ {
		if i > 1000 {
			t.Fatal("4 MB wait for the slow one")
		}
		s.publish(t, "news", strings.Repeat("x", 4<<10))
		if text, err := quick.block(); err != nil || !strings.HasPrefix(text, fmt.Sprintf("id: e-%d\n", i)) {
			t.Fatalf("event %d: %.40q, %v", i, text, err)
		}
	}
	if _, err := io.Copy(io.Discard, slow.conn); err == nil {
		t.Error("the slow one has not been cut off")
	}
	if !strings.Contains(s.log.String(), "reads too slowly") {
		t.Error(s.log)
	}
}

// A subscriber that reads nothing for --write-timeout is dropped, however little waits.
func TestSubscriberTakesNothing(t *testing.T) {
	t.Parallel()
	cfg := channelConfig()
	cfg.WriteTimeout = 100 * time.Millisecond
	cfg.Channels.Buffer = 64 << 20
	s := serve(t, cfg, newApp(false, listening))
	l := s.listenTo(t, "news", "")
	l.conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	defer l.conn.Close() // not by its finalizer
	s.awaitSubscribers(t, "news", 1)
	eventually(t, "it has taken nothing for too long", func() bool {
		s.publish(t, "news", strings.Repeat("x", 8<<10))
		return s.subscribers("news") == 0
	})
	if !strings.Contains(s.log.String(), "read nothing for 100ms") {
		t.Error(s.log)
	}
	eventually(t, "all is given back", func() bool { return s.loop.live.Load() == 0 })
}

// Data from a subscriber is ignored; a little does no harm.
func TestSubscriberInput(t *testing.T) {
	t.Parallel()
	s := serve(t, channelConfig(), newApp(false, listening))
	l := s.listenAs(t, "GET /listen/news HTTP/1.1\r\nHost: x\r\n\r\nGET /echo HTTP/1.1\r\nHost: x\r\n\r\n")
	l.expect("retry: 3000\n")
	s.awaitSubscribers(t, "news", 1)
	io.WriteString(l.conn, strings.Repeat("x", 10000))
	s.publish(t, "news", "still there")
	l.expect("id: e-1\ndata: still there\n")
	l.conn.Write(make([]byte, 10000))
	s.awaitSubscribers(t, "news", 0)
}

func TestSubscriberLimits(t *testing.T) {
	t.Parallel()
	cfg := channelConfig()
	cfg.Channels.Subscribers, cfg.Channels.PerAddress = 3, 2
	cfg.Sites.Proxies = mustPrefixes("127.0.0.0/8")
	s := serve(t, cfg, newApp(false, listening))
	ask := func(names, client string) *stream {
		t.Helper()
		return s.listenTo(t, names, "X-Forwarded-For: "+client+"\r\n")
	}
	for _, test := range []struct {
		names, client string
		ok            bool
	}{
		{"a", "192.0.2.1", true},
		{"b,a", "192.0.2.1", true},
		{"c", "192.0.2.1", false},
		{"c", "2001:db8::1", true},
		{"c", "2001:db8::2", true},
		{"c", "2001:db8::3:4", false},  // of the same /64
		{"c", "2001:db8:0:1::1", true}, // the third of c
		{"c,d", "192.0.2.2", false},
		{"d", "192.0.2.2", true},
	} {
		l := ask(test.names, test.client)
		if ok := strings.HasPrefix(l.head, "HTTP/1.1 200 "); ok != test.ok {
			t.Errorf("%s of %s: %q", test.names, test.client, l.head)
		}
		if !test.ok && (!strings.HasPrefix(l.head, "HTTP/1.1 503 ") || !strings.Contains(l.head, "Retry-After: ")) {
			t.Errorf("%s of %s: %q", test.names, test.client, l.head)
		}
	}
	if n := len(s.Subscribers().Counts()); n != 4 {
		t.Errorf("%d channels", n)
	}
	for _, bad := range []string{"-a", "a,,b", "a%0d%0ab", strings.Repeat("x", 129), "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"} {
		if l := s.listenTo(t, bad, ""); !strings.HasPrefix(l.head, "HTTP/1.1 500 ") {
			t.Errorf("%q: %q", bad, l.head)
		}
	}
	if text := s.talk(t, "GET /listen404/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(text, "HTTP/1.1 404 ") || strings.Contains(text, "event-stream") {
		t.Errorf("an error page with a channel: %q", text)
	}
	if head := s.talk(t, "HEAD /listen/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); !strings.Contains(head, "text/event-stream") || !strings.HasSuffix(head, "\r\n\r\n") {
		t.Errorf("HEAD: %q", head)
	}
}

// Subscribers do not take all connections there may be: others are served still.
func TestSubscribersLeaveRoom(t *testing.T) {
	t.Parallel()
	cfg := channelConfig()
	cfg.Accept.MaxClients = 20
	s := serve(t, cfg, newApp(false, listening))
	for range 2 {
		var all []*stream
		for i := range 20 {
			l := s.listenTo(t, "news", "")
			want := "HTTP/1.1 200 "
			if i == 19 {
				want = "HTTP/1.1 503 "
			}
			if !strings.HasPrefix(l.head, want) {
				t.Fatalf("subscriber %d: %q", i, l.head)
			}
			all = append(all, l)
		}
		all[19].conn.Close()
		if text := s.talk(t, "HEAD /listen/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(text, "HTTP/1.1 200 ") {
			t.Errorf("somebody else: %q", text)
		}
		for _, l := range all {
			l.conn.Close()
		}
		s.awaitSubscribers(t, "news", 0)
	}
}
