package exchange

import (
	"context"
	"errors"
	"net/http"

	"fapws/runtime/conn"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// A Source answers exchanges. A source that needs state for an exchange replaces Exchange.Source with its own value for
// this exchange. All methods are called on the event loop and must not block.
type Source interface {
	// Start begins to answer x, immediately or later. Start is called again after Exchange.AwaitTurn.
	Start(x *Exchange)

	// Input passes the next input of x: a piece of its body, or a message of its WebSocket. Input cannot fail. At
	// InputWindow the server stops reading from the client until the source returns bytes by OpCredit.
	Input(x *Exchange, in Input)

	// OnGone is called if no client needs the response and the source has not sent the last part. The source must still
	// send the last part, immediately or later.
	OnGone(x *Exchange)
}

// Optional is a Source that may decline a path.
type Optional interface {
	Source

	// Declines reports whether the source calls Exchange.Decline for a path that it does not have. Declines is safe for
	// concurrent use.
	Declines() bool
}

// Memory is embedded by sources that ignore input and disconnected clients. An exchange whose Source is a Memory has
// already sent its response.
type Memory struct{}

func (Memory) Start(*Exchange) {}

func (Memory) Input(*Exchange, Input) {}

func (Memory) OnGone(*Exchange) {}

// A Sink receives the response of an exchange. A Sink is the exchange itself or a filter. All methods must be called on
// the event loop and do not block.
type Sink interface {
	// Send sends the next part of the response, and calls p.Owner.Release when the bytes are no longer needed. The sink
	// keeps bytes that the client cannot receive yet. The caller may reuse *p when Send returns. If p is the last part,
	// the exchange may have ended by then.
	Send(p *Part)

	// Reply answers the exchange with r, or with the site's page for the status of r, instead of the source's response.
	// Call it before the first part.
	Reply(r Reply)
}

// A Filter returns a Sink that may change the response of x and forwards it to the Sink next, or returns next itself. A
// Filter is called before the Source of x starts, while x.Req is valid.
type Filter func(x *Exchange, next Sink) Sink

// Reply is a whole response in memory. Only Status is required.
type Reply struct {
	Status int
	Text   string // "" means the phrase of the status
	Body   []byte // body of the response; nil means a page with Text
	// Length of the body if Body is omitted because the method is HEAD.
	Length   int64
	Type     string // Content-Type of Body
	Fields   []byte // "Name: value\r\n" ...
	Date     bool   // Fields contains Date
	Server   bool   // Fields contains Server
	Whole    bool   // a page of the site must not replace Body
	Override bool   // the browser repeats the request, so it has no log line
	// Close the connection, because the rest of the input cannot be parsed.
	Close bool
	Limit Limit
}

type Limit struct {
	Setting   string // name of the setting, such as "max-body-size"
	Max, Size int64  // the limit, and the size of the received part of the request
}

// RetryAfter is the field of a 503 if the client may try again soon.
var RetryAfter = []byte("Retry-After: 1\r\n")

// An Upgrade begins another protocol on the connection c after the response to an exchange (Part.Upgrade). The protocol
// writes log, which may be nil, to the access log. The parameter sent is the number of body bytes of the response, and
// framed is the number of its other bytes. Some of these bytes may still wait to be written. The exchange ends when
// Upgrade has returned. If the response cannot be sent, the part is released and Upgrade is not called.
type Upgrade func(c *conn.Conn, log *logfile.Record, sent, framed int64)

// Origin describes a request on whose behalf a handler sends a subrequest to the server itself, for an included page or
// the target of a local redirect.
type Origin struct {
	Peer Peer // client that gets the answers
	// host and port that the client asked for; "" means the default site
	Host string
	// path prefix from a proxy or Config.RootPath, decoded: "" or "/a/b"
	Root  string
	Depth int
	Value any  // data for the handlers of subrequests
	Own   bool // the server tests itself, without a password or session
}

// Asker sends a GET request to the server itself on behalf of another request. target is a percent-encoded path with an
// optional query, as clients send it. fields are "Name: value\r\n" ... without Host, Connection and the fields that
// frame a body. The caller must close the Body of the response. The error is ErrTooDeep, the error of ctx, or an error
// because the server is stopping.
type Asker func(ctx context.Context, o Origin, target string, fields []byte) (*http.Response, error)

const MaxDepth = 10

var ErrTooDeep = errors.New("requests within requests go too deep")

// Ticket is the number of an active exchange. Tickets are small numbers that index a table. The loop reuses a ticket
// after the release of the last part.
type Ticket uint32

// Request is a request whose body is complete, unless More is set. Slices are valid until Submit returns.
type Request struct {
	Mount int // number of the mount in the table of the handler
	// Request line and fields as received. The spans of Parsed are offsets into Head.
	Head   []byte
	Parsed *http1.Request // valid as long as Head
	Path   []byte         // percent-decoded path as the client sees it
	// length of Path[:Root], the part of SCRIPT_NAME from a proxy or Config.RootPath
	Root   int
	Prefix int // length of Path[:Prefix], the prefix of the mount, with Root
	// SCRIPT_NAME is Path[:Script], and PATH_INFO is Path[Script:]
	Script int
	Body   []byte // the decoded body if it is in memory
	// Descriptor of an unlinked file with the body from offset 0, or -1. The handler must close the file, even if
	// Submit returns false.
	Spool  int
	Size   int64
	Own    int     // number of the last fields of Head that the server has added (http1.Identity)
	Routed bool    // the server has rewritten Path and perhaps the query
	Origin *Origin // origin of a subrequest (see Asker); nil for a client
	Peer   *Peer

	// More means that the body is incomplete. Body, which may be empty, is its beginning, and the rest follows as
	// Input. Size is the announced length, or -1 if no length was announced. More is set only if Mount.Streams is set.
	More bool

	// Upgrade is set if the client asks for another protocol that Mount.Upgrades allows, such as a WebSocket (RFC 6455
	// §4.2.1). The handler accepts it with the Then of its response.
	Upgrade bool

	// Resumed is the state of a WebSocket that another process has accepted; nil for other requests. The handler
	// accepts the WebSocket again and continues it. The fields of its response are ignored. Resumed is valid until
	// Submit returns.
	Resumed *SocketState

	// Socket, if not 0, is a descriptor that is connected to the client. The handler must close it, even if Submit
	// returns false. The application may use it for another protocol (ToDescriptor, Detached).
	Socket int

	// ErrorLog is the number of this request's error log (Site.ErrorLogNumber). 0 means the log of the server.
	ErrorLog int

	// Pipeline, if not 0, means that responses to earlier requests of the connection are unfinished (RFC 9112 §9.3.2,
	// RFC 9113 §5). Requests with the same number share a connection. A handler may defer such requests (OpDeferred).
	Pipeline int

	// Options for the program that another handler has named (Continuation); otherwise "".
	Options string

	Services *Services
}

// Depth returns how deeply a subrequest is nested: 0 for the request of a client, 1 for a subrequest made by its
// handler.
func (r *Request) Depth() int {
	if r.Origin == nil {
		return 0
	}
	return r.Origin.Depth + 1
}

// Services are the functions of the loop that the handler of a request may call on any thread, also after Submit has
// returned.
type Services struct {
	Publish func(Ticket, *Part) // passes a part of the response to the loop
	Ask     Asker

	Times *logfile.Times // what the handler should measure; nil if nothing

	// Next forwards the request to the mount's own source after a handler has received the body (app.Receiving). The
	// handler's last part has this Then: its Body is the new request body, and its fields are added to the response of
	// the source. nil for other handlers.
	Next Then

	// Inquire sends the request to the mount's own source with another body. The client does not get the answer:
	// Inquire calls the function done on the loop with the beginning of the answer. Inquire is nil if the Handler does
	// not offer this.
	Inquire func(t Ticket, body []byte, done func(status int, answer []byte))
}

// Peer is the client of an exchange. Login is the kind of login of its user.
type (
	Peer  = conn.Peer
	Login = conn.Login
	File  = conn.File
)

const (
	Basic = conn.Basic
	Form  = conn.Form
)
