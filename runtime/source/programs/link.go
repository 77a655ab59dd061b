package programs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"fapws/runtime/backend"
)

// Link is a connection to a FastCGI application.
type Link struct {
	Conn net.Conn

	// Drop closes Conn, and is called once, when the link is not used any
	// more: at once because it hangs, or else in good order.
	Drop func(hangs bool)

	// Heard is called, once, when the first bytes of an answer have arrived. May be nil.
	Heard func()

	served int
}

// buffers hold input, and requests before they are sent.
var buffers = sync.Pool{New: func() any { return new([maxRecord]byte) }}

// direct is the most of a body that is sent before the answer is read: a socket takes that much although the
// application does not read yet.
const direct = 32 << 10

// fastcgiShort is for how long output that may not be all is kept back.
const fastcgiShort = 2 * time.Millisecond

// call is a request on a link.
type call struct {
	*Link
	timeout time.Duration
	answer  *Answer
	lines   *Lines // takes standard error

	heard bool // something has come back
	ended
}

// errBroken is for an end of the connection before that of the answer.
var errBroken = errors.New("it closed the connection")

// errWriting is for a request that could not be sent.
type errWriting struct{ error }

// run sends the request and passes the answer on. Without an error, reusable
// says whether the link can take another request.
func (c *call) run(r *backend.Request, params []byte) (reusable bool, err error) {
	// When the client disconnects, we stop waiting; the application may continue.
	stop := context.AfterFunc(r.Context, func() { c.Conn.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() && r.Context.Err() != nil {
			reusable, err = false, backend.ErrGone
		}
	}()
	sent, err := c.send(r, params)
	if err != nil {
		return false, errWriting{err}
	}
	whole, err := c.receive(r.Context)
	if sent != nil {
		c.Conn.SetWriteDeadline(time.Unix(1, 0)) // the answer did not need the rest
		if <-sent != nil {
			whole = false
		}
		c.Conn.SetWriteDeadline(time.Time{})
	}
	return whole && err == nil, err
}

// send sends the request. A long body is sent beside the answer; its error, or
// nil, then comes through sent.
func (c *call) send(r *backend.Request, params []byte) (sent chan error, err error) {
	buffer := buffers.Get().(*[maxRecord]byte)
	defer buffers.Put(buffer)
	out := appendStream(appendBegin(buffer[:0]), typeParams, params)
	out = appendRecord(out, typeParams, nil)
	if r.Size <= direct {
		if r.Size > 0 {
			body, err := io.ReadAll(r.Body())
			if err != nil {
				return nil, err
			}
			out = appendStream(out, typeStdin, body)
		}
		out = appendRecord(out, typeStdin, nil)
	}
	c.Conn.SetWriteDeadline(time.Now().Add(c.timeout))
	if _, err := c.Conn.Write(out); err != nil || r.Size <= direct {
		return nil, err
	}
	c.Conn.SetWriteDeadline(time.Time{})
	sent = make(chan error, 1)
	body := r.Body()
	go func() { sent <- c.sendBody(body) }()
	return sent, nil
}

func (c *call) sendBody(body io.Reader) error {
	piece := make([]byte, direct)
	var out []byte
	for {
		n, err := body.Read(piece)
		out = out[:0]
		if n > 0 {
			out = appendRecord(out, typeStdin, piece[:n])
		}
		if err == io.EOF {
			out = appendRecord(out, typeStdin, nil)
		} else if err != nil {
			return err
		}
		if _, werr := c.Conn.Write(out); werr != nil || err == io.EOF {
			return werr
		}
	}
}

// receive passes on the answer until the end of the request; whole reports that nothing came behind that.
func (c *call) receive(ctx context.Context) (whole bool, err error) {
	buffer := buffers.Get().(*[maxRecord]byte)
	defer buffers.Put(buffer)
	have := 0
	err = c.answer.passAll(fastcgiShort, c.timeout, func(wait time.Duration) error {
		c.Conn.SetReadDeadline(time.Now().Add(wait))
		if ctx.Err() != nil { // the deadline may have been moved into the past before this
			return backend.ErrGone
		}
		n, err := c.Conn.Read(buffer[have:])
		have += n
		switch {
		case n > 0:
			c.hear()
		case errors.Is(err, os.ErrDeadlineExceeded):
			return err
		default:
			return errBroken
		}
		used, err := c.take(buffer[:have])
		have = copy(buffer[:], buffer[used:have])
		return err
	})
	return have == 0, err
}

func (c *call) hear() {
	c.heard = true
	if f := c.Heard; f != nil {
		c.Heard = nil
		f()
	}
}

// take takes in the whole records of data. The error is io.EOF at the end of the answer.
func (c *call) take(data []byte) (used int, err error) {
	for {
		r, n, err := parseRecord(data[used:])
		if err == errNeedMore {
			return used, nil
		}
		if err != nil {
			return used, err
		}
		used += n
		switch r.kind {
		case typeStdout:
			if len(r.content) > 0 {
				err = c.answer.Write(r.content)
			}
		case typeStderr:
			c.lines.Write(r.content)
		case typeEnd:
			if c.ended, err = parseEnd(r.content); err == nil {
				err = c.finish()
			}
		}
		if err != nil {
			return used, err
		}
	}
}

// finish is for the end of the request, whose answer is whole: then the error is io.EOF.
func (c *call) finish() error {
	switch c.why {
	case completed:
		return io.EOF
	case overloaded:
		return ErrBusy
	}
	return fmt.Errorf("it refuses the request (protocol status %d)", c.why)
}

// The protocol is that of the FastCGI Specification, version 1.0 (1996). A
// connection has one request at a time, with this ID.
const requestID = 1

// Types of records (§8).
const (
	typeBegin  = 1
	typeEnd    = 3
	typeParams = 4
	typeStdin  = 5
	typeStdout = 6
	typeStderr = 7
)

const (
	headerLen  = 8
	maxContent = 65535
	maxRecord  = headerLen + maxContent + 255
)

// record is one record that was received.
type record struct {
	kind    uint8
	content []byte // within the data that was parsed
}

// errNeedMore says that the record is not there whole; maxRecord bytes are always
// enough.
var errNeedMore = errors.New("incomplete record")

// parseRecord reads the record at the front of data and returns its length.
func parseRecord(data []byte) (r record, n int, err error) {
	if len(data) < headerLen {
		return r, 0, errNeedMore
	}
	if data[0] != 1 {
		return r, 0, fmt.Errorf("it does not speak FastCGI 1.0: %q", data[:headerLen])
	}
	size := int(binary.BigEndian.Uint16(data[4:]))
	n = headerLen + size + int(data[6])
	r.kind = data[1]
	if id := binary.BigEndian.Uint16(data[2:]); id != requestID {
		return r, 0, fmt.Errorf("response to the unknown request %d", id)
	}
	if r.kind != typeStdout && r.kind != typeStderr && r.kind != typeEnd {
		return r, 0, fmt.Errorf("it sends a record of type %d", r.kind)
	}
	if len(data) < n {
		return r, 0, errNeedMore
	}
	r.content = data[headerLen : headerLen+size]
	return r, n, nil
}

// appendRecord appends a record with content, of at most maxContent bytes.
func appendRecord(dst []byte, kind uint8, content []byte) []byte {
	dst = append(dst, 1, kind, 0, requestID)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(content)))
	dst = append(dst, 0, 0)
	return append(dst, content...)
}

