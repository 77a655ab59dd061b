package http2

import (
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
	"fapws/runtime/exchange/exchangetest"
)

type uploads struct {
	*peer
	window   int
	streams  map[uint32]int
	answered bool
}

func (u *uploads) frame() {
	u.t.Helper()
	switch f := u.next().(type) {
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			u.window += int(f.Increment)
		} else {
			u.streams[f.StreamID] += int(f.Increment)
		}
	case *http2.PingFrame:
		u.answered = f.IsAck()
	case *http2.GoAwayFrame, *http2.RSTStreamFrame:
		u.t.Fatal(f)
	}
}

func (u *uploads) fill(id uint32) {
	u.t.Helper()
	for u.window > 0 {
		u.send(id, u.window)
		u.answered = false
		checktest.Must(u.t, u.framer.WritePing(false, [8]byte{}))
		for !u.answered {
			u.frame()
		}
	}
}

// begin opens the streams with the numbers from first to last and sends n bytes on each stream.
func (u *uploads) begin(path string, n, first, last int) {
	u.t.Helper()
	for id := uint32(first); id <= uint32(last); id += 2 {
		u.request(id, path, false)
		u.streams[id] = http2InitialWindow
		u.send(id, n)
	}
}

func (u *uploads) send(id uint32, n int) {
	u.t.Helper()
	for n > 0 {
		k := min(n, maxFrame, u.window, u.streams[id])
		if k <= 0 {
			u.frame()
			continue
		}
		checktest.Must(u.t, u.framer.WriteData(id, false, make([]byte, k)))
		n -= k
		u.window -= k
		u.streams[id] -= k
	}
}

func (h *host) openUploads(t *testing.T, window int) (*client, *uploads) {
	cfg := usual
	cfg.ConnectionWindow = window
	h.http2.Configure(cfg)
	c, p := h.open(t)
	return c, &uploads{peer: p, window: http2InitialWindow, streams: map[uint32]int{}}
}

// Handlers that read nothing get bodies up to the size of the connection's window. When a handler has read some bytes,
// the client can send the same number of further bytes.
func TestStreamedBodiesOfAConnectionAreBounded(t *testing.T) {
	const window, each = 128 << 10, 32 << 10
	h := newHost(t)
	h.Stream(t)
	c, u := h.openUploads(t, window)
	u.begin("/later", each*7/8, 1, 2*window/each-1)
	u.fill(1)
	given := int64(0)
	h.Do(func() {
		for _, st := range c.streams {
			given += int64(st.x.Outstanding)
		}
	})
	checktest.Truef(t, given >= window-minUpdate && given <= window+1<<10, "handlers have %d bytes", given)
	h.Do(func() {
		for _, st := range c.streams {
			at := c.inflow.since + int64(h.Config.BodyTimeout)
			st.received -= int64(h.Config.BodyTimeout)
			checktest.Truef(t, !st.late(at), "a client that must not send is late")
			checktest.Truef(t, st.late(at+2*tick), "a client may wait indefinitely")
		}
		h.Held[1].Sink.Send(&exchange.Part{Op: exchange.OpCredit, Number: int64(c.streams[3].x.Outstanding)})
	})
	for u.window == 0 {
		u.frame()
	}
	checktest.Truef(t, u.window <= each, "the client may send %d bytes", u.window)
	u.send(3, u.window)
	h.Do(func() { exchangetest.Answer(h.Held[0], "end") })
	for u.window == 0 {
		u.frame()
	}
	u.window = 1 << 20
	u.begin("/later", 60<<10, 2*window/each+1, 2*window/each+5)
	for {
		f := checktest.Try(u.framer.ReadFrame()).Must(t)
		if end, ok := f.(*http2.GoAwayFrame); ok {
			checktest.Equal(t, end.ErrCode, http2.ErrCodeFlowControl)
			return
		}
	}
}

// HPACK can encode a large head in a few bytes.
func TestLargeHeadsWithoutAResponseAreBounded(t *testing.T) {
	const most, streams = 256 << 10, 40
	h := newHost(t)
	cfg := usual
	cfg.MaxUnread = most
	h.http2.Configure(cfg)
	c, p := h.open(t)
	value := strings.Repeat("v", 3500)
	for id := uint32(1); id < 2*streams; id += 2 {
		p.request(id, "/later", true, "x "+value, "x "+value, "x "+value, "x "+value)
	}
	p.framer.WritePing(false, [8]byte{})
	refused := 0
	for f := p.next(); f.Header().Type != http2.FramePing; f = p.next() {
		if r, ok := f.(*http2.RSTStreamFrame); ok && r.ErrCode == http2.ErrCodeRefusedStream {
			refused++
		}
	}
	want := streams - most/(4*(3500+len("x: \r\n")))
	checktest.Equalf(t, refused, want, "requests were refused")
	h.Do(func() {
		for i, x := range h.Held {
			if i%2 == 0 {
				exchangetest.Answer(x, "")
			}
		}
		c.on.Close("the client leaves")
		free := h.http2.heads.Room("")
		checktest.Equalf(t, free, most, "%d bytes still count", most-free)
	})
}
