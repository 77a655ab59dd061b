package exchange

import (
	"iter"
	"slices"

	"fapws/runtime/conn"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/metrics"
)

// Exchange is one request with its response, and everything that the server has to know of it. It is made when the head of the request has
// arrived and may be worked on; it ends when its last part has come back from the source, also if the client is gone by then. It belongs to
// the event loop, and its memory is used again when it has ended: only its Source, its Sink and its Stream may keep a pointer to it, until
// then. It is a Sink itself: that of its client.
type Exchange struct {
	Req    *Request // the request, until Start of its Source returns or, with Beside, later
	Prefix string   // what a proxy has taken off the path of the client, which the request does not have: "" or "/a/b"
	Sink   Sink     // gets the response
	By     string   // what answers, as access logs call it: "application", "files" or ""
	Source Source   // answers the exchange; another one may take over until the head of the response is sent
	Fields []byte   // "Name: value\r\n" ... that the head of the response has behind its own; not if it is made by Sink.Reply

	s      *Server
	client *Client   // that has sent the request; it may have left. nil: x is of Sub
	Stream Stream    // nil: no client waits for the response any more
	Next   *Exchange // in a list of the stream, or in the table's free list
	count  *int      // of New

	state  state
	wait   wait
	beside bool  // its source does something beside the loop
	gone   bool  // Abandon was called
	until  int64 // when it ends to wait for other sites, by conn.Set.Now; 0: it has not begun

	// Of Sub.
	Parent   *Exchange // on whose behalf it is; nil: its client has left, or there never was one
	Recorded bool      // what it sends is kept, and does not wait for the client of Parent

	// Of its request.
	identity
	req     *request // nil: a source has taken over all that it needs
	Check   Check    // whether its client has logged in, while that is found out; nil: it was not asked
	MaxBody int64    // how many bytes the body may have; below 0: any number
	peer    *Peer    // the client, if it has logged in or a handler is asked
	renewal *Edit    // renewed cookie of the session; nil if the cookie stays

	// Of its source.
	lasting    bool   // Req stays as it is
	Choice     *Mount // that is to get the request; nil: none is, or not yet
	body       *Body  // that is arriving, and that the source waits for
	given      Given  // input that the source has
	hasFile    bool   // its body is, or was, in a file that is counted for account
	awaitsFile bool   // its body waits for one
	account    string // the client: see Shares

	// Of HTTP/2.
	holds            bool // its descriptor is counted for account
	awaitsDescriptor bool // it waits, or has waited, for a descriptor

	// Of its response.
	KeepAlive bool         // the connection stays open behind it
	held      []Part       // parts that arrived before their turn
	taken     int          // how many of them TakeTurn has returned: less than half
	unsent    *conn.Unsent // what of it waits for the client; nil: nothing has
	Out       Response

	Carrier Carrier // another protocol that carries it, or may do so; nil if none

	// For the access log.
	overridden bool // it gets the override page, and its browser asks again and again
}

// identity is what remains of a request when another exchange takes over its response: see Exchange.TakeOver.
type identity struct {
	Version  http1.Version
	IsHead   bool   // the method is HEAD
	Safe     bool   // the method is safe (RFC 9110 §9.2.1)
	trailers bool   // the client takes trailers: see http1.Request.Trailers
	html     bool   // the client is a browser: for replies when req is nil
	former   bool   // the exchange began before Server.Use
	Received int64  // bytes of the request
	from     *Peer  // the client of the connection, or the one that a trusted proxy has named; an open WebSocket does not keep the former
	rules    *rules // of the mount, or of the site, or noRules

	// For counters and the access log. TakeOver leaves Record and began to the new exchange alone.
	Record *logfile.Record // nil if the request has no line in the access log
	began  int64           // of Recorder.Begin or BeganEarlier; 0 if the request is not counted
	counts *metrics.Route  // of its route
	trace  http1.TraceID   // of Config.Trace
}

// Answer ends x with r, before its first part.
func (x *Exchange) Answer(r Reply) {
	x.Source = Memory{}
	x.Sink.Reply(r)
}

// BreakOff ends x without the rest of its response.
func (x *Exchange) BreakOff() {
	x.Source = Memory{}
	x.Sink.Send(&Part{Last: true, Failed: true, File: -1})
}

