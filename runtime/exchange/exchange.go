// Package exchange holds the contract between the loop, which owns
// connections, and a handler, which owns an application: what a request looks
// like when it is handed over, and what comes back. Package runtime and
// package pybridge both speak it and do not know each other.
package exchange

import "fapws/runtime/http1"

// Ticket names one exchange (a request with its response) while it is
// active. The loop chooses it, a small number that indexes a table, and uses
// it again after the Last part of the exchange was released.
type Ticket uint32

// Request is a whole request: the body has arrived, unless More. Slices live until
// Submit returns; a handler copies what it keeps.
type Request struct {
	Ticket Ticket
	Mount  int            // index of the matched entry in the table of the handler
	Head   []byte         // request line and fields as received; spans of Parsed point into it
	Parsed *http1.Request // valid as long as Head
	Path   []byte         // percent-decoded path, as it is seen from outside
	Root   int            // length of what a proxy or Config.RootPath puts before the application: Path[:Root], part of SCRIPT_NAME
	Script int            // length of SCRIPT_NAME: Path[:Script], PATH_INFO is Path[Script:]
	Body   []byte         // the body, decoded from its framing, when it is in memory
	Spool  int            // descriptor of an unlinked file with the body at offset 0, or -1; the handler closes it, also when Submit refuses
	Size   int64          // bytes in the body
	Routed bool           // Path is not that of Head: the server has rewritten it, and perhaps the query
	Depth  int            // 0: of a client; n: of a handler (see Subrequester) that answers one of depth n-1
	Value  any            // of a request with Depth: what the handler that made it gave along (Origin.Value)
	Peer   *Peer

	// More says that the body goes on: Body, which may be empty, is its beginning
	// and the rest comes as Input. Size is then what was announced, -1 if nothing
	// was. Only where Mount.Streams of package runtime.
	More bool

	// WebSocket says that the client asks for a WebSocket in a way that may be
	// accepted (RFC 6455 §4.2.1), with Head.WebSocket where Mount.WebSocket, with
	// Head.Tunnel where Mount.Tunnels. Elsewhere it is not set.
	WebSocket bool

	// Resumed, if not nil, is that of a WebSocket which another process has accepted: the handler goes on with it as if it had
	// accepted it itself, and says so with Head.WebSocket. Fields and Subprotocol of that do not count.
	Resumed *Resumed

	// Socket, if not 0, is a duplicate of the connection's descriptor, which the
	// handler closes, also when Submit refuses: the client asks for a WebSocket where
	// Mount.DetachSocket, and the application may talk to it by itself (Part.Taken). Nothing is
	// read from the connection before the exchange ends.
	Socket int

	// ErrorLog says where what goes wrong with this request is written: the number that
	// a handler has given an error log (Site.ErrorLogNumber of package runtime), 0: that
	// of the server.
	ErrorLog int

	// Pipeline, if not 0, says that answers to requests sent before this one on the same connection
	// are still to be written (RFC 9112 §9.3.2); all requests with the same number share a
	// connection. A handler that is a Pacer of package runtime may hold such a request back (OpDeferred).
	Pipeline int

	// Held says that too much waits for the client: the handler must not start the request before
	// Resume (Pacer of package runtime).
	Held bool

	Options string // of a program, from the handler that has handed the request over (Head.Program); else ""
}

// Resumed is what is left of a WebSocket that another process has had. It lives until Submit returns.
type Resumed struct {
	Subprotocol string
	Data        []byte // of the Last part with OpHandOver
}

// Peer is what the handler may tell an application about the client. One value
// does not change; requests of a connection share it unless a trusted proxy
// says otherwise for each of them.
type Peer struct {
	Addr       string // REMOTE_ADDR: an IP address, "" for a unix socket
	Port       string // REMOTE_PORT: "" for a unix socket
	ServerName string // SERVER_NAME: address that accepted the connection
	ServerPort string // SERVER_PORT
	Scheme     string // wsgi.url_scheme; "" is http
	Host       string // HTTP_HOST as a trusted proxy got it; "": that of the request
	User       string // REMOTE_USER: who has logged in (AUTH_TYPE is then Basic); "": nobody
}

// TypeHint says which Content-Type the loop adds when the handler set none.
type TypeHint uint8

// The hints; TypeSet means: the handler has set one, or there shall be none.
const (
	TypeSet    TypeHint = iota
	TypeHTML            // text/html; charset=utf-8
	TypeBinary          // application/octet-stream
	TypeJSON            // application/json
	TypeByName          // by the extension of Head.Name
)

