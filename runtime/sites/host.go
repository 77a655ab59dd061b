package sites

import (
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/protocol/http"
)

// httpHost is Sites as connections of HTTP need them. It implements Host of package protocol/http.
type httpHost struct {
	s    *Sites
	next *request          // memory for the next request
	logs []*logfile.Record // spare ones
}

func (h *httpHost) New() *http.Exchange {
	x := &Exchange{s: h.s}
	x.Sink, x.Server = x, x
	return &x.Exchange
}

func (h *httpHost) Request() *exchange.Request {
	if h.next.kept {
		h.next = newRequest()
	}
	return &h.next.handed
}

func (h *httpHost) Decide(inner *http.Exchange) {
	s, q, x := h.s, h.next, ofHTTP(inner)
	s.begins(x, clientOf(x.Conn()), q)
	s.dispatch(x)
	if !q.kept {
		if q.reset(); x.req == q {
			x.req, x.Req = nil, nil
		}
	}
}

func (h *httpHost) Resume(x *http.Exchange) { h.s.decide(ofHTTP(x)) }
func (h *httpHost) Keep(x *http.Exchange)   { ofHTTP(x).req.keep() }
func (h *httpHost) Forget(x *http.Exchange) { ofHTTP(x).req = nil }

// Malformed has the first site answer.
func (h *httpHost) Malformed(inner *http.Exchange, received []byte) {
	s, x := h.s, ofHTTP(inner)
	x.belongs(clientOf(x.Conn()))
	if len(s.table.sites) > 0 {
		x.rules = s.table.sites[0].rules
	}
	s.noteMalformed(x, received)
	if conn.IsHandshake(received) && x.client.Transport() == nil {
		s.secure.Report(logfile.Info, x.clientText(), "a TLS handshake on a port without TLS: its URL has to begin with http://, or the port has to be bound with https://")
	}
}

func (h *httpHost) Substituted(inner, by *http.Exchange) {
	x, y := ofHTTP(inner), ofHTTP(by)
	x.leaveSocket()
	y.client, y.from, y.log, y.quiet, y.rules, y.html = x.client, x.from, x.log, x.quiet, x.rules, x.html
	if x.trace != nil {
		*y.traced() = *x.trace
	}
	y.began, y.counts, x.began = x.began, x.counts, 0
	x.log = nil
}

func (h *httpHost) HalfClosed(x *http.Exchange) {
	if q := ofHTTP(x).req; q != nil && q.check != nil {
		q.check.Defer()
	}
}

func (h *httpHost) Canceled(inner *http.Exchange) {
	x := ofHTTP(inner)
	x.leaveSocket()
	if x.relay != nil {
		x.relay.close()
	}
	if q := x.req; q != nil {
		if q.refreshing = false; q.check != nil {
			q.check.Cancel()
		}
	}
}

func (h *httpHost) Ended(inner *http.Exchange) {
	x := ofHTTP(inner)
	if h.s.timed {
		h.s.account(x)
	}
	if x.began != 0 {
		h.s.measured(x)
	}
	x.leaveSocket()
	if x.former {
		h.s.former--
	}
	if x.log != nil {
		h.logs = append(h.logs, x.log)
	}
	x.routed = routed{}
	x.Sink, x.Server = x, x // a source may have put its own there
}

// record returns a record for the access log, with memory that was used before.
func (h *httpHost) record() *logfile.Record {
	n := len(h.logs)
	if n == 0 {
		return new(logfile.Record)
	}
	e := h.logs[n-1]
	h.logs = h.logs[:n-1]
	return e
}

func (h *httpHost) Edits(inner *http.Exchange) exchange.Edits {
	x := ofHTTP(inner)
	edits := x.rules.edits()
	if x.renewal != nil {
		edits = append(edits[:len(edits):len(edits)], x.renewal)
	}
	return edits
}

func (h *httpHost) HeadSent(x *http.Exchange, head []byte) {
	if e := ofHTTP(x).log; e != nil {
		e.NoteResponse(head)
	}
}

func (h *httpHost) Upgrade(inner *http.Exchange, p *exchange.Part) (taken bool) {
	s, x := h.s, ofHTTP(inner)
	if p.Head.Tunnel != nil {
		s.openTunnel(x, p)
		return true
	}
	return x.socket != nil && x.acceptSocket(p)
}

func (h *httpHost) Account(x *http.Exchange) string { return accountOf(ofHTTP(x).peer) }
func (h *httpHost) Client(x *http.Exchange) string  { return ofHTTP(x).clientText() }
func (h *httpHost) Arrived(c *conn.Conn)            { h.s.host.Arrived(clientOf(c)) }

func (h *httpHost) Delivered() { h.s.host.Delivered() }

// begins notes that the request q of x, which c has sent, has arrived.
func (s *Sites) begins(x *Exchange, c *Client, q *request) {
	if s.served++; s.served == int64(s.cfg.MaxRequests) && s.cfg.OnMaxRequests != nil {
		go s.cfg.OnMaxRequests()
	}
	x.belongs(c)
	if s.metrics != nil && !x.quiet {
		x.began = s.metrics.Begin()
	}
	if s.cfg.Trace {
		q.trace(s.tracer, x.traced())
	}
	q.Head, x.req = x.Req.Head, q
	if s.timed {
		q.time, q.earlier = time.Now(), c.requests
		c.requests++
	}
}

// belongs makes x an exchange of c.
func (x *Exchange) belongs(c *Client) { x.client, x.quiet = c, c.subrequest != nil }