// CutShort ends the response with what was sent of it, in the place of its source. The connection closes.
func (x *Exchange) CutShort() {
	x.Source, x.KeepAlive = Memory{}, false
	x.Sink.Send(&Part{Last: true, File: -1})
}

// Sub returns an exchange by which the source of x has another source answer r, for a part of its own response. It has no client; to gets
// the parts, and the reply.
func (x *Exchange) Sub(r *Request, source Source, to Sink) Exchange {
	return Exchange{s: x.s, Req: r, Prefix: x.Prefix, Source: source, Sink: to, Parent: x, state: answering}
}

// Conn returns the connection of the client; nil: no client waits for the response any more.
func (x *Exchange) Conn() *conn.Conn {
	if x.Stream == nil {
		return nil
	}
	return &x.client.Conn
}

// broken reports whether the client has left before the exchange has ended.
func (x *Exchange) broken() bool { return x.Stream == nil || x.client.IsClosed() }

// New returns an exchange without a request of a client, which c carries. Exchanges are used again, so that a request costs no allocation.
// count is one more until it has ended; nil: nothing counts it.
func (s *Server) New(client *Client, c Stream, count *int) *Exchange {
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
	x.client, x.Stream, x.rules = client, c, noRules
	if x.count = count; count != nil {
		*count++
	}
	return x
}

// spareRecords is how many records are kept for later exchanges. Each has the longest request line that it was used for.
const spareRecords = 1 << 10

// End ends an exchange for good.
func (x *Exchange) End() {
	s := x.s
	if x.hasFile {
		x.giveFile()
	}
	if x.holds {
		s.descriptors.Add(x.account, -1)
	}
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
	if x.count != nil {
		*x.count--
	}
	held := x.held[:0]
	if cap(held) > 16 {
		held = nil
	}
	*x = Exchange{} // a literal with these in it would be made elsewhere and then copied
	x.Sink = x
	x.s, x.held, x.Next = s, held, s.free
	s.free = x
}

// begun returns the exchanges that have begun and not ended.
func (s *Server) begun() iter.Seq[*Exchange] {
	return func(yield func(*Exchange) bool) {
		for _, x := range s.exchanges {
			if x.client != nil && !yield(x) {
				return
			}
		}
	}
}

// Active returns the number of exchanges that have begun and not ended.
func (s *Server) Active() int {
	n := len(s.exchanges)
	for x := s.free; x != nil; x = x.Next {
		n--
	}
	return n
}

// Submit hands x over to the source of its Choice. Size, Body and Pipeline of its request are set.
func (x *Exchange) Submit() {
	r := x.Req
	x.enter(answering, nothing)
	// That of a chunked body is without its framing; of one that is streamed the rest is added as it comes.
	if x.Received += r.Size; r.More {
		x.Received += int64(len(r.Body)) - r.Size
	}
	x.Source = x.Choice.Source
	if x.Source.Start(x); x.Req == r && !x.lasting {
		x.Req, x.req = nil, nil
	}
}

// Hold keeps a part of x until its turn comes.
func (x *Exchange) Hold(p *Part) {
	x.held = append(x.held, *p)
	if len(p.Body) >= conn.CountedPart || x.Stream == nil || x.client.Subrequest() {
		x.PartWaits(p, len(p.Body))
		return
	}
	if x.unsent == nil {
		x.unsent = new(conn.Unsent)
	}
	x.s.Set.Unsent.AddSmall(x.unsent, x, len(p.Body)+len(p.Head.Fields), x.s.Set.Now)
}

// unheld records that a part that was held, and still is counted for that, waits no longer.
func (x *Exchange) unheld(p *Part) {
	if x.unsent == nil {
		return
	}
	if len(p.Body) >= conn.CountedPart {
		x.s.Set.Unsent.Drop(x.unsent, p.Body, len(p.Body))
	} else {
		x.s.Set.Unsent.DropSmall(x.unsent, len(p.Body)+len(p.Head.Fields), x.s.Set.Now)
	}
}

