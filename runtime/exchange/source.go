package exchange

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"fapws/runtime/conn"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// A Source answers exchanges. A source that needs state for an exchange passes a separate value for this exchange to
// Exchange.SetSource. All methods are called on the event loop and must not block.
type Source interface {
	// Start sends the response of x, immediately or later. Start is called again after Exchange.AwaitTurn.
	Start(x *Exchange)
	// Input passes the next input of x to the source: a piece of the body, or a WebSocket message. Input cannot fail.
	// At InputWindow the server stops reading from the client until the source returns bytes with OpCredit.
	Input(x *Exchange, input Input)
	// OnGone is called if no client needs the response. The source must still send the last part, at once or later.
	OnGone(x *Exchange)
}

// Optional is a Source that may decline a path.
type Optional interface {
	Source
	// Declines reports whether the source calls Exchange.Decline for some paths. Any goroutine may call it.
	Declines() bool
}

// Memory is a Source whose response was already sent, so its methods do nothing. Other sources can embed Memory.
type Memory struct{}

func (Memory) Start(*Exchange) {}

func (Memory) Input(*Exchange, Input) {}

func (Memory) OnGone(*Exchange) {}

// A Sink receives the response of an exchange. The Sink is the exchange itself, a filter or a Carrier. All methods must
// be called on the event loop and do not block.
type Sink interface {
	// Send sends the next part of the response, and calls p.Owner.Release when the bytes are no longer needed. The sink
	// keeps bytes that the client cannot receive yet. After Send has returned, the caller may reuse *p. If p is the
	// last part, the exchange may have ended when Send returns.
	Send(p *Part)
	// Reply sends r, or the site's page for the status of r, as the response. No part may have been sent before.
	Reply(r Reply)
}

// A Filter returns a Sink that changes the response of x and forwards it to next. If the response needs no change, a
// Filter returns next itself. A Filter is called before the Source of x starts, while x.Req is valid.
type Filter func(x *Exchange, next Sink) Sink

// A Compressor compresses responses of a Handler. Its methods are called on the event loop.
type Compressor interface {
	// Filter is the Filter for requests with Accept-Encoding.
	Filter(x *Exchange, next Sink) Sink
	// Varies reports whether the response to x that p begins would be compressed for some other client. The response
	// then has the field Vary; otherwise a shared cache could give it to this client.
	Varies(x *Exchange, p *Part) bool
}

// Reply is a whole response in memory. Only Status is required.
type Reply struct {
	Status int
	Text   string // explanation for the client; "" means the phrase of the status
	// lines for a developer, shown below Text if the page has no Body; "" unless Exchange.ShowsDetails is true
	Details string
	Body    []byte // body of the response; nil means a page with Text
	Length  int64  // length of the omitted body of a response to HEAD, in bytes
	Type    string // Content-Type of Body
	Fields  []byte // "Name: value\r\n" ...
	Date    bool   // Fields contains Date
	Server  bool   // Fields contains Server
	Whole   bool   // a page of the site must not replace this reply
	// the reply is from Server.Override: the browser repeats the request, so the access log omits it
	Override bool
	Close    bool // the server closes the connection, because the rest of the input cannot be parsed
	Limit    Limit
}

type Limit struct {
	Setting   string // the setting that contains the limit, as users write it, such as "--max-body-size"
	Max, Size int64  // the limit, and the size of the received part of the request
}

// AtMost returns the end of a sentence for visitors about a limit in bytes, such as ": at most 20 MB". As in the
// settings, a MB has 1024 KB.
func AtMost(max int64) string {
	unit := "bytes"
	for _, larger := range []string{"KB", "MB", "GB"} {
		if max < 1024 || max%1024 != 0 {
			break
		}
		max, unit = max/1024, larger
	}
	return fmt.Sprintf(atMost+"%d %s", max, unit)
}

const atMost = ": at most "

// RetryAfter is the field for a 503 response if the client can try again soon.
var RetryAfter = []byte("Retry-After: 1\r\n")

// A Takeover begins a protocol other than HTTP on the connection c after the response to an exchange (Part.Takeover).
// The new protocol must write log, which may be nil, to the access log. sent is the number of body bytes in the
// response, and framed is the number of bytes in its head and framing. The exchange ends when Takeover has returned. If
// the response cannot be sent, the part is released and Takeover is not called.
type Takeover func(c *conn.Conn, log *logfile.Record, sent, framed int64)

// Origin describes the request for which a handler sends a subrequest to the server itself.
type Origin struct {
	Peer  Peer   // client that gets the responses
	Host  string // host and port that the client requested; "" means the default site
	Root  string // decoded path prefix from a proxy or from Config.RootPath: "" or "/a/b"
	Depth int
	Value any  // data for the handlers that answer the subrequests
	Own   bool // the server tests itself, and needs neither a password nor a session; see OwnUser
}

// OwnUser is the user as whom the server is logged in where a mount has users, if Origin.Own is true: its handler relies
// on a user.
const OwnUser = "fapws-check"

// Asker sends a GET request to the server itself on behalf of the request that o describes. target is a percent-encoded
// path with an optional query. fields contains lines of the form "Name: value\r\n", without Host, Connection and the
// fields that frame a body. The caller must close the Body of the response. The error is ErrTooDeep, the error of ctx,
// or an error that the server is stopping.
type Asker func(ctx context.Context, o Origin, target string, fields []byte) (*http.Response, error)

const MaxDepth = 10

var ErrTooDeep = errors.New("requests within requests go too deep")

// Ticket is the number of an active exchange. The loop reuses a ticket after the release of the last part.
type Ticket uint32

