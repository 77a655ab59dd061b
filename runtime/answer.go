package runtime

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"fapws/runtime/exchange"
)

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

// readAnswer reads the head of a response that this server has made.
func (c *subrequester) readAnswer() (*exchange.Answer, *body, error) {
	r, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("bug: unreadable response: %w", err)
	}
	_, reason, _ := strings.Cut(r.Status, " ")
	answer := &exchange.Answer{Status: r.StatusCode, Reason: reason, Length: r.ContentLength}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		if slices.Contains(ofConnection, name) {
			continue
		}
		for _, value := range r.Header[name] {
			answer.Fields = append(answer.Fields, name+": "+value+"\r\n"...)
		}
	}
	return answer, &body{Reader: r.Body, of: c, size: r.ContentLength, last: r.Close}, nil
}
