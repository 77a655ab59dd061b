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

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/tunnel"
)

// Respond is called on a separate goroutine for each request. The response ends when Respond returns; the parameters w
// and r must not be used afterwards. A panic in Respond is logged and causes a 500.
type Responder interface {
	Respond(w *Response, r *Request)
}

type Func func(w *Response, r *Request)

func (f Func) Respond(w *Response, r *Request) { f(w, r) }

// Request is a request whose body has arrived completely, unless the mount streams (see Next). Request embeds a copy of
// an exchange.Request. If the copy has Upgrade set, Response.Tunnel may be used.
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

	// Pool.mu guards the following fields.
	changed sync.Cond
	// memory of the response parts that the loop has not released, in bytes
	unacked int
	gone    bool
	overdue func(time.Duration)
	closed  bool // the client has shut down its sending side
	// called once when closed becomes true; nil before OnClose and after the call
	onClose func()
	stream  *stream // the body that is still arriving; nil if the body is complete
}

func (r *Request) Method() string { return string(r.Parsed.Method.In(r.Head)) }

func (r *Request) Target() string { return string(r.Parsed.Target.In(r.Head)) }

func (r *Request) Query() string { return string(r.Parsed.Query.In(r.Head)) }

// Host returns the requested host and port, or "" if the request has no host (HTTP/1.0).
func (r *Request) Host() string {
	return string(r.Peer.AppendHost(nil, r.Parsed, r.Head))
}

// Client returns the name of the client for error logs: "192.0.2.7:4711", or "" for a client of a unix socket. Client
// includes the identity of the request.
func (r *Request) Client() string {
	id := http1.OwnIdentity(r.Head, r.Parsed, r.Own)
	return id.Name(r.Peer.String())
}

// Field returns the value of the field name, in any case, or "".
func (r *Request) Field(name string) string {
	value, _ := http1.First(r.Head, r.Parsed.Fields, strings.ToLower(name))
	return string(value)
}

// Account returns the key of the client for limits per client: its user, or its network, or "" if both are unknown.
func (r *Request) Account() string {
	if r.Peer.User != "" {
		return "user " + r.Peer.User
	}
	return conn.Network(r.Peer.Addr)
}

// Body returns a reader of the body. Each call returns an independent reader.
func (r *Request) Body() io.Reader {
	if r.spool != nil {
		return io.NewSectionReader(r.spool, 0, r.Size)
	}
	return bytes.NewReader(r.Request.Body)
}

// BodyFile returns the unlinked file that holds the body, at an undefined position, or nil if the body is in memory.
// The Request closes the file.
func (r *Request) BodyFile() *os.File { return r.spool }

// OnOverdue registers f, which is called if the response exceeds the server's time limit and the client has received
// a 504. took is the elapsed time. f is called at most once, on a separate goroutine, and possibly after Respond has
// returned.
func (r *Request) OnOverdue(f func(took time.Duration)) {
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	r.overdue = f
}

// OnClose registers f, which is called on a separate goroutine when the client has shut down its sending side and has
// probably disconnected. f may be called after Respond has returned.
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

// A Response sends the response to a request. The methods of a Response must be called on the goroutine of Respond.
type Response struct {
	r       *Request
	head    exchange.Head
	added   []byte // fields of Add
	started bool
	sent    bool
	failed  bool
	buf     []byte
	spool   *spool // nil unless Spools was called

	trailers exchange.Trailers
}

// Start sets the head and must be called before Write. Further calls are ignored. Slices in head must not change
// afterwards. Head.Length is -1 if the length is unknown. Head.Fields must not contain CR, LF or NUL within a field.
func (w *Response) Start(head exchange.Head) {
	if !w.started {
		w.started, w.head = true, head
		if len(w.added) > 0 {
			w.head.Fields = slices.Concat(head.Fields, w.added)
		}
	}
}

// Add adds fields, "Name: value\r\n" ..., to the head of any later Start, Refuse or HandOn.
func (w *Response) Add(fields string) { w.added = append(w.added, fields...) }

