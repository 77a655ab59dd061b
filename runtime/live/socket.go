package live

import (
	"fmt"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/websocket"
)

// Socket is a WebSocket, from its handshake on. The HTTP protocol of the connection sends the response to the
// handshake, and Accept then makes the Socket the protocol of the connection and the Sink of the exchange.
type Socket struct {
	all  *Sockets
	x    *exchange.Exchange // nil after the last part was released
	conn *conn.Conn

	// value of Sec-WebSocket-Accept; nil after the response to the handshake
	accept      *[28]byte
	subprotocol string
	decoder     websocket.Decoder

	// thousands of WebSockets can be open, so the small fields stand together
	compression websocket.Compression
	state       socketState
	answer      answerState
	closing     bool // a close frame was sent, so no data may follow
	pinged      bool // a ping was sent, and no data has arrived since then
	told        bool
	proper      bool // both sides have sent a close frame
	awaits      bool // the kernel reports input only when many bytes have arrived
	left        bool
	// away is the close code 1001 or 1012 while the server stops or is replaced, otherwise 0.
	away uint16

	// content of the close frame to send after the client has violated the protocol or closed the WebSocket; nil
	// otherwise
	broken *websocket.Error
	due    int64  // next deadline for the client or the handler, in loop time
	after  []byte // a control frame to send when earlier output is written

	outstanding exchange.Outstanding
	// bytes of input that are counted in the client's share of memory; nil if the input is small
	large   *largeInput
	in, out int64 // bytes of received and sent frames, for the access log
	held    exchange.Parts

	position Position
	behind   int
}

type socketState uint8

const (
	socketOpening socketState = iota
	socketOpen
	socketLingering
	socketClosed
)

type answerState uint8

const (
	answering answerState = iota
	finished              // the handler has ended, or its output is no longer needed
	cancelled
)

// If the request of x asks for a WebSocket, Offer makes a Socket the Carrier of x. The Socket gets all messages to its
// group that are published after this call. Offer returns false if it has rejected the request, or if the request must
// wait for earlier ones.
func (a *Sockets) Offer(x *exchange.Exchange, group string) bool {
	r := x.Req
	if !websocket.Asked(r.Parsed, r.Head) {
		return true
	}
	h, refused := websocket.Check(r.Parsed, r.Head, !a.cfg.NoDeflate)
	if refused != nil {
		x.Refuse(exchange.Reply{Status: refused.Status, Text: refused.Text, Fields: []byte(refused.Fields)})
		return false
	}
	if !x.InTurn() {
		x.AwaitTurn(false)
		return false
	}
	s := a.socket(x, h)
	a.Take() // the Socket must get only messages that are published later
	s.position.Seq = a.Tip()
	if group != "" {
		s.Join(group)
	}
	x.SetCarrier(s)
	r.Upgrade = true
	return true
}

// Accept is the exchange.Continuation of a response that accepts a WebSocket. The parts after the first are messages.
// Accept ignores the status and the media type of the response, and the subprotocol that the handler has chosen unless
// it is a token.
func (a *Sockets) Accept(x *exchange.Exchange, p *exchange.Part, _ *exchange.Request,
	subprotocol []byte) exchange.ThenOutcome {
	s, _ := x.Carrier.(*Socket)
	switch {
	case s == nil || s.answer != answering:
		return exchange.Goes
	case !x.InTurn():
		return exchange.Later
	}
	if len(subprotocol) > 0 && !websocket.IsToken(subprotocol) {
		x.Log(logfile.Error, fmt.Sprintf("ignoring the invalid WebSocket subprotocol %q", subprotocol))
	}
	h := &p.Head
	c, head := x.ChangeProtocol(s, &http1.ResponseHead{Status: 101, Version: http1.HTTP11, KeepAlive: true, Length: -1,
		Fields: append(s.fields(subprotocol), h.Fields...), HasDate: h.HasDate, HasServer: h.HasServer})
	s.conn = c
	c.SetProtocol(s)
	out := c.Use()
	*out = append(*out, head...)
	s.opened()
	return exchange.Opened
}

