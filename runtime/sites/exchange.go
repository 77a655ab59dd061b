package sites

import (
	"bytes"
	"errors"
	"net/netip"
	"time"

	"fapws/runtime/auth"
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	wire "fapws/runtime/http1"
	"fapws/runtime/live"
	"fapws/runtime/logfile"
	"fapws/runtime/metrics"
	"fapws/runtime/protocol/http"
	"fapws/runtime/protocol/http1"
	"fapws/runtime/route"
	"fapws/runtime/source/refusal"
)

// Exchange is a request with its response, and everything that the server has to know of it. The protocol knows its connection. It is Sink and Server of the
// exchange.Exchange in it.
type Exchange struct {
	http.Exchange
	s *Sites
	routed
	id *wire.TraceID // memory for trace, which is used again
}

// routed is the decision about an exchange, and its outcome.
type routed struct {
	client *Client        // that has sent the request; it may have left
	req    *request       // nil: a source has taken over all that it needs
	rules  *rules         // of the mount, or of the site; nil: none
	from   *exchange.Peer // the client, as a trusted proxy has named it; nil: that of its connection
	peer   *exchange.Peer // the client, if it has logged in or a handler is asked

	renewal *exchange.Edit // of the cookie of its session; nil: it stays

	tunnel *conn.TunnelLink // that its connection is, or nil
	socket *live.Socket     // that it is, or is to be, or nil
	relay  *relay           // to an application that speaks for itself, of a client with TLS, or nil

	waits  bool  // for what answers it: see decide.go
	until  int64 // Sites.now when it stops waiting; 0: it has not begun to
	former bool  // it was begun before Sites.Use

	began  int64          // of Recorder.Begin; 0: it is not counted
	counts *metrics.Route // of its route

	trace *wire.TraceID // of Config.Trace; nil: it is not traced

	// For the access log.
	html       bool // the client is a browser: for replies when req is nil
	quiet      bool // it has no line there
	overridden bool // it gets the override page, and its browser asks again and again
	proper     bool // a WebSocket or a tunnel that has ended as it should
	log        *logfile.Record
}

var (
	_ exchange.Sink   = (*Exchange)(nil)
	_ exchange.Server = (*Exchange)(nil)
)

// traced makes x a part of a trace, which the caller puts into the result.
func (x *Exchange) traced() *wire.TraceID {
	if x.id == nil {
		x.id = new(wire.TraceID)
	}
	x.trace = x.id
	return x.id
}

// of returns the Exchange that x is part of.
func of(x *exchange.Exchange) *Exchange { return x.Server.(*Exchange) }

// ofHTTP is of for an exchange of package protocol/http.
func ofHTTP(x *http.Exchange) *Exchange { return x.Server.(*Exchange) }

// Client returns what applications are told of the client of x, unless it has logged in. Other requests of its connection may have
// another one, if a proxy has sent them.
func (x *Exchange) Client() *exchange.Peer {
	if x.from != nil {
		return x.from
	}
	return x.client.Client()
}

// Send implements exchange.Sink.
func (x *Exchange) Send(p *exchange.Part) {
	if s := x.socket; s != nil && s.HasConn() {
		s.Send(p)
		return
	}
	if r := x.relay; r != nil && r.take(p) {
		return
	}
	x.Exchange.Send(p)
}

// Reply implements exchange.Sink.
func (x *Exchange) Reply(r exchange.Reply) {
	s, c := x.s, x.Conn()
	if c == nil {
		x.End()
		return
	}
	if s.set.Debug >= 1 {
		s.tracef("%s gets %d: %s", c, r.Status, r.Text)
	}
	if s := x.socket; s != nil && s.HasConn() { // it is open for its client
		x.client.Leave(&x.Exchange)
		x.End()
		s.NotResumed()
		return
	}
	x.leaveSocket()
	if q := x.req; q != nil {
		r.HTML = q.wantsHTML()
	} else {
		r.HTML = r.HTML || x.html
	}
	x.req, x.overridden = nil, r.Override
	x.Replace(r.Close)
	x.rules.errorPages().Answer(&x.Exchange.Exchange, r)
}

// Credit implements exchange.Server.
func (x *Exchange) Credit(n int64) {
	if s := x.socket; s != nil && s.HasConn() {
		s.Credit(n)
		return
	}
	x.Exchange.Credit(n)
}

