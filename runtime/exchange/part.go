package exchange

import (
	"slices"

	"fapws/runtime/conn"
)

// Head is the head of a handler's response. The loop adds the HTTP version, Date, Server, Connection and framing.
type Head struct {
	Status int    // from 100 to 999
	Reason []byte // may be empty
	// lines of the form "Name: value\r\n". Names and values must not contain CR, LF or NUL. Fields must not contain
	// Content-Length, Transfer-Encoding, Connection or Keep-Alive
	Fields []byte
	Length int64 // length of the body in bytes; -1 if it is unknown
	// value of the Content-Type that the loop adds; "" if Fields has one or the response must not have one
	Type string
	// Then continues the response; nil if the parts are the whole response. Caches do not store responses with a Then.
	Then Then

	HasDate   bool
	HasServer bool
	Close     bool // the application asked for Connection: close
}

// Op says what a Part or an Input contains.
type Op uint8

const (
	OpBody     Op = iota // bytes of the body of a request or response
	OpText               // a whole message of a WebSocket in valid UTF-8
	OpBinary             // a whole message of a WebSocket
	OpClose              // the end of a WebSocket; its bytes are the reason, at most 123 bytes
	OpCredit             // no bytes; returns input (see Part.Number); only in a Part
	OpDeferred           // no bytes; the handler has not started the request (see Request.Pipeline); only in a Part
)

// Input is data that arrives for an exchange after Submit: a piece of its body, or a message of its WebSocket. OpClose
// is the last Input; a Cancel may follow. If the client disconnects without a close frame or violates the protocol,
// Cancel is called without an OpClose. The server sends the handler's remaining parts before it sends the close frame.
//
// For requests without a WebSocket, OpClose means that the client sends no more data and has probably disconnected. The
// server still tries to send the response, and Cancel follows later. The Code websocket.GoingAway means that the server
// stops and ends a response that would never end. Cancel then follows immediately, to interrupt a handler that does not
// stop.
type Input struct {
	Ticket Ticket
	Op     Op
	Data   []byte // bytes of the body or message; valid until Deliver returns
	Last   bool   // the body is complete; only with OpBody
	// close code (RFC 6455 §7.4), only with OpClose: the client's code, 1005 if the client sent no code, or 1001 or
	// 1012 if the server closes the WebSocket
	Code uint16
}

// InputWindow limits the bytes of Input that a handler has received and not returned with OpCredit. Each Input counts
// InputCost additional bytes. At the limit the loop stops reading from the client. A handler must return used bytes as
// soon as they fill an eighth of the window.
const (
	InputWindow = 64 << 10
	InputCost   = 64
)

// Outstanding is the size of the input that a handler has not yet returned, in bytes, with InputCost for each piece.
type Outstanding int64

// Add counts a delivered piece of input, and reports whether the handler has reached InputWindow.
func (o *Outstanding) Add(data []byte) (enough bool) {
	*o += Outstanding(len(data)) + InputCost
	return *o > InputWindow
}

func (o Outstanding) Low() bool { return o < InputWindow/2 }

// Credit subtracts n bytes that the handler has returned, and reports whether the handler should get more input.
func (o *Outstanding) Credit(n int64) (due bool) {
	*o = max(0, *o-Outstanding(n))
	return o.Low()
}

// Trailers are fields after a body (RFC 9110 §6.5), formatted like Head.Fields. http1.ValidTrailer accepts the names.
type Trailers []byte

type Owner interface {
	// Release returns a part to its owner after its bytes were sent or discarded. It is called on the event loop.
	Release(*Part)
}

// Part is a piece of a response. In the first part of a response, First is true; in the last part, End is not zero.
// Each response has exactly one last part, even after Cancel or a failure of the handler. Parts with Interim may
// precede the first part. The slices of a Part must stay valid until Owner releases the part.
type Part struct {
	// gets the part back when its bytes are no longer needed; nil if the bytes never change and need no release
	Owner Owner
	Ref   any

	First bool
	End   End // not zero if this is the last part
	// Interim means that Head is the head of a 1xx response (RFC 9110 §15.2), with Status, Reason and Fields only.
	Interim bool
	// Op says what Body contains. If a WebSocket ends without OpClose, the close code is 1000, or 1011 if the last part
	// is Incomplete.
	Op Op
	// with OpClose, the close code (RFC 6455 §7.4); with OpCredit, the number of returned bytes of Input
	Number int64

	Head Head   // not used unless First or Interim is true
	Body []byte // bytes without framing; may be empty
	// file that is sent after Body, or nil; Release closes its descriptor
	File *conn.File
	// Trailers are the fields after the body, or nil. Only the last part may have Trailers. The server drops them if
	// the client does not accept trailers (see http1.Request.Trailers).
	Trailers *Trailers
	// Takeover, usually nil, takes over the connection to continue an endless body. Only a last part may have one.
	Takeover Takeover
}