func (a *Sockets) socket(x *exchange.Exchange, h websocket.Handshake) *Socket {
	if a.codec == nil {
		a.codec = new(codec)
	}
	s := &Socket{all: a, x: x, accept: &h.Accept, compression: h.Compression}
	s.decoder.Max, s.decoder.Regions = a.cfg.MaxSize, &a.sites.Regions
	if h.Compression.On {
		s.decoder.Inflater = &a.codec.inflater
	}
	return s
}

func (s *Socket) Refused() {
	s.answer = finished
	s.leave()
}

func (s *Socket) Begun() bool { return s.conn != nil }

// Reply ends the WebSocket, because an HTTP response is no longer possible.
func (s *Socket) Reply(exchange.Reply) {
	s.x.End()
	s.Refused()
}

// fields returns the header fields of the response that accepts the WebSocket (RFC 6455 §4.2.2).
func (s *Socket) fields(subprotocol []byte) []byte {
	dst := fmt.Appendf(nil, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n", s.accept[:])
	if websocket.IsToken(subprotocol) {
		dst = fmt.Appendf(dst, "Sec-WebSocket-Protocol: %s\r\n", subprotocol)
		s.subprotocol = string(subprotocol)
	}
	if s.compression.On {
		dst = fmt.Appendf(dst, "Sec-WebSocket-Extensions: %s\r\n", s.compression)
	}
	return dst
}

func (s *Socket) opened() {
	c := s.conn
	s.state, s.accept = max(s.state, socketOpen), nil
	c.Stamp = s.all.conns.Now
	c.Schedule()
	late := s.behind > s.all.mostBehind()
	s.advance() // messages to the groups may be waiting
	if late {
		s.drop()
	}
	if len(c.Pending()) > 0 || c.Half {
		c.Again()
	}
	if s.all.leaving != 0 && s.state != socketClosed {
		s.goAway()
	}
}

// Input processes frames while the handler has room for messages. Otherwise it keeps the remaining bytes and pauses
// reading.
func (s *Socket) Input(data []byte) {
	c := s.conn
	switch {
	case s.state == socketLingering:
		c.Linger = c.Linger || len(data) > 0
		return
	case s.state == socketClosed || s.broken != nil:
		return
	}
	kept := len(c.Pending()) > 0
	if kept {
		c.Keep(data)
		data = c.Pending()
	}
	full := len(data) >= s.all.conns.ReadSize() && !kept
	n := s.frames(data)
	s.in += int64(n)
	switch {
	case full && n == len(data):
		s.readOn()
	case s.awaits:
		s.await(0)
	}
	switch {
	case s.state == socketClosed:
		return
	case s.state == socketLingering || s.broken != nil:
		c.DropInput()
		return
	case kept:
		c.Consume(n)
	default:
		c.Keep(data[n:])
	}
	switch {
	case c.Half: // the client shut down its side before the 101
		s.all.conns.Flush()
		c.Close("the client has shut down its side")
	case c.Paused() && !c.Stopped():
		c.Unpause()
	}
}

// readOn reads further bytes of a large message into the memory of the message. The kernel then reports the rest of the
// frame in pieces of up to maxAwaited bytes, because fewer large pieces cost less than many small ones.
func (s *Socket) readOn() {
	c := s.conn
	for read := 0; read < maxTurnBytes && s.here() && s.broken == nil && !c.Stopped(); {
		tail := s.decoder.Tail()
		n := c.ReadMore(tail)
		if n == 0 {
			break
		}
		s.in += int64(s.frames(tail[:n]))
		read += n
	}
	if s.here() && s.broken == nil {
		s.await(min(s.decoder.Left(), maxAwaited))
	} else {
		s.await(0)
	}
}

// await makes the kernel report input when n bytes have arrived; 0 means one byte.
func (s *Socket) await(n int) {
	if awaits := n > 1; awaits || s.awaits {
		s.conn.AwaitInput(max(n, 1))
		s.awaits = awaits
	}
}

const (
	// maxTurnBytes limits the bytes of a large message that are read before other connections get a turn.
	maxTurnBytes = 1 << 20
	maxAwaited   = 256 << 10
)

// A client can shut down its side together with its close frame, as Chromium does over HTTP/2. Such a client must still
// get the server's close frame.
func (s *Socket) EOF() (stays bool) {
	return s.broken != nil && (s.state != socketLingering || s.conn.Writing() || s.conn.Gathers())
}

func (s *Socket) Drained(ended bool) {
	c := s.conn
	if !ended {
		s.settle()
		return
	}
	c.Stamp = s.all.conns.Now
	if len(s.after) > 0 {
		s.write(s.after)
		s.after = nil
	}
	if s.closing {
		s.awaitClose()
	}
	if s.here() {
		c.Schedule()
	}
	s.advance()
	if !c.Gathers() { // While output is gathered, wait for Drained(false), which calls settle.
		s.settle()
	}
}

func (s *Socket) Due() (next int64) {
	now := s.all.conns.Now
	if !s.here() {
		return now + lookAgain
	}
	if at := s.deadline(); at > now {
		return at
	}
	s.await(0)                                // fewer bytes may have arrived than the kernel reports
	if !s.ends() && s.conn.HasUnreadInput() { // input is unread because a handler ran on the loop for a long time
		return now + eventloop.Tick
	}
	s.expired()
	return s.deadline()
}

func (s *Socket) Closed() {
	s.state = socketClosed
	s.decoder.Drop()
	s.all.weigh(s, 0)
	s.tellAway()
	s.cancel()
}

func (s *Socket) Drain(bool) {
	if s.here() {
		s.goAway()
	}
}

func (s *Socket) cancel() {
	s.leave()
	if s.answer != answering {
		return
	}
	s.answer = finished
	if !s.dropHeld() {
		s.answer = cancelled
		s.x.Abandon()
	}
}

func (s *Socket) settle() {
	if c := s.conn; s.state == socketLingering && s.answer != answering && !c.Writing() && !c.Gathers() {
		c.Finish()
	}
}

func (s *Socket) resumeReading() {
	c := s.conn
	c.Continue()
	if s.state != socketLingering && len(c.Pending()) > 0 {
		c.Again()
	}
}

func (s *Socket) Position() *Position { return &s.position }

// Join adds s to a group, unless s has left its groups because it ends.
func (s *Socket) Join(group string) {
	if !s.left {
		s.all.Add(s, group)
	}
}

func (s *Socket) Leave(group string) {
	if !s.left {
		s.all.Remove(s, group)
	}
}

func (s *Socket) leave() {
	if s.left {
		return
	}
	s.left = true
	s.all.Leave(s)
	s.all.CaughtUp(s)
	s.all.Continue()
}

func (s *Socket) Carried() (received, sent int64, proper bool) {
	return s.in, s.out, s.proper || s.answer != cancelled && s.state != socketClosed
}

// write must not be called while the connection is still writing earlier output (conn.Conn.Writing).
func (s *Socket) write(frame []byte) {
	s.out += int64(len(frame))
	out := s.conn.Use()
	*out = append(*out, frame...)
}

func (s *Socket) here() bool { return s.state == socketOpen }

func (s *Socket) linger() {
	s.conn.Linger, s.state = true, max(s.state, socketLingering)
	s.settle()
}

func (s *Socket) report(line string) {
	if s.x != nil {
		s.x.Log(logfile.Info, line)
	}
}

// The method in returns the time after the duration d, in nanoseconds since conn.Set.Start. It reads the clock, because
// conn.Set.Now may be a tick late.
func (a *Sockets) in(d time.Duration) int64 { return int64(time.Since(a.conns.Start) + d) }

// deliver passes a message to the handler, and pauses reading if the handler has enough input. The handler must not
// have ended.
func (s *Socket) deliver(op websocket.Opcode, data []byte) {
	if !s.all.weigh(s, len(data)) {
		s.fail(errShare)
		return
	}
	in := exchange.Input{Op: exchange.OpBinary, Data: data}
	if op == websocket.Text {
		in.Op = exchange.OpText
	}
	s.x.Source.Input(s.x, in)
	if s.outstanding.Add(data) {
		s.conn.Stop(conn.PauseForReset)
	}
}
