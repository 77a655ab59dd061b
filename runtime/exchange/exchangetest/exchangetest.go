package exchangetest

import (
	"fmt"
	"net"

	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// A Client replaces the connection of an exchange.
type Client struct {
	// the received parts. They are already released, so Body is a copy
	Parts   []exchange.Part
	Replies []exchange.Reply
	Logged  []string
	// makes InTurn return false, as if an earlier response were incomplete
	Waits bool
	// the loop for Exchange.Offload; may be nil if the test does not call Offload
	Loop *eventloop.Loop

	Delayed  int // number of calls of AwaitTurn in which early is true
	Credited int64
}

// Exchange returns an exchange of c for a request. request is the head of the request, and prefix is the prefix of the
// mount. Exchange panics if the request is invalid.
func (c *Client) Exchange(request, prefix string) *exchange.Exchange {
	head, parsed := []byte(request), new(http1.Request)
	limits := http1.DefaultLimits
	if _, err := parsed.Parse(head, &limits); err != nil {
		panic(err)
	}
	s := exchange.Server{Set: &conn.Set{Events: c.Loop, Log: func(level logfile.Level, format string, args ...any) {
		c.Logged = append(c.Logged, level.String()+": "+fmt.Sprintf(format, args...))
	}}}
	client := new(exchange.Client)
	s.InitClient(client, -1, &net.UnixAddr{}, &net.UnixAddr{}, false)
	x := s.New(client, c).Sub(&exchange.Request{
		Head: head, Parsed: parsed, Path: http1.DecodePath(nil, parsed.Path.In(head)), Spool: -1,
		Prefix: len(prefix), Script: len(prefix), Peer: &exchange.Peer{},
	}, nil, c, c)
	return &x
}

func (c *Client) Send(p *exchange.Part) {
	if p.Op == exchange.OpCredit {
		c.Credited += p.Number
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

func (c *Client) Reply(r exchange.Reply) { c.Replies = append(c.Replies, r) }

func (c *Client) InTurn(*exchange.Exchange) bool { return !c.Waits }

func (c *Client) Wait(x *exchange.Exchange) {
	if x.Delayed() {
		c.Delayed++
	}
}

func (*Client) Read(*exchange.Exchange)                  {}
func (*Client) WantMore(*exchange.Exchange)              {}
func (*Client) Write(*exchange.Exchange, *exchange.Part) {}
func (*Client) Replace(_, _ *exchange.Exchange, _ bool)  {}
func (*Client) SwitchProtocols(*exchange.Exchange, *http1.ResponseHead) (*conn.Conn, []byte) {
	return nil, nil
}

// CompleteIf returns the End of a part of a complete response; last is true for the last part.
func CompleteIf(last bool) exchange.End {
	if last {
		return exchange.Complete
	}
	return exchange.NotLast
}
