package exchange

import (
	"cmp"
	"fmt"
	"iter"
	"strings"

	"fapws/runtime/conn"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/metrics"
)

// Exchange is a request with its response. Exchange begins when the head of the request has arrived, and ends when its
// source has sent the last part and the bytes are released, even if the client disconnects earlier. Exchange belongs to
// the event loop. The memory of an Exchange is reused, so only its Source, its Sink and its Stream may keep a pointer,
// until it ends. Exchange implements Sink for its client.
type Exchange struct {
	// the request; valid until the method Start of its Source returns, or until the end of Offload
	Req    *Request
	Prefix string // path prefix that a proxy stripped: "" or "/a/b"
	Sink   Sink
	By     string // name of the source in access logs, such as "application" or "files"; may be empty
	// Source of the response. Another source may replace it until the head is sent.
	Source Source
	Fields []byte // "Name: value\r\n" ... appended to the head of the response, except for replies (Sink.Reply)

	s *Server
	// the client, even after it has disconnected; nil if Sub made x
	client *Client
	Stream Stream    // nil if no client waits for the response
	Next   *Exchange // next exchange in a list of the stream, or in the free list of the Server

	progress
	beside bool
	until  int64 // deadline of a wait for other sites or a descriptor, by conn.Set.Now; 0 without a wait

	// Fields for the request.
	identity
	req     *request // nil after the source has received the request
	Check   Check    // the check of the client's login; nil if no check has started
	MaxBody int64    // limit of the body in bytes; negative means no limit

	// Fields for the source.
	Choice      *Mount      // the mount that gets the request; nil if none, or not yet known
	body        *Body       // the body that is arriving, or nil
	Outstanding Outstanding // delivered bytes that the source has not returned (OpCredit)
	file        claim
	descriptor  claim // claim of a descriptor for a request of HTTP/2, in addition to its connection

	// Fields for the response.
	KeepAlive bool  // the connection stays open after the response
	Held      Parts // parts that were sent before their turn
	Out       Response

	Carrier Carrier // another protocol that carries the exchange or may carry it; nil if HTTP carries it
}

// identity is the part of an exchange that FailWith copies.
type identity struct {
	Version  http1.Version
	IsHead   bool
	Safe     bool  // the method is safe (RFC 9110 §9.2.1)
	html     bool  // the client is a browser: for replies when req is nil
	replaced bool  // the exchange began before Server.Use
	Received int64 // bytes of the request
	// address and login of the client, from the connection or from a trusted proxy; nil if an open WebSocket does not
	// keep it
	from    *Peer
	rules   *rules      // rules of the mount or of the site, or noRules
	renewal *http1.Edit // renewed cookie of the session; nil if the cookie is unchanged

	// Fields for counters and the access log. FailWith moves Record and began to the new exchange.
	Record *logfile.Record // nil if the request has no line in the access log
	// from Recorder.Begin or BeganEarlier; 0 if the request is not counted
	began  int64
	counts *metrics.Route
	ID     http1.Identity
}

// Answer sends r instead of the response of the source. Answer must be called before the first part.
func (x *Exchange) Answer(r Reply) {
	x.Source = Memory{}
	x.Sink.Reply(r)
}

// Stop ends the response of x after the parts that were sent. If failed is set, the client must notice that the rest is
// missing. Otherwise the response ends normally and the connection closes.
func (x *Exchange) Stop(failed bool) {
	x.Source, x.KeepAlive = Memory{}, x.KeepAlive && failed
	end := Complete
	if failed {
		end = Incomplete
	}
	x.Sink.Send(&Part{End: end})
}

// Sub returns an exchange in which source answers r, as a piece of the response of x. The exchange has no client: its
// parts and its reply go to the Sink to. c is a *Sub.
func (x *Exchange) Sub(r *Request, source Source, to Sink, c Stream) Exchange {
	return Exchange{s: x.s, Req: r, Prefix: x.Prefix, Source: source, Sink: to, Stream: c,
		progress: progress{state: answering}}
}

// Conn returns the client's connection; nil if no client waits for the response, or if Sub made x.
func (x *Exchange) Conn() *conn.Conn {
	if x.Stream == nil || x.client == nil {
		return nil
	}
	return &x.client.Conn
}

// New returns an exchange of client and stream c, without a request. New reuses ended exchanges to save allocations.
func (s *Server) New(client *Client, c Stream) *Exchange {
	x := s.free
	if x == nil {
		x = &Exchange{s: s}
		x.Sink = x
		s.exchanges = append(s.exchanges, x)
	} else {
		s.free = x.Next
		x.Next = nil
	}
	if x.from = client.peer; x.from == nil {
		x.from = client.direct()
	}
	x.client, x.Stream, x.Source, x.rules = client, c, Memory{}, noRules
	client.Active++
	return x
}

const spareRecords = 1 << 10

