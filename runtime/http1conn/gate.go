package http1conn

import (
	"bytes"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/route"
)

// gate says whether the next request of a connection may be parsed. It is used only with Config.Current.
type gate uint8

const (
	closed gate = iota // Config.Current must be called
	// Config.Current was called, and the request waits in the pending input
	asking
	open
)

// mustAsk reports whether the arriving request must wait for Config.Current. It calls Current if necessary.
func (c *Conn) mustAsk() bool {
	s := c.s
	if s.Config.Current == nil || c.gate == open || c.Busy() || c.Subrequest() {
		return false
	}
	if c.gate == closed {
		if c.state == StateNew {
			s.Arrived(&c.Client)
		}
		c.gate, c.Stamp = asking, s.Set.Now
		s.AwaitCurrent(func() {
			if c.gate == asking { // the connection was not handed over
				c.gate = open
				c.queue()
			}
		})
	}
	c.setState(StateWaiting)
	return true
}

// redirect answers a request with its own address, because another process has the new code, and this process the keys
// of TLS. The client sends the request again on a new connection. Leading slashes become one, as in a path of a
// directory: two would begin the name of a host.
func (c *Conn) redirect(req *http1.Request, head []byte) {
	fields := append([]byte("Location: "), '/')
	fields = route.AppendURL(fields, bytes.TrimLeft(req.Path.In(head), `/\`))
	if query := req.Query.In(head); len(query) > 0 {
		fields = route.AppendURL(append(fields, '?'), query)
	}
	c.s.rest = nil
	c.newErrorExchange(head).Sink.Reply(exchange.Reply{Status: 307, Fields: append(fields, "\r\n"...),
		Text: "the code has changed, and a new connection reaches it", Override: true, Close: true})
}
