package http1conn

import (
	"bytes"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/route"
)

// A gate determines whether the next request of a connection may be parsed. It is used only if Config.Current is not
// nil. In that case every request waits until Config.Current permits its response.
type gate uint8

const (
	closed gate = iota // Config.Current must be called before the next request
	// Config.Current was called and has not called done yet; the request waits in the pending input
	asking
	open
)

// mustAsk reports whether the arriving request must wait for Config.Current. It calls Config.Current once for each
// request.
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
			if c.gate == asking {
				c.gate = open
				c.queue()
			}
		})
	}
	c.setState(StateWaiting)
	return true
}

// redirect redirects a request to its own URL. A new process has the new code of the application, but only this process
// has the keys of the TLS connection, so the client must send the request again on a new connection. If the path begins
// with several slashes, redirect keeps only one of them, because "//" would begin a host name.
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
