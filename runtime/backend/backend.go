package backend

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// Responder answers requests. Respond is called on a separate goroutine, many
// at the same time, and the response ends when it returns. Neither argument may
// be used after that. A panic in it is logged and answered 500.
type Responder interface {
	Respond(w *Response, r *Request)
}

// Func is a function as a Responder.
type Func func(w *Response, r *Request)

// Respond implements Responder.
func (f Func) Respond(w *Response, r *Request) { f(w, r) }

// Request is a whole request: its body has arrived, unless the mount streams (see Next). It is a copy of an exchange.Request: where that
// is WebSocket, the request may get a tunnel (Response.Tunnel).
type Request struct {
	exchange.Request
	Context context.Context // ends when the response is not wanted any more
	Path    string          // that of exchange.Request

	pool    *Pool
	handler *Handler
	cancel  context.CancelFunc // of Context
	spool   *os.File
	share   any

	// These are guarded by Pool.mu.
	changed sync.Cond           // some of them are not as they were
	unacked int                 // memory of the parts of the response that the loop has not released, in bytes
	gone    bool                // Pool.Cancel was called
	overdue func(time.Duration) // see OnOverdue; may be nil
	stream  *stream             // of a body that arrives; nil: it is here
}

// Method returns the request's method, "GET".
func (r *Request) Method() string { return string(r.Parsed.Method.In(r.Head)) }

// Target returns the request-target as received.
func (r *Request) Target() string { return string(r.Parsed.Target.In(r.Head)) }

// Query returns the raw query without "?".
func (r *Request) Query() string { return string(r.Parsed.Query.In(r.Head)) }

// Host returns the host and port that the client asked for, "" if it named
// none (HTTP/1.0).
func (r *Request) Host() string {
	return string(r.Peer.AppendHost(nil, r.Parsed, r.Head))
}

// Client is the name of the client in error logs: "192.0.2.7:4711", "" for one of a unix socket, with the trace of the request
// if the server traces.
func (r *Request) Client() string {
	client := r.Peer.String()
	if r.Traced {
		client = http1.FindTraceparent(r.Head, r.Parsed).Name(client)
	}
	return client
}

// Field returns the value of the first header field called name, in any case.
func (r *Request) Field(name string) string {
	value, _ := http1.First(r.Head, r.Parsed.Fields, strings.ToLower(name))
	return string(value)
}

// Account returns the name by which the share of a client is counted: its user, or its network; "" if it has neither.
func (r *Request) Account() string {
	if r.Peer.User != "" {
		return "user " + r.Peer.User
	}
	return conn.Network(r.Peer.Addr)
}

// Body returns a reader of the whole body, from its first byte. Each call
// returns another one; they do not disturb each other.
func (r *Request) Body() io.Reader {
	if r.spool != nil {
		return io.NewSectionReader(r.spool, 0, r.Size)
	}
	return bytes.NewReader(r.Request.Body)
}

// BodyFile returns the unlinked file that holds the body, at an undefined
// position, or nil if the body is in memory. It is the Request's.
func (r *Request) BodyFile() *os.File { return r.spool }

// OnOverdue makes f be called when the response has taken longer than the server
// allows, and the client has been answered 504; took is how long. f is called on a
// separate goroutine, at most once, perhaps after Respond has returned.
func (r *Request) OnOverdue(f func(took time.Duration)) {
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	r.overdue = f
}

// ErrGone is the error of Write and File when the client has disconnected.
var ErrGone = errors.New("the client has disconnected")

// Response is the answer of a Responder. Its methods must be called on the goroutine of Respond.
type Response struct {
	r       *Request
	head    exchange.Head
	started bool // Start was called
	sent    bool // a part with the head was published
	failed  bool
	buf     []byte
	spool   *spool // nil: Spools was not called

	trailers exchange.Trailers
}

// Start sets the head. The first call counts and has to come before Write.
// Slices in it may not change afterwards. Head.Length is -1 where it is not
// known; Head.Fields may not have CR, LF or NUL inside a field.
func (w *Response) Start(head exchange.Head) {
	if !w.started {
		w.started, w.head = true, head
	}
}

// Interim sends the head of a 1xx response ahead of the answer (RFC 9110 §15.2), to clients that can take one. Of
// head, Status, Reason and Fields count. It must be called before Start, and waits like Write.
func (w *Response) Interim(head exchange.Head) error {
	if err := w.r.put(&part{Part: exchange.Part{Head: head, Interim: true}}); err != nil {
		return err
	}
	return w.r.wait()
}

// Refuse answers with the server's own page for status, which a site may
// replace. text follows the status on it; "" is nothing. It is for before
// Start.
func (w *Response) Refuse(status int, text string) {
	if !w.started && (status == 502 || status == 504) {
		w.r.pool.failed.Add(1)
	}
	w.Start(exchange.Head{Status: status, Length: -1, Instead: exchange.Refusal, Reason: []byte(text)})
}

// HandOn ends the response before it has begun: the handler behind the pool (Receives of package exchange) answers, and gets body as
// the body of the request. fields, "Name: value\r\n" ..., are added to its response. Nothing may be written.
func (w *Response) HandOn(body, fields []byte) {
	w.Start(exchange.Head{Status: 200, Fields: fields, Instead: exchange.Behind})
	w.buf = body
}

// Sends is that of the Pool.
func (w *Response) Sends() Sends { return w.r.pool.Sends }

// Started says whether Start or Refuse was called.
func (w *Response) Started() bool { return w.started }

