package exchangetest

import (
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// Client stands for the connection of an exchange: it is its Sink and its Server, and keeps what a source sends.
type Client struct {
	Parts   []exchange.Part // released already; Body is a copy
	Replies []exchange.Reply
	Logged  []string
	Waits   bool // another response comes first
	Left    bool // the client leaves before work beside the loop has ended

	Awaits   bool  // AwaitTurn was called
	Delayed  int   // calls of AwaitTurn with early
	Slow     bool  // WaitsForClient
	Credited int64 // sum of Part.Credit
}

// Exchange returns an exchange of c for a request, whose mount is at prefix. It panics if the request is none.
func (c *Client) Exchange(request, prefix string) *exchange.Exchange {
	head, parsed := []byte(request), new(http1.Request)
	limits := http1.DefaultLimits
	if _, err := parsed.Parse(head, &limits); err != nil {
		panic(err)
	}
	return &exchange.Exchange{Sink: c, Server: c, Logger: c, Req: &exchange.Request{
		Head: head, Parsed: parsed, Path: http1.DecodePath(nil, parsed.Path.In(head)), Spool: -1,
		Prefix: len(prefix), Script: len(prefix), Peer: &exchange.Peer{},
	}}
}

// Send implements exchange.Sink.
func (c *Client) Send(p *exchange.Part) {
	if p.Op == exchange.OpCredit {
		c.Credited += p.Credit
		p.Owner.Release(p)
		return
	}
	kept := *p
	kept.Body = append([]byte(nil), p.Body...)
	kept.Head.Fields = append([]byte(nil), p.Head.Fields...)
	c.Parts = append(c.Parts, kept)
	if p.Owner != nil {
		p.Owner.Release(p)
	}
}

// Reply implements exchange.Sink.
func (c *Client) Reply(r exchange.Reply) { c.Replies = append(c.Replies, r) }

// InTurn implements exchange.Server.
func (c *Client) InTurn() bool { return !c.Waits }

// AwaitTurn implements exchange.Server.
func (c *Client) AwaitTurn(early bool) {
	if early {
		c.Delayed++
	} else {
		c.Awaits = true
	}
}

// Keep implements exchange.Server.
func (c *Client) Keep() {}

// WaitsForClient implements exchange.Server.
func (c *Client) WaitsForClient() bool { return c.Slow }

// Beside implements exchange.Server: it does the work at once.
func (c *Client) Beside(work func(), done func(gone bool)) {
	work()
	done(c.Left)
}

// Decline implements exchange.Server.
func (c *Client) Decline(index string) bool {
	return true
}

// Log implements exchange.Logger.
func (c *Client) Log(level logfile.Level, line string) {
	c.Logged = append(c.Logged, level.String()+": "+line)
}
