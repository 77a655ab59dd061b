package exchange

import (
	"cmp"
	"fmt"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// Malformed prepares an error response to an invalid request, over the given version of HTTP. The response uses the
// pages and rules of the first site. received is the invalid input.
func (x *Exchange) Malformed(version http1.Version, received []byte) {
	s := x.s
	x.Version = version
	x.html = http1.FromBrowser(received, s.Config.Limits.RequestLine)
	if len(s.table.sites) > 0 {
		x.rules = s.table.sites[0].rules
	}
	if s.timed {
		c := x.client
		s.beginEntry(x)
		x.Received = int64(len(received))
		x.Record.Time, x.Record.Earlier = time.Now(), int(c.requests)
		c.requests++
		x.Record.Malformed(received, s.Config.Limits.RequestLine)
	}
	if conn.IsHandshake(received) && x.client.TLS() == nil {
		s.secure.Report(logfile.Info, x.clientText(),
			"a TLS handshake on a port without TLS: its URL has to begin with http://, or the port has to be bound "+
				"with https://")
	}
}

// note stores in the log record of x what the access log needs from the request. The mount of x must be known.
func (s *Server) note(x *Exchange) {
	if !s.timed {
		return
	}
	q := x.req
	s.beginEntry(x)
	e := x.Record
	switch {
	case x.from.User != "":
		e.User = x.from.User
	case x.rules.access != nil:
		// Like Apache, log the user name even if the password is wrong.
		e.User = x.rules.access.Named(q.Head, q.parsed.Fields)
	}
	e.Time, e.Earlier = q.time, int(q.earlier)
	e.NoteRequest(q.Head[:q.parsed.HeadLen], q.parsed.Fields)
	if s.Config.Sampler != nil && x.ID.Sampled() {
		noteTrace(x, q)
	}
}

func noteTrace(x *Exchange, q *request) {
	e := x.Record
	if e.Trace == nil {
		e.Trace = new(logfile.Trace)
	}
	t := e.Trace
	t.ID, t.Host = x.ID, x.from.AppendHost(t.Host, &q.parsed, q.Head)
	if q.mount != nil {
		t.Route = q.mount.label()
	}
	agent, _ := http1.First(q.Head, q.parsed.Fields, "user-agent")
	t.Agent = append(t.Agent, agent...)
}

func (s *Server) beginEntry(x *Exchange) {
	if n := len(s.records); x.Record == nil && n > 0 {
		x.Record, s.records = s.records[n-1], s.records[:n-1]
	} else if x.Record == nil {
		x.Record = new(logfile.Record)
	}
	e, c, site := x.Record, x.client, x.rules.site
	e.Log = s.Config.AccessLog
	switch {
	case x.rules.quiet:
		e.Log = nil
	case site.ownsLog():
		e.Log = site.AccessLog
	}
	e.Overridden = false
	e.Begin(e.Format())
	e.NoLine = x.rules.quiet
	if s.Config.ServerTiming || e.Format().Timed {
		e.Times = new(logfile.Times)
	}
	e.Site, e.RequestID = site.name, x.ID.Request
	direct, peer := c.direct(), x.from
	e.PeerAddr, e.LocalAddr, e.LocalPort = direct.Addr, direct.ServerName, direct.ServerPort
	e.Addr, e.Port, e.Scheme = peer.Addr, peer.Port, peer.Scheme()
	if s.Set.Debug > 0 {
		e.Client = c.String()
		if peer.Addr != direct.Addr {
			e.Client = peer.Addr + " through " + e.Client
		}
	}
}

// noteHead records in e that the response begins now. With Config.ServerTiming, it adds Server-Timing to head.
func (s *Server) noteHead(head []byte, e *logfile.Record, fields []byte) []byte {
	t := e.Times
	t.FirstByte.Store(max(int64(time.Since(e.Time)), 1))
	if !s.Config.ServerTiming {
		return head
	}
	const name = "Server-Timing: "
	head = append(head[:len(head)-len(crlf)], name...)
	empty := len(head)
	for _, one := range [...]struct {
		name string
		ns   int64
	}{{"wait", t.Wait.Load()}, {"app", t.Python.Load()}, {"upstream", t.Upstream.Load()}} {
		if one.ns > 0 {
			head = fmt.Appendf(head, "%s;dur=%.3f, ", one.name, float64(one.ns)/1e6)
		}
	}
	if found := http1.FieldValue(fields, []byte("fapws-cache")); found == "hit" || found == "stale" {
		head = append(append(append(head, "cache;desc="...), found...), ", "...)
	}
	if len(head) == empty {
		return append(head[:empty-len(name)], crlf...)
	}
	return append(head[:len(head)-len(", ")], "\r\n\r\n"...)
}

func (s *Server) account(x *Exchange) {
	e := x.Record
	if e == nil || x.client.Subrequest() {
		return
	}
	proper := false
	if c := x.Carrier; c != nil && c.Begun() {
		var in, out int64
		in, out, proper = c.Carried()
		x.Received += in
		x.Out.Sent += out
	}
	e.Status, e.BytesSent, e.WireOut, e.WireIn = x.Out.Status, x.Out.Sent, x.Out.Sent+x.Out.Framed, x.Received
	e.Handler, e.KeepAlive = x.By, x.KeepAlive
	if e.Status >= 500 {
		e.RequestID = x.requestID() // the id that the page shows
	}
	// A client of HTTP/1 may close the connection after the body, before the handler has ended.
	if r := &x.Out; !x.Version.Has(http1.SharesConnection) && r.Status >= 200 && r.Framing <= http1.Sized && r.Left == 0 {
		proper = true
	}
	e.Aborted = !proper && (x.Out.Status == 0 || x.Stream == nil || x.client.IsClosed())
	s.writeLine(e)
}

func (s *Server) writeLine(e *logfile.Record) {
	e.Duration = time.Since(e.Time)
	if e.Status == 0 {
		e.Status = logfile.StatusGone
	}
	if s.Set.Debug >= 1 {
		s.tracef("%s %q %d, %d bytes, %v", e.Client, e.RequestLine, e.Status, e.BytesSent,
			e.Duration.Round(time.Microsecond))
	}
	if !e.Overridden {
		for _, f := range s.Config.Answered {
			f(&e.Entry)
		}
	}
	e.End()
}

func (x *Exchange) Log(level logfile.Level, line string) {
	if x.client != nil {
		x.s.logClient(x, level, "%s", line)
	} else if sub, ok := x.Stream.(*Sub); ok && sub.Parent != nil {
		sub.Parent.Log(level, line)
	} else {
		x.s.Set.Log(level, "%s", line)
	}
}

func (s *Server) logClient(x *Exchange, level logfile.Level, format string, args ...any) {
	log := s.Config.LogClient
	if own := x.rules.site.ErrorLog; own != nil {
		log = own
	}
	id := x.ID.Request
	if level == logfile.Error {
		id = x.requestID()
	}
	about := logfile.About{Client: x.clientText(), Request: id, Trace: x.ID.Trace.String()}
	if x.from != nil {
		about.User = x.from.User
	}
	if q := x.req; q != nil {
		peer := cmp.Or(x.from, x.client.direct())
		about.Host, about.Method = string(peer.AppendHost(nil, &q.parsed, q.Head)), string(q.parsed.Method.In(q.Head))
		about.Path = string(q.Path)
	}
	log(level, about.Name(), fmt.Sprintf(format, args...))
}

func (x *Exchange) clientText() string {
	return cmp.Or(cmp.Or(x.from, x.client.direct()).String(), x.client.String())
}

// RecordOf returns the log record of a request that another process has handed over, or nil if its site has no log.
func (s *Server) RecordOf(state *logfile.RecordState) *logfile.Record {
	if !s.timed {
		return nil
	}
	log := s.Config.AccessLog
	for i := range s.table.sites {
		if site := &s.table.sites[i]; site.name == state.Entry.Site && site.ownsLog() {
			log = site.AccessLog
		}
	}
	return state.Record(log)
}

// LogSubscriber writes the access log line of a subscriber of live events. sent is the number of body bytes, and framed
// is the number of all other sent bytes.
func (s *Server) LogSubscriber(r *logfile.Record, sent, framed int64) {
	r.Status, r.BytesSent, r.WireOut, r.Handler = 200, sent, sent+framed, "application"
	s.writeLine(r)
}

// TakeRecord removes the log record from x and returns it, so that another protocol or process can write the line. The
// result is nil if the request has no line.
func (x *identity) TakeRecord() *logfile.Record {
	e := x.Record
	if e != nil {
		e.WireIn = x.Received
		x.Record = nil
	}
	return e
}

// label returns the name of the mount for operators. The name consists of the paths in the configuration of the mount.
func (m *Mount) label() string {
	name := cmp.Or(m.Within, m.Prefix, "/")
	for _, pattern := range [...]string{m.Having, m.Match} {
		if pattern != "" {
			name += " " + pattern
		}
	}
	return name
}