// Interim sends the head of a 1xx response (RFC 9110 §15.2) if the client supports it. Only Status, Reason and Fields
// of head are used. Interim must be called before Start, and may block like Write.
func (w *Response) Interim(head exchange.Head) error {
	if head.Status == http.StatusEarlyHints && !w.r.TakesHints() {
		return nil
	}
	if err := w.r.put(&part{Part: exchange.Part{Head: head, Interim: true}}); err != nil {
		return err
	}
	return w.r.wait()
}

// Refuse responds with the server's own page for status, which a site may replace. The parameter text is added to the
// page unless it is empty. Refuse must be called before Start.
func (w *Response) Refuse(status int, text string) {
	if !w.started && (status == 502 || status == 504) {
		w.r.pool.failed.Add(1)
	}
	w.Start(exchange.Head{Status: status, Length: -1, Then: exchange.Refusal{}, Reason: []byte(text)})
}

// Unavailable responds with 503 and asks the client to try again after the duration wait. Unavailable must be called
// before Start.
func (w *Response) Unavailable(text string, wait time.Duration) {
	w.r.pool.failed.Add(1)
	seconds := int(math.Ceil(wait.Seconds()))
	w.Start(exchange.Head{Status: 503, Length: -1, Then: exchange.Refusal{}, Reason: []byte(text),
		Fields: fmt.Appendf(nil, "Retry-After: %d\r\n", max(1, seconds))})
}

// HandOn forwards the request to the mount's own handler, with body as the request body. HandOn is for responders of
// exchange.Mount.Receives. fields, "Name: value\r\n" ..., are added to the response. HandOn must be called before
// Start, and Write must not be called.
func (w *Response) HandOn(body, fields []byte) {
	w.Start(exchange.Head{Status: 200, Fields: fields, Then: w.r.Services.Next})
	w.buf = body
}

func (w *Response) Sends() Sends { return w.r.pool.Sends }

// Then returns an exchange.Then that calls do with the value of a response field.
func (w *Response) Then(do exchange.Continuation, field string, value []byte) exchange.Then {
	return &continued{do, exchange.Request{Head: w.r.Head, Parsed: w.r.Parsed, Options: field}, value}
}

// continued is the Then of Response.Then.
type continued struct {
	do    exchange.Continuation
	r     exchange.Request
	value []byte
}

func (c *continued) Continue(x *exchange.Exchange, p *exchange.Part) exchange.Outcome {
	return c.do(x, p, &c.r, c.value)
}

func (w *Response) Started() bool { return w.started }

// Write blocks while too much of the response waits for the client. The error is ErrGone if the client disconnected.
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

// Flush sends buffered output. Flush is needed only before a pause in the output; the end of the response is flushed
// automatically.
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
		// Keep the buffer. The next Flush checks whether the client is slow.
		return nil
	}
	return w.r.wait()
}

// Trailers sets the trailer fields (see exchange.Part). The bytes of the trailer fields must not change afterwards.
// Trailers may be called only if Request.Parsed.Trailers is set.
func (w *Response) Trailers(t exchange.Trailers) { w.trailers = t }

// Fail aborts the response, so that the client notices the missing rest. Before Start, Fail is equivalent to
// Refuse(502, "").
func (w *Response) Fail() {
	if w.started {
		w.r.pool.failed.Add(1)
		w.failed = true
	} else {
		w.Refuse(502, "")
	}
}

func (w *Response) put(p *part) error {
	p.Body, w.buf = w.buf, nil
	if !w.sent {
		w.Start(exchange.Head{Status: 200, Length: -1})
		p.First, w.sent = true, true
		p.Head = w.head
	}
	return w.r.put(p)
}

func (w *Response) end() {
	if w.spool != nil && !w.spool.finish(w.r) {
		w.failed = true
	}
	if len(w.trailers) > 0 && !w.sent {
		// Without a known length, the response is chunked and can have trailers.
		w.Flush()
	}
	p := &part{Part: exchange.Part{End: exchange.Complete}}
	if w.failed {
		p.End = exchange.Incomplete
	}
	if len(w.trailers) > 0 {
		p.Trailers = &w.trailers
	}
	w.put(p)
}

