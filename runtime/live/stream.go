package live

import (
	"bytes"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
)

type StreamConfig struct {
	// Subscribers limits the subscribers of one channel, and PerAddress the subscribers of one IP address, or of one
	// /64 network for IPv6. Clients beyond a limit get status 503.
	Subscribers int
	PerAddress  int

	// Buffer limits the bytes of events that wait for a subscriber. A subscriber above this limit is disconnected. In
	// addition, the kernel can keep about as many bytes.
	Buffer int

	// History is the number of events that each channel keeps for clients that reconnect. The kept events need at most
	// 256 KiB for each channel, and 16 MiB for all channels.
	History int

	// Heartbeat is the interval between heartbeats.
	Heartbeat time.Duration

	// Retry is how long clients should wait before they reconnect.
	Retry time.Duration

	// MaxEvent limits an event, in bytes.
	MaxEvent int

	// Epoch is a part of the ids of events. It changes when the server is restarted, but processes that serve the same
	// subscribers, one after the other or at the same time, must have the same Epoch. "" means an epoch made from the
	// current time.
	Epoch string

	// If HandOver is true, a retiring server keeps subscribers until Subscribers.Export is called.
	HandOver bool

	// Joined and Left are called for each channel that a subscriber has joined or left. Counted is called after the
	// number of subscribers of a channel, or of members of a group, has changed. All three may be nil, are called on
	// the loop, and must not block.
	Joined, Left func(name string, client *StreamClient)
	Counted      func(name string, subscribers int)
}

type StreamClient struct {
	Address     string `json:",omitempty"` // "" for a unix socket
	Port        uint16 `json:",omitempty"` // 0 if unknown
	User        string `json:",omitempty"`
	LastEventID string `json:",omitempty"`
	// unique number of the subscriber on this machine, below 2^53; does not change during a hand-over
	Number uint64
}

// Loop is the event loop that runs subscribers, WebSockets and tunnels. All methods except Do are called on the loop.
type Loop interface {
	// Do runs f on the loop, and returns after f has returned. Do must not be called on the loop.
	Do(f func())

	// Full reports whether the number of clients has reached conn.AcceptConfig.MaxClients.
	Full() bool

	// Count adds n to the number of clients: 1 for a client from another process or for a tunnel over HTTP/2 that has
	// begun, and -1 for a client or a tunnel that has ended.
	Count(n int)
}

var emptyLine = []byte("\n\n") // ends an incomplete line, and adds an empty line

// A response is a handler's response to a client that is already a subscriber. It replaces both the Sink and the Source
// of the exchange. After the last part it gives the connection to the subscriber.
type response struct {
	exchange.Source
	sink   exchange.Sink
	p      *StreamSubscriber
	last   exchange.Part
	text   bool
	closed bool
	begun  bool
}

func (r *response) Send(p *exchange.Part) {
	if p.Size() > 0 {
		r.text, r.closed = true, p.File == nil && bytes.HasSuffix(p.Body, emptyLine)
	}
	switch {
	case !p.Last():
		r.sink.Send(p)
	case p.End == exchange.Incomplete:
		r.Source = exchange.Memory{}
		r.p.s.abandon(r.p)
		r.sink.Send(p)
	default:
		r.end(p)
	}
}

func (r *response) end(p *exchange.Part) {
	r.Source = exchange.Memory{}
	r.last = *p
	part := &r.p.s.part
	*part = *p
	part.End, part.Owner = exchange.NotLast, r
	r.sink.Send(part)
	// An empty line must separate the body from the first event. Otherwise the event would continue the last line of
	// the body; some frameworks send a body such as "{}" or "null". Clients ignore a second empty line.
	separator := emptyLine
	if r.closed || !r.text {
		separator = nil
	}
	*part = exchange.Part{End: exchange.Complete, Body: separator, Owner: r, Takeover: r.takeOver}
	r.sink.Send(part)
}

func (r *response) Reply(reply exchange.Reply) {
	r.p.s.abandon(r.p)
	r.sink.Reply(reply)
}

func (r *response) Release(p *exchange.Part) {
	switch {
	case !p.Last():
		if r.last.Owner != nil {
			r.last.Owner.Release(&r.last)
		}
	case !r.begun:
		r.p.s.abandon(r.p)
	}
}

func (r *response) OnGone(x *exchange.Exchange) {
	r.p.s.abandon(r.p)
	r.Source.OnGone(x)
}

func (r *response) takeOver(c *conn.Conn, log *logfile.Record, sent, framed int64) {
	p := r.p
	r.begun = true
	p.sent, p.framed, p.log, p.conn = sent, uint32(framed), log, c
	c.SetProtocol(p)
	if !c.Gathers() && !c.Writing() {
		c.Again()
	}
}