func (x *Exchange) End() {
	s := x.s
	x.file.release()
	x.descriptor.release()
	if s.timed {
		s.account(x)
	}
	if x.began != 0 {
		s.metrics.End(x.began, x.counts, x.Out.Status)
	}
	x.dropCarrier()
	if x.Record != nil && len(s.records) < spareRecords {
		s.records = append(s.records, x.Record)
	}
	x.client.Active--
	held := x.Held.queue[:0]
	*x = Exchange{} // the compiler would copy a composite literal
	x.Sink = x
	x.s, x.Held.queue, x.Next = s, held, s.free
	s.free = x
}

func (s *Server) begun() iter.Seq[*Exchange] {
	return func(yield func(*Exchange) bool) {
		for _, x := range s.exchanges {
			if x.client != nil && !yield(x) {
				return
			}
		}
	}
}

func (s *Server) Active() int {
	n := len(s.exchanges)
	for x := s.free; x != nil; x = x.Next {
		n--
	}
	return n
}

// Submit passes x to the source of its Choice. Size, Body and Pipeline of its request must be set.
func (x *Exchange) Submit() {
	r := x.Req
	x.enter(answering, nothing)
	// The size of a chunked body excludes the framing. The rest of a streamed body is added as it arrives.
	if x.Received += r.Size; r.More {
		x.Received += int64(len(r.Body)) - r.Size
	}
	x.Source = x.Choice.Source
	if !r.Upgrade && r.Socket == 0 {
		for _, filter := range x.Choice.Filters {
			x.Sink = filter(x, x.Sink)
		}
	}
	if x.Source.Start(x); x.Req == r && !x.req.lasting {
		x.Req, x.req = nil, nil
	}
}

func (x *Exchange) Hold(p *Part) {
	if x.Stream == nil || x.client.Subrequest() {
		x.Held.Put(p)
	} else {
		x.Held.hold(x.s.Set, x, p)
	}
}

// PartWaits implements PartOwner. The parts of a subrequest are not counted here, but for the client of the whole page.
func (x *Exchange) PartWaits(p *Part, left int) *conn.Unsent {
	if x.Stream == nil || x.client.Subrequest() {
		return x.Held.unsent
	}
	return x.Held.Count(x.s.Set, x, p, left)
}

func (x *Exchange) Cut() (client string) {
	client = x.clientText()
	if x.Stream != nil {
		x.Stream.Replace(x, nil, true)
	}
	return client
}

// Begin starts the source of x if x is Delayed.
func (x *Exchange) Begin() {
	if x.Delayed() {
		x.enter(answering, nothing)
		x.Source.Start(x)
	}
}

// Refuse answers x with r, without a source. The routing of x must not be complete.
func (x *Exchange) Refuse(r Reply) {
	if !r.Close {
		x.Stream.Read(x)
	}
	x.Sink.Reply(r)
}

// FailWith ends x for its client, who gets r in a new exchange instead. The handler of x continues without a client. p
// is the part of x that r replaces, or nil.
func (x *Exchange) FailWith(r Reply, p *Part) {
	y := x.s.New(x.client, x.Stream)
	x.Stream.Replace(x, y, false)
	y.identity, y.KeepAlive = x.identity, x.KeepAlive
	x.Record, x.began, x.wait = nil, 0, nothing
	x.dropCarrier()
	x.Stream, x.Next = nil, nil
	if p == nil || !p.Last() {
		x.Abandon()
	}
	if p != nil {
		x.Release(p)
	}
	y.Reply(r)
}

func (x *Exchange) Send(p *Part) {
	if p.Op == OpCredit {
		x.Outstanding.Credit(p.Number)
		if x.Stream != nil {
			x.Stream.Read(x)
		}
		x.Release(p)
		return
	}
	c := x.Stream
	switch {
	// HTTP/1.0 clients and subrequests do not understand interim responses
	case c == nil, p.Interim && (x.Version < http1.HTTP11 || x.client.Subrequest()):
		x.Release(p)
	default:
		c.Write(x, p)
	}
}

// InTurn reports whether a part of x would be written immediately. In this case Sink.Send needs the memory of a part
// without an Owner only until it returns, except Body.
func (x *Exchange) InTurn() bool {
	return x.Stream == nil || x.Stream.InTurn(x)
}

// AwaitTurn calls Source.Start again when the response of x is the next one for the client. If early is set, Start may
// be called earlier, when few bytes wait for the client. Until then the source must not send anything.
func (x *Exchange) AwaitTurn(early bool) {
	switch {
	case early && x.Stream == nil:
		x.Source.Start(x)
	case early:
		x.enter(answering, forEarlier)
		x.Stream.Wait(x)
	case x.state == routing:
		x.suspend(forTurn)
	default:
		if x.enter(answering, forTurn); x.Stream != nil {
			x.Stream.Wait(x)
		}
	}
}

