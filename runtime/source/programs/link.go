package programs

import (
	"context"
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

	// Drop is called, once, instead of Conn.Close when the link is not used any
	// more: at once because it hangs, or else in good order. nil: Close.
	Drop func(hangs bool)

	// Heard is called, once, when the first bytes of an answer have arrived. May be nil.
	Heard func()

	served int
	idle   *time.Timer
}

func (l *Link) drop(hangs bool) {
	if l.Drop != nil {
		l.Drop(hangs)
		return
	}
	l.Conn.Close()
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
	wait := c.timeout
	for {
		c.Conn.SetReadDeadline(time.Now().Add(wait))
		if ctx.Err() != nil { // the deadline may have been moved into the past before this
			return false, backend.ErrGone
		}
		n, err := c.Conn.Read(buffer[have:])
		have += n
		switch {
		case n > 0:
			c.hear()
		case errors.Is(err, os.ErrDeadlineExceeded) && wait == fastcgiShort && ctx.Err() == nil:
			if err := c.answer.Flush(); err != nil {
				return false, err
			}
			wait = c.timeout
			continue
		case errors.Is(err, os.ErrDeadlineExceeded):
			return false, err
		default:
			return false, errBroken
		}
		used, end, err := c.take(buffer[:have])
		if err != nil {
			return false, err
		}
		have = copy(buffer[:], buffer[used:have])
		if end {
			return have == 0, c.finish()
		}
		wait = fastcgiShort
	}
}

func (c *call) hear() {
	c.heard = true
	if f := c.Heard; f != nil {
		c.Heard = nil
		f()
	}
}

// take takes in the whole records of data.
func (c *call) take(data []byte) (used int, end bool, err error) {
	for {
		r, n, err := parseRecord(data[used:])
		if err == errNeedMore {
			return used, false, nil
		}
		if err != nil {
			return used, false, err
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
			c.ended, err = parseEnd(r.content)
			return used, true, err
		}
		if err != nil {
			return used, false, err
		}
	}
}

// finish is for the end of the request.
func (c *call) finish() error {
	switch c.why {
	case completed:
		return c.answer.End()
	case overloaded:
		return ErrBusy
	}
	return fmt.Errorf("it refuses the request (protocol status %d)", c.why)
}
