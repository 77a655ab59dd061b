package http1

import (
	"bytes"
	"errors"
	"slices"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/loglevel"
)

const (
	copyLimit  = 16 << 10 // a larger body is written from where it is
	flushLimit = 64 << 10
)

// sentPart is a part whose body is being written.
type sentPart struct {
	x    *Exchange
	part exchange.Part
}

// Sent implements conn.Owner.
func (p *sentPart) Sent(err error) {
	if errors.Is(err, conn.ErrShortFile) {
		p.x.logShort(err)
	}
	p.x.Release(&p.part)
}

// logShort tells the operator that a file has not all that the response to x was promised.
func (x *Exchange) logShort(err error) {
	x.Server.Log(loglevel.Warning, "a response broke off: "+err.Error())
}

// sendLarge writes the gathered bytes for c and, without copying it, a body, then releases the part.
func (x *Exchange) sendLarge(c *Conn, p *exchange.Part, body, tail []byte) {
	c.write(c.TakeGathered(), body, tail, x, p)
	c.settle()
}

// sendFile is sendLarge for a part with bytes of a file. Bytes in memory are sent at once, as far as the socket takes them.
func (x *Exchange) sendFile(c *Conn, p *exchange.Part, body []byte, count int64, tail []byte) {
	s := c.s
	buf := c.TakeGathered()
	if len(body) <= copyLimit {
		buf, body = append(buf, body...), nil
	}
	file := conn.Item{File: p.File, Offset: p.Offset, Count: count, More: len(tail) > 0}
	if p.Warm {
		file.Warm = conn.AlwaysWarm
	}
	s.items = append(s.items[:0], conn.Item{Data: buf, More: true}, conn.Item{Data: body, More: true}, file, conn.Item{Data: tail})
	defer clear(s.items)
	left, full, err := c.WriteItems(s.items)
	switch {
	case err != nil:
		if err == conn.ErrShortFile {
			x.logShort(err)
		}
		x.Release(p)
		c.Close(err.Error())
	case len(left) == 0:
		x.Release(p)
		c.settle()
	default:
		if len(left) == len(s.items) {
			left[0].Data = bytes.Clone(left[0].Data) // it is in conns.Buf
		}
		size := 0
		for i := range left {
			size += len(left[i].Data)
		}
		c.queueOutput(slices.Clone(left), x, p, size, full)
	}
}

// write sends up to three pieces in one call. What the socket does not take
// is queued. p, a part of x, or nil, is released when body is not needed any more.
func (c *Conn) write(first, body, tail []byte, x *Exchange, p *exchange.Part) {
	rest, err := c.Write(first, body, tail)
	if rest != nil {
		size := len(rest[0].Data) // a copy; without a part, the others share the memory of a cached response
		if p != nil && p.Owner != nil {
			size += len(rest[1].Data) + len(rest[2].Data)
		}
		c.queueOutput(rest, x, p, size, true)
		return
	}
	if p != nil {
		x.Release(p)
	}
	if err != nil {
		c.Close(err.Error())
	}
}

// queueOutput has items written to c. p, a part of x, or nil, is released then. size is how many bytes of memory they keep.
func (c *Conn) queueOutput(items []conn.Item, x *Exchange, p *exchange.Part, size int, full bool) {
	o := conn.Output{Items: items, Bytes: int64(size)}
	if p != nil {
		o.Owner = &sentPart{x, *p}
		if !c.Internal {
			o.Account = c.s.host.Account(x)
		}
	}
	c.Queue(o, full)
}

// Flushed implements conn.Protocol.
func (c *Conn) Flushed() { c.settle() }

// Writable implements conn.Protocol: it sends output that had to wait for a transfer.
func (c *Conn) Writable() {
	c.Stamp = c.s.now()
	if x := c.first; x != nil && len(x.held) == 0 && x.Source != nil {
		x.Source.OnRoom(&x.Exchange)
	}
	c.advance()
	if c.state == StateWaiting && !c.waits() {
		c.queue()
	}
	if !c.Gathers() { // else Flushed settles it
		c.settle()
	}
}
