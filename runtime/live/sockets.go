package live

import (
	"time"
	"unsafe"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/websocket"
)

// SocketConfig says how WebSockets behave.
type SocketConfig struct {
	MaxSize           int           // bytes of a message, also when it is compressed (close code 1009 beyond)
	Ping, PingTimeout time.Duration // how long the client may be silent, and may take to answer a ping; 0 or less: any time
}

// Sockets are the WebSockets of an event loop, and what they share. Methods must be called on the loop, unless they say otherwise.
type Sockets struct {
	*Fanout
	loop     Loop
	sites    *exchange.Server
	conns    *conn.Set
	cfg      SocketConfig
	maxEvent int    // StreamConfig.MaxEvent
	codec    *codec // nil: no client has asked for a WebSocket since the last one left

	leaving  uint16 // the server stops or is replaced: with what WebSockets are closed; 0: it serves
	stay     bool   // those that can be handed over stay while the server retires
	last     uint64 // the last message when the server began to retire: those up to it are given before WebSockets are handed over
	awaited  int    // handshakes that handlers have not answered, of WebSockets that can be handed over
	resuming int    // WebSockets of other servers that handlers have not resumed
	departed []departed
}

// codec compresses messages, and takes them apart, one at a time.
type codec struct {
	inflater websocket.Inflater
	deflater websocket.Deflater
}

// NewSockets returns the WebSockets of a loop, whose connections are conns, with requests of sites.
func NewSockets(loop Loop, sites *exchange.Server, conns *conn.Set) *Sockets {
	a := &Sockets{loop: loop, sites: sites, conns: conns}
	a.Fanout = NewFanout(func() bool { return conns.Events.Busy() }, groupBatch)
	a.Limit(ChannelLimits{Total: groupHistory, Age: int64(groupHistoryAge)})
	return a
}

// Configure sets how WebSockets behave from now on. Of groups, MaxEvent, HandOver and Counted are those of channels.
func (a *Sockets) Configure(cfg SocketConfig, groups StreamConfig) {
	a.cfg, a.maxEvent = cfg, groups.MaxEvent
	a.onCount = groups.Counted
	a.stay = groups.HandOver
}

// Trim gives memory back when no client is connected.
func (a *Sockets) Trim() { a.codec = nil }

// Drain begins the end of all WebSockets: with retire the server is replaced and WebSockets are closed with 1012 (service restart), unless
// they may stay for Export; else with 1001 (RFC 6455 §7.4.1, IANA): browsers then connect again. Messages to groups go out first, if that is
// quick; those that stay get the rest before they are handed over. The Sockets themselves are drained as other connections are, by
// Socket.Drain.
func (a *Sockets) Drain(retire bool) {
	a.leaving = websocket.GoingAway
	within := finishWithin
	if retire {
		a.leaving = websocket.ServiceRestart
		if a.stay {
			within = stayWithin
		}
	}
	a.Finish(within)
	a.last = a.Tip()
	a.conns.Flush()
}

// each calls do for the WebSockets that are open, or are being resumed.
func (a *Sockets) each(do func(*Socket)) {
	for _, c := range a.conns.All() {
		if s, ok := c.Protocol().(*Socket); ok && s.state <= socketOpen {
			do(s)
		}
	}
}

// mostHandedOver bounds Head, Data and Input together, so that all fits into a message of 160 KiB, as base64.
const mostHandedOver = 80 << 10

// describe returns what s knows of itself.
func (s *Socket) describe() *exchange.SocketState {
	return &exchange.SocketState{
		Group: []byte(s.group), Subprotocol: s.subprotocol, Compression: s.compression,
		Local: exchange.AddressText(s.conn.Local), Remote: exchange.AddressText(s.conn.Remote), User: s.x.User(),
	}
}

// keep copies what the handler gives into d, with the part by which it lets go.
func keep(d *exchange.SocketState, p *exchange.Part) {
	d.Head, d.Data = append([]byte(nil), p.Head.Request...), append([]byte(nil), p.Body...)
}

