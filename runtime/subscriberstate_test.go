package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"fapws/runtime/live"

	"golang.org/x/sys/unix"
)

// pass hands what s has over to another server, as another process would get it.
func pass(t *testing.T, s, to *testServer) (n int) {
	t.Helper()
	for piece := range s.Subscribers().ExportHistory() {
		if err := to.Subscribers().ImportHistory(piece, math.MaxUint64); err != nil {
			t.Error(err)
		}
	}
	n, err := s.Subscribers().Export(t.Context(), func(d *live.StreamState, fd int) error {
		text, err := json.Marshal(d)
		if err != nil {
			t.Error(err)
		}
		var got live.StreamState
		if err := json.Unmarshal(text, &got); err != nil {
			t.Error(err)
		}
		own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Error(err)
		}
		return to.Subscribers().Import(&got, own)
	})
	if err != nil {
		t.Error(err)
	}
	return n
}

// Subscribers get every event once, in order, while they go from one server to the
// next and back, under events of two publishers.
func TestHandOver(t *testing.T) {
	t.Parallel()
	cfg := channelConfig()
	cfg.Channels.HandOver = true
	const subscribers, events, moves = 30, 1500, 4
	servers := []*testServer{serve(t, cfg, newApp(false, listening))}
	var streams []*stream
	for i := range subscribers {
		names := [...]string{"a", "b", "a,b"}[i%3]
		l := servers[0].listenTo(t, names, "")
		l.expect("retry: 3000\n")
		streams = append(streams, l)
	}
	servers[0].awaitSubscribers(t, "a", subscribers*2/3)

	var mu sync.Mutex // a supervisor
	told := servers
	seq := uint64(0)
	publish := func(name string) {
		mu.Lock()
		defer mu.Unlock()
		seq++
		for _, s := range told {
			if _, err := s.Subscribers().Publish(seq, &live.Message{Name: name, Data: name + fmt.Sprint(seq)}); err != nil {
				t.Error(err)
			}
		}
	}
	var publishers, readers sync.WaitGroup
	for _, name := range []string{"a", "b"} {
		publishers.Go(func() {
			for range events {
				publish(name)
				time.Sleep(100 * time.Microsecond)
			}
		})
	}
	for i, l := range streams {
		names := [...]string{"a", "b", "ab"}[i%3]
		readers.Go(func() {
			last, n := 0, 0
			for want := events * len(names); n < want; n++ {
				text, err := l.block()
				if err != nil {
					t.Errorf("%s: %v after %d events", names, err, n)
					return
				}
				var number, again int
				var name string
				_, err = fmt.Sscanf(text, "id: e-%d\ndata: %1s%d\n", &number, &name, &again)
				if err != nil || number != again || number <= last || !strings.Contains(names, name) {
					t.Errorf("%s: got %q after %d: %v", names, text, last, err)
					return
				}
				last = number
			}
		})
	}
	for range moves {
		time.Sleep(50 * time.Millisecond)
		old, next := servers[len(servers)-1], serve(t, cfg, newApp(false, listening))
		next.HoldHistory(time.Hour)
		mu.Lock()
		told = []*testServer{old, next}
		mu.Unlock()
		retired := make(chan error, 1)
		go func() { retired <- old.Retire(context.Background(), time.Millisecond) }()
		if n := pass(t, old, next); n != subscribers {
			t.Errorf("%d were handed over", n)
		}
		if err := <-retired; err != nil {
			t.Error(err)
		}
		mu.Lock()
		told = []*testServer{next}
		mu.Unlock()
		servers = append(servers, next)
	}
	publishers.Wait()
	readers.Wait()
	last := servers[len(servers)-1]
	back := last.listenTo(t, "a", "Last-Event-ID: e-1\r\n")
	back.expect("retry: 3000\n")
	if text, err := back.block(); err != nil || !strings.HasPrefix(text, "id: e-") {
		t.Errorf("%q, %v: no history came along", text, err)
	}
}

// TestHandOverIncomplete: a server that has forgotten events which a subscriber has not got ends its stream, and no other one's.
func TestHandOverIncomplete(t *testing.T) {
	t.Parallel()
	cfg := channelConfig()
	cfg.Channels.HandOver, cfg.Channels.History = true, 1
	first, second, third := serve(t, cfg, newApp(false, listening)), serve(t, cfg, newApp(false, listening)), serve(t, cfg, newApp(false, listening))
	publish := func(seq uint64, name string, to ...*testServer) {
		for _, s := range to {
			if _, err := s.Subscribers().Publish(seq, &live.Message{Name: name, Data: "x"}); err != nil {
				t.Error(err)
			}
			s.TakePublished()
		}
	}
	move := func(from, to *testServer) (err error) {
		t.Helper()
		if _, failed := from.Subscribers().Export(t.Context(), func(d *live.StreamState, fd int) error {
			own, failed := unix.Dup(fd)
			if failed == nil {
				err = to.Subscribers().Import(d, own)
			}
			return failed
		}); failed != nil {
			t.Error(failed)
		}
		return err
	}
	l := first.listenTo(t, "quiet", "")
	l.expect("retry: 3000\n")
	first.awaitSubscribers(t, "quiet", 1)
	for seq := uint64(1); seq < 5; seq++ {
		publish(seq, "busy", first, second)
	}
	if err := move(first, second); err != nil {
		t.Errorf("%v, but all that was forgotten came before", err)
	}
	publish(5, "quiet", second, third)
	l.expect("id: e-5\ndata: x\n")
	publish(6, "quiet", third)
	publish(7, "quiet", third)
	if err := move(second, third); err == nil {
		t.Error("it is served, without event 6")
	}
	if rest, err := l.block(); rest != "" || err != io.EOF {
		t.Errorf("got %q, %v, want the end of the stream", rest, err)
	}
	back := third.listenTo(t, "quiet", "Last-Event-ID: e-5\r\n")
	back.expect("retry: 3000\n")
	back.expect("id: e-7\ndata: x\n")
}

// A subscriber that cannot be handed over is told to reconnect, and no descriptor stays.
func TestHandOverRefused(t *testing.T) {
	t.Parallel()
	cfg := channelConfig()
	cfg.Channels.HandOver = true
	s := serve(t, cfg, newApp(false, listening))
	l := s.listenTo(t, "news", "")
	l.expect("retry: 3000\n")
	s.awaitSubscribers(t, "news", 1)
	n, err := s.Subscribers().Export(t.Context(), func(*live.StreamState, int) error { return context.Canceled })
	if n != 0 || err != context.Canceled {
		t.Error(n, err)
	}
	if rest, err := l.block(); rest != "" || err == nil || err.Error() != "EOF" {
		t.Errorf("%q, %v", rest, err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []live.StreamState{{}, {Names: []string{"a b"}}, {Names: []string{"a", "a"}}} {
		own, _ := unix.Dup(fd)
		if s.Subscribers().Import(&d, own) == nil {
			t.Errorf("%+v was taken", d)
		}
		if err := unix.Close(own); err != unix.EBADF {
			t.Errorf("%+v: the descriptor is still open", d)
		}
	}
	unix.Close(fd)
}
