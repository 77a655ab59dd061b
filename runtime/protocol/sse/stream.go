package sse

import (
	"fapws/runtime/conn"

	"golang.org/x/sys/unix"
)

// stream is the protocol of a connection with TLS whose client is a subscriber, and its Outlet.
type stream struct {
	p      *Subscriber
	conn   *conn.Conn
	before conn.Protocol // that the connection spoke before, which accounts for it
}

// stream makes the connection of v, to which everything before the events was written, the outlet of its subscriber.
func (s *Subscribers) stream(v *leaving) {
	o := &stream{p: v.p, conn: v.conn, before: v.before}
	v.conn.Upgrade(o)
	s.limit(v.conn.Fd())
	s.give(v.p, o)
}

// Send implements Outlet.
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

// AwaitRoom implements Outlet.
func (o *stream) AwaitRoom() {
	if !o.conn.Writing() {
		o.conn.Queue(conn.Output{}, true)
	}
}

// Close implements Outlet.
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
	o.p.Room()
}

// Deadline implements conn.Protocol: a transfer has its own.
func (o *stream) Deadline() int64 { return o.p.s.host.Now() + lookAgain }

// Expired implements conn.Protocol.
func (o *stream) Expired() { o.conn.Schedule() }

// Drain implements conn.Protocol: the subscriber ends with all others.
func (o *stream) Drain(bool) {}

// Account implements conn.Protocol.
func (o *stream) Account() string { return o.before.Account() }

// Closed implements conn.Protocol.
func (o *stream) Closed() { o.p.Gone("the client has disconnected") }

// Gone implements conn.Protocol.
func (o *stream) Gone() { o.before.Gone() }
