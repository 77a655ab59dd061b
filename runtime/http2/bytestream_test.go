package http2

import (
	"bytes"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/sites"
)

// echo is a protocol that sends what it gets, and reads nothing while that waits for room.
type echo struct {
	conn   *conn.Conn
	set    *conn.Set
	before conn.Holder
	closed bool
	gone   bool
}

// echo gives the stream of an exchange to an echo.
func (h *host) echo(x *sites.Exchange) {
	c, _ := x.Stream.SwitchProtocols(x, &http1.Response{Status: 101, Version: http1.HTTP11, KeepAlive: true, Length: -1})
	e := &echo{conn: c, set: h.Set, before: c.Holder}
	c.Holder = e
	h.echoes = append(h.echoes, e)
	c.Upgrade(e)
	x.Release(&exchange.Part{Last: true, File: -1})
}

func (e *echo) Input(b []byte) {
	e.conn.Keep(b)
	e.send()
}

func (e *echo) send() {
	c := e.conn
	if c.Writing() {
		c.Pause(conn.HeedReset)
		return
	}
	c.Use()
	e.set.Buf = append(e.set.Buf, c.Pending()...)
	c.DropInput()
}

func (e *echo) Room(ended bool) {
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

func (e *echo) Gone() {
	e.gone = true
	e.before.Gone()
}

// connectFields are those of an extended CONNECT to the echo.
var connectFields = []hpack.HeaderField{
	{Name: ":method", Value: "CONNECT"}, {Name: ":protocol", Value: "websocket"}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: "h"},
	{Name: ":path", Value: "/bytes"},
}

// connectBytes opens a stream of bytes.
func (p *peer) connectBytes(id uint32) {
	p.t.Helper()
	p.block.Reset()
	for _, field := range connectFields {
		p.coder.WriteField(field)
	}
	p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.block.Bytes(), EndHeaders: true})
	for {
		if f, ok := p.next().(*http2.MetaHeadersFrame); ok && f.StreamID == id {
			if f.PseudoValue("status") != "200" {
				p.t.Errorf("%v", f)
			}
			return
		}
	}
}

// Bytes of any number go in both directions, through small windows.
func TestBytes(t *testing.T) {
	h := newHost(t)
	c, p := h.open(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1000})
	p.connectBytes(1)
	p.connectBytes(3)
	var sent, got bytes.Buffer
	window, all := initialWindow, http2InitialWindow
	for got.Len() < 300_000 {
		for window > 0 && all > 0 && sent.Len() < 300_000 {
			piece := bytes.Repeat([]byte{byte(sent.Len())}, min(window, all, 16000, 300_000-sent.Len()))
			sent.Write(piece)
			window -= len(piece)
			all -= len(piece)
			p.framer.WriteDataPadded(1, false, piece, nil)
		}
		switch f := p.next().(type) {
		case *http2.WindowUpdateFrame:
			if f.StreamID == 1 {
				window += int(f.Increment)
			} else {
				all += int(f.Increment)
			}
		case *http2.DataFrame:
			got.Write(f.Data())
			p.framer.WriteWindowUpdate(1, uint32(len(f.Data())))
			p.framer.WriteWindowUpdate(0, uint32(len(f.Data())))
		}
	}
	if !bytes.Equal(got.Bytes(), sent.Bytes()) {
		t.Error("other bytes than were sent")
	}
	p.framer.WriteData(3, true, []byte("end")) // the window of the connection has room
	p.is(3, "end")
	h.Do(func() {
		if len(c.streams) != 1 || !h.echoes[1].gone || h.echoes[0].closed {
			t.Errorf("%d streams, %+v", len(c.streams), h.echoes)
		}
		h.echoes[0].conn.Close("enough")
	})
	if text := p.response(1); text != "" { // its end
		t.Errorf("%q", text)
	}
	h.Do(func() {
		if len(c.streams) != 0 || h.Active() != 0 || c.dead {
			t.Errorf("%d streams, %d exchanges", len(c.streams), h.Active())
		}
	})
}

// A stream that is reset closes its connection, and so does the end of the connection that carries it, also while bytes wait for room.
func TestBytesBreak(t *testing.T) {
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
	p.framer.WritePing(false, [8]byte{1})
	for {
		if f, ok := p.next().(*http2.PingFrame); ok && f.IsAck() {
			break
		}
	}
	h.Do(func() {
		if e := h.echoes[0]; !e.closed || !e.gone {
			t.Errorf("%+v", e)
		}
		e := h.echoes[1]
		e.conn.Reset = true
		e.conn.Close("a mistake")
		e.conn.Abort()
	})
	if text := p.response(3); text != "!CANCEL" {
		t.Error(text)
	}
	p.conn.Close()
	for gone := false; !gone; {
		h.Do(func() { gone = h.echoes[2].gone })
	}
}

// A client that opens its window byte by byte is told to calm down.
func TestBytesDrip(t *testing.T) {
	h := newHost(t)
	_, p := h.open(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
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
			if f.ErrCode != http2.ErrCodeEnhanceYourCalm || n == 60_000 {
				t.Errorf("%v after %d bytes", f, n)
			}
			return
		}
	}
}

// A client opens a window for many bytes, and has left when they are written.
func TestBytesBreakWhileWriting(t *testing.T) {
	h := newHost(t)
	_, p := h.open(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	p.framer.WriteWindowUpdate(0, 1<<30)
	p.connectBytes(1)
	h.Do(func() {
		h.echoes[0].conn.Use()
		h.Set.Buf = append(h.Set.Buf, make([]byte, 8<<20)...)
	})
	h.Do(func() {
		p.framer.WriteWindowUpdate(1, 1<<24)
		p.conn.Close()
	})
	for gone := false; !gone; {
		h.Do(func() { gone = h.echoes[0].gone })
	}
}
