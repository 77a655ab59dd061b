package runtime

import (
	"bytes"
	"fmt"
	"net"
	"time"

	"fapws/runtime/accesslog"
	"fapws/runtime/auth"
	"fapws/runtime/exchange"
	"fapws/runtime/filter/header"
	wire "fapws/runtime/http1"
	"fapws/runtime/loglevel"
)

// note remembers of x, whose mount is known, what its log line needs.
func (l *loop) note(x *Exchange) {
	if !l.timed {
		return
	}
	q, c := x.req, x.client
	head := q.Head[:q.parsed.HeadLen]
	peer := c.Client()
	format := l.beginEntry(x, peer)
	e := x.log
	switch {
	case x.peer != nil:
		e.User = x.peer.User
	case x.rules != nil && x.rules.auth != nil:
		e.User = auth.User(q.credentials()) // with a wrong password, which Apache logs, too
	}
	e.Time, e.Earlier = q.time, int(q.earlier)
	if i := bytes.IndexByte(head, '\r'); i > 0 {
		e.RequestLine = append(e.RequestLine, head[:i]...)
	}
	if len(format.Request) == 0 {
		return
	}
	for _, f := range q.parsed.Fields {
		for i, name := range format.Request {
			if int(f.Name.Len) == len(name) && is(f, head, name) {
				e.Request[i].Add(f.Value.In(head))
			}
		}
	}
}

// noteMalformed is note for an exchange without a request: came is what the client has sent instead.
func (l *loop) noteMalformed(x *Exchange, came []byte) {
	if !l.timed {
		return
	}
	c := x.client
	l.beginEntry(x, c.who())
	x.Received = int64(len(came))
	x.log.Time, x.log.Earlier = time.Now(), int(c.requests)
	c.requests++
	x.log.Malformed(came, l.cfg.Limits.RequestLine)
}

// beginEntry begins the entry of x, whose client is peer, and returns the format of its line.
func (l *loop) beginEntry(x *Exchange, peer *exchange.Peer) *accesslog.Format {
	if x.log == nil {
		x.log = l.host.record()
	}
	e, c := x.log, x.client
	e.Log = l.cfg.AccessLog
	if x.rules != nil && (x.rules.log != nil || x.rules.unlog) {
		e.Log = x.rules.log
	}
	format := e.Format()
	e.Begin(format)
	direct := c.who()
	e.PeerAddr, e.LocalAddr, e.LocalPort = direct.Addr, direct.ServerName, direct.ServerPort
	e.Addr, e.Port, e.Scheme = peer.Addr, peer.Port, peer.Scheme
	if x.rules != nil {
		e.Site = x.rules.name
	}
	if l.debug > 0 {
		e.Client = c.String()
		if peer != direct {
			e.Client = peer.Addr + " through " + e.Client
		}
	}
	return format
}

// headSent remembers of the head of a response what the log line of x needs.
func (x *Exchange) headSent(head []byte) {
	e := x.log
	if e == nil || len(e.Response) == 0 {
		return
	}
	for line := range bytes.Lines(head) {
		name := header.Name(line)
		for i, wanted := range e.Format().Response {
			if len(name) == len(wanted) && len(name) < len(line) && bytes.EqualFold(name, []byte(wanted)) {
				e.Response[i].Add(bytes.TrimSpace(line[len(name)+1:]))
			}
		}
	}
}

func is(f wire.Field, head []byte, name string) bool {
	return bytes.EqualFold(f.Name.In(head), []byte(name))
}

// statusGone is what logs say of a request whose client left before it was
// answered, as nginx does.
const statusGone = 499

// account writes the log lines of an exchange that has ended.
func (l *loop) account(x *Exchange) {
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
	l.writeLine(e, &outcome{
		by: x.By, status: x.Out.Status, sent: x.Out.Sent, framed: x.Out.Framed, received: x.Received, keepAlive: x.KeepAlive, overridden: x.overridden,
		aborted: !x.proper && (x.Out.Status == 0 || x.Broken()),
	})
}

// outcome is what became of a request, for its line in the access log.
type outcome struct {
	by                     string
	status                 int // 0: its client left before it was answered
	sent, framed, received int64
	keepAlive              bool
	overridden             bool
	aborted                bool
}

// writeLine writes the log lines of a request that has ended.
func (l *loop) writeLine(e *accesslog.Record, o *outcome) {
	took := time.Since(e.Time)
	if o.status == 0 {
		o.status = statusGone
	}
	if l.debug >= 1 {
		l.tracef("%s %q %d, %d bytes, %v", e.Client, e.RequestLine, o.status, o.sent, took.Round(time.Microsecond))
	}
	if l.cfg.Answered != nil && !o.overridden {
		l.cfg.Answered(&RequestSummary{Line: e.RequestLine, Status: o.status, Bytes: o.sent, Took: took})
	}
	if e.Log == nil {
		return
	}
	e.Duration, e.Status, e.BytesSent, e.WireIn, e.WireOut = took, o.status, o.sent, o.received, o.sent+o.framed
	e.KeepAlive, e.Aborted, e.Handler = o.keepAlive, o.aborted, o.by
	e.Log.Append(&e.Entry)
}

// logClient logs a line about the client of c and what answers it by rules r, nil if
// none do.
func (l *loop) logClient(c *client, r *rules, level loglevel.Level, format string, args ...any) {
	log := l.cfg.LogClient
	if r != nil && r.errors != nil {
		log = r.errors
	}
	log(level, c.clientText(), fmt.Sprintf(format, args...))
}

// clientText is how the error log calls the client.
func (c *client) clientText() string {
	peer := c.Client()
	switch {
	case peer.Addr == "":
		return c.String()
	case peer.Port == "": // a proxy has not said it
		return peer.Addr
	}
	return net.JoinHostPort(peer.Addr, peer.Port)
}
