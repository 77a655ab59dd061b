package live

import (
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/websocket"
)

// GroupMessage is a message for all WebSockets in a group.
type GroupMessage struct {
	Group  string // any text; see Sockets.Join
	Binary bool
	Data   string // UTF-8 unless Binary
}

const (
	// groupBatch is how many bytes of messages a WebSocket gets at a time.
	groupBatch = 64 << 10

	// leastBehind is how many bytes of messages may at least wait for a client; one that is further behind is closed
	// with 1013 (try again later; RFC 6455 §7.4, IANA).
	leastBehind = 1 << 20

	// groupHistory bounds the messages that are kept for WebSockets of another process (Hold).
	groupHistory    = 16 << 20
	groupHistoryAge = time.Hour

	tooSlow = "too slow" // why a client is closed
)

// member is a Socket in groups, each of which is a channel of the Fanout.
type member struct {
	position Position[*Socket]
	group    string // of its mount; "": it cannot be handed over
	awaits   bool   // its handshake counts in Sockets.awaited
	left     bool   // it is in no group any more
	behind   int    // bytes of messages to its groups that wait: see queue
}

// Position implements live.Subscriber.
func (s *Socket) Position() *Position[*Socket] { return &s.position }

// Hold lets no message to a group be forgotten for a while, except what exceeds a limit of all of them together.
func (a *Sockets) Hold(d time.Duration) { a.fanout.Hold(a.in(d)) }

// Take numbers the messages that were published before later WebSockets join.
func (a *Sockets) Take() { a.fanout.Take(a.in(0)) }

// Expire forgets messages that are too old.
func (a *Sockets) Expire() { a.fanout.Expire(a.in(0)) }

// Waiting returns how many bytes of messages have not been given to all members. It is safe for concurrent use.
func (a *Sockets) Waiting() int64 { return a.fanout.Waiting() }

// Members returns the number of WebSockets in a group.
func (a *Sockets) Members(group string) int { return a.fanout.Count(group) }

// Kept returns how many messages are kept for WebSockets of another server: see Hold.
func (a *Sockets) Kept() int { return len(a.fanout.Kept()) }

// Turn sends messages, if there are any to send.
func (a *Sockets) Turn() {
	if a.fanout.Pending() {
		a.fanout.Turn(a.in(0))
		a.conns.Flush()
		a.host.Flush() // handlers are to be told of WebSockets that were closed
	}
}

// counted reports the sizes of groups.
func (a *Sockets) counted(groups ...string) {
	if a.cfg.Counted != nil {
		for _, group := range groups {
			a.cfg.Counted(group, a.fanout.Count(group))
		}
	}
}

// Broadcast sends a message to the WebSockets in its group. seq, if not 0, is the number that another process has given to the message: one
// with a number that is not larger than the last is not sent again. It does not wait; the error is live.ErrBacklog. It is safe for
// concurrent use, also on the loop.
func (a *Sockets) Broadcast(seq uint64, m *GroupMessage) error {
	_, err := a.fanout.Publish(seq, func(seq uint64) (*Event, error) { return m.event(seq), nil })
	return err
}

// event makes the frame that is the same for all WebSockets without compression.
func (m *GroupMessage) event(seq uint64) *Event {
	op := websocket.Text
	if m.Binary {
		op = websocket.Binary
	}
	wire := make([]byte, 0, len(m.Data)+websocket.MaxHeader)
	wire = websocket.AppendHeader(wire, op, false, len(m.Data))
	header := len(wire)
	return NewFrame(m.Group, seq, append(wire, m.Data...), header, m.Binary)
}

// Join makes s a member of a group, unless it has left all.
func (s *Socket) Join(group string) {
	if !s.left && s.all.fanout.Add(s, group) {
		s.all.counted(group)
	}
}

// Leave ends what Join began.
func (s *Socket) Leave(group string) {
	if !s.left && s.all.fanout.Remove(s, group) {
		s.all.counted(group)
	}
}

