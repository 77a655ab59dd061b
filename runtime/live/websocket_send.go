package live

import (
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/websocket"
)

func (s *Socket) Send(p *exchange.Part) {
	switch {
	case p.Op == exchange.OpCredit:
		enough := s.outstanding.Credit(p.Number)
		if s.large != nil {
			s.all.weigh(s, 0)
		}
		if enough && s.conn.Stopped() && s.state != socketClosed {
			s.resumeReading()
		}
		s.release(p)
		return
	case s.answer != answering:
		s.release(p)
		return
	}
	if s.conn.Writing() || !s.held.Empty() {
		s.hold(p)
	} else {
		s.send(p)
		s.advance()
	}
}

func (s *Socket) advance() {
	for !s.held.Empty() && !s.conn.Writing() {
		p := s.held.Take()
		s.held.Uncount(s.all.conns, &p, len(p.Body))
		if p.Owner == nil { // a message to a group, added by queue
			if s.behind = max(0, s.behind-cost(&p)); s.behind <= s.all.mostBehind()/2 {
				s.all.CaughtUp(s)
				s.all.Continue()
			}
		}
		s.send(&p)
	}
}

func (s *Socket) hold(p *exchange.Part) {
	s.held.Put(p)
	if s.conn != nil {
		s.PartWaits(p, len(p.Body))
	}
}

// dropHeld discards the held parts, and reports whether the last part of the exchange was among them.
func (s *Socket) dropHeld() (ended bool) {
	held := s.held.TakeAll()
	for i := range held {
		ended = ended || held[i].Last()
		s.release(&held[i])
	}
	return ended
}

func (s *Socket) release(p *exchange.Part) {
	s.held.Uncount(s.all.conns, p, 0)
	if p.Owner == nil {
		return
	}
	x := s.x
	if p.Last() {
		s.x = nil
	}
	x.Release(p)
}

func (s *Socket) send(p *exchange.Part) {
	out := s.conn.Use()
	before := len(*out)
	var body, tail []byte
	if !s.closing && (p.Op == exchange.OpText || p.Op == exchange.OpBinary) {
		body = s.all.codec.frame(&s.compression, out, opcodeOf(p.Op), p.Body)
	}
	switch {
	case s.closing:
	case p.Op == exchange.OpClose:
		tail = s.closeFrame(uint16(p.Number), string(p.Body))
	case p.End == exchange.Incomplete:
		tail = s.closeFrame(websocket.InternalError, "")
	case p.Last():
		tail = s.closeFrame(websocket.Normal, "")
	}
	s.out += int64(len(*out) - before + len(body) + len(tail))
	if p.Last() {
		s.proper = p.End != exchange.Incomplete
		s.leave()
		s.answer = finished
	}
	s.put(p, body, tail)
	if s.closing && s.broken != nil && s.here() {
		s.linger()
	}
}

// put appends the remaining frames of p to the output. p is released after its frames were sent.
func (s *Socket) put(p *exchange.Part, body, tail []byte) {
	out := s.conn.Use()
	if len(body) > conn.CopyLimit {
		exchange.SendPart(s.conn, p, s, body, tail)
		return
	}
	*out = append(append(*out, body...), tail...)
	s.release(p)
	if len(*out) > conn.FlushLimit {
		s.all.conns.Flush()
	}
}

func (s *Socket) PartSent(p *exchange.Part, _ error) { s.release(p) }

func (s *Socket) PartWaits(p *exchange.Part, unsent int) *conn.Unsent {
	return s.held.Count(s.all.conns, s, p, unsent)
}

func (s *Socket) Cut() (client string) {
	s.conn.Reset = true
	s.conn.Close("too much waits for its client")
	s.conn.Abort()
	return s.conn.String()
}

func (s *Socket) Give(events []*Event) {
	defer s.all.conns.Guard(s.conn)
	for _, e := range events {
		switch {
		case s.left || s.closing:
			return
		case s.state == socketOpening || s.conn.Writing() || !s.held.Empty():
			s.queue(e)
		default:
			wire := s.all.codec.frameOf(&s.compression, e)
			s.out += int64(len(wire))
			s.put(shared, wire, nil)
		}
	}
}

// queue keeps a message to a group until the WebSocket is accepted and the earlier output was sent.
func (s *Socket) queue(e *Event) {
	p := exchange.Part{Op: e.Op, Body: e.Text()}
	switch most := s.all.mostBehind(); {
	case s.behind <= most:
		s.behind += cost(&p)
		s.hold(&p)
		if s.state != socketOpening && s.behind > most/2 {
			s.all.Lag(s)
		}
	case s.state != socketOpening: // a WebSocket that is not accepted yet cannot be closed now
		s.drop()
	}
}

// drop closes the WebSocket of a client that does not read, with a close frame after the waiting output.
func (s *Socket) drop() {
	s.leave()
	s.hold(&exchange.Part{Op: exchange.OpClose, Number: websocket.TryAgainLater, Body: []byte(tooSlow)})
	s.tell(websocket.TryAgainLater, []byte(tooSlow))
	s.advance()
}

type codec struct {
	inflater websocket.Inflater
	deflater websocket.Deflater
}

// frame appends a frame for message to buffer. If compression makes the message smaller, frame appends the
// whole compressed frame; otherwise it appends only the header, and returns the message as body.
func (k *codec) frame(c *websocket.Compression, buffer *[]byte, op websocket.Opcode, message []byte) (body []byte) {
	if compresses(c, len(message)) {
		if packed, ok := k.deflater.Deflate(message, c.Bits); ok {
			*buffer = append(websocket.AppendHeader(*buffer, op, true, len(packed)), packed...)
			return nil
		}
	}
	*buffer = websocket.AppendHeader(*buffer, op, false, len(message))
	return message
}

// frameOf returns the WebSocket frame of an event for a client.
func (k *codec) frameOf(c *websocket.Compression, e *Event) []byte {
	if !compresses(c, len(e.Text())) {
		return e.wire
	}
	if e.compressed[c.Bits] == nil {
		if e.compressed == nil {
			e.compressed = map[uint8][]byte{}
		}
		var wire []byte
		if k.frame(c, &wire, opcodeOf(e.Op), e.Text()) != nil {
			wire = e.wire // compression would not make the message smaller
		}
		e.compressed[c.Bits] = wire
	}
	return e.compressed[c.Bits]
}

func compresses(c *websocket.Compression, n int) bool {
	return c.On && n >= websocket.DeflateFrom && n <= websocket.DeflateUpTo
}

func opcodeOf(op exchange.Op) websocket.Opcode {
	if op == exchange.OpText {
		return websocket.Text
	}
	return websocket.Binary
}
