package http2

import (
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"fapws/runtime/exchange"
	"fapws/runtime/sites/sitestest"
)

// A body arrives in pieces of any size, with padding and trailers, and is collected, in a file if it is long.
func TestBody(t *testing.T) {
	h := newHost(t)
	_, p := h.open(t)
	p.request(1, "/a", false, "content-length 5")
	p.framer.WriteData(1, false, []byte("ab"))
	p.framer.WriteDataPadded(1, false, []byte("c"), make([]byte, 200))
	p.framer.WriteData(1, true, []byte("de"))
	p.is(1, "200 /a:abcde")
	p.request(3, "/b", false)
	p.framer.WriteData(3, false, []byte("xyz"))
	p.block.Reset()
	p.coder.WriteField(hpack.HeaderField{Name: "trailer", Value: "a"})
	p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: p.block.Bytes(), EndHeaders: true, EndStream: true})
	p.is(3, "200 /b:xyz")
	p.request(5, "/c", false, "expect 100-continue")
	if f, ok := p.next().(*http2.MetaHeadersFrame); !ok || f.PseudoValue("status") != "100" {
		t.Errorf("%v", f)
	}
	p.framer.WriteData(5, true, nil)
	p.is(5, "200 /c:")
	p.request(7, "/d", false)
	u := uploads{peer: p, window: 60_000, streams: map[uint32]int{7: initialWindow}}
	u.send(7, 70_000)
	p.framer.WriteData(7, true, nil)
	p.is(7, "200 /d:a file with 70000")
}

// A body that is not as long as was announced, or too long, is refused.
func TestBadBody(t *testing.T) {
	h := newHost(t)
	h.Do(func() { h.Config.MaxBodySize = 10 })
	_, p := h.open(t)
	p.request(1, "/", false, "content-length 5")
	p.framer.WriteData(1, true, []byte("abcd"))
	p.is(1, "!PROTOCOL_ERROR")
	p.request(3, "/", false, "content-length 5")
	p.framer.WriteData(3, true, []byte("abcdef"))
	p.is(3, "!PROTOCOL_ERROR")
	p.request(5, "/", true, "content-length 5")
	if got := p.response(5); !strings.HasPrefix(got, "400 ") {
		t.Errorf("%q", got)
	}
	p.is(5, "!PROTOCOL_ERROR")
	p.request(7, "/", false, "content-length 11")
	p.is(7, "413 input body too big\n")
	p.request(9, "/", false)
	p.framer.WriteData(9, false, []byte("0123456789a"))
	p.is(9, "413 input body too big\n")
	p.request(11, "/", false, "content-length 5", "content-length 6")
	if got := p.response(11); !strings.HasPrefix(got, "400 ") {
		t.Errorf("%q", got)
	}
}

// A streamed body goes on as its handler gives credit for it, and its window grows with that.
func TestStreamedBody(t *testing.T) {
	h := newHost(t)
	h.Stream(t)
	cfg := usual
	cfg.MaxWindow = 2 * initialWindow
	h.http2.Configure(cfg)
	c, p := h.open(t)
	p.request(1, "/later", false)
	u := &uploads{peer: p, window: http2InitialWindow, streams: map[uint32]int{1: initialWindow}}
	sent := 0
	send := func() {
		sent += u.streams[1]
		u.send(1, u.streams[1])
	}
	arrived := func() {
		t.Helper()
		for {
			n := 0
			h.Do(func() { n = h.input.Len() })
			if n == sent {
				return
			}
		}
	}
	send()
	arrived()
	var most int64
	for range 3 {
		h.Do(func() {
			x := h.Held[0]
			x.Sink.Send(&exchange.Part{Op: exchange.OpCredit, Credit: c.streams[1].x.Given(), File: -1})
		})
		for u.streams[1] == 0 {
			u.frame()
		}
		most = max(most, int64(u.streams[1]))
		send()
		arrived()
	}
	if most != 2*initialWindow {
		t.Errorf("a window of %d bytes", most)
	}
	p.framer.WriteData(1, true, nil)
	for over := false; !over; {
		h.Do(func() { over = h.ended })
	}
	h.Do(func() { sitestest.Answer(h.Held[0], "end") })
	p.is(1, "200 end")
}
