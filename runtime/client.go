package runtime

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"fapws/runtime/exchange"
	"fapws/runtime/system"
)

// subrequester implements exchange.Subrequester. Each request has a connection to the server, which lives until the next one.
type subrequester struct {
	origin exchange.Origin
	serve  func(fd int) error
	conn   net.Conn    // nil: there is none
	stop   func() bool // ends that a context closes conn
}

// newSubrequester returns a subrequester that asks on behalf of a request. serve has the server take a connection, whose descriptor it owns unless
// it returns an error; it is called on the goroutine of Ask.
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
	c.Close()
	if err := c.connect(ctx); err != nil {
		return nil, cmp.Or(ctx.Err(), err)
	}
	_, err := fmt.Fprintf(c.conn, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", target, c.origin.Host, fields)
	var r *http.Response
	if err == nil {
		r, err = http.ReadResponse(bufio.NewReader(c.conn), nil)
	}
	if err != nil {
		return nil, cmp.Or(ctx.Err(), fmt.Errorf("no answer: %w", err))
	}
	_, reason, _ := strings.Cut(r.Status, " ")
	return &exchange.Answer{
		Status: r.StatusCode, Reason: reason, Fields: answerFields(r.Header), Length: r.ContentLength, Body: io.NopCloser(&body{r.Body, ctx}),
	}, nil
}

// connect makes a connection to the server's loop, until ctx ends.
func (c *subrequester) connect(ctx context.Context) error {
	fds, err := system.SocketpairNonblock()
	if err != nil {
		return fmt.Errorf("socketpair: %w", err)
	}
	ours, err := system.Conn(fds[0], "inner connection")
	if err == nil {
		if err = c.serve(fds[1]); err != nil {
			ours.Close()
		}
	}
	if err != nil {
		unix.Close(fds[1])
		return err
	}
	c.conn, c.stop = ours, context.AfterFunc(ctx, func() { ours.Close() })
	return nil
}

// Close implements exchange.Subrequester.
func (c *subrequester) Close() error {
	if c.conn != nil {
		c.stop()
		c.conn.Close()
		c.conn = nil
	}
	return nil
}

// body is the body of an answer, which ends with a context.
type body struct {
	io.Reader
	ctx context.Context
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (n int, err error) {
	n, err = b.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = cmp.Or(b.ctx.Err(), err)
	}
	return n, err
}

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
