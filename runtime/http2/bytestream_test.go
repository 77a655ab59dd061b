package http2

import (
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"fapws/runtime/checktest"
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// echo is a protocol that sends its input back, and does not read while output waits.
type echo struct {
	conn   *conn.Conn
	set    *conn.Set
	closed bool
	gone   bool
}

func (h *host) echo(x *exchange.Exchange) {
	c, _ := x.Stream.SwitchProtocols(x, &http1.ResponseHead{Status: 101, Version: http1.HTTP11, KeepAlive: true, Length: -1})
	e := &echo{conn: c, set: h.Set}
	c.Holder = e
	h.echoes = append(h.echoes, e)
	c.SetProtocol(e)
	x.Release(&exchange.Part{End: exchange.Complete})
}

func (e *echo) Input(b []byte) {
	e.conn.Keep(b)
	e.send()
}

func (e *echo) send() {
	c := e.conn
	if c.Writing() {
		c.Pause(conn.PauseForReset)
		return
	}
	out := c.Use()
	*out = append(*out, c.Pending()...)
	c.DropInput()
}

func (e *echo) Drained(ended bool) {
	if !ended {
		return
	}
	e.conn.Unpause()
	e.send()
}

func (e *echo) EOF() (stays bool) {
	e.set.Flush()
	e.conn.Finish()
	return true
}

func (e *echo) Due() int64 { return e.set.Now + lookAgain }
func (e *echo) Drain(bool) {}
func (e *echo) Closed()    { e.closed = true }

func (e *echo) Gone() { e.gone = true }

func (h *host) waitGone(e *echo) {
	for gone := false; !gone; {
		h.Do(func() { gone = e.gone })
	}
}

var connectFields = []hpack.HeaderField{
	{Name: ":method", Value: "CONNECT"}, {Name: ":protocol", Value: "websocket"}, {Name: ":scheme", Value: "http"},
	{Name: ":authority", Value: "h"},
	{Name: ":path", Value: "/bytes"},
}

func (p *peer) connectBytes(id uint32) {
	p.t.Helper()
	p.block.Reset()
	for _, field := range connectFields {
		p.coder.WriteField(field)
	}
	p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.block.Bytes(), EndHeaders: true})
	for {
		if f, ok := p.next().(*http2.MetaHeadersFrame); ok {
			checktest.Truef(p.t, f.StreamID == id && f.PseudoValue("status") == "200", "%v", f)
			return
		}
	}
}

func TestResetOfAByteStreamClosesItsVirtualConnection(t *testing.T) {
	h := newHost(t)
	_, p := h.open(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
	for id := uint32(1); id < 7; id += 2 {
		p.connectBytes(id)
		p.framer.WriteData(id, false, []byte("waits"))
		for n := 0; n < 1; {
			if f, ok := p.next().(*http2.DataFrame); ok {
				n += len(f.Data())
			}
		}
	}
	p.framer.WriteRSTStream(1, http2.ErrCodeCancel)
	p.ping()
	h.Do(func() {
		e := h.echoes[0]
		checktest.Truef(t, e.closed && e.gone, "%+v", e)
		e = h.echoes[1]
		e.conn.Reset = true
		e.conn.Close("a mistake")
		e.conn.Abort()
	})
	checktest.Equal(t, p.response(3), "!CANCEL")
	p.conn.Close()
	h.waitGone(h.echoes[2])
}

func TestWindowOpenedByteByByteEndsTheConnection(t *testing.T) {
	_, p := newHost(t).open(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	p.connectBytes(1)
	for range 4 {
		p.framer.WriteData(1, false, make([]byte, 15_000))
	}
	go func() {
		for p.framer.WriteWindowUpdate(1, 1) == nil {
		}
	}()
	for n := 0; ; {
		switch f := p.next().(type) {
		case *http2.DataFrame:
			n += len(f.Data())
		case *http2.GoAwayFrame:
			checktest.Truef(t, f.ErrCode == http2.ErrCodeEnhanceYourCalm && n != 60_000, "%v after %d bytes", f, n)
			return
		}
	}
}

func TestClientMayDisconnectAfterOpeningAWindow(t *testing.T) {
	h := newHost(t)
	_, p := h.open(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	p.framer.WriteWindowUpdate(0, 1<<30)
	p.connectBytes(1)
	h.Do(func() {
		out := h.echoes[0].conn.Use()
		*out = append(*out, make([]byte, 8<<20)...)
	})
	h.Do(func() {
		p.framer.WriteWindowUpdate(1, 1<<24)
		p.conn.Close()
	})
	h.waitGone(h.echoes[0])
}

// A byte that is sent alone is a whole write of the virtual connection, so the window update for it costs nothing.
func TestWindowUpdatesForABytesOwnFrameCostNothing(t *testing.T) {
	h := newHost(t)
	c, p := h.open(t)
	p.connectBytes(1)
	h.Do(func() { c.budget.begin(1, c.s.Set.Now) })
	for range 10 * costReset {
		p.framer.WriteData(1, false, []byte("x"))
		for got := false; !got; {
			switch f := p.next().(type) {
			case *http2.DataFrame:
				got = true
			case *http2.GoAwayFrame:
				t.Fatal(f)
			}
		}
		p.framer.WriteWindowUpdate(1, 1)
	}
	p.ping()
}
