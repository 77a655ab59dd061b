package runtime

import (
	"bytes"
	"errors"
	"slices"

	"fapws/runtime/auth"
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
	c    *httpConn
	x    *Exchange
	part exchange.Part
}

// Sent implements conn.Owner.
func (p *sentPart) Sent(err error) {
	if errors.Is(err, conn.ErrShortFile) {
		p.x.logShort(p.c, err)
	}
	p.x.release(&p.part)
}

// logShort tells the operator that a file has not all that the response to x, the client of c, was promised.
func (x *Exchange) logShort(c *httpConn, err error) {
	x.l.logClient(c, x.rules, loglevel.Warning, "a response broke off: %v", err)
}

// accountOf returns the name of a client in the ledger, "" if it has no known address.
func accountOf(p *exchange.Peer) string {
	if p == nil || p.Addr == "" {
		return ""
	}
	return auth.Network(p.Addr)
}

// Account implements conn.Protocol. What a subrequest waits for is counted for its client.
func (c *httpConn) Account() string {
	if c.subrequest != nil {
		return ""
	}
	return accountOf(c.Client())
}

// sendLarge writes the gathered bytes for c and, without copying it, a body, then releases the part.
func (x *Exchange) sendLarge(c *httpConn, p *exchange.Part, body, tail []byte) {
	c.write(c.TakeGathered(), body, tail, x, p)
	c.settle()
}

// sendFile is sendLarge for a part with bytes of a file. Bytes in memory are sent at once, as far as the socket takes them.
func (x *Exchange) sendFile(c *httpConn, p *exchange.Part, body []byte, count int64, tail []byte) {
	l := c.l
	buf := c.TakeGathered()
	if len(body) <= copyLimit {
		buf, body = append(buf, body...), nil
	}
	file := conn.Item{File: p.File, Offset: p.Offset, Count: count, More: len(tail) > 0}
	if p.Warm {
		file.Warm = conn.AlwaysWarm
	}
	l.items = append(l.items[:0], conn.Item{Data: buf, More: true}, conn.Item{Data: body, More: true}, file, conn.Item{Data: tail})
	defer clear(l.items)
	left, full, err := c.WriteItems(l.items)
	switch {
	case err != nil:
		if err == conn.ErrShortFile {
			x.logShort(c, err)
		}
		x.release(p)
		c.Close(err.Error())
	case len(left) == 0:
		x.release(p)
		c.settle()
	default:
		if len(left) == len(l.items) {
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
func (c *httpConn) write(first, body, tail []byte, x *Exchange, p *exchange.Part) {
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
		x.release(p)
	}
	if err != nil {
		c.Close(err.Error())
	}
}

// queueOutput has items written to c. p, a part of x, or nil, is released then. size is how many bytes of memory they keep.
func (c *httpConn) queueOutput(items []conn.Item, x *Exchange, p *exchange.Part, size int, full bool) {
	o := conn.Output{Items: items, Bytes: int64(size)}
	if p != nil {
		o.Owner = &sentPart{c, x, *p}
		if c.subrequest == nil {
			o.Account = accountOf(x.peer)
		}
	}
	c.Queue(o, full)
}

// Flushed implements conn.Protocol.
func (c *httpConn) Flushed() { c.settle() }

// Writable implements conn.Protocol: it sends output that had to wait for a transfer.
func (c *httpConn) Writable() {
	l := c.l
	c.Stamp = l.now()
	if x := c.first; x != nil && len(x.held) == 0 && x.Source != nil {
		x.Source.OnRoom(&x.Exchange)
	}
	c.advance()
	if c.state == stateWaiting && !c.waits() {
		c.queue()
	}
	if !c.Gathers() { // else Flushed settles it
		c.settle()
	}
}
