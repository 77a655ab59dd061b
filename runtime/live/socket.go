package live

import (
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/websocket"
)

// Socket is a WebSocket, from its handshake on. The protocol before it answers the handshake: then Open makes the Socket the
// protocol of the connection. It implements exchange.Socket, conn.Protocol and live.Subscriber.
type Socket struct {
	all  *Sockets
	x    *exchange.Exchange // nil: its last part was released
	conn *conn.Conn

	accept      *[28]byte // Sec-WebSocket-Accept; nil: its handshake was answered
	subprotocol string
	compression websocket.Compression
	decoder     websocket.Decoder

	state  socketState
	answer answerState
	moving moveState

	broken  *websocket.Error // the client has closed it, or broken the protocol: what it is told
	closing bool             // a close frame was sent: nothing else is, from then on
	away    uint16           // its code, if the server stops or is replaced: what the client sent before it saw that is still delivered
	pinged  bool             // the client owes a sign of life
	told    bool             // the handler was told of the end
	proper  bool             // it was closed as it should
	due     int64            // when the client, or the handler, is late, by the time of the loop
	after   []byte           // a control frame that waits until the connection does not write

	given   exchange.Given        // input that the handler has
	large   *largeInput           // what counts in the share of the client; nil: it has little
	in, out int64                 // bytes received and sent, for the access log
	held    []exchange.Part       // parts that wait until the client takes the earlier output
	unsent  *conn.Unsent          // large parts that wait for the client; nil: none have
	offer   *exchange.SocketState // the state that is handed over, from when the handler has let go

	position Position // in its groups, each of which is a channel of the Fanout
	group    string   // of its mount; "": it cannot be handed over
	awaits   bool     // its handshake counts in Sockets.awaited
	left     bool     // it is in no group any more
	behind   int      // bytes of messages to its groups that wait: see queue
}

// socketState is the state of a Socket's connection.
type socketState uint8

const (
	socketOpening   socketState = iota // the handler has not accepted it
	socketOpen                         // it carries messages
	socketLingering                    // it closes when everything is sent
	socketClosed
)

// answerState is the state of a Socket's exchange.
type answerState uint8

const (
	answering answerState = iota
	finished              // the handler has ended, or what it does is not wanted any more
	cancelled             // the same, and it was told so
)

// moveState says whether a Socket goes from one process to another.
type moveState uint8

const (
	staying  moveState = iota
	resuming           // it comes from another process, and the handler has not gone on with it yet
	asked              // the handler was asked whether it can be handed over
	moved
)

// maxPending bounds the bytes that are kept of what a client sends before its WebSocket is resumed; beyond it the connection is not
// read from.
const maxPending = 64 << 10

// New implements exchange.Sockets.
func (a *Sockets) New(x *exchange.Exchange, h websocket.Handshake, group string) exchange.Socket {
	s := a.socket(x, h, group)
	a.Take() // the messages that come from now on are for it
	s.position.Seq = a.Tip()
	if group != "" {
		s.awaits = true
		a.awaited++
		s.Join(group)
	}
	return s
}

// socket returns a Socket that gets no messages yet.
func (a *Sockets) socket(x *exchange.Exchange, h websocket.Handshake, group string) *Socket {
	if a.codec == nil {
		a.codec = new(codec)
	}
	s := &Socket{all: a, x: x, accept: &h.Accept, compression: h.Compression}
	s.decoder.Max = a.cfg.MaxSize
	if h.Compression.On {
		s.decoder.Inflater = &a.codec.inflater
	}
	s.group = group
	return s
}

// settled notes that a handshake was answered, or never will be.
func (s *Socket) settled() {
	if s.awaits {
		s.awaits = false
		s.all.awaited--
	}
	if s.moving == resuming {
		s.moving = staying
		s.all.resuming--
	}
}

// Refused implements exchange.Socket.
func (s *Socket) Refused() {
	s.answer = finished
	s.leave()
	if s.conn != nil { // no handler has taken the request of another process
		s.x = nil
		s.notResumed()
	}
}

// HasConn implements exchange.Socket.
func (s *Socket) HasConn() bool { return s.conn != nil }

