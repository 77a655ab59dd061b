package exchange

import (
	"fapws/runtime/conn"
)

// Head is the head of a response from the handler. The loop adds the HTTP version and the fields Date, Server,
// Content-Length or Transfer-Encoding, and Connection.
type Head struct {
	Status int    // 100..999
	Reason []byte // may be empty
	// "Name: value\r\n" ..., without CR, LF and NUL inside, and without Content-Length, Transfer-Encoding, Connection
	// and Keep-Alive
	Fields []byte
	Length int64 // length of the body, or -1 if it is unknown
	// Content-Type that the loop adds. If empty, Fields contains the Content-Type, or the response must not have one.
	Type string

	// Then continues the response; nil if the parts are the whole response. Caches do not store a response with a Then.
	Then Then

	HasDate   bool
	HasServer bool
	Close     bool // the application asked for Connection: close
}

// Op says what a Part or an Input contains.
type Op uint8

const (
	OpBody   Op = iota // bytes of the body of a request or response
	OpText             // a whole message of a WebSocket in valid UTF-8
	OpBinary           // a whole message of a WebSocket
	OpClose            // The WebSocket is closed. The reason has up to 123 bytes.
	OpCredit           // no bytes; only in a Part: see Part.Number
	// no bytes; only in a Part: the handler did not start the request, see Request.Pipeline
	OpDeferred
	// see Input; in an Input a question without bytes, in a Part the answer
	OpHandOver
)

// Input is data that arrives for an exchange after Submit: more of its body, or messages of its WebSocket. OpClose is
// the last Input; a Cancel may follow. If the client breaks the connection or violates the protocol, only Cancel is
// called. After OpClose the handler should end soon. The handler's answers to earlier messages and the last part are
// sent before the close frame.
//
// OpHandOver asks whether a WebSocket can move to another process after all earlier messages. To agree, a handler sends
// its last part with this Op, and does not tell the application that the WebSocket is closed. Body of the part is data
// for the handler in the other process (Request.Resumed), and Head.Fields is the head of the request as submitted. To
// refuse, a handler sends a part with this Op that is not the last part.
//
// For other requests, OpClose means that the client sends no more data and has probably disconnected. The response is
// still sent, and the Cancel follows later. With the code websocket.GoingAway, the server ends an endless response, and
// the Cancel follows immediately: a handler that does not stop must be interrupted.
type Input struct {
	Ticket Ticket
	Op     Op
	Data   []byte // valid until Deliver returns
	Last   bool   // only with OpBody: the body is complete
	// only with OpClose: the close code (RFC 6455 §7.4). The client's code, or 1005 if the client sent none; 1001 or
	// 1012 if the server closes.
	Code uint16
}

// InputWindow limits the bytes of Input that a handler has received and not returned by OpCredit. Each Input counts
// InputCost bytes more. At the limit the loop stops reading from the client. A handler must return bytes when it has
// used an eighth of the window, or earlier.
const (
	InputWindow = 64 << 10
	InputCost   = 64
)

// Outstanding is the input that a handler has received and not yet consumed, in bytes with InputCost for each piece.
type Outstanding int64

// Add counts a delivered piece of input. Add reports whether the handler has reached InputWindow.
func (o *Outstanding) Add(data []byte) (enough bool) {
	*o += Outstanding(len(data)) + InputCost
	return *o > InputWindow
}

// Low reports whether the handler should get more input.
func (o Outstanding) Low() bool { return o < InputWindow/2 }

// Credit subtracts n bytes that the handler has returned. Credit reports whether the handler should get more input.
func (o *Outstanding) Credit(n int64) (more bool) {
	*o = max(0, *o-Outstanding(n))
	return o.Low()
}

// Trailers are fields after a body, in the form of Head.Fields. http1.ValidTrailer must accept them (RFC 9110 §6.5).
type Trailers []byte

type Owner interface {
	// Release returns a part to its owner after its bytes were sent or discarded. A Sink calls Release on the event
	// loop.
	Release(*Part)
}

// Part is a piece of a response. The first part of a response has First set, the last part has an End; a short response
// is a single part with both. Each response has exactly one last part, even after Cancel or a failure of the handler.
// Parts with Interim may precede the first part. Slices must stay valid until Owner releases the part.
type Part struct {
	// gets the part when its bytes are no longer needed; nil if the bytes never change and are garbage-collected
	Owner Owner
	Ref   any

	First bool
	End   End // not zero if this is the last part

	// Interim means that Head, which has only Status, Reason and Fields, is the head of a 1xx response (RFC 9110
	// §15.2).
	Interim bool

	// Op, if not OpBody, makes the part a message, the end of a WebSocket, or a report without bytes. If a WebSocket
	// ends without OpClose, the close code is 1000, or 1011 if the last part is Incomplete.
	Op Op
	// for OpClose the close code (RFC 6455 §7.4), for OpCredit the number of returned bytes of Input
	Number int64

	Head Head   // only if First or Interim is set
	Body []byte // unframed bytes, may be empty
	// sent after Body; nil if there is no file; Release closes its descriptor
	File *conn.File

	// Trailers, in the last part, are fields after the body, or nil. Trailers are dropped if they cannot be sent: see
	// http1.Request.Trailers.
	Trailers *Trailers

	// Upgrade, in the last part, gets the connection after the response, whose body has no end. Upgrade is usually nil.
	Upgrade Upgrade
}

type End uint8

const (
	NotLast End = iota
	Complete
	// the last part of a response whose body is incomplete, which the connection must show
	Incomplete

	// Detached is the last part of a response that the application has sent itself, over Request.Socket. The part is
	// dropped, and the connection closes.
	Detached
)

func CompleteIf(last bool) End {
	if last {
		return Complete
	}
	return NotLast
}

func (p *Part) Last() bool { return p.End != NotLast }

func (p *Part) Size() int64 { return int64(len(p.Body)) + p.fileSize() }

func (p *Part) fileSize() int64 {
	if p.File == nil {
		return 0
	}
	return p.File.Count
}

func (p *Part) Release() {
	if p.Owner != nil {
		p.Owner.Release(p)
	}
}

// PartOwner owns the parts that a connection sends. Exchange implements PartOwner.
type PartOwner interface {
	// PartSent returns p to its owner when the body of p is no longer needed. See conn.Owner for err.
	PartSent(p *Part, err error)

	// PartWaits is called if the socket has not accepted all bytes of p. The parameter left is the number of the other
	// bytes. PartWaits returns the Unsent that counts the waiting bytes, or nil.
	PartWaits(p *Part, left int) *conn.Unsent
}

type sentPart struct {
	of   PartOwner
	part Part
}

func (p *sentPart) Sent(err error) { p.of.PartSent(&p.part, err) }

// SendPart writes the gathered output of c, then body and tail, without copying them. Bytes that the socket does not
// accept become a transfer. When all bytes are sent, SendPart or the transfer calls of.PartSent with p.
func SendPart(c *conn.Conn, p *Part, of PartOwner, body, tail []byte) {
	rest, err := c.Write(c.TakeGathered(), body, tail)
	if rest != nil {
		QueuePart(c, p, of, rest, true)
		return
	}
	of.PartSent(p, nil)
	if err != nil {
		c.Close(err.Error())
	}
}

func QueuePart(c *conn.Conn, p *Part, of PartOwner, items []conn.Item, full bool) {
	left := 0
	for i := range items {
		left += len(items[i].Data)
	}
	c.Queue(conn.Output{Items: items, Owner: &sentPart{of, *p}, Unsent: of.PartWaits(p, left)}, full)
}
