package live

import (
	"fapws/runtime/conn"

	"golang.org/x/sys/unix"
)

// stream is where the events of a subscriber go that has no descriptor of its own: the protocol of its connection, which has TLS or is a stream of
// HTTP/2.
type stream struct {
	p      *StreamSubscriber
	conn   *conn.Conn
	before conn.Protocol // that the connection spoke before, which accounts for it
}

// stream makes the connection of v, to which everything before the events was written, that of its subscriber.
func (s *Subscribers) stream(v *leaving) {
	o := &stream{p: v.p, conn: v.conn, before: v.before}
	v.conn.Upgrade(o)
	if fd := v.conn.Fd(); fd >= 0 {
		s.limit(fd)
	}
	s.give(v.p, o)
}

// Send writes as many bytes of pieces as there is room for, which is none while that is awaited. An error ends the stream.
func (o *stream) Send(pieces [][]byte) (n int, err error) {
	c := o.conn
	if c.Writing() {
		return 0, nil
	}
	for _, b := range pieces {
		var k int
		k, err = c.WriteSome(b)
		if n += k; k < len(b) {
			break
		}
	}
	if err == nil || err == unix.EAGAIN {
		err = c.FlushSome()
	}
	switch err {
	case nil:
		return n, nil
	case unix.EAGAIN:
		o.AwaitRoom()
		return n, nil
	}
	c.Close(err.Error())
	return n, err
}

// AwaitRoom has the subscriber go on when there is room again.
func (o *stream) AwaitRoom() {
	if !o.conn.Writing() {
		o.conn.Queue(conn.Output{}, true)
	}
}

// Close ends the stream, behind what it has taken. broken: the client should see that it has not got everything.
func (o *stream) Close(broken bool) {
	c := o.conn
	c.Reset = broken
	switch {
	case broken:
		c.Close("its stream has broken off")
		c.Abort()
	case !c.Writing():
		c.Finish()
	}
}

// Input implements conn.Protocol: bytes from a subscriber do not count, but there may not be many.
func (o *stream) Input(b []byte) {
	p := o.p
	switch {
	case p.state == gone:
	case int(p.input)+len(b) > maxInput:
		p.s.drop(p, "has sent more than a request")
	default:
		p.input += uint16(len(b))
	}
}

// EOF implements conn.Protocol.
func (o *stream) EOF() (stays bool) { return false }

// Flushed implements conn.Protocol.
func (o *stream) Flushed() {}

// Writable implements conn.Protocol.
func (o *stream) Writable() {
	if o.p.state == gone {
		o.conn.Finish()
		return
	}
	o.p.onRoom()
}

// Deadline implements conn.Protocol: a transfer has its own.
func (o *stream) Deadline() int64 { return o.p.s.host.Now() + lookAgain }

// Expired implements conn.Protocol.
func (o *stream) Expired() { o.conn.Schedule() }

// Drain implements conn.Protocol: the subscriber ends with all others.
func (o *stream) Drain(bool) {}

// Closed implements conn.Protocol.
func (o *stream) Closed() { o.p.onGone("the client has disconnected") }

// Gone implements conn.Protocol.
func (o *stream) Gone() { o.before.Gone() }