// Request is a request, with its whole body unless More is true. Its slices are valid until Submit returns.
type Request struct {
	Mount  int            // number of the mount (see Mount.Index)
	Head   []byte         // request line and fields as received; the spans of Parsed are offsets into Head
	Parsed *http1.Request // valid as long as Head
	Path   []byte         // percent-decoded path as the client sees it
	Root   int            // Path[:Root] is from a proxy or Config.RootPath; it is part of SCRIPT_NAME
	Prefix int            // Path[:Prefix] is the prefix of the mount, including Path[:Root]
	Script int            // SCRIPT_NAME is Path[:Script], and PATH_INFO is Path[Script:]
	Body   []byte         // the decoded body if it is in memory
	Stays  bool           // Body is in a Region, which stays valid until the handler's last part was released
	// descriptor of an unlinked file that contains the body from offset 0, or -1. The handler must close
	// the file, even if Submit returns false
	Spool  int
	Size   int64
	Own    int     // number of fields at the end of Head that the server has added (http1.Identity)
	Number uint64  // random number of the request, for http1.ShortID; 0 if no Handler gets the request
	Routed bool    // the server has rewritten Path and perhaps the query
	Origin *Origin // origin of a subrequest (see Asker); nil if a client sent the request
	Peer   *Peer
	// More means that the body is incomplete. Body contains its beginning and may be empty; the rest follows as Input.
	// Size is the announced length, or -1 if no length was announced. More is never true unless Mount.Streams is true.
	More bool
	// Upgrade means that the client asks for a protocol that Mount.Upgrades allows, such as WebSocket (RFC 6455
	// §4.2.1). To accept the protocol, the handler sets Head.Then in its response.
	Upgrade bool
	// Socket, if not 0, is connected to the client. The handler must close it even if Submit returns false.
	Socket   int
	ErrorLog int // number of the error log (Site.ErrorLogNumber); 0 means the error log of the server
	// Pipeline, if not 0, is the number of the connection, and means that earlier requests of this connection are still
	// active (RFC 9112 §9.3.2, RFC 9113 §5). A handler may defer requests with a Pipeline (OpDeferred).
	Pipeline int
	Options  string // options for the program that a handler has named in its response (Continuation); otherwise ""
	Services *Services
}

// Clone returns a copy of r that stays valid.
func (r *Request) Clone() Request {
	c, parsed := *r, *r.Parsed
	parsed.Fields = slices.Clone(parsed.Fields)
	c.Head, c.Path, c.Body, c.Parsed = bytes.Clone(r.Head), bytes.Clone(r.Path), bytes.Clone(r.Body), &parsed
	c.Stays = false
	return c
}

// About returns the request in the form for error logs. parsed is the parsed Head.
func (r *Request) About(parsed *http1.Request) logfile.About {
	id := http1.OwnIdentity(r.Head, parsed, r.Own)
	return logfile.About{Client: r.Peer.String(), Request: cmp.Or(id.Request, http1.ShortID(r.Number)),
		Trace: id.Trace.String(), User: r.Peer.User, Host: string(r.Peer.AppendHost(nil, parsed, r.Head)),
		Method: string(parsed.Method.In(r.Head)), Path: string(r.Path)}
}

// Depth returns how deeply a subrequest is nested: 0 for the request of a client, 1 for its subrequests, and so on.
func (r *Request) Depth() int {
	if r.Origin == nil {
		return 0
	}
	return r.Origin.Depth + 1
}

// Services contains functions of the loop that a handler may call on any thread, even after Submit has returned.
type Services struct {
	Publish func(Ticket, *Part) // passes a part of the response to the loop
	Ask     Asker

	// Deliver does the same as Publish at once. It must be called on the loop, and neither within Submit nor within
	// another call of a method of the handler, except Release.
	Deliver func(Ticket, *Part)
	Conns   *conn.Set       // for handlers on the loop that have connections to other servers
	Secure  *conn.TLSServer // for such connections with TLS

	Times *logfile.Times // times that the handler should measure, or nil
	// HTTP1Hints means that early hints are sent over HTTP/1.1, too (Config.HTTP1Hints).
	HTTP1Hints bool
	// Next forwards the request to the second source of an app.Receiving; nil for all other handlers. To use it, the
	// handler sets Head.Then of its last part to Next. The Body of that part replaces the body of the request, and its
	// Head.Fields are added to the response of the second source.
	Next Then
	// Inquire sends the request of t, with another body, to the second source. The client does not get the response.
	// Inquire calls the function done on the loop with the status and the beginning of the response. Inquire is nil if
	// Next is nil.
	Inquire func(t Ticket, body []byte, done func(status int, answer []byte))
}

// Peer is the client of an exchange. Login is the method with which the client's user has logged in.
type (
	Peer  = conn.Peer
	Login = conn.LoginMethod
	File  = conn.File
)

const (
	Basic = conn.Basic
	Form  = conn.Form
)

// TakesInterim reports whether the client gets 1xx responses of the source, such as 103 (Early Hints, RFC 8297). Over
// HTTP/1.1, many proxies and clients treat a 1xx response as the final response and then wait for its body, and the
// request does not show whether it came through such a proxy. Therefore a 1xx response is sent over HTTP/1.1 only if
// the server is configured to do so, and only to a browser that navigates to a page.
func (r *Request) TakesInterim() bool {
	switch v := r.Parsed.Version; {
	case v.Has(http1.TakesHints):
		return true
	case v == http1.HTTP11:
		if r.Services == nil || !r.Services.HTTP1Hints {
			return false
		}
		mode, _ := http1.First(r.Head, r.Parsed.Fields, "sec-fetch-mode")
		return string(mode) == "navigate"
	}
	return false
}
