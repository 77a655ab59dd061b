package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/live"
	"fapws/runtime/otel"
)

// A request is a client's request that the proxy answers. It copies what it needs of exchange.Request, whose slices end
// with Submit, because it may be sent again. All methods are called on the loop.
type request struct {
	exchange.Request
	p      *Proxy
	ticket exchange.Ticket
	parsed bool // Request.Parsed is valid

	isHead, safe, takesTrailers, takesInterim, idempotent bool
	key                                                   []byte // Sec-WebSocket-Key of a handshake

	tried    []*upstream
	previous *upstream // the upstream that the client's cookie names, or nil
	upstream *upstream // the upstream that has the request; nil if none has it
	c        *connection
	sent     int       // how often the request was sent
	since    time.Time // when the request was sent to the upstream
	began    time.Time // zero unless times are measured
	call     *otel.Call
	status   int // of the response; 0 before its head
	interims int
	hints    http1.Interim

	// bytes of the body for an upstream that is not connected or has no room, with their framing
	arrived []byte
	due     int64 // size of the input to return with OpCredit
	credits bool  // credit will be called soon
	whole   bool  // the whole body has arrived

	unacked int // memory of the parts that are not released, in bytes
	spool   *spool
	slow    *time.Timer // running while the client is slow
	over    bool        // the last part was delivered, will be soon, or is in the spool
}

const (
	// unackedMax limits the unsent bytes of a response in memory. Above it, the upstream waits, or a file stores the rest.
	unackedMax = 256 << 10
	partCost   = 512 // memory for a part without its data, in bytes
)

// A piece is a part of a response that is not released yet.
type piece struct {
	q      *request // nil after the release
	lent   []byte   // the input buffer that contains the body, or nil
	cost   int      // memory, in bytes
	copied []byte   // a copy of the part, in memory that a later piece reuses; nil if the piece borrows
}

// pieces contains released pieces.
var pieces = sync.Pool{New: func() any { return new(piece) }}

// maxCopied limits the memory that a piece in pieces keeps, in bytes.
const maxCopied = 16 << 10

// Counts are the statistics of all proxies of a configuration. Any goroutine may read them.
type Counts struct {
	Active, Idle atomic.Int64
	// requests that got no complete response: aborted responses, 502, 504, and 503 because all upstreams have failed
	Failed atomic.Int64
}

// Submit implements exchange.Handler.
func (p *Proxy) Submit(t exchange.Ticket, r *exchange.Request) bool {
	if p.conns == nil {
		p.start(r.Services)
	}
	q := &request{Request: *r, p: p, ticket: t, parsed: true}
	q.keep(r)
	q.isHead, q.safe, q.takesTrailers = r.Parsed.Head, r.Parsed.Safe, r.Parsed.Trailers && !r.Parsed.Head
	q.takesInterim, q.whole = r.TakesInterim(), !r.More
	method := r.Parsed.Method.In(r.Head)
	q.idempotent = q.safe || string(method) == "PUT" || string(method) == "DELETE"
	if r.Upgrade {
		key, _ := http1.First(r.Head, r.Parsed.Fields, "sec-websocket-key")
		q.key = bytes.Clone(key)
	}
	if r.Services.Times != nil {
		q.began = time.Now()
	}
	p.open[t] = q
	p.counts.Active.Add(1)
	if !p.opt.mounts() && climbs(r.Path[r.Root:]) {
		q.refuse(400, "the path leads outside its first directory", nil)
	} else {
		q.previous = p.previousOf(r)
		q.attempt(nil)
	}
	q.Parsed, q.parsed = nil, false
	switch {
	case r.Stays:
	case q.c != nil && (q.c.state == opening || q.idempotent):
		q.Body = bytes.Clone(q.Body)
	default: // the body has been written, and is never sent again
		q.Body = nil
	}
	return true
}

// keep copies the head and the path of r, and the beginning of a body that is still arriving.
func (q *request) keep(r *exchange.Request) {
	memory := slices.Concat(r.Head, r.Path)
	at := len(r.Head)
	q.Head, q.Path = memory[:at:at], memory[at:]
	if r.More {
		q.Body, q.arrived = nil, q.appendPiece(nil, r.Body, false)
	}
}

