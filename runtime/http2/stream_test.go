package http2

import (
	"testing"

	"golang.org/x/net/http2"

	"fapws/runtime/sites/sitestest"
)

// Streams are answered in the order of their answers, not of their requests.
func TestStreams(t *testing.T) {
	h := newHost(t)
	c, p := h.open(t)
	p.request(1, "/later/1", true)
	p.request(3, "/later/3", true)
	p.request(5, "/5", true)
	p.is(5, "200 /5:")
	h.Do(func() { sitestest.Answer(h.Held[1], "three") })
	p.is(3, "200 three")
	h.Do(func() { sitestest.Answer(h.Held[0], "one") })
	p.is(1, "200 one")
	h.Do(func() {
		if n := h.Active(); n != 0 || c.working != 0 || len(c.streams) != 0 {
			t.Errorf("%d exchanges, %d are counted, %d streams", n, c.working, len(c.streams))
		}
	})
}

// A client that resets a stream is heard of by its source; its exchange counts until it has ended.
func TestReset(t *testing.T) {
	h := newHost(t)
	c, p := h.open(t)
	p.request(1, "/later", true)
	p.framer.WriteRSTStream(1, http2.ErrCodeCancel)
	p.request(3, "/3", true)
	p.is(3, "200 /3:")
	h.Do(func() {
		if h.Gone != 1 || c.working != 0 {
			t.Errorf("%d gone, %d counted", h.Gone, c.working)
		}
	})
}

// A header block that cannot be read ends the connection, also where it would be trailers: later ones are coded as if it had been.
func TestMalformedTrailers(t *testing.T) {
	h := newHost(t)
	_, p := h.open(t)
	p.request(1, "/later", false)
	p.framer.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersPadded|http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, 1, []byte{200, 0x82})
	p.is(1, "!!PROTOCOL_ERROR")
}

// More streams than there may be are refused.
func TestMaxStreams(t *testing.T) {
	h := newHost(t)
	cfg := usual
	cfg.MaxStreams = 2
	h.http2.Configure(cfg)
	_, p := h.open(t)
	p.request(1, "/later", true)
	p.request(3, "/later", true)
	p.request(5, "/5", true)
	p.is(5, "!REFUSED_STREAM")
	h.Do(func() { sitestest.Answer(h.Held[0], "one") })
	p.is(1, "200 one")
	p.request(7, "/7", true)
	p.is(7, "200 /7:")
}
