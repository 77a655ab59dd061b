package exchange

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"fapws/runtime/conn"
	"fapws/runtime/http1"
)

// Head is the head of a response as the handler made it. The loop frames it:
// it adds the status line's version, Date, Server, Content-Length or
// Transfer-Encoding, Connection.
type Head struct {
	Status int    // 100..999
	Reason []byte // may be empty
	Fields []byte // "Name: value\r\n" ..., free of CR, LF and NUL inside, without Content-Length, Transfer-Encoding, Connection and Keep-Alive
	Length int64  // bytes the body will have, -1 if not known
	Type   string // of the field Content-Type that the loop adds; "": Fields has one, or the response must not have one

	// Then continues the response. nil if it is complete with its parts. Caches do not keep a response that has one.
	Then Then

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
	OpDeferred           // of a Part: none; the request was not started, see Request.Pipeline
	OpHandOver           // of an Input: none, see Input; of a Part: the answer to it
)

// Input is what arrives for an exchange after Submit: more of its body, or messages
// of its WebSocket. OpClose is the last one, and a Cancel may follow; a client that breaks the
// connection or the protocol is a Cancel alone. A handler that is told should end soon:
// its answers to earlier messages, and the Last part, go before the close frame.
//
// OpHandOver asks whether a WebSocket can go to another process, behind all messages before. The handler answers with its Last part, which has this Op:
// then it has let go of the WebSocket without telling the application that it is closed, and the bytes are what it wants
// to be given in the other process (Request.Resumed); Head.Fields is the head of the request as it was submitted. Or it refuses, with a part that is not the Last.
//
// OpClose without a WebSocket: the client sends nothing more and has probably left, but
// what is answered is still sent. Its Cancel comes later. With websocket.GoingAway, the server has ended a response without
// an end, and its Cancel comes at once: a handler that does not notice that must be interrupted.
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

	Failed bool   // with Last: the body broke off; close the connection so that the client can tell
	Head   Head   // with First or Interim
	Body   []byte // unframed bytes, may be empty
	File   int    // a descriptor whose bytes follow Body, or -1; Release closes it
	Offset int64  // first byte of File to send
	Count  int64  // bytes of File to send; 0 if there is none
	Warm   bool   // File was read lately and is not large: sending it does not wait for a disk
	Ref    any    // the handler's own: a pointer

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

// Release gives p back to its Owner, if it has one.
func (p *Part) Release() {
	if p.Owner != nil {
		p.Owner.Release(p)
	}
}

// PartOwner has the parts that a connection sends: the exchange of a protocol.
type PartOwner interface {
	// PartSent takes p back when its body is not needed any more. err is as for conn.Owner.
	PartSent(p *Part, err error)

	// PartWaits notes that p waits, of which left bytes were not written. It returns the Unsent that counts the bytes written later; nil:
	// they are not counted.
	PartWaits(p *Part, left int) *conn.Unsent
}

// sentPart is a part that is being written. It implements conn.Owner.
type sentPart struct {
	of   PartOwner
	part Part
}

// Sent implements conn.Owner.
func (p *sentPart) Sent(err error) { p.of.PartSent(&p.part, err) }

// SendPart writes the output that is gathered for c and, without copying them, body and tail. Bytes that the socket does not take become
// a transfer. Then of gets p back.
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

// QueuePart is conn.Conn.Queue for items of p.
func QueuePart(c *conn.Conn, p *Part, of PartOwner, items []conn.Item, full bool) {
	left := 0
	for i := range items {
		left += len(items[i].Data)
	}
	c.Queue(conn.Output{Items: items, Owner: &sentPart{of, *p}, Unsent: of.PartWaits(p, left)}, full)
}

// Edit is a change of the fields of responses.
type Edit struct {
	names  [][]byte // of fields that are removed or replaced
	fields []byte   // that are added
}

// newEdit returns an Edit that removes the fields with some names, sets others, which replace those of the same name, and adds
// others beside those of the same name. It is nil if that is nothing. The error is one line.
func newEdit(set, add []Field, remove []string) (*Edit, error) {
	if len(set)+len(add)+len(remove) == 0 {
		return nil, nil
	}
	e := new(Edit)
	for _, name := range remove {
		if err := checkFieldName(name); err != nil {
			return nil, err
		}
		e.names = append(e.names, []byte(name))
	}
	for i, f := range slices.Concat(set, add) {
		if err := f.Check(); err != nil {
			return nil, err
		}
		if i < len(set) {
			e.names = append(e.names, []byte(f.Name))
		}
		e.fields = f.AppendTo(e.fields)
	}
	return e, nil
}