// parse returns the parsed head, which is valid until parse is called for another request.
func (q *request) parse() *http1.Request {
	if !q.parsed {
		limits := http1.Limits{RequestLine: math.MaxInt32, FieldLine: math.MaxInt32, Head: math.MaxInt32, Fields: math.MaxInt32}
		_ = q.p.parsed.ParseWhole(q.Head, &limits) // cannot fail, because it was parsed before
		return &q.p.parsed
	}
	return q.Parsed
}

// client returns the text that identifies the client and its request in error logs.
func (q *request) client() string { return q.About(q.parse()).Name() }

// attempt sends the request to an upstream. err is the error of the previous attempt.
func (q *request) attempt(err error) {
	u, wait := q.p.take(q.tried, q.previous)
	switch {
	case u == nil && wait > 0 && !isTimeout(err):
		q.p.counts.Failed.Add(1)
		seconds := max(1, int(math.Ceil(wait.Seconds())))
		q.refuse(503, "the service behind this page does not respond", fmt.Appendf(nil, "Retry-After: %d\r\n", seconds))
	case u == nil && errors.Is(err, conn.ErrDoorFull):
		q.refuse(503, "the application is busy", exchange.RetryAfter)
	case u == nil:
		q.refuseFor(err)
	default:
		q.tried = append(q.tried, u)
		q.upstream, q.since = u, time.Now()
		q.send(true)
	}
}

// send sends the request to q.upstream, over an idle connection if reuse is true. A body that is still arriving could
// not be sent again, and the response to a handshake decides whether the next bytes are a request, so both need new
// connections. An application behind a door ends only idle connections that the proxy has closed, so a body needs no
// new connection.
func (q *request) send(reuse bool) {
	q.call = q.p.beginSpan(q)
	q.sent++
	mounts := q.p.opt.mounts()
	if reuse && (!q.More || mounts) && !q.Upgrade {
		if c := q.upstream.reusable(mounts && q.safe && !q.More); c != nil {
			c.q, q.c = q, c
			c.ask()
			return
		}
	}
	q.upstream.open(q)
}

// responds is called when the head of the response has arrived on c.
func (q *request) responds(c *connection, status int) {
	c.unwatch()
	q.upstream.waiting.answered = max(q.upstream.waiting.answered, c.number)
	q.status = status
	q.p.responded(q.upstream, q.since)
}

// detach is called when the whole response has arrived.
func (q *request) detach() {
	q.call.End(q.status, "", nil)
	q.p.leave(q.upstream)
	q.c, q.upstream = nil, nil
}

// lost is called when c, which had the request, has closed because of err.
func (q *request) lost(c *connection, err error) {
	p, u := q.p, q.upstream
	q.c = nil
	if q.status != 0 {
		u.complain(q.client(), "response aborted: %v", err)
		q.detach()
		q.fail()
		return
	}
	kind := "_OTHER"
	if isTimeout(err) {
		kind = "timeout"
	}
	unsent, isUnsent := errors.AsType[notSent](err)
	if isUnsent {
		kind, err = "connect", unsent.error
	}
	q.call.End(0, kind, err)
	if err == errStale && q.safe && !q.More {
		q.send(false)
		return
	}
	p.leave(u)
	q.upstream = nil
	counts, first := false, false
	// An error while the body is forwarded as it arrives may be the fault of the client, for example if it pauses.
	if isUnsent || !q.More {
		counts, first = p.failed(u, q.since, !isUnsent, err)
	}
	if first {
		u.log(q.client(), fmt.Sprintf("%v; it gets no requests for %v", err, pause))
	} else {
		u.complain(q.client(), "%v", err)
	}
	switch {
	case isUnsent, q.idempotent && !q.More && (counts || !isTimeout(err)):
		q.attempt(err)
	default:
		q.refuseFor(err)
	}
}

