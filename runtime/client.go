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
	if c.origin.Depth >= exchange.MaxDepth {
		return nil, exchange.ErrTooDeep
	}
	if !strings.HasPrefix(target, "/") || strings.ContainsAny(target, " \t\r\n#\x00") {
		return nil, errBadTarget
	}
	c.finish()
	request := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", target, c.origin.Host, fields)
	for {
		kept := c.conn != nil
		answer, err := c.try(ctx, request)
		if err == nil {
			return answer, nil
		}
		c.drop()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !kept { // else it was closed for being idle, or as the server stops
			return nil, err
		}
	}
}

// try sends a request and reads the head of the answer. With an error, the connection cannot be used again.
func (c *subrequester) try(ctx context.Context, request []byte) (*exchange.Answer, error) {
	if c.conn == nil {
		if err := c.connect(); err != nil {
			return nil, err
		}
	}
	conn := c.conn
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	_, err := conn.Write(request)
	var r *http.Response
	if err == nil {
		r, err = http.ReadResponse(c.r, nil)
	}
	if err != nil {
		stop()
		return nil, fmt.Errorf("no answer: %w", err)
	}
	c.body = &body{Reader: r.Body, ctx: ctx, stop: stop, last: r.Close}
	_, reason, _ := strings.Cut(r.Status, " ")
	return &exchange.Answer{Status: r.StatusCode, Reason: reason, Fields: answerFields(r.Header), Length: r.ContentLength, Body: c.body}, nil
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

// maxSkip is the largest rest of a body that is read to its end, though unwanted, to keep the connection.
const maxSkip = 64 << 10

// finish makes the connection ready for the next request, or drops it.
func (c *subrequester) finish() {
	b := c.body
	if b == nil {
		return
	}
	c.body = nil
	_, err := io.CopyN(io.Discard, b, maxSkip)
	if inTime := b.stop(); err != io.EOF || b.last || !inTime {
		c.drop()
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
	ctx  context.Context
	stop func() bool // ends that ctx ends a Read
	last bool        // the connection ends with it
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (n int, err error) {
	n, err = b.Reader.Read(p)
	if err != nil && err != io.EOF && b.ctx.Err() != nil {
		err = b.ctx.Err()
	}
	return n, err
}

// Close implements io.Closer. The next request, or the end of the client, closes it.
func (b *body) Close() error { return nil }

// ofConnection are the fields of an answer that are about the connection, or the loop's to say.
var ofConnection = []string{"Connection", "Content-Length", "Date", "Keep-Alive", "Server"}

// answerFields returns the fields of an answer, without those.
func answerFields(h http.Header) (fields []byte) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if slices.Contains(ofConnection, name) {
			continue
		}
		for _, value := range h[name] {
			fields = append(fields, name+": "+value+"\r\n"...)
		}
	}
	return fields
}