// TakeTurn returns the next held part. Without a held part it starts the source if the source waits for its turn. ok is
// false if neither is possible.
func (x *Exchange) TakeTurn() (p *Part, ok bool) {
	switch {
	case !x.Held.Empty():
		p := x.Held.Take()
		x.Held.unheld(x.s.Set, &p)
		return &p, true
	case x.state == answering && x.wait == forTurn:
		x.enter(answering, nothing)
		x.Source.Start(x)
		return nil, true
	}
	return nil, false
}

// Keep keeps Req valid until the exchange ends.
func (x *Exchange) Keep() {
	if x.req != nil {
		x.req.keep()
		x.req.lasting = true
	}
}

// WaitsForClient reports whether the response waits for the client: the client must read parts or earlier responses, or
// send the rest of the body.
func (x *Exchange) WaitsForClient() bool {
	return !x.Held.Empty() || x.Stream != nil && (x.Out.Begun && !x.InTurn() || x.body != nil && !x.body.Paused)
}

// Offload runs the function work on a goroutine, and then the function done on the loop. Until done returns, Req is
// valid and the connection handles no later request. The parameter gone of the function done reports whether the client
// has disconnected. In this case the exchange ends after the call of done.
func (x *Exchange) Offload(work func(), done func(gone bool)) {
	if x.Deciding() {
		source := x.Source
		x.suspend(forWork)
		x.Source = source
	}
	x.beside = true
	x.s.Set.Offload(work, func(bug bool) {
		c := x.Conn()
		if bug && c != nil {
			c.Close("internal error") // abandons x
		}
		x.beside = false
		switch {
		case x.client == nil && bug:
			x.Sink.Reply(Reply{Status: 500})
		case x.client == nil:
			done(x.Stream == nil)
		case x.Stream == nil:
			if !bug {
				done(true)
			}
			x.End()
		default:
			if x.wait == forWork {
				x.enter(answering, nothing)
			}
			c.Stamp = x.s.Set.Now
			done(false)
		}
	})
}

// Poster returns a function that runs its argument on the event loop. The returned function is safe for concurrent use.
func (x *Exchange) Poster() func(func()) bool { return x.s.Set.Events.Post }

// Release returns a part of x to its Owner. Release ends x after the last part.
func (x *Exchange) Release(p *Part) {
	last := p.Last()
	x.Held.Uncount(x.s.Set, p, 0)
	if p.Owner != nil {
		p.Owner.Release(p)
	}
	if last {
		x.End()
	}
}

// Abandon ends x without the rest of its response.
func (x *Exchange) Abandon() {
	x.Stream = nil
	x.dropCarrier()
	if x.Check != nil {
		x.Check.Cancel()
	}
	ended := x.Held.EndsWithLast()
	for held := x.Held.TakeAll(); len(held) > 0; held = held[1:] {
		x.Held.unheld(x.s.Set, &held[0])
		x.Release(&held[0])
	}
	switch {
	case ended || x.beside: // Release or Offload ends x later
	case x.state != answering:
		x.End()
	default:
		x.Source.OnGone(x)
	}
}

func (x *Exchange) PartSent(p *Part, err error) {
	if err != nil {
		x.LogShort(err)
	}
	x.Release(p)
}

func (x *Exchange) Reply(r Reply) {
	s, c := x.s, x.Conn()
	if c == nil {
		x.End()
		return
	}
	if s.Set.Debug >= 1 {
		s.tracef("%s gets %d: %s", c, r.Status, r.Text)
	}
	if r.Status == 413 || r.Status == 414 || r.Status == 431 {
		text, _, _ := strings.Cut(r.Text, ": the limit is")
		x.NoteLimit(fmt.Sprintf("sent %d: %s", r.Status, cmp.Or(text, http1.StatusText(r.Status))), r.Limit)
	}
	x.dropCarrier()
	x.req, x.Check = nil, nil
	if x.Record != nil {
		x.Record.Overridden = r.Override
	}
	x.Stream.Replace(x, x, r.Close)
	x.enter(answering, nothing)
	x.Req, x.Source, x.Fields = nil, Memory{}, nil
	if pages := x.rules.site.Pages; pages != nil {
		pages(x, r)
	} else {
		x.SendReply(&r)
	}
}

// Decline makes routing continue with the next mount or, if index is not empty, with index appended to the path of a
// directory. Call it before the first part. Decline returns false, and does nothing, if an index was already appended.
func (x *Exchange) Decline(index string) bool {
	s, q := x.s, x.req
	switch {
	case q == nil:
		return false
	case index == "":
		q.mount.missing.add(q.Path[q.Script:], s.Set.Now)
		q.Skip()
	case q.index != "":
		return false
	default:
		q.index = index
		s.route(x)
	}
	x.suspend(forReady)
	return true
}

// Log writes a line about the client to the error log of the site.
func (x *Exchange) Log(level logfile.Level, line string) {
	if x.client != nil {
		x.s.logClient(x, level, "%s", line)
	} else if sub, ok := x.Stream.(*Sub); ok && sub.Parent != nil {
		sub.Parent.Log(level, line)
	} else {
		x.s.Set.Log(level, "%s", line)
	}
}
