package backend

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// A Responder handles requests. Respond is called on a separate goroutine for each request. w and r must not be used
// after Respond has returned. If Respond panics, the response has status 500 or is aborted.
type Responder interface {
	Respond(w *ResponseWriter, r *Request)
}

type Func func(w *ResponseWriter, r *Request)

func (f Func) Respond(w *ResponseWriter, r *Request) { f(w, r) }

// A Request is a request whose body has arrived or, if the mount streams request bodies, arrives while Respond runs
// (see Next). It embeds a copy of the exchange.Request.
type Request struct {
	exchange.Request
	Context context.Context
	Path    string

	ticket  exchange.Ticket
	began   time.Time
	pool    *Pool
	handler *Handler
	cancel  context.CancelFunc
	spool   *os.File
	share   any

	// The fields below are guarded by Pool.mu.
	changed sync.Cond
	// bytes of memory of the response parts that the event loop has not yet released
	unacked int
	gone    bool
	overdue func(time.Duration)
	closed  bool // the client has shut down its sending side
	// function that was passed to OnClose; nil without one, or after the call
	onClose func()
	stream  *stream // the body that is still arriving; nil if the body is complete
}

func (r *Request) Method() string { return string(r.Parsed.Method.In(r.Head)) }

func (r *Request) Target() string { return string(r.Parsed.Target.In(r.Head)) }

func (r *Request) Query() string { return string(r.Parsed.Query.In(r.Head)) }

// Host returns the host and port that the client requested, or "" if the request has no host (HTTP/1.0).
func (r *Request) Host() string {
	return string(r.Peer.AppendHost(nil, r.Parsed, r.Head))
}

// Client returns the text that identifies the client and its request in error logs (logfile.AboutOf).
func (r *Request) Client() string { return r.About(r.Parsed).Name() }

// Field returns the value of a header field, or "". The case of name is ignored.
func (r *Request) Field(name string) string {
	value, _ := http1.First(r.Head, r.Parsed.Fields, strings.ToLower(name))
	return string(value)
}

// Account returns a key for limits per client: the client's user if the client is logged in, otherwise the account of
// the client's address (conn.Peer.Account).
func (r *Request) Account() string {
	if r.Peer.User != "" {
		return "user " + r.Peer.User
	}
	return r.Peer.Account()
}

// Body returns a reader of the body. Each call returns an independent reader.
func (r *Request) Body() io.Reader {
	if r.spool != nil {
		return io.NewSectionReader(r.spool, 0, r.Size)
	}
	return bytes.NewReader(r.Request.Body)
}

// BodyFile returns the unlinked file that contains the body, or nil if the body is in memory. The position of the file
// is undefined, and the caller must not close the file.
func (r *Request) BodyFile() *os.File { return r.spool }

// OnOverdue registers a function f that is called with the elapsed time if the response exceeds the server's time
// limit. The server then sends a 504 to the client. f is called at most once, on a separate goroutine, possibly after
// Respond has returned.
func (r *Request) OnOverdue(f func(took time.Duration)) {
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	r.overdue = f
}

// OnClose registers a function f that is called when the client has shut down its sending side, because the client has
// then probably disconnected. f is called on a separate goroutine, possibly after Respond has returned.
func (r *Request) OnClose(f func()) {
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	r.onClose = f
	r.reportClose()
}

func (r *Request) reportClose() {
	if f := r.onClose; f != nil && r.closed {
		r.onClose = nil
		go f()
	}
}

var ErrGone = errors.New("the client has disconnected")

// A ResponseWriter sends the response to a request. Its methods must be called on the goroutine of Respond.
type ResponseWriter struct {
	r       *Request
	head    exchange.Head
	added   []byte // header fields from Add
	started bool
	sent    bool
	failed  bool
	buf     []byte
	spool   *spool // nil if Spools was not called
}

