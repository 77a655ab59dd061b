package conn

import (
	"golang.org/x/sys/unix"

	"fapws/runtime/exchange"
	"fapws/runtime/system"
)

// Output waits to be written: bytes that a socket did not take at once, and ranges of files.
type Output struct {
	Items  []Item
	Owner  Owner   // nil: nothing has to be told of the end
	Unsent *Unsent // is told what was written; nil: nothing is
}

// Item is bytes or a range of a file.
type Item struct {
	Data          []byte
	File          int
	Offset, Count int64
	Warm          int64 // the file is in memory up to this offset
	More          bool  // another item follows at once: let the kernel fill its packets
}

// Owner is told when an output is not needed any more.
type Owner interface {
	// Sent takes back the memory of the output. All of it was written if err is nil. Otherwise the connection is
	// about to be closed, or is.
	Sent(err error)
}

// maxGather is the capacity up to which Set.Buf is kept.
const maxGather = 256 << 10

// gathered is output that is gathered for a connection, nil for none.
type gathered struct {
	out *Conn
	buf []byte
}

// Use makes c the connection that Buf is gathered for. Output that was gathered for another one is written: that of a virtual connection becomes
// output of the one that carries it. So streams that take turns cost one system call.
func (c *Conn) Use() {
	s := c.set
	if s.out == c {
		return
	}
	s.pass()
	switch {
	case s.out == c: // it has carried that
	case c.virtual():
		s.below = gathered{s.out, s.Buf}
		s.out, s.Buf, s.spareBuf = c, s.spareBuf[:0], nil
	default:
		s.Flush()
		s.out = c
	}
}

// Gathers reports whether output is being gathered for c.
func (c *Conn) Gathers() bool { return c.set.out == c || c.set.below.out == c }

// TakeGathered ends the gathering for c, and returns the output. It is valid until Use is called or, if c is virtual, until that was
// called for another virtual one.
func (c *Conn) TakeGathered() []byte {
	s := c.set
	b := s.Buf
	switch {
	case s.out != c:
		b = s.below.buf
		s.below = gathered{nil, b[:0]}
	case c.virtual():
		s.out, s.Buf, s.spareBuf = s.below.out, s.below.buf, b
		s.below = gathered{}
	default:
		s.out, s.Buf = nil, b[:0]
	}
	return b
}

// pass writes the gathered output of a virtual connection.
func (s *Set) pass() {
	for s.out != nil && s.out.virtual() {
		c := s.out
		c.sendGathered()
		c.proto.Flushed()
	}
}

// Flush writes the gathered output.
func (s *Set) Flush() {
	for s.out != nil {
		c := s.out
		c.sendGathered()
		if cap(s.Buf) > maxGather {
			s.Buf = nil
		}
		c.proto.Flushed()
	}
}

func (c *Conn) sendGathered() {
	b := c.TakeGathered()
	if len(b) == 0 {
		return
	}
	rest, err := c.Write(b, nil, nil)
	if rest != nil {
		c.Queue(Output{Items: rest[:1]}, true)
	} else if err != nil {
		c.Close(err.Error())
	}
}

// Write writes up to three pieces in one call. If the socket has not taken all, rest is for Queue; first is copied
// to it. With an error the connection is broken, and the caller has to close it.
func (c *Conn) Write(first, body, tail []byte) (rest []Item, err error) {
	var n int
	switch {
	case c.transport != nil:
		n, err = c.encode(first, body, tail)
	case len(body) == 0 && len(tail) == 0:
		n, err = system.Send(c.Fd(), first, 0)
	default:
		n, err = c.set.iov.Send(c.Fd(), first, body, tail)
	}
	total := len(first) + len(body) + len(tail)
	if c.set.Debug >= 2 {
		c.set.tracef("%s took %d of %d bytes", c, n, total)
	}
	if c.set.Debug >= 3 {
		c.set.tracef("%s gets %s", c, Excerpt(first))
	}
	if err == nil && n == total || err != nil && err != unix.EAGAIN {
		return nil, err
	}
	return []Item{
		{Data: append([]byte(nil), drop(first, &n)...)},
		{Data: drop(body, &n)},
		{Data: drop(tail, &n)},
	}, nil
}

// drop takes up to *n bytes off the front of b.
func drop(b []byte, n *int) []byte {
	k := min(*n, len(b))
	*n -= k
	return b[k:]
}

const (
	// CopyLimit is the size up to which a body is copied to Set.Buf. A larger one is written from where it is.
	CopyLimit = 16 << 10

	// FlushLimit is the size of Set.Buf from which it is flushed.
	FlushLimit = 64 << 10
)

// PartOwner has the parts that a connection sends: the exchange of a protocol.
type PartOwner interface {
	// PartSent takes p back when its body is not needed any more. err is as for Owner.
	PartSent(p *exchange.Part, err error)

	// PartWaits notes that p waits, of which left bytes were not written. It returns what has to hear of the bytes that are: nil if
	// nothing has.
	PartWaits(p *exchange.Part, left int) *Unsent
}

// sentPart is a part that is being written.
type sentPart struct {
	of   PartOwner
	part exchange.Part
}

// Sent implements Owner.
func (p *sentPart) Sent(err error) { p.of.PartSent(&p.part, err) }

// SendPart writes the gathered output and, without copying them, body and tail. Bytes that the socket does not take become a transfer.
// Then of gets p back.
func (c *Conn) SendPart(p *exchange.Part, of PartOwner, body, tail []byte) {
	rest, err := c.Write(c.TakeGathered(), body, tail)
	if rest != nil {
		c.QueuePart(p, of, rest, true)
		return
	}
	of.PartSent(p, nil)
	if err != nil {
		c.Close(err.Error())
	}
}

// QueuePart is Queue for items of p.
func (c *Conn) QueuePart(p *exchange.Part, of PartOwner, items []Item, full bool) {
	left := 0
	for i := range items {
		left += len(items[i].Data)
	}
	c.Queue(Output{Items: items, Owner: &sentPart{of, *p}, Unsent: of.PartWaits(p, left)}, full)
}
