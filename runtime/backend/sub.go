package backend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"fapws/runtime/exchange"
)

// Answer is the whole response to a subrequest.
type Answer struct {
	Status int
	Reason string
	Fields []byte // "Name: value\r\n" ..., without Content-Length and the like, Date and Server
	Body   []byte
}

// Field returns the value of the first field called name, in any case.
func (a *Answer) Field(name string) string {
	for line := range bytes.Lines(a.Fields) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(key, []byte(name)) {
			return string(bytes.TrimSpace(value))
		}
	}
	return ""
}

// MaxAnswer is the largest body that Sub returns, in bytes.
const MaxAnswer = 8 << 20

var (
	// ErrTooDeep is what Sub and Relay return when pages ask for each other
	// without end.
	ErrTooDeep = exchange.ErrTooDeep

	// ErrTooLarge is what Sub returns for a body of more than MaxAnswer bytes.
	ErrTooLarge = fmt.Errorf("the answer has more than %d bytes", MaxAnswer)

	errNoServer = errors.New("this pool has no server")
)

// Sub asks the server for target with GET as if r's client had: through all of
// routing, and so of any other mount, Python too. It waits for the whole
// answer. target is an absolute path as seen from outside, with an optional
// query, percent-encoded. The client's fields go along but for those about r's
// own body, ranges, conditions and codings. There is no line in the access log
// for it. Any status is an answer; the error is ErrTooDeep, ErrTooLarge, that
// of ctx, or says why the server gave none. For the goroutine of Respond.
func (r *Request) Sub(ctx context.Context, target string) (*Answer, error) {
	a, err := r.ask(ctx, target)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	if a.Length > MaxAnswer {
		return nil, ErrTooLarge
	}
	body, err := io.ReadAll(io.LimitReader(a.Body, MaxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(body) > MaxAnswer {
		return nil, ErrTooLarge
	}
	return &Answer{Status: a.Status, Reason: a.Reason, Fields: a.Fields, Body: body}, nil
}

// Share makes v the Value of requests that come of Sub. It is for before the
// first Sub.
func (r *Request) Share(v any) { r.share = v }

// Relay answers r with the response of the server for target, like Sub, but of any size and passed on as it comes. It
// must be called before Start, and be the last call. The error says why it has not answered at all; Respond may then
// Refuse.
func (w *Response) Relay(r *Request, target string) error {
	a, err := r.ask(r.Context, target)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	w.Start(exchange.Head{Status: a.Status, Reason: []byte(a.Reason), Fields: a.Fields, Length: a.Length})
	if _, err := io.Copy(w, a.Body); err != nil {
		w.Fail()
	}
	return nil
}

func (r *Request) ask(ctx context.Context, target string) (*exchange.Answer, error) {
	if r.inner == nil {
		if r.pool == nil || r.pool.ask == nil {
			return nil, errNoServer
		}
		r.inner = r.pool.ask(exchange.Origin{Peer: r.Peer, Host: r.Host(), Root: r.Path[:r.Root], Depth: r.Depth, Value: r.share})
	}
	return r.inner.Ask(ctx, target, r.inheritance())
}

// inheritance returns the fields of r that also hold for the pages that it includes.
func (r *Request) inheritance() []byte {
	var out []byte
	for _, f := range r.Parsed.Fields {
		if name := f.Name.In(r.Head); !own(name) {
			out = append(append(append(append(out, name...), ": "...), f.Value.In(r.Head)...), "\r\n"...)
		}
	}
	return out
}

// own says whether a field is about one request only: its framing, its
// connection, its body, or which form of which representation it wants.
func own(name []byte) bool {
	switch string(bytes.ToLower(name)) {
	case "host", "connection", "keep-alive", "proxy-connection", "transfer-encoding", "te", "trailer", "upgrade", "expect",
		"accept-encoding", "range":
		return true
	}
	return hasPrefixFold(name, "content-") || hasPrefixFold(name, "if-")
}

func hasPrefixFold(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && bytes.EqualFold(b[:len(prefix)], []byte(prefix))
}

// Serves is called by the server with what makes subrequests, before it serves.
func (p *Pool) Serves(ask func(exchange.Origin) exchange.Subrequester) { p.ask = ask }