// appendBegin appends the record that begins a request for a responder, after
// which the connection stays open.
func appendBegin(dst []byte) []byte {
	const responder, keep = 1, 1
	return appendRecord(dst, typeBegin, []byte{0, responder, keep, 0, 0, 0, 0, 0})
}

// appendStream appends content as records of a stream, without its end.
func appendStream(dst []byte, kind uint8, content []byte) []byte {
	for len(content) > 0 {
		k := min(len(content), maxContent)
		dst = appendRecord(dst, kind, content[:k])
		content = content[k:]
	}
	return dst
}

// appendParam appends a name-value pair (§3.4).
func appendParam(dst []byte, name, value string) []byte {
	dst = appendLength(appendLength(dst, len(name)), len(value))
	return append(append(dst, name...), value...)
}

func appendLength(dst []byte, n int) []byte {
	if n < 128 {
		return append(dst, byte(n))
	}
	return binary.BigEndian.AppendUint32(dst, uint32(n)|1<<31)
}

// ended is the content of a record of typeEnd.
type ended struct {
	status int   // exit code of the program
	why    uint8 // protocolStatus
}

// Values of protocolStatus (§5.5).
const (
	completed  = 0
	overloaded = 2
)

func parseEnd(content []byte) (e ended, err error) {
	if len(content) < headerLen {
		return e, errors.New("its last record is too short")
	}
	return ended{status: int(int32(binary.BigEndian.Uint32(content))), why: content[4]}, nil
}
