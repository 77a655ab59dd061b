package live

import (
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/websocket"
)

func (s *Socket) Send(p *exchange.Part) {
	switch {
	case p.Op == exchange.OpCredit:
		enough := s.given.Credit(p.Credit)
		if s.large != nil {
			s.weigh(0)
		}
		if enough && s.conn.Stopped() && s.state != socketClosed && s.moving < asked {
			s.resumeReading()
		}
		s.release(p)
		return
	case s.answer != answering:
		s.release(p)
		return
	case s.moving == resuming && !(p.First && p.Head.WebSocket):
		s.notResumed()
		s.advance()
	case s.state == socketOpening:
		s.opened()
	}
	if s.conn.Writing() || len(s.held) > 0 {
		s.hold(p)
	} else {
		s.send(p)
		s.advance()
	}
}

func (s *Socket) advance() {
	for len(s.held) > 0 && !s.conn.Writing() {
		p := s.held[0]
		s.held[0] = exchange.Part{}
		s.held = s.held[1:]
		s.uncount(&p, len(p.Body))
		if p.Owner == nil {
			s.taken(&p)
		}
		s.send(&p)
	}
}

func (s *Socket) hold(p *exchange.Part) {
	s.held = append(s.held, *p)
	if s.conn != nil {
		s.PartWaits(p, len(p.Body))
	}
}

// uncount counts p as no longer waiting, if it was counted. left bytes of it were not written and need not be.
func (s *Socket) uncount(p *exchange.Part, left int) {
	if s.unsent != nil {
		s.all.conns.Unsent.Drop(s.unsent, p.Body, left)
	}
}

// ended reports whether the last part was dropped, which ends the exchange.
func (s *Socket) dropHeld() (ended bool) {
	held := s.held
	s.held = nil
	for i := range held {
		ended = ended || held[i].Last
		s.release(&held[i])
	}
	return ended
}

func (s *Socket) release(p *exchange.Part) {
	s.uncount(p, 0)
	if p.Owner == nil {
		return
	}
	x := s.x
	if p.Last {
		if p.Op == exchange.OpHandOver && s.moving != moved {
			s.takeBack(p)
		}
		s.x = nil
	}
	x.Release(p)
}

func opcodeOf(op exchange.Op) websocket.Opcode {
	if op == exchange.OpText {
		return websocket.Text
	}
	return websocket.Binary
}

func (s *Socket) send(p *exchange.Part) {
	if p.Op == exchange.OpHandOver {
		s.answered(p)
		return
	}
	out := s.conn.Use()
	before := len(*out)
	var body, tail []byte
	if !s.closing && (p.Op == exchange.OpText || p.Op == exchange.OpBinary) {
		body = s.frame(out, opcodeOf(p.Op), p.Body)
	}
	switch {
	case s.closing:
	case p.Op == exchange.OpClose:
		tail = s.closeFrame(p.Code, string(p.Body))
	case p.Last:
		tail = s.closeFrame(endCode(p), "")
	}
	s.out += int64(len(*out) - before + len(body) + len(tail))
	if p.Last {
		s.proper = !p.Failed
		s.leave()
		s.answer = finished
	}
	s.put(p, body, tail)
	if s.closing && s.broken != nil && s.here() { // the client has closed it
		s.linger()
	}
}

// put appends the remaining frames of p to the output, and releases p after all of it is sent.
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

// endCode returns the close code of a WebSocket whose handler has ended without a code.
func endCode(p *exchange.Part) uint16 {
	if p.Failed {
		return websocket.InternalError
	}
	return websocket.Normal
}

// frame appends the header of a message to out, or the whole frame if compression makes the message smaller. body is
// the unsent part of the message.
func (s *Socket) frame(out *[]byte, op websocket.Opcode, message []byte) (body []byte) {
	if packed, ok := s.pack(message); ok {
		*out = append(websocket.AppendHeader(*out, op, true, len(packed)), packed...)
		return nil
	}
	*out = websocket.AppendHeader(*out, op, false, len(message))
	return message
}

// pack compresses a message. ok is false if the message must be sent uncompressed. packed is valid until the next call.
func (s *Socket) pack(message []byte) (packed []byte, ok bool) {
	c := &s.compression
	if !compresses(c, len(message)) {
		return nil, false
	}
	return s.all.codec.deflater.Deflate(message, c.Bits)
}

func compresses(c *websocket.Compression, n int) bool {
	return c.On && n >= websocket.DeflateFrom && n <= websocket.DeflateUpTo
}

func (s *Socket) PartSent(p *exchange.Part, _ error) { s.release(p) }

func (s *Socket) PartWaits(p *exchange.Part, left int) *conn.Unsent {
	if len(p.Body) >= conn.CountedPart {
		if s.unsent == nil {
			s.unsent = new(conn.Unsent)
		}
		s.all.conns.Unsent.Add(s.unsent, s, p.Body, left, s.all.conns.Now)
	}
	return s.unsent
}

func (s *Socket) Cut() (client string) {
	s.conn.Reset = true
	s.conn.Close("too much waits for its client")
	s.conn.Abort()
	return s.conn.String()
}
