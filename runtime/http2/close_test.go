package http2

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"fapws/runtime/exchange"
	"fapws/runtime/exchange/exchangetest"
)

// A window that stays closed ends its stream, and data that comes too slowly its request.
func TestTimeouts(t *testing.T) {
	h := newHost(t)
	h.Set.WriteTimeout = time.Minute
	h.Config.BodyTimeout = time.Minute
	h.Config.KeepAlive = time.Minute
	c, p := h.open(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	p.request(1, "/1", true)
	p.request(3, "/3", false)
	p.framer.WritePing(false, [8]byte{})
	for pong := false; !pong; {
		_, pong = p.next().(*http2.PingFrame)
	}
	later := func(by time.Duration) {
		h.Do(func() {
			h.Set.SetTime(h.Set.Start.Add(time.Duration(h.Set.Now) + by))
			h.Set.Tick()
		})
	}
	later(59 * time.Second)
	h.Do(func() {
		if len(c.streams) != 2 {
			t.Errorf("%d streams", len(c.streams))
		}
	})
	later(3 * time.Second)
	h.Do(func() {
		if st := c.streams[1]; st != nil {
			t.Error("the stream with a closed window is still there")
		}
	})
	got := ""
	for range 2 {
		switch f := p.next().(type) {
		case *http2.RSTStreamFrame:
			got += fmt.Sprint("reset ", f.StreamID, f.ErrCode, " ")
		case *http2.MetaHeadersFrame:
			got += fmt.Sprint("head ", f.StreamID, f.PseudoValue("status"), " ")
		}
	}
	if !strings.Contains(got, "reset 1 CANCEL") || !strings.Contains(got, "head 3408") {
		t.Error(got)
	}
	p.framer.WriteRSTStream(3, http2.ErrCodeCancel)
	p.framer.WritePing(false, [8]byte{})
	for pong := false; !pong; {
		_, pong = p.next().(*http2.PingFrame)
	}
	later(62 * time.Second)
	f := p.next()
	if g, ok := f.(*http2.GoAwayFrame); !ok || g.ErrCode != http2.ErrCodeNo {
		t.Errorf("%v", f)
	}
	if _, err := p.framer.ReadFrame(); err != io.EOF {
		t.Error(err)
	}
}

// A connection leaves in two steps: requests that were sent before the client has heard of it are answered.
func TestLeaving(t *testing.T) {
	h := newHost(t)
	_, p := h.open(t)
	idle, q := h.open(t)
	h.Do(func() {
		h.End = exchange.Leaving
		h.Set.Drain(true)
	})
	f, ok := p.next().(*http2.GoAwayFrame)
	if !ok || f.LastStreamID != maxWindow || f.ErrCode != http2.ErrCodeNo {
		t.Fatalf("%v", f)
	}
	ping, ok := p.next().(*http2.PingFrame)
	if !ok {
		t.Fatal("no ping")
	}
	p.request(1, "/1", true)
	p.is(1, "200 /1:")
	p.request(3, "/later", true)
	p.framer.WritePing(true, ping.Data)
	if f, ok = p.next().(*http2.GoAwayFrame); !ok || f.LastStreamID != 3 {
		t.Fatalf("%v", f)
	}
	for acked := false; !acked; {
		if ping, ok := q.next().(*http2.PingFrame); ok {
			q.framer.WritePing(true, ping.Data)
			acked = true
		}
	}
	for closed := false; !closed; { // it need not close first
		h.Do(func() { closed = idle.closed })
	}
	p.request(5, "/5", false) // is not answered, whatever follows
	p.framer.WriteData(5, false, []byte("x"))
	p.framer.WriteWindowUpdate(5, 1)
	p.framer.WriteRSTStream(5, http2.ErrCodeCancel)
	p.framer.WritePing(false, [8]byte{5})
	if f, ok := p.next().(*http2.PingFrame); !ok || !f.IsAck() {
		t.Errorf("%v", f)
	}
	h.Do(func() { exchangetest.Answer(h.Held[0], "last") })
	p.is(3, "200 last")
	if f, err := p.framer.ReadFrame(); err != io.EOF {
		t.Error(f, err)
	}
}

// A shutdown answers requests that have come, and closes.
func TestDrain(t *testing.T) {
	h := newHost(t)
	idle, q := h.open(t)
	_, p := h.open(t)
	p.request(1, "/later", true)
	for n := 0; n == 0; {
		h.Do(func() { n = len(h.Held) })
	}
	h.Do(func() {
		h.End = exchange.Draining
		h.Set.Drain(false)
		h.Flush()
		if !idle.closed {
			t.Error("an idle connection waits for its client")
		}
	})
	if f, ok := q.next().(*http2.GoAwayFrame); !ok || f.ErrCode != http2.ErrCodeNo {
		t.Errorf("%v", f)
	}
	if _, err := q.framer.ReadFrame(); err != io.EOF {
		t.Error(err)
	}
	if f, ok := p.next().(*http2.GoAwayFrame); !ok || f.LastStreamID != 1 {
		t.Errorf("%v", f)
	}
	h.Do(func() { exchangetest.Answer(h.Held[0], "end") })
	p.is(1, "200 end")
	if _, err := p.framer.ReadFrame(); err != io.EOF {
		t.Error(err)
	}
}
