package http2

import (
	"bytes"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
	"fapws/runtime/exchange/exchangetest"
)

func (p *peer) requests(first uint32, n int) []byte {
	var out bytes.Buffer
	to := p.framer
	p.framer = http2.NewFramer(&out, nil)
	for i := range uint32(n) {
		p.request(first+2*i, "/", true)
	}
	p.framer = to
	return out.Bytes()
}

// A client sends all requests at once. The server limits the number of requests in a turn and of waiting requests.
func TestManySmallRequestsLeaveTurnsToOthers(t *testing.T) {
	const all = 20_000
	h := newHost(t)
	c, p := h.open(t)
	h.Do(func() {
		c.Input(p.requests(1, 1000))
		h.Flush()
		n := c.last / 2
		checktest.Truef(t, n <= turnBytes/turnStream, "%d streams in a turn", n)
	})
	go p.conn.Write(p.requests(2001, all))
	most := 0
	for ended := 0; ended < 1000+all; {
		f, ok := p.next().(*http2.DataFrame)
		if !ok || !f.StreamEnded() {
			continue
		}
		if ended++; ended%100 == 0 {
			h.Do(func() { most = max(most, len(c.on.Pending())) })
		}
	}
	checktest.Truef(t, most <= 128<<10, "%d bytes were kept", most)
}

// The client of the large response accepts all data at once.
func TestLargeResponseLeavesTurnsToOthers(t *testing.T) {
	const size = 4 * turnBytes
	h := newHost(t)
	c, p := h.open(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 2 * size})
	// Only root can enlarge the socket's buffer this much. With a smaller buffer, the socket may be full before the
	// turn ends.
	takesAll := unix.SetsockoptInt(c.on.Fd(), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 4*size) == nil
	p.framer.WriteWindowUpdate(0, 2*size)
	p.request(1, "/later", true)
	h.waitHeld(1)
	content := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	h.Do(func() {
		before := c.credit
		h.Held[0].Sink.Send(&exchange.Part{First: true, End: exchange.Complete, Head: exchange.Head{Status: 200,
			Length: size}, Body: content})
		h.Flush()
		n := before - c.credit
		checktest.Truef(t, (!takesAll || n >= turnBytes/2) && n <= turnBytes, "%d bytes in a turn", n)
	})
	p.is(1, "200 "+string(content))
}

func TestSmallPartsLeaveTurnsToOthers(t *testing.T) {
	const parts = 5000
	h := newHost(t)
	c, p := h.open(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	p.request(1, "/later", true)
	h.waitHeld(1)
	var opens bytes.Buffer
	http2.NewFramer(&opens, nil).WriteWindowUpdate(1, 2*parts)
	h.Do(func() {
		for i := range parts {
			h.Held[0].Sink.Send(&exchange.Part{
				First: i == 0, End: exchangetest.CompleteIf(i == parts-1), Head: exchange.Head{Status: 200, Length: parts},
				Body: []byte{'x'},
			})
		}
		before := c.credit
		c.Input(opens.Bytes())
		h.Flush()
		n := before - c.credit
		checktest.Truef(t, n <= turnBytes/turnFrame, "%d parts in a turn", n)
	})
	p.is(1, "200 "+string(bytes.Repeat([]byte{'x'}, parts)))
}

func TestSmallWindowUpdatesDoNotMakeATurnLonger(t *testing.T) {
	const size, updates = 4 * turnBytes, 400
	h := newHost(t)
	c, p := h.open(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 2 * size})
	// Only root can enlarge the socket's buffer this much. If this fails, the socket may be full before the turn ends.
	takesAll := unix.SetsockoptInt(c.on.Fd(), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 4*size) == nil
	p.request(1, "/later", true)
	h.waitHeld(1)
	var opens bytes.Buffer
	f := http2.NewFramer(&opens, nil)
	for range updates {
		f.WriteWindowUpdate(0, size/updates)
	}
	content := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	h.Do(func() {
		st := c.streams[1]
		h.Held[0].Sink.Send(&exchange.Part{First: true, End: exchange.Complete, Head: exchange.Head{Status: 200,
			Length: size}, Body: content})
		c.Input(opens.Bytes())
		h.Flush()
		n := 2*size - st.credit
		checktest.Truef(t, (!takesAll || n >= turnBytes/2) && n <= turnBytes, "%d bytes in a turn", n)
	})
	p.is(1, "200 "+string(content))
}

func TestEachTurnMayCostTheSameUnlessTheLastOneWasInterrupted(t *testing.T) {
	h := newHost(t)
	c, p := h.open(t)
	h.Do(func() {
		c.Input(p.requests(1, 1))
		cost := c.used
		c.Input(p.requests(3, 1))
		checktest.Equalf(t, c.used, cost, "cost of the second turn")
		c.used = turnBytes
		c.Input(p.requests(5, 1))
		checktest.Equalf(t, c.last, 3, "last stream of an interrupted turn")
	})
	for id := uint32(1); id <= 5; id += 2 {
		p.is(id, "200 /:")
	}
}

// The client cancels the second of three delayed responses.
func TestDelayedResponsesBeginOneAfterTheOther(t *testing.T) {
	h := newHost(t)
	_, p := h.open(t)
	for id := uint32(1); id <= 5; id += 2 {
		p.request(id, "/delayed", true)
	}
	checktest.Must(t, p.framer.WriteRSTStream(3, http2.ErrCodeCancel))
	for id := uint32(1); id <= 5; id += 4 {
		p.ping()
		var begun []*exchange.Exchange
		h.Do(func() { begun, h.Held = h.Held, nil })
		checktest.Needf(t, len(begun) == 1, "%d responses have begun", len(begun))
		h.Do(func() { exchangetest.Answer(begun[0], "text") })
		p.is(id, "200 text")
	}
}