// Start sets the head, and must be called before Write. Only the first call has an effect. Slices in head must not
// change afterwards. head.Length must be -1 if the length is unknown. The fields in head.Fields must not contain CR, LF
// or NUL.
func (w *ResponseWriter) Start(head exchange.Head) {
	if !w.started {
		w.started, w.head = true, head
		if len(w.added) > 0 {
			w.head.Fields = slices.Concat(head.Fields, w.added)
		}
	}
}

// Add adds header fields, "Name: value\r\n" ..., to the head that a later call of Start, Refuse or HandOn sets.
func (w *ResponseWriter) Add(fields string) { w.added = append(w.added, fields...) }

// Refuse responds with the site's error page for status. If the site has no such page, Refuse responds with the
// server's own page, which contains text. Refuse must be called before Start.
func (w *ResponseWriter) Refuse(status int, text string) {
	if !w.started && (status == 502 || status == 504) {
		w.r.pool.failed.Add(1)
	}
	w.Start(exchange.Head{Status: status, Length: -1, Then: exchange.Refusal{}, Reason: []byte(text)})
}

// Unavailable responds with status 503, and requests that the client retry after the duration wait. Unavailable must be
// called before Start.
func (w *ResponseWriter) Unavailable(text string, wait time.Duration) {
	w.r.pool.failed.Add(1)
	seconds := int(math.Ceil(wait.Seconds()))
	w.Start(exchange.Head{Status: 503, Length: -1, Then: exchange.Refusal{}, Reason: []byte(text),
		Fields: fmt.Appendf(nil, "Retry-After: %d\r\n", max(1, seconds))})
}

// HandOn forwards the request to the mount's Handler, with body as the request body. HandOn is for responders in the
// field exchange.Mount.Receives, which get a request before the Handler. fields, "Name: value\r\n" ..., is added to the
// head of the response. HandOn must be called before Start, and Write must not be called.
func (w *ResponseWriter) HandOn(body, fields []byte) {
	w.Start(exchange.Head{Status: 200, Fields: fields, Then: w.r.Services.Next})
	w.buf = body
}

func (w *ResponseWriter) Sends() Sends { return w.r.pool.Sends }

// Then returns an exchange.Then that calls do with value, the value of a response field.
func (w *ResponseWriter) Then(do exchange.Continuation, field string, value []byte) exchange.Then {
	return &continued{do, exchange.Request{Head: w.r.Head, Parsed: w.r.Parsed, Options: field}, value}
}

// continued is the result of ResponseWriter.Then.
type continued struct {
	do    exchange.Continuation
	r     exchange.Request
	value []byte
}

func (c *continued) Continue(x *exchange.Exchange, p *exchange.Part) exchange.ThenOutcome {
	return c.do(x, p, &c.r, c.value)
}

func (w *ResponseWriter) Started() bool { return w.started }

// Write blocks while too much of the response waits to be sent to the client. The error is ErrGone if the client has
// disconnected.
func (w *ResponseWriter) Write(p []byte) (int, error) {
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

// Flush sends buffered output. Flush is needed only before a pause in the output, because the end of the response is
// flushed automatically.
func (w *ResponseWriter) Flush() error {
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
		// Do not wait for the client here: the next Flush checks whether the client is slow.
		return nil
	}
	return w.r.wait()
}

// Fail aborts the response, so that the client notices that the rest is missing. Before Start, Fail is equivalent to
// Refuse(502, "").
func (w *ResponseWriter) Fail() {
	if w.started {
		w.r.pool.failed.Add(1)
		w.failed = true
	} else {
		w.Refuse(502, "")
	}
}

func (w *ResponseWriter) put(p *part) error {
	p.Body, w.buf = w.buf, nil
	if !w.sent {
		w.Start(exchange.Head{Status: 200, Length: -1})
		p.First, w.sent = true, true
		p.Head = w.head
	}
	return w.r.put(p)
}

func (w *ResponseWriter) end() {
	if w.spool != nil && !w.spool.finish(w.r) {
		w.failed = true
	}
	p := &part{Part: exchange.Part{End: exchange.Complete}}
	if w.failed {
		p.End = exchange.Incomplete
	}
	w.put(p)
}

