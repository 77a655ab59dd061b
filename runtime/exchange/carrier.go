package exchange

import (
	"errors"
	"fmt"
	"net/http"

	"fapws/runtime/conn"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/route"
)

// A Carrier is a WebSocket or a tunnel that continues an exchange after HTTP (see Server.Init).
type Carrier interface {
	// Begun reports whether the protocol has taken over the connection, so that the Carrier is also the Sink.
	Begun() bool
	// Refused is called if the response is an ordinary HTTP response, or if the client disconnects before Begun. It may
	// be called again for the same exchange.
	Refused()
	// Carried returns the number of received and sent bytes; proper is false if the protocol ended with an error.
	Carried() (in, out int64, proper bool)
}

// A Resumption describes an exchange that another process has handed over, after it has changed its protocol. It is sent
// as JSON (see Server.Resume).
type Resumption struct {
	Group         []byte // Mount.Group of the exchange's mount
	Head          []byte
	Local, Remote string // addresses of the server and of the client, with ports; "" for a unix socket
	User          string `json:",omitempty"`
	Subprotocol   string `json:",omitempty"`
	Data          []byte // the Body of the handler's last part, which has OpHandOver
	Sent, Framed  int64

	Log *logfile.State `json:",omitempty"` // state of the line for the access log, which is not written yet
}

// ChangeProtocol gives the connection of x to its Carrier, and makes sink the Sink of x. For r and the results, see
// Stream.SwitchProtocols.
func (x *Exchange) ChangeProtocol(sink Sink, r *http1.Response) (c *conn.Conn, head []byte) {
	x.Sink = sink
	if r == nil && !x.Out.Begun { // the new protocol sends its own response
		x.Out.Status = http.StatusSwitchingProtocols
	}
	c, head = x.Stream.SwitchProtocols(x, r)
	if x.from == x.client.peer {
		x.from, x.client.peer = nil, nil
	}
	return c, head
}

func (x *identity) User() string {
	if x.from == nil {
		return ""
	}
	return x.from.User
}

// Resume continues the exchange d, which another process has handed over, on the connection of client. Resume submits
// the request again, with Request.Resumed. If a mount accepts the request, Resume calls open, which must add the
// connection to the event loop, and then resumed, which must make the Carrier and the Sink of the exchange. The
// returned Carrier is nil if the connection is already closed. If Resume returns an error, neither function was called.
func (s *Server) Resume(d *Resumption, client *Client, stream Stream, open func(),
	resumed func(x *Exchange, c *conn.Conn) Carrier) (Carrier, error) {
	q := newRequest()
	limits := s.Config.Limits.Plus(http1.OwnFields, http1.OwnLines)
	if _, err := q.parsed.Parse(d.Head, &limits); err != nil {
		return nil, fmt.Errorf("its request: %w", err)
	}
	q.handed.Head = d.Head
	x := s.New(client, stream)
	s.begins(x, q, true)
	if !s.routeResumed(x, string(d.Group)) {
		x.End()
		return nil, errOtherMount
	}
	// The connection is closed if the event loop cannot watch it, or if the server is stopping.
	if open(); client.IsClosed() {
		x.End()
		return nil, nil
	}
	if d.Log != nil {
		if x.Record = s.RecordOf(d.Log); x.Record != nil {
			x.Received = x.Record.WireIn
		}
	}
	if d.User != "" {
		by := Basic
		if x.rules.access != nil {
			by = x.rules.access.By()
		}
		x.LogIn(d.User, by)
	}
	x.Out.Status = 101
	x.Out.Begin()
	x.Out.Sent, x.Out.Framed = d.Sent, d.Framed
	carrier := resumed(x, &client.Conn)
	r := q.hand(x)
	r.Upgrade, r.Resumed = true, d
	x.Choice = q.mount
	x.Submit()
	return carrier, nil
}

var errOtherMount = errors.New("its request leads to something else now")

// routeResumed routes the request of x, and reports whether the mount accepts WebSockets and has the given group.
// Passwords and limits are not checked again, because the other process has checked them.
func (s *Server) routeResumed(x *Exchange, group string) bool {
	q := x.req
	s.route(x)
	for q.Outcome == route.NeedsLookup || q.Outcome == route.NeedsAdmission {
		if q.Outcome == route.NeedsAdmission {
			q.Admit()
		} else {
			q.Skip()
		}
	}
	s.settleRules(x)
	return q.Outcome == route.Found && q.mount.Upgrades == ToMessages && q.mount.Group == group &&
		q.parsed.UpgradeTo.Len > 0
}
