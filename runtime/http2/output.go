package http2

import (
	"bytes"

	"golang.org/x/net/http2"
	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

type outgoing struct {
	credit int64
	part   exchange.Part
	// the unsent rest of part: bytes, followed by a range of a file
	left conn.Item
	// counts the unsent bytes of part; nil if they are not counted
	unsent *conn.Unsent
	// time when bytes of part were last sent, or when part began
	stamp   int64
	writing bool
	broken  bool // part is the last part, but the body is incomplete
	// a goroutine is reading the file of part, so the file must stay open
	loading bool
	// the exchange of part, if the stream has ended while a goroutine was reading the file
	orphan *exchange.Exchange
}

func (st *stream) InTurn(x *exchange.Exchange) bool { return st.x == x && !st.writing }

func (st *stream) advance() {
	for st.x != nil && !st.writing {
		x := st.x
		p, ok := x.TakeTurn()
		if p != nil {
			st.transmit(x, p)
		}
		if !ok {
			break
		}
	}
}

func (st *stream) sendContinue(x *exchange.Exchange) {
	st.sendBlock(x, append(st.c.s.text[:0], http1.Continue...), false)
}

func (st *stream) Write(x *exchange.Exchange, p *exchange.Part) {
	if p.Last() && !st.ended {
		st.drop()
	}
	if st.x != x || st.writing {
		x.Hold(p)
		return
	}
	st.transmit(x, p)
	if st.x != nil {
		st.advance()
	}
}

func (st *stream) transmit(x *exchange.Exchange, p *exchange.Part) {
	c := st.c
	s := c.s
	if p.Interim {
		s.text = x.AppendHeadOf(s.text[:0], p, true)
		st.sendBlock(x, s.text, false)
		x.Release(p)
		return
	}
	if p.First && st.extended && p.Head.Status/100 == 2 {
		x.FailWith(exchange.Reply{Status: 501, Text: "no WebSocket at this path"}, p)
		return
	}
	mayHold := p.File == nil || x.HoldDescriptor()
	if !mayHold && p.First {
		x.FailWith(x.NoDescriptor(), p)
		return
	}
	if p.First {
		s.text = x.AppendHeadOf(s.text[:0], p, true)
	}
	body, count, broken := x.Take(p)
	ends := p.Last() && p.Takeover == nil && !broken && len(body) == 0 && count == 0
	if p.First {
		st.sendBlock(x, s.text, ends)
		if s.End >= exchange.Discouraged {
			c.Drain(true) // GOAWAY has the effect of "Connection: close" in HTTP/1
		}
	} else if ends {
		st.sendEnd(x, x.Out.Trailers(p))
	}
	if len(body) == 0 && count == 0 {
		st.partWritten(x, p, broken)
		return
	}
	st.part, st.left, st.broken = *p, conn.Item{Data: body}, broken
	if p.File != nil {
		st.left.File = *p.File
		st.left.Count = count
	}
	st.writing, st.stamp = true, s.Set.Now
	if !mayHold {
		c.resetStream(st, http2.ErrCodeEnhanceYourCalm)
		return
	}
	c.queue.enqueue(st)
	c.pump()
	if st.writing && st.x == x {
		st.unsent = x.PartWaits(&st.part, len(st.left.Data))
	}
	if len(c.delayed) > 0 {
		c.beginDelayed()
	}
}

func (st *stream) sendEnd(x *exchange.Exchange, trailers []byte) {
	if len(trailers) > 0 {
		st.sendBlock(x, trailers, true) // RFC 9113 §8.1
		return
	}
	st.appendData(nil, true)
	x.Out.AddFraming(frameHeader)
}

// sendBlock sends a final or interim head or trailers in response to x. lines have the form of HTTP/1. If ends is true,
// they end the stream.
func (st *stream) sendBlock(x *exchange.Exchange, lines []byte, ends bool) {
	c := st.c
	block := c.s.block[:0]
	if c.resized {
		block = append(block, emptyTable)
		c.resized = false
	}
	for len(lines) > 2 {
		var line []byte
		line, lines, _ = bytes.Cut(lines, []byte("\r\n"))
		block = append(block, c.s.code(line)...)
	}
	c.s.block = block
	out := c.output()
	before := len(*out)
	kind, flags := http2.FrameHeaders, http2.Flags(0)
	if ends {
		flags = http2.FlagHeadersEndStream
	}
	for {
		n := min(len(block), c.frame)
		if n == len(block) {
			flags |= http2.FlagHeadersEndHeaders
		}
		*out = appendFrameHeader(*out, n, kind, flags, st.id)
		*out = append(*out, block[:n]...)
		if block = block[n:]; len(block) == 0 {
			break
		}
		kind, flags = http2.FrameContinuation, 0
	}
	x.Out.AddFraming(len(*out) - before)
}

func (st *stream) partWritten(x *exchange.Exchange, p *exchange.Part, broken bool) {
	c := st.c
	if p.Takeover != nil && !broken {
		x.PassOn(p.Takeover)
	} else if p.Last() {
		st.x = nil
		switch {
		case broken:
			c.forget(st)
			c.writeReset(st.id, http2.ErrCodeInternal)
		case st.ends != 0:
			c.forget(st)
			c.writeReset(st.id, st.ends)
		case !st.ended:
			st.stamp = c.s.Set.Now // from now on, the stream lingers; expireStreams resets it after lingerTimeout
		default:
			c.forget(st)
		}
	}
	x.Release(p)
}

func (st *stream) write() {
	c, x, part, left := st.c, st.x, &st.part, &st.left
	piece := left.Data
	if len(piece) == 0 {
		var err error
		if piece, err = st.cached(); err == unix.EAGAIN {
			st.load()
			return
		} else if err != nil {
			st.fileFailed(err)
			return
		}
	}
	ends := part.Last() && part.Takeover == nil && !st.broken && left.Count == 0
	trailed := ends && part.Trailers != nil && len(x.Out.Trailers(part)) > 0
	n := st.appendData(piece, ends && !trailed)
	left.Data = piece[n:]
	done := len(left.Data) == 0 && left.Count == 0
	x.Out.AddFraming(frameHeader)
	if done && trailed {
		st.sendEnd(x, x.Out.Trailers(part))
	}
	st.stamp = c.sent
	if st.unsent != nil {
		st.unsent.Took(n, st.stamp)
	}
	if n >= smallPiece || done {
		c.budget.sent()
	}
	switch {
	case done:
		st.written()
	case st.credit <= 0:
		c.queue.dequeue(st)
	default:
		c.queue.rotate(st)
	}
}

func (st *stream) limit() int { return int(min(st.credit, st.c.credit, int64(st.c.frame))) }

// appendData appends a DATA frame with as many bytes of b as the windows allow, and returns the number of these bytes.
// If last is true, the end of b ends the stream.
func (st *stream) appendData(b []byte, last bool) (n int) {
	c := st.c
	var flags http2.Flags
	if n = min(len(b), max(st.limit(), 0)); n == len(b) && last {
		flags = http2.FlagDataEndStream
	}
	out := c.output()
	*out = appendFrameHeader(*out, n, http2.FrameData, flags, st.id)
	*out = append(*out, b[:n]...)
	st.credit -= int64(n)
	c.credit -= int64(n)
	c.sent = c.s.Set.Now
	return n
}

// appendFrameHeader follows RFC 9113 §4.1.
func appendFrameHeader(dst []byte, size int, kind http2.FrameType, flags http2.Flags, id uint32) []byte {
	return append(dst, byte(size>>16), byte(size>>8), byte(size), byte(kind), byte(flags), byte(id>>24), byte(id>>16),
		byte(id>>8), byte(id))
}

func (st *stream) written() {
	x, s := st.x, st.c.s
	// each call needs its own part, because partWritten may call this method again; a free list saves allocations
	var part *exchange.Part
	if n := len(s.parts); n > 0 {
		part, s.parts = s.parts[n-1], s.parts[:n-1]
	} else {
		part = new(exchange.Part)
	}
	*part = st.part
	st.c.queue.dequeue(st)
	st.endPart()
	st.partWritten(x, part, st.broken)
	*part = exchange.Part{}
	s.parts = append(s.parts, part)
	if st.x == x {
		st.advance()
	}
}

func (st *stream) endPart() {
	st.writing, st.part, st.left, st.unsent = false, exchange.Part{}, conn.Item{}, nil
}

// giveUp discards the part that is being sent, and reports whether it was the last part of x.
func (st *stream) giveUp(x *exchange.Exchange) (ended bool) {
	if !st.writing {
		return false
	}
	part := st.part
	st.endPart()
	ended = part.Last()
	if ended {
		x.Detach()
	}
	if st.loading { // the file must stay open
		st.part = part
		st.orphan = x
		return ended
	}
	x.Release(&part)
	return ended
}

const maxLoads = 4

// cached returns the next bytes of the file in st.part. The bytes are valid until the next call. The error is
// unix.EAGAIN if the bytes are not in memory.
func (st *stream) cached() (piece []byte, err error) {
	s, left := st.c.s, &st.left
	if !s.Set.IsWarm(left) {
		return nil, unix.EAGAIN
	}
	piece = s.piece[:min(int64(st.limit()), left.Count)]
	n, err := conn.ReadFile(left.FD, piece, left.Offset)
	if n == 0 && err == nil {
		err = conn.ErrShortFile
	}
	left.Offset += int64(n)
	left.Count -= int64(n)
	return piece[:n], err
}

func (st *stream) load() {
	c := st.c
	c.queue.dequeue(st)
	st.loading = true
	if c.loads == nil {
		c.loads = make(chan struct{}, maxLoads)
	}
	c.s.Set.Load(c.conn, &st.left, c.loads, st.loaded)
}

func (st *stream) loaded(err error) {
	c := st.c
	st.loading = false
	switch {
	case !st.writing:
		part, x := st.part, st.orphan
		st.endPart()
		st.orphan = nil
		x.Release(&part)
		return
	case err != nil:
		st.fileFailed(err)
	default:
		st.stamp = c.s.Set.Now
		c.queue.enqueue(st)
	}
	c.pump()
	c.settle()
}

func (st *stream) fileFailed(err error) {
	st.x.LogShort(err)
	st.c.resetStream(st, http2.ErrCodeInternal)
}

func (st *stream) stalled(now int64) bool {
	c := st.c
	limit := int64(c.s.Set.WriteTimeout) + tick
	switch {
	case !st.writing || st.loading || c.conn.Writing(): // a transfer has its own timeout
		return false
	case st.credit <= 0:
		return now-st.stamp > limit
	}
	return c.credit <= 0 && now-max(c.sent, st.stamp) > limit
}
