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
)

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
	x.log.Malformed(came, s.cfg.Limits.RequestLine)
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
	if s.cfg.Debug > 0 {
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
	if s.cfg.Debug >= 1 {
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

// Turn is called when handlers are about to run, and when responses are about to be sent.
func (s *Sites) Turn() {
	if s.metrics != nil {
		s.metrics.Turn()
	}
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
