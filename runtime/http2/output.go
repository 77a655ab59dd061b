package http2

import (
	"maps"
	"slices"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

const (
	// turnBytes is how much a connection sends before others have their turn.
	turnBytes = 1 << 20

	// turnFrame is how many bytes a frame counts there at least, in either direction, and turnStream a request in addition: small ones may be
	// answered at once, and thousands arrive together.
	turnFrame  = 2 << 10
	turnStream = 14 << 10
)

// outgoing is what a stream sends.
type outgoing struct {
	credit  int64              // bytes of data that the client takes
	part    exchange.Part      // that is being written
	left    conn.Item          // the rest of it: bytes of its body, or of its file that were read, and a range of the file behind them
	unsent  *conn.Unsent       // counts the written bytes of the part; nil: nothing does
	stamp   int64              // time when the last bytes were written, or the part began
	writing bool               // there is a part
	broken  bool               // the part is the last one, and not all that was promised
	loading bool               // a goroutine reads from its file, which must not be closed
	orphan  *exchange.Exchange // whose last part it is then, if the stream has ended meanwhile
}

// sends reports whether st has something to send, and a window for it.
func (st *stream) sends() bool {
	return (st.writing && !st.loading || st.bytes != nil && st.bytes.awaits) && st.credit > 0
}

// InTurn implements exchange.Stream.
func (st *stream) InTurn(x *exchange.Exchange) bool { return st.x == x && !st.writing }

// advance writes parts that were held.
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

// sendContinue asks for the body of x.
func (st *stream) sendContinue(x *exchange.Exchange) {
	x.Out.Framed += int64(len(http1.Continue))
	st.sendHead(x, append(st.c.s.text[:0], http1.Continue...), false)
}

// Write implements exchange.Stream.
func (st *stream) Write(x *exchange.Exchange, p *exchange.Part) {
	if p.Last && !st.ended && p.Head.Tunnel == nil {
		st.drop()
	}
	if st.x != x || st.writing {
		x.Hold(p)
		return
	}
	st.transmit(x, p)
	st.advance()
}

// transmit writes a part of x, whose turn it is.
func (st *stream) transmit(x *exchange.Exchange, p *exchange.Part) {
	c := st.c
	s := c.s
	if p.Interim {
		s.text = x.AppendInterim(s.text[:0], p)
		st.sendHead(x, s.text, false)
		x.Release(p)
		return
	}
	if p.First && (p.Head.Tunnel != nil || st.extended) && x.Upgrade(p) {
		return
	}
	if p.First && st.extended && p.Head.Status/100 == 2 {
		st.refuseAnswer(x, p, exchange.Reply{Status: 501, Text: "no WebSocket at this path"})
		return
	}
	mayHold := p.File < 0 || x.HoldDescriptor()
	if !mayHold && p.First {
		st.refuseAnswer(x, p, x.NoDescriptor())
		return
	}
	if p.First {
		s.text = x.AppendHeadOf(s.text[:0], p, true)
	}
	body, count, broken := x.Take(p)
	ends := p.Last && p.Upgrade == nil && !broken && len(body) == 0 && count == 0
	if p.First {
		st.sendHead(x, s.text, ends)
		if s.End >= exchange.Discouraged {
			c.Drain(true) // as "Connection: close" of HTTP/1
		}
	} else if ends {
		st.sendEnd(x, x.Trailers(p))
	}
	if len(body) == 0 && count == 0 {
		st.partWritten(x, p, broken)
		return
	}
	st.part, st.left, st.broken = *p, conn.Item{Data: body, File: p.File, Offset: p.Offset, Count: count}, broken
	if p.Warm {
		st.left.Warm = conn.AlwaysWarm
	}
	st.writing, st.stamp = true, s.Set.Now
	if !mayHold {
		c.resetStream(st, http2.ErrCodeEnhanceYourCalm)
		return
	}
	c.enqueue(st)
	c.pump()
	if st.writing && st.x == x {
		st.unsent = x.PartWaits(&st.part, len(st.left.Data))
	}
	if len(c.delayed) > 0 {
		c.beginDelayed()
	}
}

// refuseAnswer answers with r in the place of p, the first part of x: an extended CONNECT that something answers which knows nothing of
// WebSockets, and whose status would accept one, or a file that the client may not hold.
func (st *stream) refuseAnswer(x *exchange.Exchange, p *exchange.Part, r exchange.Reply) {
	y := x.TakeOver()
	if !p.Last { // what follows is not wanted
		x.Abandon()
	}
	x.Release(p)
	y.Sink.Reply(r)
}

// sendEnd sends the end of the stream, which nothing else has carried, with trailers if there are any.
func (st *stream) sendEnd(x *exchange.Exchange, trailers []byte) {
	if len(trailers) > 0 {
		x.Out.Framed += int64(st.sendBlock(trailers, true)) // RFC 9113 §8.1
		return
	}
	st.appendData(nil, true)
	x.Out.Framed += frameHeader
}

// partWritten is called when p, a part of x, was written. broken: it is the last one, and not all that was promised.
func (st *stream) partWritten(x *exchange.Exchange, p *exchange.Part, broken bool) {
	c := st.c
	if p.Upgrade != nil && !broken {
		x.PassOn(p.Upgrade)
	} else if p.Last {
		st.x = nil
		switch {
		case broken:
			c.forget(st)
			c.writeReset(st.id, http2.ErrCodeInternal)
		case st.ends != 0:
			c.forget(st)
			c.writeReset(st.id, st.ends)
		case !st.ended:
			st.stamp = c.s.Set.Now // see expireStreams
		default:
			c.forget(st)
		}
	}
	x.Release(p)
}

// pump writes what streams have to send, as far as the client takes it.
func (c *Conn) pump() {
	if c.pumping || c.dead {
		return
	}
	c.pumping = true
	for c.credit > 0 && !c.conn.Writing() && !c.dead {
		st := c.turn()
		if st == nil {
			break
		}
		if c.used >= turnBytes {
			c.yield()
			break
		}
		before := c.credit
		if st.bytes != nil {
			st.bytes.room()
		} else {
			st.write()
		}
		c.used += max(int(before-c.credit), turnFrame)
		if len(c.s.Set.Buf) > conn.FlushLimit && c.conn.Gathers() {
			c.s.Set.Flush()
		}
	}
	c.pumping = false
}

// yield ends the turn of c if it is used up. Room begins the next one, behind the turns of others: the loop calls Input after Conn.Again
// before those.
func (c *Conn) yield() {
	if c.used < turnBytes {
		return
	}
	if c.conn.Gathers() {
		c.s.Set.Flush()
	}
	if !c.closed && !c.conn.Writing() {
		c.conn.Queue(conn.Output{}, false)
	}
}

// write writes a frame of st, whose turn it is.
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
	ends := part.Last && part.Upgrade == nil && !st.broken && left.Count == 0
	trailed := ends && part.Trailers != nil && len(x.Trailers(part)) > 0
	n := st.appendData(piece, ends && !trailed)
	left.Data = piece[n:]
	done := len(left.Data) == 0 && left.Count == 0
	x.Out.Framed += frameHeader
	if done && trailed {
		st.sendEnd(x, x.Trailers(part))
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
		c.dequeue(st)
	default:
		c.turned(st)
	}
}

