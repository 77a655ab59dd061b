package exchange

import (
	"context"
	"errors"
	"net/http"

	"fapws/runtime/conn"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// Source answers exchanges. A source that needs memory for an exchange replaces Exchange.Source with a value of its
// own. All methods are called on the event loop and must not block.
type Source interface {
	// Start begins to answer x, now or later. It is called again after Exchange.AwaitTurn.
	Start(x *Exchange)

	// Input passes the next input of x: a piece of its body, or a message of its WebSocket. It cannot fail. At
	// InputWindow the server stops reading from the client until the source gives bytes back by OpCredit.
	Input(x *Exchange, in Input)

	// OnGone is called when the response is not needed and the last part is not sent. The source must still send the
	// last part, now or later.
	OnGone(x *Exchange)
}

// Optional is a Source that may decline a path.
type Optional interface {
	Source

	// Declines reports whether the source then calls Exchange.Decline. It is safe for concurrent use.
	Declines() bool
}

// Memory is embedded by sources that ignore input and the departure of the client. As a Source it means that the
// response is already sent.
type Memory struct{}

func (Memory) Start(*Exchange) {}

func (Memory) Input(*Exchange, Input) {}

func (Memory) OnGone(*Exchange) {}

// Sink takes the response of an exchange. It is the exchange itself or a filter. All methods must be called on the
// event loop and do not block.
type Sink interface {
	// Send takes the next part of the response, and returns it to p.Owner when its bytes are no longer needed. The sink
	// keeps the bytes that the client cannot take yet. The caller may use p again when Send returns. If the part is the
	// Last, the exchange may have ended then.
	Send(p *Part)

	// Reply answers the exchange instead of its source with r or the page of the site for its status. Call it before
	// the first part.
	Reply(r Reply)
}

// A Filter returns a Sink that passes the response to x on to next, perhaps changed, or next itself. It is called
// before the Source of x starts, with x.Req.
type Filter func(x *Exchange, next Sink) Sink

// Reply is a whole response in memory. Only Status is required.
type Reply struct {
	Status   int
	Text     string // "" means the phrase of the status
	Body     []byte // sent instead of a page with Text
	Length   int64  // of the body if Body is omitted because the method is HEAD
	Type     string // Content-Type of Body
	Fields   []byte // "Name: value\r\n" ...
	Date     bool   // Fields has Date
	Server   bool   // Fields has Server
	Whole    bool   // a page of the site must not replace Body
	Override bool   // browsers repeat the request, so log lines omit it
	Close    bool   // the rest of the input cannot be parsed
	Limit    Limit
}

type Limit struct {
	Setting   string // name of the setting, such as "max-body-size"
	Max, Size int64  // the limit, and the size of the received part of the request
}

// RetryAfter is the field of a 503 if the client may try again soon.
var RetryAfter = []byte("Retry-After: 1\r\n")

// Upgrade begins another protocol after the response to an exchange: see Part.Upgrade. It gets the connection. The
// protocol writes log, which may be nil, to the access log. sent and framed count the bytes of the body and of the rest
// of the response, which is written or about to be written. The exchange ends when Upgrade has returned. If the
// response cannot be sent, Upgrade is not called before the Owner of the part gets it back.
type Upgrade func(c *conn.Conn, log *logfile.Record, sent, framed int64)

// Origin is the request on whose behalf a handler asks the server itself for
// something: a page that is included, the target of a local redirect.
type Origin struct {
	Peer Peer // client that gets the answers
	// host and port that the client asked for; "" means the default site
	Host  string
	Root  string // decoded path prefix of a proxy or root path: "" or "/a/b"
	Depth int
	Value any  // for the handlers of subrequests
	Own   bool // the server tests itself; no password or session is needed
}

// Asker sends a GET request to the server itself on behalf of another request. target is a path as seen from outside
// with an optional query, percent-encoded. fields are "Name: value\r\n" ... without Host, Connection and the fields
// that frame a body. The caller must close the Body of the response. The error is ErrTooDeep or the error of ctx, or
// reports that the server ends.
type Asker func(ctx context.Context, o Origin, target string, fields []byte) (*http.Response, error)

const MaxDepth = 10

var ErrTooDeep = errors.New("requests within requests go too deep")

// Ticket is the number of an active exchange. The loop chooses small numbers, which index a table, and uses them again
// after the release of the last part.
type Ticket uint32

// Request is a request whose body is complete, unless More is set. Slices are valid until Submit returns.
type Request struct {
	Mount  int            // number of the mount in the table of the handler
	Head   []byte         // request line and fields as received; spans of Parsed point into it
	Parsed *http1.Request // valid while Head is
	Path   []byte         // percent-decoded path as seen from outside
	// length of Path[:Root], the part of SCRIPT_NAME from a proxy or Config.RootPath
	Root   int
	Prefix int // length of Path[:Prefix], the prefix of the mount, with Root
	// length of SCRIPT_NAME, which is Path[:Script]; PATH_INFO is Path[Script:]
	Script int
	Body   []byte // the decoded body if it is in memory
	// descriptor of an unlinked file with the body from offset 0, or -1; the handler must close it, also if Submit
	// returns false
	Spool  int
	Size   int64
	Traced bool    // the last field of Head is a traceparent from the server
	Routed bool    // the server has rewritten Path and perhaps the query
	Origin *Origin // origin of a subrequest (see Asker); nil for a client
	Peer   *Peer

	// More means that the body is incomplete. Body, which may be empty, is its beginning, and the rest follows as
	// Input. Size is the announced length, or -1 without one. It is set only if Mount.Streams is.
	More bool

	// Upgrade is set if the client asks for another protocol that Mount.Upgrades allows, such as a WebSocket (RFC 6455
	// §4.2.1). The handler accepts it with the Then of its response.
	Upgrade bool

	// Resumed is the state of a WebSocket that another process has accepted; nil for other requests. The handler
	// accepts it again and continues it. The fields of this response are ignored. Resumed is valid until Submit
	// returns.
	Resumed *SocketState

	// Socket, if not 0, is a descriptor that is connected to the client. The handler must close it, also if Submit
	// returns false. The application may speak another protocol over it (ToDescriptor, Detached).
	Socket int

	// ErrorLog is the error log of this request, as Site.ErrorLogNumber. 0 means the log of the server.
	ErrorLog int

	// Pipeline, if not 0, means that responses to earlier requests of the connection are unfinished (RFC 9112 §9.3.2,
	// RFC 9113 §5). Requests with the same number share a connection. A handler may defer such requests (OpDeferred).
	Pipeline int

	Options string // options for a program, set by the handler that names it (Continuation); else ""

	Services *Services
}

// Depth returns 0 for a client, and n for a subrequest of a handler at depth n-1.
func (r *Request) Depth() int {
	if r.Origin == nil {
		return 0
	}
	return r.Origin.Depth + 1
}

// Services are the functions of the loop that the handler of a request may call on any thread, also after Submit has
// returned.
type Services struct {
	Publish func(Ticket, *Part) // gives the loop a part of the response
	Ask     Asker               // makes a subrequest

	// Behind passes the request to the source behind a handler that has received the body (app.Receiving), with Body of
	// the part as the body of the request. The source answers the client, and its response gets the fields of the part,
	// which is the last. nil for other handlers.
	Behind Then

	// Inquire passes the request to the source behind the handler with another body, and the client does not get the
	// answer. It calls done on the loop with the beginning of the answer. nil for other handlers.
	Inquire func(t Ticket, body []byte, done func(status int, answer []byte))
}

// Peer is the client of an exchange. Login is how its user has logged in.
type (
	Peer  = conn.Peer
	Login = conn.Login
	File  = conn.File
)

const (
	Basic = conn.Basic
	Form  = conn.Form
)