// PartWaits implements PartOwner. What waits for a subrequest is counted where its client waits.
func (x *Exchange) PartWaits(p *Part, left int) *conn.Unsent {
	if len(p.Body) < conn.CountedPart || x.Stream == nil || x.client.Subrequest() {
		return x.unsent
	}
	if x.unsent == nil {
		x.unsent = new(conn.Unsent)
	}
	x.s.Set.Unsent.Add(x.unsent, x, p.Body, left, x.s.Set.Now)
	return x.unsent
}

// Unsent returns how many bytes of the response wait in memory for the client.
func (x *Exchange) Unsent() int64 { return x.unsent.Size() }

// Cut implements conn.Response: the client loses the rest of the response.
func (x *Exchange) Cut() (client string) {
	client = x.clientText()
	if x.Stream != nil {
		x.Stream.Replace(x, nil, true)
	}
	return client
}

// Begin has the source of x begin with its response, if it waits with that.
func (x *Exchange) Begin() {
	if x.Delayed() {
		x.enter(answering, nothing)
		x.Source.Start(x)
	}
}

// Refuse answers x, which is being decided about, without a source.
func (x *Exchange) Refuse(r Reply) {
	if !r.Close {
		x.Stream.Read(x)
	}
	x.Sink.Reply(r)
}

// Replace makes x, which has not begun, a response of the server itself, which Send has to follow. Its source has nothing to do with it
// any more. closes says that nothing more can be understood of what the client sends. Exchanges without a client cannot be answered.
func (x *Exchange) Replace(closes bool) {
	x.Stream.Replace(x, x, closes)
	x.enter(answering, nothing)
	x.Req, x.Source, x.Fields = nil, Memory{}, nil
}

// TakeOver puts a new exchange, which the server itself must answer, in the place of x. The handler of x no longer has a client.
func (x *Exchange) TakeOver() *Exchange {
	y := x.s.New(x.client, x.Stream, x.count)
	x.Stream.Replace(x, y, false)
	y.identity, y.KeepAlive = x.identity, x.KeepAlive
	x.Record, x.began, x.wait = nil, 0, nothing
	x.dropCarrier()
	x.Stream, x.Next = nil, nil
	return y
}

// FailWith ends x and sends r to its client instead.
func (x *Exchange) FailWith(r Reply) {
	y := x.TakeOver()
	x.Abandon()
	y.Reply(r)
}

// Send implements Sink: the part goes to the stream, or waits for its turn there.
func (x *Exchange) Send(p *Part) {
	if p.Op == OpCredit {
		x.given.Credit(p.Credit)
		if x.Stream != nil {
			x.Stream.Read(x)
		}
		x.Release(p)
		return
	}
	c := x.Stream
	switch {
	case c == nil, p.Interim && (x.Version < http1.HTTP11 || x.client.Subrequest()): // such a client has no use for a 1xx
		x.Release(p)
	default:
		c.Write(x, p)
	}
}

// InTurn reports whether the response is the next one that the client is to be sent, and nothing before it waits for the
// client. Then Sink.Send uses no memory of a part without an Owner after it has returned, but for its Body.
func (x *Exchange) InTurn() bool {
	if x.Stream == nil {
		return x.Parent == nil || x.Parent.InTurn()
	}
	return x.Stream.InTurn(x)
}

// AwaitTurn has Source.Start called again as soon as InTurn or, with early, perhaps before that, when less of
// what the connection was asked for waits for the client: the source does not begin to make the response until then.
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
		if x.enter(answering, forTurn); x.Parent != nil {
			x.Parent.AwaitTurn(false)
		}
	}
}

// TakeTurn returns the next part of x, whose turn it is, that was held, or nil. If its source has waited for its turn, it is started.
// ok reports whether there was either.
func (x *Exchange) TakeTurn() (p *Part, ok bool) {
	switch {
	case len(x.held) > 0:
		p := x.held[x.taken]
		if x.taken++; 2*x.taken >= len(x.held) { // not each time: there may be a thousand
			x.held, x.taken = slices.Delete(x.held, 0, x.taken), 0
		}
		x.unheld(&p)
		return &p, true
	case x.state == answering && x.wait == forTurn:
		x.enter(answering, nothing)
		x.Source.Start(x)
		return nil, true
	}
	return nil, false
}

