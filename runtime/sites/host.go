package sites

import (
	"fmt"
	"net"
	"time"

	"fapws/runtime/auth"
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/live"
	"fapws/runtime/logfile"
	"fapws/runtime/metrics"
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

// note remembers of x, whose mount is known, what its log line needs.
func (s *Sites) note(x *Exchange) {
	if !s.timed {
		return
	}
	q := x.req
	s.beginEntry(x, x.Client())
	e := x.log
	switch {
	case x.peer != nil:
		e.User = x.peer.User
	case x.rules != nil && x.rules.auth != nil:
		e.User = auth.User(q.credentials()) // with a wrong password, which Apache logs, too
	}
	e.Time, e.Earlier = q.time, int(q.earlier)
	e.NoteRequest(q.Head[:q.parsed.HeadLen], q.parsed.Fields)
}

// noteMalformed is note for an exchange without a request: came is what the client has sent instead.
func (s *Sites) noteMalformed(x *Exchange, came []byte) {
	if !s.timed {
		return
	}
	c := x.client
	s.beginEntry(x, c.direct())
	x.Received = int64(len(came))
	x.log.Time, x.log.Earlier = time.Now(), int(c.requests)
	c.requests++
	x.log.Malformed(came, s.http.Config.Limits.RequestLine)
}

// beginEntry begins the entry of x, whose client is peer.
func (s *Sites) beginEntry(x *Exchange, peer *exchange.Peer) {
	if x.log == nil {
		x.log = s.deciding.record()
	}
	e, c := x.log, x.client
	e.Log = s.cfg.AccessLog
	if x.rules != nil && (x.rules.log != nil || x.rules.unlog) {
		e.Log = x.rules.log
	}
	e.Begin(e.Format())
	direct := c.direct()
	e.PeerAddr, e.LocalAddr, e.LocalPort = direct.Addr, direct.ServerName, direct.ServerPort
	e.Addr, e.Port, e.Scheme = peer.Addr, peer.Port, peer.Scheme
	if x.rules != nil {
		e.Site = x.rules.name
	}
	if s.set.Debug > 0 {
		e.Client = c.String()
		if peer != direct {
			e.Client = peer.Addr + " through " + e.Client
		}
	}
}

// account writes the log lines of an exchange that has ended.
func (s *Sites) account(x *Exchange) {
	e := x.log
	if e == nil || x.quiet {
		return
	}
	if x.tunnel != nil {
		in, out := x.tunnel.Carried()
		x.Received += in
		x.Out.Sent += out
	}
	if s := x.socket; s != nil && s.HasConn() {
		in, out := s.Carried()
		x.Received += in
		x.Out.Sent += out
		x.proper = !s.Aborted()
	}
	s.writeLine(e, x.overridden, logfile.Outcome{
		Status: x.Out.Status, Sent: x.Out.Sent, Framed: x.Out.Framed, Received: x.Received, Handler: x.By, KeepAlive: x.KeepAlive,
		Aborted: !x.proper && (x.Out.Status == 0 || x.Broken()),
	})
}

// writeLine writes the log lines of a request that has ended. overridden: Config.Answered is not told.
func (s *Sites) writeLine(e *logfile.Record, overridden bool, o logfile.Outcome) {
	o.Took = time.Since(e.Time)
	if o.Status == 0 {
		o.Status = logfile.StatusGone
	}
	if s.set.Debug >= 1 {
		s.tracef("%s %q %d, %d bytes, %v", e.Client, e.RequestLine, o.Status, o.Sent, o.Took.Round(time.Microsecond))
	}
	if s.cfg.Answered != nil && !overridden {
		s.cfg.Answered(&RequestSummary{Line: e.RequestLine, Status: o.Status, Bytes: o.Sent, Took: o.Took})
	}
	e.End(&o)
}

// logClient logs a line about the client of x and what answers it.
func (s *Sites) logClient(x *Exchange, level logfile.Level, format string, args ...any) {
	log := s.cfg.LogClient
	if r := x.rules; r != nil && r.errors != nil {
		log = r.errors
	}
	client := x.clientText()
	if x.trace != nil {
		client = x.trace.Name(client)
	}
	log(level, client, fmt.Sprintf(format, args...))
}

// clientText is how the error log calls the client.
func (x *Exchange) clientText() string {
	peer := x.Client()
	switch {
	case peer.Addr == "":
		return x.client.String()
	case peer.Port == "": // a proxy has not said it
		return peer.Addr
	}
	return net.JoinHostPort(peer.Addr, peer.Port)
}

// RequestSummary is a request with what became of it. It lives until the function
// that gets it returns.
type RequestSummary struct {
	Line   []byte // request line as received; empty if that was none
	Status int    // 499: the client left before
	Bytes  int64  // of the body
	Took   time.Duration
}

// RecordOf returns the record of a request from another process, for the log of its site; nil if nothing is logged.
func (s *Sites) RecordOf(state *logfile.State) *logfile.Record {
	if !s.timed {
		return nil
	}
	log := s.cfg.AccessLog
	for i := range s.table.sites {
		if r := s.table.sites[i].rules; r != nil && r.name == state.Entry.Site && (r.log != nil || r.unlog) {
			log = r.log
		}
	}
	return state.Record(log)
}

// LogSubscriber writes the log lines of a subscriber that has ended: sent is the number of bytes of the body, framed of the rest.
func (s *Sites) LogSubscriber(r *logfile.Record, sent, framed int64) {
	s.writeLine(r, false, logfile.Outcome{Status: 200, Sent: sent, Framed: framed, Received: r.WireIn, Handler: "application"})
}

var _ live.StreamExchange = (*Exchange)(nil)

// TakeConn implements Exchange of package protocol/sse.
func (x *Exchange) TakeConn() *conn.Conn { return x.Carrier.TakeConn(&x.Exchange) }

// TakeRecord implements Exchange of package protocol/sse: another protocol writes the line of x to the access log.
func (x *Exchange) TakeRecord() (log *logfile.Record, sent, framed int64) {
	if log = x.log; log != nil {
		log.WireIn = x.Received
		x.log = nil
	}
	return log, x.Out.Sent, x.Out.Framed
}

// Measure counts requests with r from now on. Requests that have begun before are not counted.
func (s *Sites) Measure(r *metrics.Recorder) {
	s.metrics = r
	s.nameRoutes()
}

// nameRoutes finds what counts the requests of each mount: mounts with the same name, as files and an application for the same
// path, share it.
func (s *Sites) nameRoutes() {
	if s.metrics == nil {
		return
	}
	for i := range s.table.sites {
		site := &s.table.sites[i]
		host := site.canonical()
		if host == "" && len(site.Names) > 0 {
			host = site.Names[0]
		}
		site.counts = s.metrics.Route(host, "none")
		for k := range site.Table {
			site.Table[k].counts = s.metrics.Route(host, site.Table[k].label())
		}
	}
}

// label is how the operator knows the mount: the paths it answers, as the configuration has them.
func (m *Mount) label() string {
	name := m.Prefix
	if m.Within != "" {
		name = m.Within
	}
	if name == "" {
		name = "/"
	}
	for _, pattern := range [...]string{m.Having, m.Match} {
		if pattern != "" {
			name += " " + pattern
		}
	}
	return name
}

// measured counts the end of x.
func (s *Sites) measured(x *Exchange) {
	s.metrics.End(x.began, x.counts, x.Out.Status)
}

// KindOf returns what a connection of a client is: "http", "http2", "websocket" or "tunnel"; "" for subrequests, and for
// connections that other packages count.
func KindOf(p conn.Protocol) string {
	switch p := p.(type) {
	case *Client:
		if p.Subrequest() {
			return ""
		}
		return "http"
	case prefaceReader, *multiplexed:
		return "http2"
	case *live.Socket:
		return "websocket"
	case *conn.TunnelLink:
		return "tunnel"
	}
	return ""
}