// enter lets a new WebSocket begin with the messages that come from now on.
func (s *Socket) enter() {
	s.position.Seq = s.all.fanout.Tip()
	if s.group != "" {
		s.Join(s.group)
	}
}

// leave takes s out of all groups for good.
func (s *Socket) leave() {
	if s.left {
		return
	}
	s.left = true
	s.settled()
	names := s.position.Names()
	fanout := s.all.fanout
	fanout.Leave(s)
	fanout.CaughtUp(s)
	fanout.Continue()
	s.all.counted(names...)
}

// give is called with the next messages for a WebSocket.
func (a *Sockets) give(s *Socket, events []*Event) {
	for _, e := range events {
		switch {
		case s.left || s.session.Closing():
			return
		case !s.open:
			s.wait(e)
		case !s.conn.Writing() && len(s.held) == 0:
			s.writeEvent(e)
		default:
			s.queue(e)
		}
	}
}

// mostBehind is how many bytes of messages may wait for a client.
func (a *Sockets) mostBehind() int { return max(leastBehind, 2*a.cfg.MaxGroupMessage) }

// wait keeps a message until the WebSocket is accepted.
func (s *Socket) wait(e *Event) {
	s.behind += len(e.Text()) + exchange.InputCost
	if s.behind <= s.all.mostBehind() {
		s.opening.early = append(s.opening.early, e)
	}
}

// accepted sends the messages that waited for it.
func (s *Socket) accepted() {
	early, late := s.opening.early, s.behind > s.all.mostBehind()
	s.opening, s.behind = nil, 0
	s.all.give(s, early)
	if late {
		s.drop()
	}
}

// shared stands for a message to a group, which has no owner.
var shared = new(exchange.Part)

// writeEvent sends a message to a client that has taken everything so far.
func (s *Socket) writeEvent(e *Event) {
	conns := s.all.conns
	s.conn.Use()
	wire := s.frameOf(e)
	s.out += int64(len(wire))
	if len(wire) > conn.CopyLimit {
		s.conn.SendPart(shared, s, wire, nil)
		return
	}
	if conns.Buf = append(conns.Buf, wire...); len(conns.Buf) > conn.FlushLimit {
		conns.Flush()
	}
}

// frameOf returns the frame of a message for s: a compressed one is made once for all clients with the same window.
func (s *Socket) frameOf(e *Event) []byte {
	c := &s.compression
	if !compresses(c, len(e.Text())) {
		return e.Wire(1)
	}
	return e.Variant(uint8(c.Bits), func(text []byte) []byte {
		packed, ok := s.pack(text)
		if !ok {
			return e.Wire(1)
		}
		op := websocket.Text
		if e.Binary {
			op = websocket.Binary
		}
		return append(websocket.AppendHeader(make([]byte, 0, len(packed)+websocket.MaxHeader), op, true, len(packed)), packed...)
	})
}

// queue keeps a message, in order with those of the handler, until the client has taken the earlier output.
func (s *Socket) queue(e *Event) {
	if s.behind > s.all.mostBehind() {
		s.drop()
		return
	}
	op := exchange.OpText
	if e.Binary {
		op = exchange.OpBinary
	}
	s.behind += len(e.Text())
	s.hold(&exchange.Part{Op: op, Body: e.Text(), File: -1})
	if s.behind > s.all.mostBehind()/2 {
		s.all.fanout.Lag(s)
	}
}

// taken is called when n bytes that queue has kept are sent.
func (s *Socket) taken(n int) {
	if s.behind = max(0, s.behind-n); s.behind <= s.all.mostBehind()/2 {
		s.all.fanout.CaughtUp(s)
		s.all.fanout.Continue()
	}
}

// drop closes a WebSocket whose client does not take what it gets: what it has not taken goes before the close frame.
func (s *Socket) drop() {
	s.leave()
	s.hold(&exchange.Part{Op: exchange.OpClose, Code: websocket.TryAgainLater, Body: []byte(tooSlow), File: -1})
	s.session.Tell(websocket.TryAgainLater, []byte(tooSlow))
	s.advance()
}
