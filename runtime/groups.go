package runtime

import (
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/pubsub"
	"fapws/runtime/websocket"
)

// GroupMessage is a message for all WebSockets in a group.
type GroupMessage struct {
	Group  string // any text; see Mount.Group and Server.JoinGroup
	Binary bool
	Data   string // UTF-8 unless Binary
}

const (
	// groupBatch is how many bytes of messages a WebSocket gets at a time.
	groupBatch = 64 << 10

	// leastBehind is how many bytes of messages may at least wait for a client; one that is further behind is closed
	// with 1013 (try again later; RFC 6455 §7.4, IANA).
	leastBehind = 1 << 20

	// groupHistory bounds what is kept of messages for WebSockets of another process (HoldHistory).
	groupHistory    = 16 << 20
	groupHistoryAge = time.Hour

	tooSlow = "too slow" // why a client is closed
)

// groups sends messages to WebSockets by the groups that they have joined, each of which is a channel of the Fanout. It
// belongs to the loop.
type groups struct {
	l      *loop
	fanout *pubsub.Fanout[*socket]
	most   int // bytes that may wait for a client
}

// Position implements pubsub.Subscriber.
func (ws *socket) Position() *pubsub.Position[*socket] { return &ws.position }

func newGroups(l *loop) *groups {
	g := &groups{l: l}
	g.fanout = pubsub.NewFanout(pubsub.Options[*socket]{Give: g.give, Busy: l.busy, BatchBytes: groupBatch})
	g.fanout.Limit(pubsub.Limits{Total: groupHistory, Age: int64(groupHistoryAge)})
	return g
}

// now is the time for the Fanout, of which messages may come while no client is connected and the time of the loop stands still.
func (g *groups) now() int64 { return g.l.in(0) }

// hold lets no message be forgotten for a while, except what exceeds groupHistory.
func (g *groups) hold(d time.Duration) { g.fanout.Hold(g.l.in(d)) }

// counted reports the sizes of groups.
func (g *groups) counted(groups ...string) {
	if report := g.l.cfg.Channels.Counted; report != nil {
		for _, group := range groups {
			report(group, g.fanout.Count(group))
		}
	}
}

func (g *groups) configure() { g.most = max(leastBehind, 2*g.l.cfg.Channels.MaxEvent) }

// Broadcast sends a message to the WebSockets in its group. With a seq other than 0 it does what PublishNumbered does.
// It does not wait; the error is ErrBacklog. It is safe for concurrent use, also on the loop.
func (s *Server) Broadcast(seq uint64, m *GroupMessage) error {
	_, err := s.loop.groups.fanout.Publish(seq, func(seq uint64) (*pubsub.Event, error) { return m.event(seq), nil })
	return err
}

// event makes the frame that is the same for all WebSockets without compression.
func (m *GroupMessage) event(seq uint64) *pubsub.Event {
	op := websocket.Text
	if m.Binary {
		op = websocket.Binary
	}
	wire := make([]byte, 0, len(m.Data)+websocket.MaxHeader)
	wire = websocket.AppendHeader(wire, op, false, len(m.Data))
	header := len(wire)
	return pubsub.NewFrame(m.Group, seq, append(wire, m.Data...), header, m.Binary)
}

// JoinGroup makes a WebSocket a member of a group; nothing happens if it has ended. It must be called on the loop.
func (s *Server) JoinGroup(t exchange.Ticket, group string) {
	if ws := s.loop.socketOf(t); ws != nil {
		s.loop.groups.join(ws, group)
	}
}

// LeaveGroup ends what JoinGroup began. It must be called on the loop.
func (s *Server) LeaveGroup(t exchange.Ticket, group string) {
	if ws := s.loop.socketOf(t); ws != nil && s.loop.groups.fanout.Remove(ws, group) {
		s.loop.groups.counted(group)
	}
}

// socketOf returns the WebSocket of an exchange, nil if it has ended.
func (l *loop) socketOf(t exchange.Ticket) *socket {
	if int(t) >= len(l.exchanges.all) {
		return nil
	}
	x := l.exchanges.all[t]
	if c := x.conn; c != nil && c.ws != nil && c.ws.x == x && !c.ws.left {
		return c.ws
	}
	return nil
}

func (g *groups) join(ws *socket, group string) {
	if g.fanout.Add(ws, group) {
		g.counted(group)
	}
}