// HasPage implements exchange.Server.
func (x *Exchange) HasPage(status int) bool { return x.rules.errorPages().Has(status) }

// Decline implements exchange.Server.
func (x *Exchange) Decline(index string) bool {
	s, q := x.s, x.req
	switch {
	case index == "":
		q.mount.missing.add(q.Path[q.Script:], s.now())
		q.missed = append(q.missed, q.mount)
		q.Skip()
	case q.index != "":
		return false
	default:
		q.index = index
		s.route(x)
	}
	x.Again()
	return true
}

// Log implements exchange.Server.
func (x *Exchange) Log(level logfile.Level, line string) {
	x.s.logClient(x, level, "%s", line)
}

// NoteFile implements exchange.Server.
func (x *Exchange) NoteFile(root string, path []byte) {
	if x.log != nil {
		x.log.File = append(append(x.log.File[:0], root...), path...)
	}
}

// findSession decides by the session of the request: its cookie.
func (s *Sites) findSession(x *Exchange) (exchange.Reply, accessResult) {
	l, q := x.rules.login, x.req
	secure := x.Client().Scheme == "https"
	session := l.Session(q.Head, q.parsed.Fields, secure)
	if session == nil && x.rules.local && isLoopback(x.Client().Addr) {
		return exchange.Reply{}, admitted
	}
	if session == nil {
		return q.askToLogIn(x), rejected
	}
	changes := !q.parsed.Safe || q.parsed.UpgradeTo.Len > 0
	if changes && auth.FromElsewhere(q.Head, q.parsed.Fields, x.host()) {
		return exchange.Reply{Status: 403, Text: "a page of another site has sent this request"}, rejected
	}
	x.logIn(session.User, exchange.Form)
	if cookie := l.Renew(session, secure); cookie != "" {
		x.renewal, _ = exchange.NewEdit(nil, []exchange.Field{{Name: "Set-Cookie", Value: cookie}}, nil) // no cookie of ours is wrong
	}
	return exchange.Reply{}, admitted
}

func isLoopback(addr string) bool {
	a, err := netip.ParseAddr(addr)
	return err == nil && a.Unmap().IsLoopback()
}

// askToLogIn answers a client without a session: a browser that shows a page gets the form, others know what to do.
func (q *request) askToLogIn(x *Exchange) exchange.Reply {
	if !q.parsed.Safe || q.parsed.UpgradeTo.Len > 0 || !q.wantsHTML() {
		return exchange.Reply{Status: 401, Fields: []byte(auth.LoginChallenge)}
	}
	root := string(q.Path[:q.Root])
	target := string(q.parsed.Target.In(q.Head))
	if q.Hidden {
		target = root + target
	}
	return exchange.Reply{Status: 303, Whole: true, Fields: []byte("Location: " + auth.LoginLocation(root, target) + "\r\nCache-Control: no-store\r\n")}
}

// host returns the host and port that the client of x has asked for.
func (x *Exchange) host() string {
	p, q := x.Client(), x.req
	switch {
	case p.Host != "":
		return p.Host
	case q.parsed.Authority.Len > 0: // RFC 9112 §3.2.2: it wins
		return string(q.parsed.Authority.In(q.Head))
	}
	return string(q.parsed.Host.In(q.Head))
}

// request is what the client of an exchange asks for, and what has been decided about it. Exchange.req is nil once a
// source has taken over what it needs.
//
// All exchanges that do not wait share one, and its slices belong to the input of their connection. keep gives an exchange
// that has to wait one that lasts: then it goes on later where it was.
type request struct {
	route.Decision // where it goes; Head is the head as received
	parsed         wire.Request
	mount          *Mount // nil: none
	kept           bool

	time    time.Time // when its head had arrived, if Sites.timed
	earlier uint32    // requests of its connection before it, as far as they are logged

	check *auth.Check  // of its password, while that is computed
	login checkedLogin // what came of it

	refreshing bool           // the file that its client is known by is read again
	refreshed  credentialFile // that was read again for it; nil: none

	missed []*Mount // whose files have nothing for it
	index  string   // it is for a directory that has this for its index, which is not a plain file

	handed exchange.Request // as a source gets it: see ask

	// Memory for the sources that answer it.
	forwarded []byte // what proxies say of it
	traced    []byte // its head with traceparent
}