// limit returns how many bytes a frame of st may have.
func (st *stream) limit() int { return int(min(st.credit, st.c.credit, int64(st.c.frame))) }

// appendData appends a frame with the first bytes of b, as many as the windows allow. It returns how many. last says that nothing follows b.
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

// written ends the part that st has written.
func (st *stream) written() {
	x, s := st.x, st.c.s
	var part *exchange.Part // one for each call under way: what follows a part may write others
	if n := len(s.parts); n > 0 {
		part, s.parts = s.parts[n-1], s.parts[:n-1]
	} else {
		part = new(exchange.Part)
	}
	*part = st.part
	st.c.dequeue(st)
	st.endPart()
	st.partWritten(x, part, st.broken)
	*part = exchange.Part{}
	s.parts = append(s.parts, part)
	if st.x == x {
		st.advance()
	}
}

// endPart forgets the part that st has.
func (st *stream) endPart() {
	st.writing, st.part, st.left, st.unsent = false, exchange.Part{}, conn.Item{}, nil
}

// giveUp releases the part of x that st has, which is not sent. ended reports whether x has ended with it.
func (st *stream) giveUp(x *exchange.Exchange) (ended bool) {
	if !st.writing {
		return false
	}
	part := st.part
	st.endPart()
	ended = part.Last
	if ended {
		x.Stream = nil
	}
	if st.loading { // the file must stay open
		st.part = part
		st.orphan = x
		return ended
	}
	x.Release(&part)
	return ended
}