const (
	chunkSize = 32 << 10
	// limit of the unsent bytes of a response in memory; above it, Write blocks
	unackedMax = 256 << 10
)

// Ask sends a request with the client's request head and the given body to the mount's Handler. Ask returns the status
// and the first bytes of the response. Ask is for responders in the field exchange.Mount.Receives, which get a request
// before the Handler. Ask may be called any number of times before Start, even if the client has disconnected. The
// bytes of body must not change until Ask returns.
func (w *ResponseWriter) Ask(body []byte) (status int, answer []byte) {
	done := make(chan struct{})
	w.r.Services.Inquire(w.r.ticket, body, func(s int, a []byte) {
		status, answer = s, a
		close(done)
	})
	<-done
	return status, answer
}

const maxAnswer = 8 << 20 // maximum size of the response to Sub, in bytes

var errTooLarge = fmt.Errorf("the answer has more than %d bytes", maxAnswer)

// Sub sends a GET request for target to the server itself and waits for the whole response. The subrequest is routed
// like a request from r's client and can reach any mount, including the application. target is an absolute path as in a
// client's request, percent-encoded and with an optional query. The subrequest has the header fields of r, except
// fields that concern the body, ranges, conditions and codings of r. The access log contains no line for the
// subrequest. A status such as 404 is not an error. The error is exchange.ErrTooDeep, the error of ctx, or the reason
// why there is no response or why it is too large. Sub must be called on the goroutine of Respond.
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

// Share sets Origin.Value for the subrequests of r. Share must be called before the first Sub.
func (r *Request) Share(v any) { r.share = v }

// Relay sends a subrequest for target, like Sub, and forwards the response to the client as it arrives. The size of the
// response is not limited. Relay must be called before Start and must be the last call. If there is no response, Relay
// returns an error, and Respond may call Refuse.
func (w *ResponseWriter) Relay(r *Request, target string) error {
	a, err := r.ask(r.Context, target)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	// Delete fields that the server sets in the client's response, and fields that describe only the connection of the
	// subrequest.
	for _, name := range [...]string{"Connection", "Content-Length", "Date", "Keep-Alive", "Server"} {
		a.Header.Del(name)
	}
	var fields bytes.Buffer
	a.Header.Write(&fields)
	_, reason, _ := strings.Cut(a.Status, " ")
	w.Start(exchange.Head{Status: a.StatusCode, Reason: []byte(reason), Fields: fields.Bytes(), Length: a.ContentLength})
	to := io.Writer(w)
	if a.ContentLength < 0 {
		to = flusher{w}
		_ = w.Flush() // ignore the error, because Copy fails as well
	}
	if _, err := io.Copy(to, a.Body); err != nil {
		w.Fail()
	}
	return nil
}

type flusher struct{ w *ResponseWriter }

func (f flusher) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err == nil {
		err = f.w.Flush()
	}
	return n, err
}

func (r *Request) ask(ctx context.Context, target string) (*http.Response, error) {
	o := exchange.Origin{Peer: *r.Peer, Host: r.Host(), Root: r.Path[:r.Root], Depth: r.Depth(), Value: r.share}
	return r.Services.Ask(ctx, o, target, r.inheritance())
}

// inheritance returns the header fields of r that its subrequests also contain.
func (r *Request) inheritance() []byte {
	var out []byte
	for _, f := range r.Parsed.Fields {
		if name := f.Name.In(r.Head); !own(name) {
			out = append(append(append(append(out, name...), ": "...), f.Value.In(r.Head)...), "\r\n"...)
		}
	}
	return out
}

// own reports whether a field must not be copied to subrequests, because it describes the framing, connection, body,
// conditions, ranges or codings of a single request.
func own(name []byte) bool {
	switch string(bytes.ToLower(name)) {
	case "host", "connection", "keep-alive", "proxy-connection", "transfer-encoding", "te", "trailer", "upgrade",
		"expect", "accept-encoding", "range":
		return true
	}
	return http1.HasPrefixFold(name, "content-") || http1.HasPrefixFold(name, "if-")
}