// Keep has Req stay as it is until the exchange ends.
func (x *Exchange) Keep() {
	switch {
	case x.req != nil:
		x.req.keep()
		x.lasting = true
	case x.Parent != nil:
		x.Parent.Keep()
	}
}

// WaitsForClient reports whether the response cannot go on before the client has read or sent something: parts may wait for the client, or
// for earlier responses, or the rest of a body is awaited.
func (x *Exchange) WaitsForClient() bool {
	if x.Parent != nil {
		return !x.Recorded && x.Parent.WaitsForClient()
	}
	return len(x.held) > 0 || x.Stream != nil && (x.Out.Begun && !x.InTurn() || x.body != nil && !x.body.Paused)
}

// Beside runs work on a goroutine, and then done on the loop. Until then Req stays as it is, and what follows the exchange
// on its connection is not looked at. gone reports whether its client has left: then the exchange ends with done.
func (x *Exchange) Beside(work func(), done func(gone bool)) {
	if x.Deciding() {
		source := x.Source
		x.suspend(forWork)
		x.Source = source
	}
	x.beside = true
	x.s.Set.Beside(work, func(bug bool) { x.besideDone(done, bug) })
}

// besideDone goes on with x, whose source has done its work beside the loop.
func (x *Exchange) besideDone(done func(gone bool), bug bool) {
	if x.client == nil {
		x.beside = false
		if bug {
			x.Sink.Reply(Reply{Status: 500})
		} else {
			done(x.gone)
		}
		return
	}
	if c := x.Conn(); c != nil && bug {
		c.Close("internal error")
	}
	x.beside = false
	if x.Stream == nil {
		if !bug {
			done(true)
		}
		x.End()
		return
	}
	if x.wait == forWork {
		x.enter(answering, nothing)
	}
	x.client.Stamp = x.s.Set.Now
	done(false)
}

// Release gives a part of x back. With the last one x ends.
func (x *Exchange) Release(p *Part) {
	last := p.Last
	if x.unsent != nil {
		x.s.Set.Unsent.Drop(x.unsent, p.Body, 0)
	}
	if p.Owner != nil {
		p.Owner.Release(p)
	}
	if last {
		x.End()
	}
}

// Abandon ends x, of whose response nothing is wanted any more.
func (x *Exchange) Abandon() {
	x.Stream, x.gone = nil, true
	x.dropCarrier()
	if x.Check != nil {
		x.Check.Cancel()
	}
	held := x.held[x.taken:]
	x.held, x.taken = x.held[:0], 0
	ended := len(held) > 0 && held[len(held)-1].Last
	for i := range held {
		x.unheld(&held[i])
		x.Release(&held[i])
	}
	clear(held)
	switch {
	case ended || x.beside: // or it ends with that
	case x.state != answering:
		x.End()
	default:
		x.Source.OnGone(x)
	}
}

// PartSent implements PartOwner.
func (x *Exchange) PartSent(p *Part, err error) {
	if err != nil {
		x.LogShort(err)
	}
	x.Release(p)
}

// Reply implements Sink.
func (x *Exchange) Reply(r Reply) {
	s, c := x.s, x.Conn()
	if c == nil {
		x.End()
		return
	}
	if s.Set.Debug >= 1 {
		s.tracef("%s gets %d: %s", c, r.Status, r.Text)
	}
	x.noteLimit(&r)
	x.dropCarrier()
	x.req, x.Check, x.overridden = nil, nil, r.Override
	x.Replace(r.Close)
	if pages := x.rules.site.Pages; pages != nil {
		pages.Answer(x, r)
	} else {
		x.SendReply(&r)
	}
}

// Decline has routing go on, before the first part: behind the mount, or, if index is not empty, with that name appended to
// the path, which is that of a directory. It reports false, and does nothing, if the path has got an index before.
func (x *Exchange) Decline(index string) bool {
	s, q := x.s, x.req
	switch {
	case q == nil: // it is of Sub
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

// Log writes a line about the client to the error log of its site.
func (x *Exchange) Log(level logfile.Level, line string) {
	switch {
	case x.client != nil:
		x.s.logClient(x, level, "%s", line)
	case x.Parent != nil:
		x.Parent.Log(level, line)
	default:
		x.s.Set.Log(level, "%s", line)
	}
}