// refuseFor answers a request that no upstream has answered.
func (q *request) refuseFor(err error) {
	if isTimeout(err) {
		q.refuse(504, "the service behind this page did not respond in time", nil)
	} else {
		q.refuse(502, "the service behind this page has failed", nil)
	}
}

// refuse answers with a page of the site or of the server.
func (q *request) refuse(status int, text string, fields []byte) {
	if status == 502 || status == 504 {
		q.p.counts.Failed.Add(1)
	}
	q.soon(&exchange.Part{First: true, End: exchange.Complete, Head: exchange.Head{Status: status, Length: -1,
		Then: exchange.Refusal{}, Reason: []byte(text), Fields: fields}})
}

// fail aborts the response, so that the client notices that the rest is missing.
func (q *request) fail() {
	q.p.counts.Failed.Add(1)
	q.soon(&exchange.Part{End: exchange.Incomplete})
}

// soon delivers the last part later, because it may be made within a call of the exchange.
func (q *request) soon(last *exchange.Part) {
	q.over = true
	q.p.conns.Soon(nil, func() { q.put(last, nil) })
}

// put delivers a part. pc describes it; nil if the caller does not need the description.
func (q *request) put(part *exchange.Part, pc *piece) {
	if pc == nil {
		pc = new(piece)
	}
	pc.q, pc.cost = q, partCost+len(part.Head.Fields)+len(part.Body)
	q.unacked += pc.cost
	part.Ref = pc
	q.over = q.over || part.Last()
	if t := q.Services.Times; t != nil && (part.First || part.Last()) {
		t.Upstream.Store(int64(time.Since(q.began)))
	}
	q.Services.Deliver(q.ticket, part)
}

// Release implements exchange.Handler.
func (p *Proxy) Release(part *exchange.Part) {
	if part.Op == exchange.OpCredit {
		return
	}
	if t, ok := part.Head.Then.(*live.Tunnel); ok && t.Upstream != nil {
		t.Upstream.Close("its client has disconnected")
	}
	pc := part.Ref.(*piece)
	q := pc.q
	q.unacked -= pc.cost
	if pc.lent != nil {
		p.conns.GiveInput(pc.lent)
	}
	pc.q = nil
	if n := cap(pc.copied); n > 0 && n <= maxCopied {
		pieces.Put(pc)
	}
	if part.Last() {
		p.forget(q)
	} else {
		q.eased()
	}
}

// forward delivers a piece of the body and, if it is not nil, the head before it. A piece that fills a good part of the
// buffer of lender is not copied: if the client does not take it at once, the part borrows the buffer.
func (q *request) forward(head *exchange.Head, body []byte, lender *conn.Set, last bool) {
	p := q.p
	if q.spool != nil && head == nil {
		q.spool.take(body, last)
		return
	}
	part := &p.part
	*part = exchange.Part{Body: body}
	if last {
		part.End = exchange.Complete
	}
	borrows := lender != nil && len(body) > lender.ReadSize()/4
	var pc *piece
	var text []byte
	if borrows {
		pc = new(piece)
	} else {
		pc = pieces.Get().(*piece)
		text = pc.copied[:0]
	}
	if head != nil {
		part.First, part.Head = true, *head
		text = append(append(text, head.Fields...), head.Reason...)
		part.Head.Fields, part.Head.Reason = text[:len(head.Fields)], text[len(head.Fields):]
	}
	if !borrows {
		pc.copied = append(text, body...)
		part.Body = pc.copied[len(text):]
	}
	q.put(part, pc)
	*part = exchange.Part{}
	if borrows && pc.q == q { // the part is not released yet
		pc.lent = lender.TakeInput()
		q.unacked += len(pc.lent) - len(body)
		pc.cost += len(pc.lent) - len(body)
	}
	if !last {
		q.brake()
	}
}

// finish delivers the last part.
func (q *request) finish(head *exchange.Head, body []byte, lender *conn.Set, trailers *exchange.Trailers) {
	switch {
	case q.spool != nil && head == nil:
		q.spool.trailers = trailers
		q.spool.take(body, true)
	case trailers != nil:
		q.put(&exchange.Part{End: exchange.Complete, Trailers: trailers}, nil)
	default:
		q.forward(head, body, lender, true)
	}
}

