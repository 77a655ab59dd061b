package http2

import (
	"io"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// A byteStream is the transport of a virtual connection: an HTTP/2 stream carries the bytes of the connection. After an
// accepted extended CONNECT (RFC 8441), bytes flow in both directions. In an endless response (exchange.Takeover),
// bytes flow only to the client. The virtual connection begins with the byteStream as its protocol, until
// conn.Conn.SetProtocol is called.
type byteStream struct {
	conn conn.Conn
	st   *stream
	in   []byte // received bytes that were not read yet
	said bool
	// AwaitRoom was called; when the stream can send, the method room must be called
	awaits bool
}

var (
	_ conn.Virtual  = (*byteStream)(nil)
	_ conn.Protocol = (*byteStream)(nil)
)

const maxSpareInput = 64 << 10

func (st *stream) SwitchProtocols(x *exchange.Exchange, r *http1.ResponseHead) (transport *conn.Conn, head []byte) {
	c := st.c
	s := c.s
	if r != nil {
		s.text = x.AppendHead(s.text[:0], r)
		st.sendBlock(x, s.text, false)
	}
	b := &byteStream{st: st, in: st.early}
	st.x, st.early, st.bytes, st.target = nil, nil, b, initialWindow
	b.conn.OpenVirtual(s.Set, b, b, c.conn.Local, c.conn.Remote)
	if len(b.in) > 0 || st.ended {
		b.conn.ReadAgain()
	}
	return &b.conn, nil
}

func (b *byteStream) receive(piece []byte) {
	s := b.st.c.s
	if len(b.in) == 0 && cap(s.spareInput) > 0 {
		b.in, s.spareInput = s.spareInput, nil
	}
	b.in = append(b.in, piece...)
	b.st.holds(int64(len(b.in)))
	b.conn.ReadAgain()
}

func (b *byteStream) Read(p []byte) (n int, err error) {
	st := b.st
	switch {
	case st == nil:
		return 0, unix.ECONNRESET
	case len(b.in) > 0:
		n = copy(p, b.in)
		b.drop(n)
		st.holds(int64(len(b.in)))
		b.openWindow()
		return n, nil
	case st.ended && st.extended:
		return 0, io.EOF
	}
	return 0, unix.EAGAIN
}

func (b *byteStream) drop(n int) {
	s := b.st.c.s
	if left := copy(b.in, b.in[n:]); left > 0 {
		b.in = b.in[:left]
		return
	}
	if cap(b.in) > cap(s.spareInput) && cap(b.in) <= maxSpareInput {
		s.spareInput = b.in[:0]
	}
	b.in = nil
}

// openWindow enlarges the window of the stream if all input has been read.
func (b *byteStream) openWindow() {
	st := b.st
	st.growWindow(st.target - st.window - int64(len(b.in)))
}

// If other streams are ready to send, Write writes only one frame.
func (b *byteStream) Write(p []byte) (n int, err error) {
	st := b.st
	if st == nil || b.said {
		return 0, unix.EPIPE
	}
	c := st.c
	for n < len(p) && st.credit > 0 && c.credit > 0 && !c.conn.Writing() {
		if other := c.queue.first(); n > 0 && other != nil && other != st {
			break
		}
		k := st.appendData(p[n:], false)
		// A small frame does not refill the budget (see window.go). Otherwise a client could cause much work by opening
		// its window in small steps.
		if n += k; k >= smallPiece || n == len(p) {
			c.budget.sent()
		}
		if len(c.s.Set.Buf) > conn.FlushLimit && c.conn.Gathers() {
			c.s.Set.Flush()
		}
		if b.st == nil {
			return n, unix.EPIPE
		}
	}
	if n < len(p) {
		b.AwaitRoom()
		return n, unix.EAGAIN
	}
	return n, nil
}

func (b *byteStream) AwaitRoom() {
	st := b.st
	if st == nil {
		return
	}
	b.awaits = true
	c := st.c
	c.queue.enqueue(st)
	if st.queued && c.credit > 0 && !c.conn.Writing() && !c.pumping {
		c.conn.Again() // no further event will call the method room
	}
}

func (b *byteStream) room() {
	b.st.c.queue.dequeue(b.st)
	b.awaits = false
	b.conn.Ready(eventloop.Writable)
}

func (b *byteStream) Flush() error { return nil }

// CloseWrite implements conn.Transport with END_STREAM (RFC 8441 §5).
func (b *byteStream) CloseWrite() error {
	st := b.st
	if st == nil || b.said {
		return nil
	}
	b.said = true
	st.appendData(nil, true) // appends nothing if the connection is closed
	return nil
}

func (b *byteStream) abandon() {
	b.st.bytes = nil
	b.st = nil
	b.conn.Close("its stream has ended")
	b.conn.Abort()
}

// TLS implements conn.Transport with that of the connection.
func (b *byteStream) TLS() *conn.TLSState {
	if b.st == nil {
		return nil
	}
	return b.st.c.conn.TLS()
}

func (b *byteStream) Ends() bool { return b.st == nil || b.st.ended && b.st.extended }

func (b *byteStream) Close() {
	st := b.st
	if st == nil {
		return
	}
	b.st, st.bytes = nil, nil
	c := st.c
	c.forget(st)
	switch {
	case !b.said:
		c.writeReset(st.id, http2.ErrCodeCancel)
	case !st.ended:
		c.writeReset(st.id, http2.ErrCodeNo)
	}
	c.settle()
}

const lookAgain = int64(time.Minute)

func (b *byteStream) Due() (next int64) { return b.st.c.s.Set.Now + lookAgain }

// The following methods of conn.Protocol do nothing. They are needed only until conn.Conn.SetProtocol is called.

func (b *byteStream) Input([]byte) {}
func (b *byteStream) EOF() bool    { return false }
func (b *byteStream) Drained(bool) {}
func (b *byteStream) Drain(bool)   {}
func (b *byteStream) Closed()      {}