const (
	chunkSize = 32 << 10
	// number of unsent bytes of a response in memory above which Write blocks
	unackedMax = 256 << 10
)

// Ask sends a request to the mount's own handler, with the client's request head and the parameter body, and returns
// the status and the first bytes of the response. Ask is for responders of exchange.Mount.Receives. Ask may be called
// any number of times before Start, even if the client has disconnected. body must not change until Ask returns.
func (w *Response) Ask(body []byte) (status int, answer []byte) {
	done := make(chan struct{})
	w.r.Services.Inquire(w.r.ticket, body, func(s int, a []byte) {
		status, answer = s, a
		close(done)
	})
	<-done
	return status, answer
}

// Tunnel responds to a request for another protocol (Upgrade) with head, whose status is 101. The server then passes
// bytes between the client and t.Upstream, which it owns from now on, and Respond may return. If the client has
// disconnected, t.Upstream is closed. Tunnel must be called before Start, and the Response must not be used afterwards.
func (w *Response) Tunnel(head exchange.Head, t *tunnel.Tunnel) {
	head.Then = t
	w.Start(head)
}

const maxAnswer = 8 << 20 // maximum size of the response to Sub, in bytes

var errTooLarge = fmt.Errorf("the answer has more than %d bytes", maxAnswer)

// Sub sends a GET request for target to the server itself and waits for the whole response. The request is routed like
// a request from r's client and can reach any mount, including the application. target is an absolute path as clients
// see it, percent-encoded and with an optional query. The request has the header fields of r, except those about r's
// body, ranges, conditions and codings. The access log has no line for the subrequest. A status such as 404 is not an
// error. The error is exchange.ErrTooDeep, the error of ctx, or the reason why the response is missing or too large.
// Sub must be called on the goroutine of Respond.
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

// Share sets the Value of requests that Sub makes. Share must be called before the first Sub.
func (r *Request) Share(v any) { r.share = v }

// Relay makes a subrequest for target, like Sub, and sends its response to the client as it arrives, in any size. Relay
// must be called before Start and must be the last call. If the server has not responded, Relay returns an error, and
// Respond may call Refuse.
func (w *Response) Relay(r *Request, target string) error {
	a, err := r.ask(r.Context, target)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	// The loop sets these fields itself, or they describe only the connection.
	for _, name := range [...]string{"Connection", "Content-Length", "Date", "Keep-Alive", "Server"} {
		a.Header.Del(name)
	}
	var fields bytes.Buffer
	a.Header.Write(&fields)
	_, reason, _ := strings.Cut(a.Status, " ")
	w.Start(exchange.Head{Status: a.StatusCode, Reason: []byte(reason), Fields: fields.Bytes(),
		Length: a.ContentLength})
	to := io.Writer(w)
	if a.ContentLength < 0 {
		to = flusher{w}
		_ = w.Flush() // ignore the error: Copy fails as well
	}
	if _, err := io.Copy(to, a.Body); err != nil {
		w.Fail()
	}
	return nil
}

type flusher struct{ w *Response }

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

// inheritance returns the header fields of r that also apply to its subrequests.
func (r *Request) inheritance() []byte {
	var out []byte
	for _, f := range r.Parsed.Fields {
		if name := f.Name.In(r.Head); !own(name) {
			out = append(append(append(append(out, name...), ": "...), f.Value.In(r.Head)...), "\r\n"...)
		}
	}
	return out
}

// own reports whether a field applies only to a single request: to its framing, connection, body, conditions, ranges
// or codings.
func own(name []byte) bool {
	switch string(bytes.ToLower(name)) {
	case "host", "connection", "keep-alive", "proxy-connection", "transfer-encoding", "te", "trailer", "upgrade",
		"expect",
		"accept-encoding", "range":
		return true
	}
	return http1.HasPrefixFold(name, "content-") || http1.HasPrefixFold(name, "if-")
}
