package app

import (
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
)

// inquiry is an exchange that a handler has with the one behind it (Receiving) before that answers the client: a piece of an
// upload, for example. It is Sink and Server of the exchange, which has no client. The response is recorded, and goes to the handler.
type inquiry struct {
	exchange.Exchange
	c      *call
	status int
	body   []byte
}

// maxInquiry bounds the recorded bytes of a response: they are for an error page at most.
const maxInquiry = 64 << 10

// ask has the source behind answer an exchange with the body of p.
func (c *call) ask(p *exchange.Part) {
	i := &inquiry{c: c, status: 500}
	if c.x == nil || c.receiver == nil {
		c.Release(p)
		i.answer()
		return
	}
	r := *c.x.Req
	r.Body, r.More, r.Size, r.Pipeline = p.Body, false, int64(len(p.Body)), 0
	i.Req, i.Prefix, i.Sink, i.Server = &r, c.x.Prefix, i, i
	c.receiver.then.Start(&i.Exchange)
	i.Req = nil
	c.Release(p)
}

// answer gives the response to the handler.
func (i *inquiry) answer() {
	c := i.c
	c.handler.(Receiver).Deliver(exchange.Input{Ticket: c.ticket, Op: exchange.OpAsk, Data: i.body, Code: uint16(i.status)})
	c.d.flushes = true
}

// Send implements exchange.Sink.
func (i *inquiry) Send(p *exchange.Part) {
	if p.First {
		i.status = p.Head.Status
	}
	if !p.Interim {
		i.body = append(i.body, p.Body[:min(len(p.Body), maxInquiry-len(i.body))]...)
	}
	last := p.Last
	if last && p.Failed {
		i.status = 500
	}
	if p.Owner != nil {
		p.Owner.Release(p)
	}
	if last {
		i.answer()
	}
}

// Reply implements exchange.Sink.
func (i *inquiry) Reply(r exchange.Reply) {
	i.status, i.body = r.Status, append(i.body[:0], r.Text...)
	i.answer()
}

// The inquiry waits for no client.

func (*inquiry) InTurn() bool                       { return true }
func (*inquiry) AwaitTurn()                         {}
func (*inquiry) Keep()                              {}
func (*inquiry) WaitsForClient() bool               { return false }
func (*inquiry) Credit(int64)                       {}
func (*inquiry) HasPage(int) bool                   { return false }
func (*inquiry) Decline(string) bool                { return false }
func (i *inquiry) Deferred()                        { i.Source.(exchange.Pacer).Resume(&i.Exchange) }
func (*inquiry) Wall() int64                        { return time.Now().UnixNano() }
func (*inquiry) NoteFile(string, []byte)            {}
func (i *inquiry) Log(l logfile.Level, line string) { i.c.d.host.Log(l, line) }

// Beside implements exchange.Server. Files have no use in the response to an inquiry.
func (i *inquiry) Beside(_ func(), done func(gone bool)) {
	done(true)
	i.Reply(exchange.Reply{Status: 500})
}