// AppendFields implements exchange.Socket.
func (s *Socket) AppendFields(dst, subprotocol []byte) []byte {
	dst = append(dst, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	dst = append(append(dst, s.accept[:]...), "\r\n"...)
	if websocket.IsToken(subprotocol) {
		dst = append(append(append(dst, "Sec-WebSocket-Protocol: "...), subprotocol...), "\r\n"...)
		s.subprotocol = string(subprotocol)
	}
	if s.compression.On {
		dst = s.compression.AppendTo(append(dst, "Sec-WebSocket-Extensions: "...))
		dst = append(dst, "\r\n"...)
	}
	return dst
}

// Open implements exchange.Socket.
func (s *Socket) Open(c *conn.Conn, head []byte) {
	s.take(c)
	out := c.Use()
	*out = append(*out, head...)
	s.opened()
}

// take makes s the protocol of c.
func (s *Socket) take(c *conn.Conn) {
	s.conn = c
	c.Upgrade(s)
}

// opened begins the exchange of messages.
func (s *Socket) opened() {
	c := s.conn
	s.settled()
	s.state, s.accept = max(s.state, socketOpen), nil
	c.Stamp = s.all.conns.Now
	c.Schedule()
	late := s.behind > s.all.mostBehind()
	s.advance() // messages to its groups have waited
	if late {
		s.drop()
	}
	if len(c.Pending()) > 0 || c.Half {
		c.Again()
	}
	if s.all.leaving != 0 && s.state != socketClosed && !s.stays() {
		s.goAway()
	}
}

// Input implements conn.Protocol. Of the frames that have arrived it takes as many as the handler has room for; the rest is kept, and
// the connection is not read meanwhile.
func (s *Socket) Input(data []byte) {
	c := s.conn
	switch {
	case s.state == socketLingering:
		c.Linger = c.Linger || len(data) > 0
		return
	case s.state == socketClosed || s.broken != nil:
		return
	case s.state == socketOpening || s.moving == asked: // at a hand-over the received bytes go along
		c.Keep(data)
		if s.state == socketOpening && len(c.Pending()) > maxPending && !c.Paused() {
			c.Pause(conn.HeedReset)
		}
		return
	}
	kept := len(c.Pending()) > 0
	if kept {
		c.Keep(data)
		data = c.Pending()
	}
	n := s.frames(data)
	s.in += int64(n)
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
	case c.Half: // it had shut down its side before it got its 101
		s.all.conns.Flush()
		c.Close("the client has shut down its side")
	case c.Paused() && !c.Stopped():
		c.Unpause()
	}
}

// EOF implements conn.Protocol. A client may end its side with its close frame, as Chromium does over HTTP/2: the answer is still to be sent.
func (s *Socket) EOF() (stays bool) {
	return s.broken != nil && (s.state != socketLingering || s.conn.Writing() || s.conn.Gathers())
}

// Room implements conn.Protocol: it sends the output that waited for a transfer.
func (s *Socket) Room(ended bool) {
	c := s.conn
	if !ended {
		s.settle()
		return
	}
	c.Stamp = s.all.conns.Now
	s.free()
	s.advance()
	if !c.Gathers() { // else it is settled later
		s.settle()
	}
}

// Due implements conn.Protocol.
func (s *Socket) Due() (next int64) {
	now := s.all.conns.Now
	if !s.here() {
		return now + lookAgain
	}
	if at := s.deadline(); at > now {
		return at
	}
	if !s.ends() && s.conn.Unread() { // a handler on the loop has kept it from the client's input
		return now + eventloop.Tick
	}
	s.expired()
	return s.deadline()
}

// Closed implements conn.Protocol.
func (s *Socket) Closed() {
	s.state = socketClosed
	s.weigh(0)
	s.tellAway()
	s.cancel()
}

// Drain closes a WebSocket because the server stops or, if retire, is replaced: see Sockets.Drain.
func (s *Socket) Drain(retire bool) {
	if s.here() && !(retire && s.stays()) {
		s.goAway()
	}
}

// stays reports whether s need not leave yet, as it may be handed over.
func (s *Socket) stays() bool {
	return s.all.stay && s.movable() && s.all.leaving != websocket.GoingAway
}

// movable reports whether another process may get s: not if the keys of its TLS connection are in this one.
func (s *Socket) movable() bool {
	return s.group != "" && (s.conn == nil || s.conn.Transport() == nil)
}

// cancel ends the exchange of s without an answer.
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

// settle closes the connection if everything was sent.
func (s *Socket) settle() {
	if c := s.conn; s.state == socketLingering && s.answer != answering && !c.Writing() && !c.Gathers() {
		c.Finish()
	}
}

// resumeReading goes on reading, with the pending input first.
func (s *Socket) resumeReading() {
	c := s.conn
	c.Continue()
	if s.state != socketLingering && len(c.Pending()) > 0 {
		c.Again()
	}
}

// Carried implements exchange.Socket.
func (s *Socket) Carried() (in, out int64, proper bool) {
	return s.in, s.out, s.proper || s.answer != cancelled && s.state != socketClosed
}

// write sends a control frame behind all that was sent before; not while the connection writes.
func (s *Socket) write(frame []byte) {
	s.out += int64(len(frame))
	out := s.conn.Use()
	*out = append(*out, frame...)
}

// here reports whether the connection still carries the WebSocket.
func (s *Socket) here() bool { return s.state == socketOpen }

// linger ends the WebSocket when all that was sent is out; what the client still sends is thrown away.
func (s *Socket) linger() {
	s.conn.Linger, s.state = true, max(s.state, socketLingering)
	s.settle()
}

// report logs a line about the client.
func (s *Socket) report(line string) {
	if s.x != nil {
		s.x.Log(logfile.Info, line)
	}
}

// in returns the time of the loop after d. Unlike that of the connections, it is not late.
func (a *Sockets) in(d time.Duration) int64 { return int64(time.Since(a.conns.Start) + d) }

// lastIsHeld reports whether the last part of the handler's answer waits to be sent.
func (s *Socket) lastIsHeld() bool { return len(s.held) > 0 && s.held[len(s.held)-1].Last }

// deliver gives a message to the handler, which has not ended, and stops reading if that has enough now.
func (s *Socket) deliver(op websocket.Opcode, data []byte) {
	if !s.weigh(len(data)) {
		s.fail(errShare)
		return
	}
	in := exchange.Input{Op: exchange.OpBinary, Data: data}
	if op == websocket.Text {
		in.Op = exchange.OpText
	}
	s.x.Deliver(in)
	if s.given.Add(data) {
		s.conn.Stop(conn.HeedReset)
	}
}