// Edits are made one after the other: those of a site before those of a mount.
type Edits []*Edit

// Apply changes the fields of a response. buf is memory for the new ones; it is returned for the next response.
func (all Edits) Apply(buf []byte, r *http1.Response) []byte {
	buf = AppendFields(buf[:0], r.Fields, all.replace)
	for i, e := range all {
		buf = AppendFields(buf, e.fields, all[i+1:].replace)
	}
	if all.replace(contentType) {
		r.Type = ""
	}
	r.HasDate = r.HasDate || all.replace(date)
	r.HasServer = r.HasServer || all.replace(server)
	r.Fields = buf[:len(buf):len(buf)]
	return buf
}

// replace reports whether one of them removes or replaces a field.
func (all Edits) replace(name []byte) bool {
	return slices.ContainsFunc(all, func(e *Edit) bool {
		return slices.ContainsFunc(e.names, func(n []byte) bool { return bytes.EqualFold(n, name) })
	})
}

// Without returns edits that leave fields with these names as they are.
func (all Edits) Without(names ...string) (out Edits) {
	none := &Edit{}
	for _, name := range names {
		none.names = append(none.names, []byte(name))
	}
	kept := Edits{none}
	for _, e := range all {
		out = append(out, &Edit{slices.DeleteFunc(slices.Clone(e.names), kept.replace), AppendFields(nil, e.fields, kept.replace)})
	}
	return out
}

// MergeFields returns the fields of a response followed by more, the fields of the handler that has handed the request
// over. Of a field that both have the one of the response counts, but more says which caches may keep the response, and both
// may set cookies.
func MergeFields(fields, more []byte) []byte {
	out := AppendFields(make([]byte, 0, len(fields)+len(more)), fields, func(name []byte) bool {
		return bytes.EqualFold(name, cacheControl) && HasField(more, name)
	})
	return AppendFields(out, more, func(name []byte) bool {
		both := bytes.EqualFold(name, cacheControl) || bytes.EqualFold(name, vary) || bytes.EqualFold(name, setCookie)
		return !both && HasField(fields, name)
	})
}

var (
	cacheControl, vary, setCookie = []byte("Cache-Control"), []byte("Vary"), []byte("Set-Cookie")
	contentType, date, server     = []byte("Content-Type"), []byte("Date"), []byte("Server")
)

// Field is a header field of a response.
type Field struct{ Name, Value string }

// Check returns an error, of one line, if f cannot be in a response, or only the server may set it.
func (f Field) Check() error {
	if err := checkFieldName(f.Name); err != nil {
		return err
	}
	if !httpguts.ValidHeaderFieldValue(f.Value) {
		return fmt.Errorf("the value of %s has a control character", f.Name)
	}
	return nil
}

// checkFieldName is Check for a name alone.
func checkFieldName(name string) error {
	if name == "" {
		return errors.New("a header field needs a name")
	}
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("%q is not the name of a header field", name)
	}
	switch strings.ToLower(name) {
	case "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "sec-websocket-accept", "sec-websocket-extensions":
		return fmt.Errorf("only the server sets %s", name)
	}
	return nil
}

// AppendTo appends the line of f to fields.
func (f Field) AppendTo(fields []byte) []byte {
	return append(append(append(append(fields, f.Name...), ": "...), f.Value...), "\r\n"...)
}

// FieldName returns the name of the field in a line.
func FieldName(line []byte) []byte {
	name, _, _ := bytes.Cut(line, []byte(":"))
	return name
}

// AppendFields appends the lines of fields to dst, but for those whose name drop chooses.
func AppendFields(dst, fields []byte, drop func(name []byte) bool) []byte {
	for line := range bytes.Lines(fields) {
		if !drop(FieldName(line)) {
			dst = append(dst, line...)
		}
	}
	return dst
}

// HasField reports whether one of the lines of fields has a name, in any case.
func HasField(fields, name []byte) bool {
	for line := range bytes.Lines(fields) {
		if bytes.EqualFold(FieldName(line), name) {
			return true
		}
	}
	return false
}

// FieldValue returns the value of the last field of a name, or "".
func FieldValue(fields, name []byte) (value string) {
	for line := range bytes.Lines(fields) {
		if bytes.EqualFold(FieldName(line), name) {
			value = string(bytes.TrimSpace(line[len(name)+1:]))
		}
	}
	return value
}

// WithoutField returns fields without those with a name.
func WithoutField(fields, name []byte) []byte {
	return AppendFields(nil, fields, func(n []byte) bool { return bytes.EqualFold(n, name) })
}
