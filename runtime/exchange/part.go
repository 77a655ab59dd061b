package exchange

import "fapws/runtime/http1"

// TypeHint says which Content-Type the loop adds when the handler set none.
type TypeHint uint8

// The hints; TypeSet means: the handler has set one, or the response must not have one.
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

	// Parsed, if not nil, is what Request was parsed to. It must not change.
	Parsed *http1.Request

	// Program says that Static are the options of a program (of package cgi) that
	// answers. StaticPath is then SCRIPT_NAME and PATH_INFO, the former StaticScript
	// bytes long, and the part's Body, or its File from 0 on, the body of the
	// request.
	Program      bool
	StaticScript int

	// HandsOn says that the handler has received the body of the request, and that the one behind it answers: app.Receiving.
	// That gets the request with Body of the part, which is the Last, as its body. Fields are added to its response.
	HandsOn bool

	// SendFile, when not empty, says that a file answers instead: the value of
	// X-Sendfile, or of X-Accel-Redirect if Accel. The part is the Last; Request
	// is set as with Static. Config.SendfileRoots and AccelRoots say what may be
	// sent.
	SendFile []byte
	Accel    bool

	// Refusal says that the loop's own page for Status answers instead; Reason is
	// its text in addition to the status, and may be empty. The rest of the exchange
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

	// Channel, when not empty, makes the client a subscriber: the names of
	// channels, separated by commas, as the field Fapws-Channel has them. The
	// response is one of server-sent events (Type and Length do not count), which
	// begins with the body, if there is one, and goes on behind the Last part. Request is
	// set as with Static. With another Status than 200, as of an error page, Channel does
	// not count.
	Channel []byte

	// ContentType, if not empty, is added as that field. Type does not count then.
	ContentType string

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
	OpDeferred           // of a Part: none; the request was not started, see Pacer
	OpHandOver           // of an Input: none, see Input; of a Part: the answer to it
	OpAsk                // of a Part: a body for the handler behind (app.Receiving); of an Input: the body of its response, Code is the status
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

// Given counts the bytes of Input that a handler has been given and has not given back.
type Given int64

// Add counts a piece of input. It reports whether the handler has enough now.
func (g *Given) Add(data []byte) (enough bool) {
	*g += Given(len(data)) + InputCost
	return *g > InputWindow
}

// Credit counts n bytes that the handler has given back. It reports whether the handler should get more.
func (g *Given) Credit(n int64) (more bool) {
	*g = max(0, *g-Given(n))
	return *g < InputWindow/2
}

// Trailers are fields behind a body, as in Head.Fields, of which http1.ValidTrailer approves (RFC 9110 §6.5).
type Trailers []byte

// Owner is what a Part belongs to.
type Owner interface {
	// Release takes a part back whose bytes were sent or are not wanted any more. A Sink calls it on the event loop.
	Release(*Part)
}

// Part is a piece of a response. An exchange yields one part or more, the
// first with First, the last with Last (both on one part for a short
// response), and exactly one Last, also after Cancel and also when the
// handler failed. Parts with Interim may precede the first. Slices live until Owner releases the part.
type Part struct {
	Ticket Ticket // of a part that a handler has made
	Owner  Owner  // gets the part back; nil: its bytes do not change, and the collector frees them
	First  bool
	Last   bool

	// Interim says that Head, with Status, Reason and Fields only, is that of a 1xx response, which
	// has no body and is not the answer (RFC 9110 §15.2).
	Interim bool

	// Trailers, with Last, end the response, whose head went before, with fields behind its body. They are dropped where they cannot be sent:
	// see http1.Request.Trailers. nil: none.
	Trailers *Trailers

	Failed bool    // with Last: the body broke off; close the connection so that the client can tell
	Head   Head    // with First or Interim
	Body   []byte  // unframed bytes, may be empty
	File   int     // a descriptor whose bytes follow Body, or -1; Release closes it
	Offset int64   // first byte of File to send
	Count  int64   // bytes of File to send
	Warm   bool    // File was read lately and is not large: sending it does not wait for a disk
	Ref    uintptr // the handler's own

	// Op, if not OpBody, says that this is no piece of a response but a message,
	// the end of a WebSocket (with Code, RFC 6455 §7.4) or, OpCredit, nothing but
	// the news that the application has taken Credit bytes of Input. A WebSocket whose Last part
	// comes without an OpClose before closes with 1000, with 1011 if it is Failed.
	Op     Op
	Code   uint16
	Credit int64

	// Upgrade, with Last, gets the connection behind the response, whose body does not end then. nil: it stays as it is.
	Upgrade Upgrade

	// Taken, with Last, says that the application has used Request.Socket:
	// whatever the response was, nothing of it is sent, and the connection closes.
	Taken bool
}
