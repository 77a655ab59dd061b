package http1

import (
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// Answerer is a source, and its properties that count before it starts.
type Answerer struct {
	Source  exchange.Source
	Streams bool // it takes requests whose body has not arrived: exchange.Request.More
	Bulky   bool // it may answer with any size before the loop knows
}

// Admit has x, which is being decided about, answered by a, when its body has arrived.
func (x *Exchange) Admit(a Answerer) {
	s, r, req := x.s, x.Req, x.Req.Parsed
	size := int64(0)
	if hasBody(req) {
		if req.Body == http1.Chunked || req.Length > int64(len(s.rest)) {
			if a.Streams {
				x.streamBody(a)
			} else {
				x.collectBody(a)
			}
			return
		}
		if size = req.Length; TooLarge(size, x.MaxBody) {
			x.Refuse(bodyTooBig)
			return
		}
		r.Body = s.rest[:size]
	}
	r.Size = size
	s.rest = s.rest[size:]
	x.submit(a)
}

// SubmitUpgrade has x, which is being decided about and asks for another protocol, answered by a. Later input of the connection waits
// for the answer: it may be of the other protocol.
func (x *Exchange) SubmitUpgrade(a Answerer) {
	x.conn.setState(StateWaiting)
	x.submit(a)
}

// Start has x, which is being decided about, answered by source, which takes no body.
func (x *Exchange) Start(source exchange.Source) {
	x.Source = source
	x.skipBody()
	source.Start(&x.Exchange)
}

// submit hands x over to a.
func (x *Exchange) submit(a Answerer) {
	c, r := x.conn, x.Req
	x.phase = answering
	// That of a chunked body is without its framing; of one that is streamed the rest is added as it comes.
	if x.Received += r.Size; r.More {
		x.Received += int64(len(r.Body)) - r.Size
	}
	x.detached = r.Socket != 0
	if c.body == nil && !x.KeepAlive && !r.WebSocket {
		c.setState(StateEnding)
	}
	r.Pipeline = 0
	if a.Bulky {
		x.bulky = true
		c.bulky++
	} else if c.active > 1 {
		r.Pipeline = c.Fd()
	}
	x.Source = a.Source
	if a.Source.Start(&x.Exchange); x.Req == r && !x.lasting {
		x.Req = nil
		x.s.host.Forget(x)
	}
}

// Suspend makes x, which is being decided about, wait until Resume. Later input of its connection is not looked at meanwhile.
func (x *Exchange) Suspend() { x.suspend(awaitingHost) }

// Resume lets x go on, soon.
func (x *Exchange) Resume() {
	x.phase = deciding
	x.conn.queue()
}

// Again has x, whose source does not answer it, decided about again, soon.
func (x *Exchange) Again() {
	x.suspend(deciding)
	x.conn.queue()
}

// suspend makes x, which is the last of its connection, wait in a phase.
func (x *Exchange) suspend(p phase) {
	x.s.host.Keep(x)
	x.phase, x.Source, x.conn.undecided = p, nil, true
	x.conn.setState(StateWaiting)
}

// waits reports whether the input behind the active exchanges of c has to wait.
func (c *Conn) waits() bool {
	switch x := c.last; {
	case !c.undecided:
		return c.Busy()
	case x.phase == awaitingTurn:
		return !x.InTurn()
	default:
		return x.phase != deciding
	}
}