// newRequest returns memory for requests.
func newRequest() *request {
	q := &request{parsed: wire.Request{Fields: make([]wire.Field, 0, 16)}}
	q.reset()
	return q
}

// reset makes q ready for another request. Slices keep their memory.
func (q *request) reset() {
	q.mount, q.missed, q.index = nil, q.missed[:0], ""
	q.check, q.login = nil, checkedLogin{}
	q.refreshing, q.refreshed = false, nil
	// One by one: a literal would be made elsewhere and then copied.
	q.handed = exchange.Request{}
	q.handed.Parsed, q.handed.Spool = &q.parsed, -1
}

// keep makes q last: it refers to the input of a connection no more.
func (q *request) keep() {
	if q.kept {
		return
	}
	q.kept = true
	q.Decision.Keep()
	r := &q.handed
	r.Head, r.Path, r.Body = q.Head, bytes.Clone(r.Path), nil
}

// trace has the head continue the trace of the client, or begin one, and puts it into id.
func (q *request) trace(t *wire.Tracer, id *wire.TraceID) {
	r := &q.handed
	q.traced = t.Rewrite(q.traced[:0], r.Head, &q.parsed, id)
	r.Head, r.Traced = q.traced, true
}

// ask puts the decision into the request that a source gets.
func (q *request) ask() *exchange.Request {
	r := &q.handed
	r.Head = q.Head
	if m := q.mount; m != nil {
		r.Mount, r.Root, r.Prefix, r.Script = m.Index, q.Root, q.Root+len(m.Prefix), q.Script
		r.Path, r.Routed = q.Asked(m.Resolved), q.Rewritten
	}
	return r
}

// hasBody reports whether a body follows the head.
func (q *request) hasBody() bool { return q.parsed.Body == wire.Chunked || q.parsed.Length > 0 }

// wantsHTML reports whether the client is a browser.
func (q *request) wantsHTML() bool { return refusal.WantsHTML(&q.parsed, q.Head) }

// credentials returns the value of the Authorization field, or nil.
func (q *request) credentials() []byte {
	for _, f := range q.parsed.Fields {
		if f.Name.Len == 13 && bytes.EqualFold(f.Name.In(q.Head), []byte("authorization")) {
			return f.Value.In(q.Head)
		}
	}
	return nil
}

// admit has x, which is for an application, answered by its mount.
func (s *Sites) admit(x *Exchange) {
	q, m := x.req, x.req.mount
	r := s.ask(x)
	if (m.WebSocket || m.Tunnels) && q.parsed.UpgradeTo.Len > 0 && wantsWebSocket(x) {
		s.handshake(x)
		return
	}
	if m.DetachSocket && q.parsed.Upgrade && wantsDetachedSocket(x) {
		if !x.InTurn() {
			x.AwaitTurn()
			return
		}
		var err error
		detach := x.client.DetachSocket
		if x.client.Transport() != nil || x.Version == wire.HTTP2 {
			detach = x.newRelay
		}
		switch r.Socket, err = detach(); {
		case errors.Is(err, http1.ErrAhead):
			x.Refuse(exchange.Reply{Status: 400, Text: err.Error(), Close: true})
			return
		case err != nil:
			x.Refuse(exchange.Reply{Status: 503, Fields: retryAfter})
			return
		}
	}
	x.html = m.Streams && q.hasBody() && q.wantsHTML()
	x.Admit(m.answerer())
}

// ask puts together the request that the source of x gets.
func (s *Sites) ask(x *Exchange) *exchange.Request {
	r, c := x.req.ask(), x.client
	if x.peer == nil {
		x.peer = x.Client()
	}
	r.Peer = x.peer
	if x.rules != nil {
		r.ErrorLog = x.rules.number
	}
	if c.subrequest != nil {
		r.Depth, r.Value = c.subrequest.Depth+1, c.subrequest.Value
	}
	return r
}

// wantsDetachedSocket reports whether x, whose Connection lists "upgrade", asks for a
// WebSocket (RFC 6455 §4.1).
func wantsDetachedSocket(x *Exchange) bool {
	req := &x.req.parsed
	return req.Version > wire.HTTP10 && !x.req.hasBody() && string(req.Method.In(x.req.Head)) == "GET" && wantsWebSocket(x)
}