type End uint8

const (
	NotLast End = iota
	Complete
	// the last part of an incomplete body; the connection must show the client that the rest is missing
	Incomplete
	// the last part if the application has sent a response over Request.Socket; the part is not sent, and the
	// connection closes
	Detached
)

func (p *Part) Last() bool { return p.End != NotLast }

func (p *Part) Size() int64 {
	n := int64(len(p.Body))
	if p.File != nil {
		n += p.File.Count
	}
	return n
}

func (p *Part) Release() {
	if p.Owner != nil {
		p.Owner.Release(p)
	}
}

// Parts is a queue of parts that wait until earlier output was sent.
type Parts struct {
	queue []Part
	// number of elements at the front of queue that Take has already returned; always less than half of len(queue)
	taken  int
	unsent *conn.Unsent
}

func (q *Parts) Empty() bool { return len(q.queue) == 0 }

func (q *Parts) EndsWithLast() bool { return !q.Empty() && q.queue[len(q.queue)-1].Last() }

func (q *Parts) Put(p *Part) { q.queue = append(q.queue, *p) }

// Take removes and returns the first part. q must not be empty.
func (q *Parts) Take() Part {
	p := q.queue[q.taken]
	if q.taken++; 2*q.taken >= len(q.queue) { // do not move a thousand waiting parts at each Take
		q.queue, q.taken = slices.Delete(q.queue, 0, q.taken), 0
	}
	if q.Empty() && cap(q.queue) > 16 {
		q.queue = nil
	}
	return p
}

func (q *Parts) TakeAll() []Part {
	all := q.queue[q.taken:]
	q.queue, q.taken = nil, 0
	return all
}

func (q *Parts) Unsent() int64 { return q.unsent.Size() }

// Count adds p with its unsent bytes to the ledger if p is large. It returns nil if q has no counted part.
func (q *Parts) Count(conns *conn.Set, response conn.Cutter, p *Part, unsent int) *conn.Unsent {
	if len(p.Body) >= conn.CountedPart {
		q.begin()
		conns.Unsent.Add(q.unsent, response, p.Body, unsent, conns.Now)
	}
	return q.unsent
}

// If p is large, Uncount removes it from the ledger. unsent is the number of unsent bytes of p.
func (q *Parts) Uncount(conns *conn.Set, p *Part, unsent int) {
	if q.unsent != nil {
		conns.Unsent.Drop(q.unsent, p.Body, unsent)
	}
}

func (q *Parts) begin() {
	if q.unsent == nil {
		q.unsent = new(conn.Unsent)
	}
}

// hold appends p to q, and counts it even if it is small. The caller must call unheld after removing p from q.
func (q *Parts) hold(conns *conn.Set, response conn.Cutter, p *Part) {
	q.Put(p)
	if q.Count(conns, response, p, len(p.Body)); len(p.Body) < conn.CountedPart {
		q.begin()
		conns.Unsent.AddSmall(q.unsent, response, len(p.Body)+len(p.Head.Fields), conns.Now)
	}
}

func (q *Parts) unheld(conns *conn.Set, p *Part) {
	if q.Uncount(conns, p, len(p.Body)); q.unsent != nil && len(p.Body) < conn.CountedPart {
		conns.Unsent.DropSmall(q.unsent, len(p.Body)+len(p.Head.Fields), conns.Now)
	}
}

type PartOwner interface {
	// PartSent is called when the connection no longer needs the body of p. The interface conn.OutputOwner describes
	// err.
	PartSent(p *Part, err error)
	// PartWaits is called if the last unsent bytes of p wait for the socket. It returns the Unsent that counts p, or nil.
	PartWaits(p *Part, unsent int) *conn.Unsent
}

type sentPart struct {
	of   PartOwner
	part Part
}

func (p *sentPart) Sent(err error) { p.of.PartSent(&p.part, err) }

// SendPart writes the gathered output of c, then body and tail without copying them. A transfer sends the bytes for
// which the socket has no room now. When all bytes are sent, SendPart calls owner.PartSent with p.
func SendPart(c *conn.Conn, p *Part, owner PartOwner, body, tail []byte) {
	rest, err := c.Write(c.TakeGathered(), body, tail)
	if rest != nil {
		QueuePart(c, p, owner, rest, true)
		return
	}
	owner.PartSent(p, err)
	if err != nil {
		c.Close(err.Error())
	}
}

func QueuePart(c *conn.Conn, p *Part, owner PartOwner, items []conn.Item, full bool) {
	left := 0
	for i := range items {
		left += len(items[i].Data)
	}
	c.Queue(conn.Output{Items: items, Owner: &sentPart{owner, *p}, Unsent: owner.PartWaits(p, left)}, full)
}
