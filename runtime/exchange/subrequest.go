package exchange

import (
	"context"
	"errors"
	"io"
)

// Origin is the request on whose behalf a handler asks the server itself for
// something: a page that is included, the target of a local redirect.
type Origin struct {
	Peer  Peer   // the client, whom the answers are meant for
	Host  string // host and port that the client asked for; "": the default site
	Root  string // decoded path that a proxy or a root path puts before the site: "" or "/a/b"
	Depth int    // Request.Depth of that request
	Value any    // Request.Value of what is asked for
}

// Subrequester asks the server for pages, one after the other, on behalf of one
// request. Its methods may be called from any goroutine but the loop's, by one
// at a time.
type Subrequester interface {
	// Ask makes a GET request. target is a path as seen from outside with an
	// optional query, percent-encoded; fields are "Name: value\r\n" ... without
	// Host, Connection and what frames a body. The answer's Body has to be read
	// or closed before the next Ask. The error is ErrTooDeep, or that of ctx, or
	// says that the server ends.
	Ask(ctx context.Context, target string, fields []byte) (*Answer, error)

	// Close ends it. It may be called twice.
	Close() error
}

// Answer is the response to a subrequest.
type Answer struct {
	Status int
	Reason string
	Fields []byte // as in Head: without Content-Length and the like, Date and Server
	Length int64  // of the body, -1 if that is not known
	Body   io.ReadCloser
}

// MaxDepth is how many subrequests may be inside each other.
const MaxDepth = 10

// ErrTooDeep is what Ask returns when pages ask for each other without end.
var ErrTooDeep = errors.New("requests within requests go too deep")
