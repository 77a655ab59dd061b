package live

import (
	"bytes"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
)

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
	if p.File >= 0 && p.Count > 0 {
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
	r.sink.Send(&exchange.Part{Last: true, File: -1, Body: r.separator(), Owner: r, Upgrade: r})
}

// separator returns the bytes between the body of the handler's response and the first event: an empty line if the body may not
// end with one. That of a framework is perhaps "{}" or "null", and the first event would be a part of its line. A second
// empty line means nothing to clients.
func (r *response) separator() []byte {
	if r.closed || !r.text {
		return nil
	}
	return emptyLine
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

// Input implements exchange.Receiver: more of the request has come.
func (r *response) Input(x *exchange.Exchange, in exchange.Input) {
	if to, ok := r.Source.(exchange.Receiver); ok {
		to.Input(x, in)
	}
}

// OnGone implements exchange.Source: the client has left.
func (r *response) OnGone(x *exchange.Exchange) {
	r.p.s.abandon(r.p)
	r.Source.OnGone(x)
}

// StreamExchange is the server of an exchange whose client is a subscriber.
type StreamExchange interface {
	exchange.Server

	// TakeConn returns the connection for the events behind the response.
	TakeConn() *conn.Conn

	// TakeRecord returns the record for the access log, whose line the caller writes, or nil, and how many bytes of the body and of
	// the rest of the response were sent.
	TakeRecord() (log *logfile.Record, sent, framed int64)
}

// Begin implements exchange.Upgrade. The exchange is an Exchange.
func (r *response) Begin(of exchange.Server) {
	x, p := of.(StreamExchange), r.p
	r.begun = true
	log, sent, framed := x.TakeRecord()
	p.sent, p.framed, p.log = sent, uint32(framed), log
	c := x.TakeConn()
	c.Upgrade(&leaving{p: p, conn: c, before: c.Protocol()})
	if !c.Gathers() && !c.Writing() { // what carries it does
		c.Again()
	}
}
