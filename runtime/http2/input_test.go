package http2

import (
	"strings"
	"testing"
)

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