// urgencies is the number of urgencies (RFC 9218 §4.1).
const urgencies = 8

// priority says when a stream has its turn among others (RFC 9218).
type priority struct {
	urgency     uint8 // 0 to 7; lower ones first
	incremental bool  // it takes turns with others of its urgency
}

// defaultPriority is that of a request that says nothing. RFC 9218 would have it wait for earlier ones: a long response would hold up
// all that clients without priorities want.
var defaultPriority = priority{urgency: 3, incremental: true}

// parse reads a Priority field: a dictionary (RFC 8941) whose members u and i count. A member that is malformed, or not known, is left out.
func (p *priority) parse(value string) {
	*p = priority{urgency: 3}
	for member := range strings.SplitSeq(value, ",") {
		member, _, _ = strings.Cut(member, ";")
		switch member = strings.Trim(member, " \t"); {
		case len(member) == 3 && member[:2] == "u=" && member[2] >= '0' && member[2] < '0'+urgencies:
			p.urgency = member[2] - '0'
		case member == "i" || member == "i=?1":
			p.incremental = true
		case member == "i=?0":
			p.incremental = false
		}
	}
}

// enqueue gives st turns, if it has something to send and a window for it.
func (c *Conn) enqueue(st *stream) {
	if !st.queued && st.sends() {
		st.queued = true
		q := &c.ready[st.priority.urgency]
		*q = append(*q, st)
	}
}

// dequeue takes its turns from st.
func (c *Conn) dequeue(st *stream) {
	if st.queued {
		st.queued = false
		q := &c.ready[st.priority.urgency]
		at := slices.Index(*q, st)
		*q = slices.Delete(*q, at, at+1)
	}
}

// turn returns the stream whose turn it is, or nil.
func (c *Conn) turn() *stream {
	for i := range c.ready {
		if q := c.ready[i]; len(q) > 0 {
			return q[0]
		}
	}
	return nil
}

// turned ends a turn of st, which has more to send.
func (c *Conn) turned(st *stream) {
	if st.priority.incremental {
		c.dequeue(st)
		c.enqueue(st)
	}
}

// maxExpected is how many streams that are not open yet may have a priority. Browsers send it just before the request.
const maxExpected = 16

// expect keeps the priority of a stream that is not open yet: of too many, that of the first stream is dropped.
func (c *Conn) expect(id uint32, p priority) {
	if c.expected == nil {
		c.expected = make(map[uint32]priority)
	}
	if c.expected[id] = p; len(c.expected) > maxExpected {
		delete(c.expected, slices.Min(slices.Collect(maps.Keys(c.expected))))
	}
}

// priorityOf returns the priority of a stream that is being opened, whose request says p. What was expected counts more (RFC 9218 §7).
func (c *Conn) priorityOf(id uint32, p priority) priority {
	if expected, ok := c.expected[id]; ok {
		p = expected
	}
	if maps.DeleteFunc(c.expected, func(other uint32, _ priority) bool { return other <= id }); len(c.expected) == 0 {
		c.expected = nil
	}
	return p
}

// reprioritize gives st another priority.
func (c *Conn) reprioritize(st *stream, p priority) {
	c.dequeue(st)
	st.priority = p
	c.enqueue(st)
}
