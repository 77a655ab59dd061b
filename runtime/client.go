package runtime

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/exchange"
	"fapws/runtime/system"
)

// subrequester implements exchange.Subrequester: one end of a connection to the server, which is made when it is first used and kept for the
// next request.
type subrequester struct {
	origin exchange.Origin
	serve  func(fd int) error
	conn   net.Conn
	r      *bufio.Reader
	body   *body // of the last answer
}

// newSubrequester returns a Client that asks on behalf of a request. serve has the server take a connection, whose descriptor it owns unless it
// returns an error; it is called on the goroutine of Ask.
func newSubrequester(o exchange.Origin, serve func(fd int) error) *subrequester {
	return &subrequester{origin: o, serve: serve}
}

var errBadTarget = errors.New("not an absolute path of a URL")

// Ask implements exchange.Subrequester.
func (c *subrequester) Ask(ctx context.Context, target string, fields []byte) (*exchange.Answer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c.origin.Depth >= exchange.MaxDepth {
		return nil, exchange.ErrTooDeep
	}
	if !strings.HasPrefix(target, "/") || strings.ContainsAny(target, " \t\r\n#\x00") {
		return nil, errBadTarget
	}
	c.finish()
	request := c.request(target, fields)
	kept := c.conn != nil
	answer, err := c.try(ctx, request)
	if err != nil && kept && ctx.Err() == nil && errors.Is(err, errNoAnswer) {
		answer, err = c.try(ctx, request) // it was closed for being idle, or as the server stops
	}
	return answer, err
}

// request returns the bytes of a request.
func (c *subrequester) request(target string, fields []byte) []byte {
	b := append(make([]byte, 0, 64+len(target)+len(fields)), "GET "...)
	b = append(append(b, target...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, c.origin.Host...), '\r', '\n')
	b = append(b, fields...)
	return append(b, '\r', '\n')
}

// errNoAnswer says that a connection ended without a byte.
var errNoAnswer = errors.New("no answer")

func (c *subrequester) try(ctx context.Context, request []byte) (*exchange.Answer, error) {
	if c.conn == nil {
		if err := c.connect(); err != nil {
			return nil, err
		}
	}
	conn := c.conn
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	answer, err := c.exchange(request)
	if err != nil {
		stop()
		c.drop()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	c.body.stop = stop
	c.body.ctx = ctx
	return answer, nil
}

// exchange sends a request and reads the head of the answer.
func (c *subrequester) exchange(request []byte) (*exchange.Answer, error) {
	if _, err := c.conn.Write(request); err != nil {
		return nil, fmt.Errorf("%w: %v", errNoAnswer, err)
	}
	if _, err := c.r.Peek(1); err != nil {
		return nil, fmt.Errorf("%w: %v", errNoAnswer, err)
	}
	return c.readAnswer()
}

// connect makes a connection to the server's loop.
func (c *subrequester) connect() error {
	fds, err := system.SocketpairNonblock()
	if err != nil {
		return fmt.Errorf("socketpair: %w", err)
	}
	ours, err := system.Conn(fds[0], "inner connection")
	if err != nil {
		unix.Close(fds[1])
		return err
	}
	if err := c.serve(fds[1]); err != nil {
		ours.Close()
		unix.Close(fds[1])
		return err
	}
	c.conn, c.r = ours, bufio.NewReader(ours)
	return nil
}

// finish makes the connection ready for the next request, or drops it.
func (c *subrequester) finish() {
	if c.body != nil {
		c.body.Close()
		c.body = nil
	}
}

func (c *subrequester) drop() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// Close implements exchange.Subrequester.
func (c *subrequester) Close() error {
	c.finish()
	c.drop()
	return nil
}

// body is the body of an answer.
type body struct {
	io.Reader
	of   *subrequester
	ctx  context.Context
	stop func() bool // ends that ctx ends a Read
	size int64       // -1: not known
	last bool        // the connection ends with it
	err  error
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (n int, err error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err = b.Reader.Read(p)
	if err != nil {
		if cause := b.ctx.Err(); cause != nil && err != io.EOF {
			err = cause
		}
		b.end(err)
	}
	return n, err
}

// end notes that there is no more, which a Close may come before.
func (b *body) end(err error) {
	b.err = err
	inTime := b.stop()
	if err != io.EOF || b.last || !inTime {
		b.of.drop()
	}
}

// maxSkip is the largest body that is read to its end, though unwanted, to keep the connection.
const maxSkip = 64 << 10

// Close implements io.Closer.
func (b *body) Close() error {
	if b.err == nil && (b.size < 0 || b.size > maxSkip) {
		b.end(io.ErrClosedPipe)
	}
	for b.err == nil {
		_, _ = io.Copy(io.Discard, b)
	}
	return nil
}

// ofConnection are the fields of an answer that are about the connection, or the loop's to say.
var ofConnection = []string{"Connection", "Content-Length", "Date", "Keep-Alive", "Server"}

// readAnswer reads the head of a response that this server has made, and sets c.body.
func (c *subrequester) readAnswer() (*exchange.Answer, error) {
	r, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return nil, fmt.Errorf("bug: unreadable response: %w", err)
	}
	_, reason, _ := strings.Cut(r.Status, " ")
	c.body = &body{Reader: r.Body, of: c, size: r.ContentLength, last: r.Close}
	answer := &exchange.Answer{Status: r.StatusCode, Reason: reason, Length: r.ContentLength, Body: c.body}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		if slices.Contains(ofConnection, name) {
			continue
		}
		for _, value := range r.Header[name] {
			answer.Fields = append(answer.Fields, name+": "+value+"\r\n"...)
		}
	}
	return answer, nil
}