// enter lets a new WebSocket begin with the messages that come from now on.
func (g *groups) enter(ws *socket, group string) {
	ws.position.Seq = g.fanout.Tip()
	if group != "" {
		g.join(ws, group)
	}
}

// leave takes a WebSocket out of all groups for good.
func (g *groups) leave(ws *socket) {
	if ws.left {
		return
	}
	ws.left, ws.early = true, nil
	g.l.handover.settled(ws)
	names := ws.position.Names()
	g.fanout.Leave(ws)
	g.fanout.CaughtUp(ws)
	g.fanout.Continue()
	g.counted(names...)
}

// turn sends messages, if there are any to send.
func (g *groups) turn() {
	if !g.fanout.Pending() {
		return
	}
	l := g.l
	g.fanout.Turn(g.now())
	l.conns.Flush()
	if l.submitted { // handlers are to be told of WebSockets that were closed
		l.flushBatch()
	}
}

// give is called with the next messages for a WebSocket.
func (g *groups) give(ws *socket, events []*pubsub.Event) {
	for _, e := range events {
		if ws.left || ws.Closing() {
			return
		}
		x := ws.x
		switch c := x.conn; {
		case !ws.open:
			g.wait(ws, e)
		case !c.Writing() && len(x.held) == 0:
			g.write(c, e)
		default:
			g.queue(ws, e)
		}
	}
}

// wait keeps a message until the WebSocket is accepted.
func (g *groups) wait(ws *socket, e *pubsub.Event) {
	ws.behind += len(e.Text()) + exchange.InputCost
	if ws.behind <= g.most {
		ws.early = append(ws.early, e)
	}
}

// accepted sends what has waited for that.
func (g *groups) accepted(ws *socket) {
	early, late := ws.early, ws.behind > g.most
	ws.early, ws.behind = nil, 0
	g.give(ws, early)
	if late {
		g.drop(ws)
	}
}

// write sends a message to a client that has taken everything so far.
func (g *groups) write(c *httpConn, e *pubsub.Event) {
	l := g.l
	c.Use()
	wire := g.frame(c.ws, e)
	c.first.sent += int64(len(wire))
	if len(wire) > copyLimit {
		c.sendShared(wire, nil)
		return
	}
	if l.conns.Buf = append(l.conns.Buf, wire...); len(l.conns.Buf) > flushLimit {
		l.conns.Flush()
	}
}

// frame returns the frame of a message for ws: a compressed one is made once for all clients with the same window.
func (g *groups) frame(ws *socket, e *pubsub.Event) []byte {
	if n := len(e.Text()); !ws.packing.On || n < websocket.DeflateFrom || n > websocket.DeflateUpTo {
		return e.Wire(1)
	}
	return e.Variant(uint8(ws.packing.Bits), func(text []byte) []byte {
		packed, ok := g.l.sockets.deflater.Deflate(text, ws.packing.Bits)
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

// queue keeps a message, in order with those of the handler, until the client has taken what was sent before.
func (g *groups) queue(ws *socket, e *pubsub.Event) {
	if ws.behind > g.most {
		g.drop(ws)
		return
	}
	op := exchange.OpText
	if e.Binary {
		op = exchange.OpBinary
	}
	ws.behind += len(e.Text())
	ws.x.hold(&exchange.Part{Ticket: ws.x.ticket, Op: op, Body: e.Text(), File: -1, Local: true})
	if ws.behind > g.most/2 {
		g.fanout.Lag(ws)
	}
}

// taken is called when a message that queue has kept is sent.
func (g *groups) taken(ws *socket, n int) {
	if ws == nil {
		return
	}
	if ws.behind = max(0, ws.behind-n); ws.behind <= g.most/2 {
		g.fanout.CaughtUp(ws)
		g.fanout.Continue()
	}
}

// drop closes a WebSocket whose client does not take what it gets: what it has not taken goes before the close frame.
func (g *groups) drop(ws *socket) {
	x := ws.x
	g.leave(ws)
	x.hold(&exchange.Part{Ticket: x.ticket, Op: exchange.OpClose, Code: websocket.TryAgainLater, Body: []byte(tooSlow), File: -1, Local: true})
	ws.Tell(websocket.TryAgainLater, []byte(tooSlow))
	x.conn.advance()
}