// GroupMessage is a message for all WebSockets in a group.
type GroupMessage struct {
	Group  string // any text; see Socket.Join
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

	// stayWithin is finishWithin for a server whose WebSockets stay.
	stayWithin = 10 * time.Millisecond

	tooSlow = "too slow" // why a client is closed
)

// Position implements live.Subscriber.
func (s *Socket) Position() *Position { return &s.position }

// Broadcast sends a message to the WebSockets in its group. seq, if not 0, is the number that another process has given to the message: one
// with a number that is not larger than the last is not sent again. It does not wait; the error is live.ErrBacklog. It is safe for
// concurrent use, also on the loop.
func (a *Sockets) Broadcast(seq uint64, m *GroupMessage) error {
	_, err := a.Publish(seq, func(seq uint64) (*Event, error) { return m.event(seq), nil })
	return err
}

// event makes the frame that is the same for all WebSockets without compression.
func (m *GroupMessage) event(seq uint64) *Event {
	op := exchange.OpText
	if m.Binary {
		op = exchange.OpBinary
	}
	wire := make([]byte, 0, len(m.Data)+websocket.MaxHeader)
	wire = websocket.AppendHeader(wire, opcodeOf(op), false, len(m.Data))
	header := len(wire)
	return NewFrame(m.Group, seq, append(wire, m.Data...), header, op)
}

// Join makes s a member of a group, unless it has left all.
func (s *Socket) Join(group string) {
	if !s.left {
		s.all.Add(s, group)
	}
}

// Leave ends what Join began.
func (s *Socket) Leave(group string) {
	if !s.left {
		s.all.Remove(s, group)
	}
}

// leave takes s out of all groups for good.
func (s *Socket) leave() {
	if s.left {
		return
	}
	s.left = true
	s.settled()
	s.all.Leave(s)
	s.all.CaughtUp(s)
	s.all.Continue()
}

// Give implements live.Subscriber: these are the next messages.
func (s *Socket) Give(events []*Event) {
	for _, e := range events {
		switch {
		case s.left || s.closing:
			return
		case s.state == socketOpening || s.conn.Writing() || len(s.held) > 0:
			s.queue(e)
		default:
			s.writeEvent(e)
		}
	}
}

// mostBehind is how many bytes of messages may wait for a client.
func (a *Sockets) mostBehind() int { return max(leastBehind, 2*a.maxEvent) }

// shared stands for a message to a group, which has no owner.
var shared = new(exchange.Part)

// writeEvent sends a message to a client that has taken everything so far.
func (s *Socket) writeEvent(e *Event) {
	wire := s.frameOf(e)
	s.out += int64(len(wire))
	s.put(shared, wire, nil)
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
		return append(websocket.AppendHeader(make([]byte, 0, len(packed)+websocket.MaxHeader), opcodeOf(e.Op), true, len(packed)), packed...)
	})
}

// queue keeps a message, in order with those of the handler, until the WebSocket is accepted and the client has taken the earlier output.
func (s *Socket) queue(e *Event) {
	p := exchange.Part{Op: e.Op, Body: e.Text(), File: -1}
	switch most := s.all.mostBehind(); {
	case s.behind <= most:
		s.behind += cost(&p)
		s.hold(&p)
		if s.state != socketOpening && s.behind > most/2 {
			s.all.Lag(s)
		}
	case s.state != socketOpening: // else it is dropped when it is accepted
		s.drop()
	}
}

// cost is the memory that a message counts for while it waits.
func cost(p *exchange.Part) int { return len(p.Body) + int(unsafe.Sizeof(*p)) }

// taken is called when a part that queue has kept is sent.
func (s *Socket) taken(p *exchange.Part) {
	if s.behind = max(0, s.behind-cost(p)); s.behind <= s.all.mostBehind()/2 {
		s.all.CaughtUp(s)
		s.all.Continue()
	}
}

// drop closes a WebSocket whose client does not take what it gets: what it has not taken goes before the close frame.
func (s *Socket) drop() {
	s.leave()
	s.hold(&exchange.Part{Op: exchange.OpClose, Code: websocket.TryAgainLater, Body: []byte(tooSlow), File: -1})
	s.tell(websocket.TryAgainLater, []byte(tooSlow))
	s.advance()
}
