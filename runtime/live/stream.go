package live

import (
	"bytes"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
)

// StreamConfig says how channels and their subscribers behave.
type StreamConfig struct {
	// Subscribers limits the subscribers of one channel, PerAddress those of one client's
	// address, of IPv6 its /64. Clients beyond the limits get 503. Of all
	// connections (conn.AcceptConfig.MaxClients), a sixteenth is left to others.
	Subscribers int
	PerAddress  int

	// Buffer limits the bytes of events that wait until a subscriber takes them;
	// a subscriber that exceeds it is dropped. The kernel keeps about as much again.
	Buffer int

	// History is the number of events that each channel keeps for clients that come
	// back, of 256 KiB at most, and 16 MiB of all channels.
	History int

	// Heartbeat is how often a subscriber gets a comment. A client that acknowledges
	// nothing for two heartbeats has disconnected.
	Heartbeat time.Duration

	// Retry is how long clients are told to wait before they come back.
	Retry time.Duration

	// MaxEvent is the size of the largest event, as it is written.
	MaxEvent int

	// Epoch tells this server's events from those before it was started: it is in their
	// ids. Processes that have the same subscribers one after the other, or side by side, have
	// the same. Empty: of the time.
	Epoch string

	// HandOver lets subscribers, and WebSockets with a group, stay when the server retires, for Subscribers.Export and Sockets.Export.
	HandOver bool

	// Joined and Left report a subscriber, once for each of its channels; Counted reports the
	// number of subscribers of a channel, or of members of a group, whenever that changes. They are called on the loop, and must
	// not block. They may be nil.
	Joined, Left func(name string, client *StreamClient)
	Counted      func(name string, subscribers int)
}

// StreamClient is a subscriber as applications see it. It does not change.
type StreamClient struct {
	Address     string // as REMOTE_ADDR: "" of a unix socket
	Port        string // as REMOTE_PORT: "" if it is not known
	User        string // the authenticated user, or ""
	LastEventID string // the id of the last event that the client has seen, as it says, or ""
	Number      uint64 // of the subscriber, unique on this machine, also after a hand-over; below 2^53
}

// Loop is the event loop that subscribers and WebSockets are a part of. Its methods are called on the loop, except for Do.
type Loop interface {
	// Do runs f on the loop, and returns when it has ended. It must not be called on the loop.
	Do(f func())

	// Full reports whether there are as many clients as conn.AcceptConfig.MaxClients allows.
	Full() bool

	// Count notes one more client, whose descriptor did not come from a connection of the server, or, if n is -1, that a client has gone.
	Count(n int)

	// Resume continues the WebSocket d of another process on fd, which remains the caller's if there is an error. The Socket is nil if
	// the connection has ended already.
	Resume(d *exchange.SocketState, fd int) (exchange.Socket, error)

	// Dismiss sends the last bytes to a client that no handler has, and closes fd when the client has read them.
	Dismiss(fd int, last []byte)
}

var emptyLine = []byte("\n\n") // after a line without its end

// response is a handler's response to a client that is a subscriber already, from its head to its last part. It stands between the
// handler, whose Sink it is, and the connection, whose Source it is, and gives the connection to the subscriber at the end.
type response struct {
	exchange.Source // the handler's, until its last part
	sink            exchange.Sink
	p               *StreamSubscriber
	last            exchange.Part // of the handler, while it is sent
	text            bool          // the body has a byte
	closed          bool          // the body ends with an empty line
	begun           bool          // the subscriber has the connection
}

// Send implements exchange.Sink.
func (r *response) Send(p *exchange.Part) {
	if n := len(p.Body); n > 0 {
		r.text, r.closed = true, bytes.HasSuffix(p.Body, emptyLine)
	}
	if p.Count > 0 {
		r.text, r.closed = true, false
	}
	switch {
	case p.First: // ours
		r.text = false
		r.sink.Send(p)
	case !p.Last:
		r.sink.Send(p)
	case p.Failed:
		r.Source = exchange.Memory{}
		r.p.s.abandon(r.p)
		r.sink.Send(p)
	default:
		r.end(p)
	}
}

// end sends the last part of the handler, and behind it the one that gives the connection away.
func (r *response) end(p *exchange.Part) {
	r.Source = exchange.Memory{}
	r.last = *p
	body := *p
	body.Last, body.Owner = false, r
	r.sink.Send(&body)
	// An empty line is between the body and the first event if the body may not end with one. That of a framework is perhaps "{}" or
	// "null", and the first event would be a part of its line. A second empty line means nothing to clients.
	separator := emptyLine
	if r.closed || !r.text {
		separator = nil
	}
	r.sink.Send(&exchange.Part{Last: true, File: -1, Body: separator, Owner: r, Upgrade: r})
}

// Reply implements exchange.Sink.
func (r *response) Reply(reply exchange.Reply) {
	r.p.s.abandon(r.p)
	r.sink.Reply(reply)
}

// Release implements exchange.Owner for the two parts of end.
func (r *response) Release(p *exchange.Part) {
	switch {
	case !p.Last:
		if r.last.Owner != nil {
			r.last.Owner.Release(&r.last)
		}
	case !r.begun:
		r.p.s.abandon(r.p)
	}
}

// OnGone implements exchange.Source: the client has left.
func (r *response) OnGone(x *exchange.Exchange) {
	r.p.s.abandon(r.p)
	r.Source.OnGone(x)
}

// Begin implements exchange.Upgrade.
func (r *response) Begin(c *conn.Conn, log *logfile.Record, sent, framed int64) {
	p := r.p
	r.begun = true
	p.sent, p.framed, p.log, p.conn = sent, uint32(framed), log, c
	c.Upgrade(p)
	if !c.Gathers() && !c.Writing() { // what carries it does
		c.Again()
	}
}
