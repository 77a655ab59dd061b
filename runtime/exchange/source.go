package exchange

import (
	"context"
	"errors"
	"net/http"

	"fapws/runtime/conn"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// Source answers exchanges. A source that has to remember something of an exchange puts a value of its own, which it uses
// again, in the place of Exchange.Source. All methods are called on the event loop and must not block.
type Source interface {
	// Start begins to answer x, now or later. It is called again as Exchange.AwaitTurn says.
	Start(x *Exchange)

	// Input hands over the next input of x: the next piece of its body, or a message of its WebSocket. It cannot fail; data
	// beyond InputWindow that the source has not given back by OpCredit is not read from the client.
	Input(x *Exchange, in Input)

	// OnGone is called when nothing of the response is wanted any more, unless its last part was sent before. The source
	// still sends the last part, at once or later.
	OnGone(x *Exchange)
}

// Optional is a Source that may have nothing for a path.
type Optional interface {
	Source

	// Declines reports whether the source calls Exchange.Decline then. It is safe for concurrent use.
	Declines() bool
}

// Memory is embedded by sources that need neither input nor the end of their client. As a source of its own it stands for a response
// that was sent.
type Memory struct{}

// Start implements Source.
func (Memory) Start(*Exchange) {}

// Input implements Source.
func (Memory) Input(*Exchange, Input) {}

// OnGone implements Source.
func (Memory) OnGone(*Exchange) {}

// Sink takes the response of one exchange: the exchange itself, for its client, or what changes the response on its way there.
// All methods must be called on the event loop. None blocks.
type Sink interface {
	// Send takes the next part of the response, which p.Owner gets back when its bytes are not needed any more. The sink
	// keeps what the client cannot take yet. p itself may be used again when Send returns; the exchange has ended then if
	// the part is the Last.
	Send(p *Part)

	// Reply answers the exchange in the place of its source, before the first part, with r or with the page that its site has
	// for the status.
	Reply(r Reply)
}

// Reply is a whole response that is made in memory. The zero value of each field but Status is ready.
type Reply struct {
	Status   int
	Text     string // empty: the status's phrase
	Body     []byte // instead of a page with text
	Length   int64  // of the body, if Body is left out because the method is HEAD
	Type     string // Content-Type of Body
	Fields   []byte // "Name: value\r\n" ...
	Date     bool   // Fields has Date
	Server   bool   // Fields has Server
	Whole    bool   // Body is not to be replaced by a page of the site
	Override bool   // its browser asks again and again: log lines leave it out
	Close    bool   // what follows in the connection cannot be understood
	Limit    Limit  // limit that the request exceeds
}

// Limit is a limit that a request exceeds. The zero value is none.
type Limit struct {
	Setting   string // name of the setting, such as "max-body-size"
	Max, Size int64  // the limit, and the size of the request, which may be larger: the rest has not arrived
}

// RetryAfter is the field of a 503 for a client that may try again soon.
var RetryAfter = []byte("Retry-After: 1\r\n")

// Upgrade is another protocol, which a connection speaks behind the response of an exchange: see Part.Upgrade.
type Upgrade interface {
	// Begin gives the connection of the exchange to the other protocol, with the record for the access log, whose line it writes, or nil.
	// sent and framed are how many bytes of the body and of the rest of the response were sent. The response has been written, or is about
	// to be. The exchange ends when Begin has returned. If the response cannot be sent, Begin is not called before the Owner of the part
	// gets it back.
	Begin(c *conn.Conn, log *logfile.Record, sent, framed int64)
}

// Origin is the request on whose behalf a handler asks the server itself for
// something: a page that is included, the target of a local redirect.
type Origin struct {
	Peer  Peer   // the client, whom the answers are meant for
	Host  string // host and port that the client asked for; "": the default site
	Root  string // decoded path that a proxy or a root path puts before the site: "" or "/a/b"
	Depth int    // Request.Depth of that request
	Value any    // Request.Value of what is asked for
	Own   bool   // the server tries itself: it needs neither a password nor a session
}

// Asker has the server itself answer a GET request on behalf of another one. target is a path as seen from outside with an optional query,
// percent-encoded; fields are "Name: value\r\n" ... without Host, Connection and the fields that frame a body. The Body of the response has to be
// closed. The error is ErrTooDeep, or that of ctx, or says that the server ends.
type Asker func(ctx context.Context, o Origin, target string, fields []byte) (*http.Response, error)

// MaxDepth is how many subrequests may be inside each other.
const MaxDepth = 10

// ErrTooDeep is what Ask returns when pages ask for each other without end.
var ErrTooDeep = errors.New("requests within requests go too deep")

// Ticket names one exchange (a request with its response) while it is
// active. The loop chooses it, a small number that indexes a table, and uses
// it again after the Last part of the exchange was released.
type Ticket uint32

// Request is a whole request: the body has arrived, unless More. Slices live until Submit returns; a handler copies
// the bytes that it keeps.
type Request struct {
	Ticket Ticket
	Mount  int            // index of the matched entry in the table of the handler
	Head   []byte         // request line and fields as received; spans of Parsed point into it
	Parsed *http1.Request // valid as long as Head
	Path   []byte         // percent-decoded path, as it is seen from outside
	Root   int            // length of the part that a proxy or Config.RootPath puts before the application: Path[:Root], part of SCRIPT_NAME
	Prefix int            // length of the prefix of the matched entry: Path[:Prefix], Root included
	Script int            // length of SCRIPT_NAME: Path[:Script], PATH_INFO is Path[Script:]
	Body   []byte         // the body, decoded from its framing, when it is in memory
	Spool  int            // descriptor of an unlinked file with the body at offset 0, or -1; the handler closes it, also when Submit refuses
	Size   int64          // bytes in the body
	Traced bool           // the last field of Head is traceparent, which the server has made for this request
	Routed bool           // Path is not that of Head: the server has rewritten it, and perhaps the query
	Depth  int            // 0: of a client; n: of a handler (see Asker) that answers one of depth n-1
	Value  any            // of a request with Depth: the value from the handler that made it (Origin.Value)
	Peer   *Peer

	// More says that the body goes on: Body, which may be empty, is its beginning and the rest comes as Input. Size
	// is then the announced length, -1 without one. Only where Mount.Streams.
	More bool

	// Upgrade says that the client asks for another protocol, which the handler may accept by the Then of its response: for a WebSocket
	// (RFC 6455 §4.2.1), where Mount.Upgrades says so.
	Upgrade bool

	// Resumed, if not nil, is that of a WebSocket which another process has accepted: the handler goes on with it as if it had
	// accepted it itself, and accepts it again. The fields of that response do not count. It lives until Submit returns.
	Resumed *SocketState

	// Socket, if not 0, is a descriptor that leads to the client, which the handler closes, also when Submit refuses. The application may
	// speak another protocol over it (ToDescriptor, Part.Taken).
	Socket int

	// ErrorLog is the error log of this request: the number that a handler has given an error log
	// (Site.ErrorLogNumber), 0: that of the server.
	ErrorLog int

	// Pipeline, if not 0, says that answers to requests sent before this one on the same connection
	// are still to be written (RFC 9112 §9.3.2, RFC 9113 §5); all requests with the same number share a
	// connection. A handler may hold such a request back (OpDeferred).
	Pipeline int

	// Multiplexed says that answers to requests with the same Pipeline do not wait for each other (RFC 9113 §5).
	Multiplexed bool

	Options string // of a program, from the handler that has named it (Continuation); else ""

	// Publish gives the loop a part of the response, with the Ticket. It is for handlers that work beside the loop, and safe for
	// concurrent use, also after Submit has returned. So is Ask, which lets the request have the server itself answer others.
	Publish func(*Part)
	Ask     Asker

	// Behind is the source behind the handler (app.Receiving). nil if there is none.
	Behind *Behind
}

// Behind is the source behind a handler that has received the body of a request.
type Behind struct {
	// Then makes that source answer the client, with Body of the part as the body of the request, and adds the fields of
	// the part to its response. The part is the Last.
	Then

	// Inquire makes that source answer the request with another body, for the handler alone. It calls done on the loop,
	// with the beginning of the answer. It is safe for concurrent use until the Last part.
	Inquire func(body []byte, done func(status int, answer []byte))
}

// Peer is the client of an exchange, and Login how it has logged in.
type (
	Peer  = conn.Peer
	Login = conn.Login
)

// The ways to log in.
const (
	Basic = conn.Basic
	Form  = conn.Form
)