// Write adds to the body. It waits while the client has too much to take
// already; the error is ErrGone when there is no client any more.
func (w *Response) Write(p []byte) (int, error) {
	n := 0
	for len(p) > 0 {
		k := min(len(p), chunkSize-len(w.buf))
		w.buf = append(w.buf, p[:k]...)
		p, n = p[k:], n+k
		if len(w.buf) == chunkSize {
			if err := w.Flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// Flush sends the bytes that were written. It is needed only where the next ones take long; the end of the response
// flushes.
func (w *Response) Flush() error {
	if w.spool != nil && w.sent && len(w.buf) > 0 {
		if stored, err := w.spool.store(w.r, w.buf); stored || err != nil {
			w.buf = w.buf[:0]
			return err
		}
	}
	if len(w.buf) > 0 || !w.sent {
		if err := w.put(&part{}); err != nil {
			return err
		}
	}
	if w.spool != nil {
		return nil // the next Flush looks whether the client is behind
	}
	return w.r.wait()
}

// Trailers sets the fields that end the response behind its body: see exchange.Part. Their bytes may not change afterwards. It is for clients with
// Request.Parsed.Trailers.
func (w *Response) Trailers(t exchange.Trailers) { w.trailers = t }

// Fail ends the response so that the client notices that it is not complete. Before Start it is Refuse(502, "").
func (w *Response) Fail() {
	if w.started {
		w.r.pool.failed.Add(1)
		w.failed = true
	} else {
		w.Refuse(502, "")
	}
}

// put gives a part to the loop, with the bytes that were written and, if it is the first, the head.
func (w *Response) put(p *part) error {
	p.Body, w.buf = w.buf, nil
	if !w.sent {
		w.Start(exchange.Head{Status: 200, Length: -1})
		p.First, w.sent = true, true
		p.Head = w.head
		p.Head.Request, p.Head.Parsed = w.r.Head, w.r.Parsed
	}
	return w.r.put(p)
}

// end publishes the last part.
func (w *Response) end() {
	if w.spool != nil && !w.spool.finish(w.r) {
		w.failed = true
	}
	if len(w.trailers) > 0 && !w.sent {
		w.Flush() // its length is not known to the client then, who gets chunks
	}
	p := &part{Part: exchange.Part{Last: true, Failed: w.failed}}
	if len(w.trailers) > 0 {
		p.Trailers = &w.trailers
	}
	w.put(p)
}

const (
	chunkSize  = 32 << 10
	unackedMax = 256 << 10 // beyond it Write waits
)

// Ask has the handler behind the pool (Receives of package exchange) answer a request with this body, whose head is that of the client's, and
// returns the status and the first bytes of its response. It may be called any number of times before the response is started, also when
// the client has disconnected. body must not change until it returns.
func (w *Response) Ask(body []byte) (status int, answer []byte) {
	done := make(chan struct{})
	w.r.Inquire(body, func(s int, a []byte) {
		status, answer = s, a
		close(done)
	})
	<-done
	return status, answer
}

// Tunnel answers a Request with WebSocket by head, of status 101: the server passes bytes between the client and t.Upstream,
// which it owns from now on, and Respond may return. It is for before Start, and nothing may be done with the Response
// afterwards. If the client has left, t.Upstream is closed.
func (w *Response) Tunnel(head exchange.Head, t *exchange.Tunnel) {
	head.Tunnel = t
	w.Start(head)
}

// maxAnswer is the largest body that Sub returns, in bytes.
const maxAnswer = 8 << 20

var errTooLarge = fmt.Errorf("the answer has more than %d bytes", maxAnswer)

// Sub asks the server for target with GET as if r's client had: through all of
// routing, and so of any other mount, Python too. It waits for the whole
// answer. target is an absolute path as seen from outside, with an optional
// query, percent-encoded. The client's fields go along but for those about r's
// own body, ranges, conditions and codings. There is no line in the access log
// for it. Any status is an answer; the error is exchange.ErrTooDeep, that
// of ctx, or says why the server gave none, or one that is too large. For the goroutine of Respond.
func (r *Request) Sub(ctx context.Context, target string) (status int, header http.Header, body []byte, err error) {
	a, err := r.ask(ctx, target)
	if err != nil {
		return 0, nil, nil, err
	}
	defer a.Body.Close()
	if a.ContentLength > maxAnswer {
		return 0, nil, nil, errTooLarge
	}
	body, err = io.ReadAll(io.LimitReader(a.Body, maxAnswer+1))
	switch {
	case err != nil:
		err = cmp.Or(ctx.Err(), err)
	case len(body) > maxAnswer:
		err = errTooLarge
	}
	return a.StatusCode, a.Header, body, err
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
	for _, name := range [...]string{"Connection", "Content-Length", "Date", "Keep-Alive", "Server"} { // of the connection, or the loop's to say
		a.Header.Del(name)
	}
	var fields bytes.Buffer
	a.Header.Write(&fields) // into memory
	_, reason, _ := strings.Cut(a.Status, " ")
	w.Start(exchange.Head{Status: a.StatusCode, Reason: []byte(reason), Fields: fields.Bytes(), Length: a.ContentLength})
	to := io.Writer(w)
	if a.ContentLength < 0 { // it may be long until more comes
		to = flusher{w}
		_ = w.Flush() // Copy fails then, too
	}
	if _, err := io.Copy(to, a.Body); err != nil {
		w.Fail()
	}
	return nil
}

// flusher is a Response that sends each piece at once.
type flusher struct{ w *Response }

// Write implements io.Writer.
func (f flusher) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err == nil {
		err = f.w.Flush()
	}
	return n, err
}

func (r *Request) ask(ctx context.Context, target string) (*http.Response, error) {
	o := exchange.Origin{Peer: *r.Peer, Host: r.Host(), Root: r.Path[:r.Root], Depth: r.Depth, Value: r.share}
	return r.Ask(ctx, o, target, r.inheritance())
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
	return http1.HasPrefixFold(name, "content-") || http1.HasPrefixFold(name, "if-")
}
