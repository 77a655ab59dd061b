package http1

import (
	"bytes"
	"slices"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/protocol/http"
)

// sendLarge writes the gathered bytes for c and, without copying it, a body, then releases the part.
func (c *Conn) sendLarge(x *http.Exchange, p *exchange.Part, body, tail []byte) {
	c.SendPart(p, x, body, tail)
	c.settle()
}

// sendFile is sendLarge for a part with bytes of a file. Bytes in memory are sent at once, as far as the socket takes them.
func (c *Conn) sendFile(x *http.Exchange, p *exchange.Part, body []byte, count int64, tail []byte) {
	s := c.s
	buf := c.TakeGathered()
	if len(body) <= conn.CopyLimit {
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
			x.LogShort(err)
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
		c.QueuePart(p, x, slices.Clone(left), full)
	}
}

// Flushed implements conn.Protocol.
func (c *Conn) Flushed() { c.settle() }

// Writable implements conn.Protocol: it sends output that had to wait for a transfer.
func (c *Conn) Writable() {
	c.Stamp = c.s.Now()
	if c.first != nil {
		c.first.HasRoom()
	}
	c.Advance()
	if c.state == StateWaiting && !c.waits() {
		c.queue()
	}
	if !c.Gathers() { // else Flushed settles it
		c.settle()
	}
}

var (
	crlf          = []byte("\r\n")
	lastChunk     = []byte("0\r\n\r\n")
	crlfLastChunk = []byte("\r\n0\r\n\r\n")
)

// appendChunk appends to dst the bytes that go before size bytes of the body of r.
func appendChunk(dst []byte, r *http.Response, size int64) []byte {
	if r.Framing != http1.Chunked || size == 0 {
		return dst
	}
	before := len(dst)
	dst = http1.AppendChunkHeader(dst, size)
	r.Framed += int64(len(dst) - before)
	return dst
}

// chunkTail returns the bytes that go behind size bytes of the body of r, which end it, with trailers, if they are the last ones. They must not
// be changed.
func chunkTail(r *http.Response, size int64, last bool, trailers []byte) (tail []byte) {
	switch {
	case r.Framing != http1.Chunked:
		return nil
	case last && size > 0:
		tail = crlfLastChunk
	case last:
		tail = lastChunk
	case size > 0:
		tail = crlf
	}
	if last && len(trailers) > 0 {
		tail = slices.Concat(tail[:len(tail)-len(crlf)], trailers, crlf)
	}
	r.Framed += int64(len(tail))
	return tail
}
