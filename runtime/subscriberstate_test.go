package runtime

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"testing"

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