// brake stops reading from the upstream while too much of the response waits for the client.
func (q *request) brake() {
	if q.unacked <= unackedMax || q.c == nil || q.c.Paused() {
		return
	}
	q.c.Pause(conn.PauseForHandover)
	if q.spool == nil {
		q.slow = time.AfterFunc(spoolAfter, func() { q.p.conns.Events.Post(q.spill) })
	}
}

// eased is called when a part was released.
func (q *request) eased() {
	switch {
	case q.unacked > unackedMax/2:
	case q.spool != nil:
		q.spool.next()
	default:
		q.release()
	}
}

// release continues to read from the upstream.
func (q *request) release() {
	if q.slow != nil {
		q.slow.Stop()
		q.slow = nil
	}
	if c := q.c; c != nil && c.Paused() {
		c.Continue()
	}
}

// Deliver implements exchange.Handler: it passes a piece of the body on to the upstream.
func (p *Proxy) Deliver(input exchange.Input) {
	q := p.open[input.Ticket]
	if q == nil || q.over || !q.More || input.Op != exchange.OpBody {
		return
	}
	q.due += int64(len(input.Data)) + exchange.InputCost
	q.whole = q.whole || input.Last
	c := q.c
	if c == nil || c.state == opening || c.Writing() {
		q.arrived = q.appendPiece(q.arrived, input.Data, input.Last)
		return
	}
	var before, after []byte
	if q.Size < 0 {
		if len(input.Data) > 0 {
			p.head = http1.AppendChunkHeader(p.head[:0], int64(len(input.Data)))
			before, after = p.head, crlf
		}
		if input.Last {
			after = slices.Concat(after, lastChunk)
		}
	}
	c.write(before, input.Data, after)
}

var crlf, lastChunk = []byte("\r\n"), []byte("0\r\n\r\n")

// appendPiece appends a piece of the body with its framing.
func (q *request) appendPiece(dst, data []byte, last bool) []byte {
	if q.Size >= 0 {
		return append(dst, data...)
	}
	if len(data) > 0 {
		dst = append(append(http1.AppendChunkHeader(dst, int64(len(data))), data...), crlf...)
	}
	if last {
		dst = append(dst, lastChunk...)
	}
	return dst
}

// credit returns the input that was written. The exchange counts a piece only when Deliver has returned.
func (q *request) credit() {
	if q.credits || q.due == 0 || len(q.arrived) > 0 {
		return
	}
	q.credits = true
	q.p.conns.Soon(nil, func() {
		if !q.over {
			credit := &exchange.Part{Op: exchange.OpCredit, Number: q.due}
			q.credits, q.due = false, 0
			q.Services.Deliver(q.ticket, credit)
		}
	})
}

// Cancel implements exchange.Handler: no client needs the response.
func (p *Proxy) Cancel(t exchange.Ticket, _ time.Duration) {
	q := p.open[t]
	if q == nil || q.ends() {
		return
	}
	p.conns.Soon(nil, func() {
		if !q.ends() {
			q.abandon()
		}
	})
}

// ends reports whether the last part was delivered, or will be soon.
func (q *request) ends() bool { return q.over && (q.spool == nil || q.spool.stopped) }

func (q *request) abandon() {
	if q.slow != nil {
		q.slow.Stop()
		q.slow = nil
	}
	if c := q.c; c != nil {
		q.call.End(q.status, "client_disconnected", errors.New("the client has disconnected"))
		q.p.leave(q.upstream)
		q.c, q.upstream, c.q = nil, nil, nil
		c.lose(errors.New("its client has disconnected"))
	}
	if q.spool != nil {
		q.spool.stop()
	}
	q.over = true
	q.put(&exchange.Part{End: exchange.Incomplete}, nil)
}

// forget is called when the last part was released.
func (p *Proxy) forget(q *request) {
	delete(p.open, q.ticket)
	p.counts.Active.Add(-1)
	if q.Spool >= 0 {
		unix.Close(q.Spool)
	}
	if q.spool != nil {
		q.spool.close()
	}
}