// Head is the head of a response as the handler made it. The loop frames it:
// it adds the status line's version, Date, Server, Content-Length or
// Transfer-Encoding, Connection.
type Head struct {
	Status int    // 100..999
	Reason []byte // may be empty
	Fields []byte // "Name: value\r\n" ..., free of CR, LF and NUL inside, without Content-Length, Transfer-Encoding, Connection and Keep-Alive
	Length int64  // bytes the body will have, -1 if not known
	Type   TypeHint
	Name   []byte // file name for TypeByName
	// Static, when not empty, says that files answer instead: the options of a
	// Staticfile (JSON). StaticPath is the percent-decoded path below its root,
	// Request the head of the request as it was submitted. Fields are added to
	// what the file gets; of a status the file's counts. The part is the Last.
	Static, StaticPath, Request []byte

	// Program says that Static are the options of a program (of package cgi) that
	// answers. StaticPath is then SCRIPT_NAME and PATH_INFO, the former StaticScript
	// bytes long, and the part's Body, or its File from 0 on, the body of the
	// request.
	Program      bool
	StaticScript int

	// SendFile, when not empty, says that a file answers instead: the value of
	// X-Sendfile, or of X-Accel-Redirect if Accel. The part is the Last; Request
	// is set as with Static. Config.SendfileRoots and AccelRoots say what may be
	// sent.
	SendFile []byte
	Accel    bool

	// Refusal says that the loop's own page for Status answers instead; Reason is
	// what it says besides the status, and may be empty. The rest of the exchange
	// is not sent.
	Refusal bool

	// Failure says that the handler has failed, and this part, the Last, is a page
	// for want of a better one: that of the site for Status takes its place.
	Failure bool

	// WebSocket accepts what Request.WebSocket asked for: the loop answers 101 with
	// Fields and, unless it is empty, Subprotocol. What follows are messages:
	// parts with an Op.
	WebSocket   bool
	Subprotocol []byte

	// Tunnel, if not nil, accepts what Request.WebSocket asked for, where
	// Mount.Tunnels, with Status (101), Reason and Fields, with Connection and Upgrade among
	// them. The part is the Last.
	Tunnel *Tunnel

	// Channel, when not empty, makes the connection a subscriber: the names of
	// channels, separated by commas, as the field Fapws-Channel has them. The
	// response is one of server-sent events (Type and Length do not count), which
	// begins with the body, if there is one, and goes on behind the Last part. Request is
	// set as with Static. With another Status than 200, as of an error page, Channel does
	// not count.
	Channel []byte

	HasDate   bool // Fields has Date
	HasServer bool // Fields has Server
	Close     bool // the application asked for Connection: close
}

// Op says what the bytes of a Part or of an Input are.
type Op uint8

// The ops.
const (
	OpBody     Op = iota // of the body of a response or request
	OpText               // a whole message of a WebSocket, valid UTF-8
	OpBinary             // a whole message of a WebSocket
	OpClose              // the WebSocket is closed; the bytes are the reason, up to 123
	OpCredit             // of a Part: none, see Part.Credit
	OpDeferred           // of a Part: none; the request was not started, see Pacer of package runtime
	OpHandOver           // of an Input: none, see Input; of a Part: the answer to it
)

// Input is what arrives for an exchange after Submit: more of its body, or messages
// of its WebSocket. OpClose is the last one, and a Cancel may follow; a client that breaks the
// connection or the protocol is a Cancel alone. A handler that is told should end soon:
// its answers to earlier messages, and the Last part, go before the close frame.
//
// OpHandOver asks whether a WebSocket can go to another process, behind all messages before. The handler answers with its Last part, which has this Op:
// then it has let go of the WebSocket without telling the application that it is closed, and the bytes are what it wants
// to be given in the other process (Request.Resumed); Head.Request is set as with Head.Static. Or it refuses, with a part that is not the Last.
//
// OpClose without a WebSocket: the client sends nothing more and has probably left, but
// what is answered is still sent. Its Cancel comes later.
type Input struct {
	Ticket Ticket
	Op     Op
	Data   []byte // lives until Deliver returns
	Last   bool   // OpBody: nothing follows
	Code   uint16 // OpClose: what the client gave (RFC 6455 §7.4), 1005 if nothing, or with what the server closes: 1001, 1012
}

// InputWindow bounds the bytes of Input, each counted with InputCost more, that a
// handler has been given and has not given back by Part.Credit: beyond it the loop
// does not read from the client. A handler gives credit back when an eighth of it is
// due, or earlier.
const (
	InputWindow = 64 << 10
	InputCost   = 64
)

// Part is a piece of a response. An exchange yields one part or more, the
// first with First, the last with Last (both on one part for a short
// response), and exactly one Last, also after Cancel and also when the
// handler failed. Parts with Interim may precede the first. Slices live until the handler's Release of this part.
type Part struct {
	Ticket Ticket
	First  bool
	Last   bool

	// Interim says that Head, with Status, Reason and Fields only, is that of a 1xx response, which
	// has no body and is not the answer (RFC 9110 §15.2).
	Interim bool

	Failed bool    // with Last: the body broke off; close the connection so that the client can tell
	Head   Head    // with First or Interim
	Body   []byte  // unframed bytes, may be empty
	File   int     // a descriptor whose bytes follow Body, or -1; Release closes it
	Offset int64   // first byte of File to send
	Count  int64   // bytes of File to send
	Ref    uintptr // the handler's own

	// Op, if not OpBody, says that this is no piece of a response but a message,
	// the end of a WebSocket (with Code, RFC 6455 §7.4) or, OpCredit, nothing but
	// the news that the application has taken Credit bytes of Input. A WebSocket whose Last part
	// comes without an OpClose before closes with 1000, with 1011 if it is Failed.
	Op     Op
	Code   uint16
	Credit int64

	// Local says that the loop has made the part: it is not released, and its Body stays as it is.
	Local bool

	// Taken, with Last, says that the application has used Request.Socket:
	// whatever the response was, nothing of it is sent, and the connection closes.
	Taken bool
}
