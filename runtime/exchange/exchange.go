package exchange

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"

	"fapws/runtime/conn"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// Exchange is a request with its response. An Exchange is also the Sink that writes to the client. An Exchange begins
// when the head of the request has arrived. It ends when its source has sent the last part and the bytes are released,
// even if the client disconnects earlier. An Exchange may be used only on the event loop. The memory of an Exchange is
// reused after its end, so only its Source, its Sink and its Stream may keep a pointer to it until then. Other packages
// only read the fields: methods change them.
type Exchange struct {
	Req    *Request // the request; valid until Source.Start returns, or until the end of Offload
	Prefix string   // path prefix that a proxy has removed: "" or "/a/b"
	origin

	s      *Server
	client *Client   // the client, even after it has disconnected; nil if Sub made x
	Stream Stream    // nil if no client waits for the response
	Next   *Exchange // next exchange in a List, or in the free list of the Server

	progress
	offloaded bool  // a goroutine runs work of Offload, or done waits for the loop
	until     int64 // deadline of suspend, by conn.Set.Now, or 0

	identity
	req     *request // nil after the source has received the request
	Check   Check    // check of the client's login; nil if no check is needed or none has started
	MaxBody int64    // limit of the body in bytes; negative means no limit

	Choice      *Mount      // the mount that gets the request; nil if none does or it is not known yet
	body        *Body       // the body that is arriving, or nil
	Outstanding Outstanding // delivered bytes that the source has not yet returned (OpCredit)
	file        *spooled    // file of the body; nil if the body is in memory
	region      Region      // memory of the body if it is large
	descriptor  claim       // claim of a descriptor in addition to the connection

	Held Parts // parts that wait for earlier responses
	Out  Response
}

// origin contains where a response comes from, and through which Sink it passes on its way to the client.
type origin struct {
	Source Source // the source of the response; until the head is sent, a different source may replace it
	By     string // name of the source in access logs, such as "application" or "files"; may be empty
	Sink   Sink
	Fields []byte // lines "Name: value\r\n" for the head of the response, except for replies (Sink.Reply)
	// the WebSocket or tunnel that continues the exchange now or soon; nil if the exchange uses only HTTP
	Carrier Carrier
}

// SetSource makes s the source of the response. name replaces By, unless it is empty.
func (o *origin) SetSource(s Source, name string) { o.Source, o.By = s, cmp.Or(name, o.By) }

func (o *origin) SetSink(s Sink) { o.Sink = s }

// AddFields adds fields to Fields, even if Fields contains fields with the same names.
func (o *origin) AddFields(fields []byte) { o.Fields = slices.Concat(o.Fields, fields) }

// MergeFields adds fields, which must not change until x ends, to Fields (see http1.MergeFields).
func (o *origin) MergeFields(fields []byte) {
	if o.Fields != nil {
		fields = http1.MergeFields(fields, o.Fields)
	}
	o.Fields = fields
}

func (o *origin) SetCarrier(c Carrier) { o.Carrier = c }

func (o *origin) refuseCarrier() {
	if c := o.Carrier; c != nil && !c.Begun() {
		c.Refused()
	}
}

// Answer sends r instead of the source's response. Answer must be called before the first part.
func (o *origin) Answer(r Reply) {
	o.Source = Memory{}
	o.Sink.Reply(r)
}

// identity contains the fields that FailWith copies from an exchange to the exchange that replaces it.
type identity struct {
	Version   http1.Version
	IsHead    bool
	Safe      bool  // the method is safe (RFC 9110 §9.2.1)
	KeepAlive bool  // the connection stays open after the response
	details   bool  // result of ShowsDetails
	html      bool  // the client is a browser, so replies are HTML; needed when req is nil
	replaced  bool  // the exchange began before the last Server.Use
	Received  int64 // number of bytes of the request that have arrived
	// address and login of the client; nil for an open WebSocket if its connection can create the peer again
	from    *Peer
	rules   *rules      // rules of the mount or of the site; noRules before routing
	renewal *http1.Edit // sets the renewed session cookie; nil if the cookie does not change

	// FailWith moves both values to the new exchange, so that the request is logged and counted once.
	Record *logfile.Record // nil if the request has no line in the access log
	began  int64           // result of metrics.Recorder.Begin or BeganEarlier; 0 if the request is not counted
	ID     http1.Identity
	number uint64 // Request.Number, or a number of a failed request that was not submitted; 0 before
}

// requestID returns the id of a failed request: the one that the Identifier gave it, or the short one.
func (x *identity) requestID() string {
	if x.ID.Request == "" && x.number == 0 {
		x.number = rand.Uint64()
	}
	return cmp.Or(x.ID.Request, http1.ShortID(x.number))
}

// ShowsDetails reports whether a developer sees the response to x: its pages may have stacks and paths.
func (x *identity) ShowsDetails() bool { return x.details }

// CloseAfter makes the connection close after the response.
func (x *identity) CloseAfter() { x.KeepAlive = false }

// CountInput adds n bytes to Received.
func (x *identity) CountInput(n int64) { x.Received += n }

// A state is the phase of an exchange. Exchange.End resets the state to routing.
type state uint8

const (
	// it is not decided yet which source answers, or whether the client has access
	routing   state = iota
	receiving       // the body is arriving; the source gets the request when the body is complete
	answering
)

type wait uint8

const (
	nothing       wait = iota
	forReady           // in the state routing, the stream calls Continue soon
	forResume          // in the state routing, Resume must be called
	forSites           // in the state routing, Server.Use must be called
	forDescriptor      // in the state routing, another request of the same client must release a descriptor
	forWork            // in the state routing, a goroutine checks whether the source has a response
	forTurn            // earlier responses on the connection must first be sent
	forEarlier         // in the state answering, the client must first read some of the earlier output
)

func (s state) String() string { return [...]string{"routing", "receiving", "answering"}[s] }

func (w wait) String() string {
	return [...]string{"nothing", "ready", "resume", "sites", "descriptor", "work", "turn", "earlier"}[w]
}

// progress contains the state of an exchange and the event for which the exchange waits.
type progress struct {
	state state
	wait  wait
}

// follows contains, as bits, the states that may follow each state, and waits the possible waits in each state.
var (
	follows = [...]uint8{
		routing:   1<<routing | 1<<receiving | 1<<answering,
		receiving: 1<<receiving | 1<<answering,
		answering: 1<<answering | 1<<routing,
	}
	waits = [...]uint8{
		routing: 1<<nothing | 1<<forReady | 1<<forResume | 1<<forSites | 1<<forDescriptor | 1<<forWork |
			1<<forTurn,
		receiving: 1 << nothing,
		answering: 1<<nothing | 1<<forTurn | 1<<forEarlier,
	}
)

func (x *Exchange) enter(s state, w wait) {
	if follows[x.state]>>s&1 == 0 || waits[s]>>w&1 == 0 {
		x.refuseStep(s, w)
		return
	}
	x.state, x.wait = s, w
}

// refuseStep logs a step that the tables do not allow, which is a fault of the server, and closes the connection of the
// client. The connection closes a little later, because the caller of enter still uses x.
func (x *Exchange) refuseStep(s state, w wait) {
	step := fmt.Sprintf("a request that is %v, waiting for %v, must not become %v, waiting for %v", x.state, x.wait, s, w)
	x.s.Set.LogBug(step)
	if c := x.Conn(); c != nil {
		x.s.Set.Soon(c, func() { c.Close("internal error") })
	}
}

// Suspended reports whether the routing of x was interrupted.
func (x *progress) Suspended() bool { return x.state == routing && x.wait != nothing }

func (x *progress) AwaitsSites() bool { return x.wait == forSites }

// Delayed reports whether the source of x waits until the client has read earlier responses (see Begin).
func (x *progress) Delayed() bool { return x.wait == forEarlier }

// Sub returns an exchange in which source answers r, for a piece of the response of x. The exchange has no client: the
// given Sink gets its parts or its reply. The stream c is a *Sub.
func (x *Exchange) Sub(r *Request, source Source, to Sink, c Stream) Exchange {
	return Exchange{s: x.s, Req: r, Prefix: x.Prefix, origin: origin{Source: source, Sink: to}, Stream: c,
		progress: progress{state: answering}}
}

// Conn returns the connection of the client that waits for x or for the response that includes x (Sub.Parent). nil
// means that no client waits: it has left, or there never was one. x may be nil.
func (x *Exchange) Conn() *conn.Conn {
	if x == nil {
		return nil
	}
	for sub, ok := x.Stream.(*Sub); ok && sub.Parent != nil; sub, ok = x.Stream.(*Sub) {
		x = sub.Parent
	}
	if x.Stream == nil || x.client == nil {
		return nil
	}
	return &x.client.Conn
}

func (x *Exchange) Account() string {
	return cmp.Or(x.from, x.client.direct()).Account()
}

const spareRecords = 1 << 10

func (x *Exchange) End() {
	s := x.s
	if x.file != nil {
		x.releaseSpool()
	}
	if x.region.data != nil {
		x.TakeRegion().Release()
	}
	if x.descriptor.shares != nil {
		x.descriptor.release()
	}
	if s.timed {
		s.account(x)
	}
	if x.began != 0 {
		s.metrics.End(x.began, x.rules.counts, x.Out.Status)
	}
	if x.Carrier != nil {
		x.refuseCarrier()
	}
	if x.Record != nil && len(s.records) < spareRecords {
		s.records = append(s.records, x.Record)
	}
	x.client.Active--
	held := x.Held.queue[:0]
	// with fields in this literal, the compiler would make a temporary copy
	*x = Exchange{}
	x.Sink = x
	x.s, x.Held.queue, x.Next = s, held, s.free
	s.free = x
}

// Submit passes x to the source of x.Choice. Size, Body and Pipeline of the request must be set.
func (x *Exchange) Submit() {
	r := x.Req
	x.enter(answering, nothing)
	x.number = rand.Uint64()
	r.Number = x.number
	// For a chunked body, Size does not include the framing. The rest of a streamed body is added as it arrives.
	if x.Received += r.Size; r.More {
		x.Received += int64(len(r.Body)) - r.Size
	}
	x.Source = x.Choice.Source
	if m := x.Choice; !r.Upgrade && r.Socket == 0 {
		if m.Compress && r.Parsed.Codings {
			x.Sink = x.s.Compressor.Filter(x, x.Sink)
		}
		for _, filter := range m.Filters {
			x.Sink = filter(x, x.Sink)
		}
	}
	if x.Source.Start(x); x.Req == r && !x.req.lasting {
		x.Req, x.req = nil, nil
	}
}

func (x *Exchange) Cut() (client string) {
	client = x.clientText()
	if x.Stream != nil {
		x.Stream.Replace(x, nil, true)
	}
	return client
}

func (x *Exchange) Begin() {
	if x.Delayed() {
		x.enter(answering, nothing)
		x.Source.Start(x)
	}
}

// InTurn reports whether a part of x would be written immediately. If so, a part without an Owner can be reused as soon
// as Sink.Send has returned, but its Body cannot.
func (x *Exchange) InTurn() bool {
	return x.Stream == nil || x.Stream.InTurn(x)
}

// AwaitTurn calls Source.Start again when all earlier responses of the connection are sent. If early is true, the call
// comes as soon as few bytes of these responses wait. During the wait the source must not send anything.
func (x *Exchange) AwaitTurn(early bool) {
	switch {
	case early:
		x.enter(answering, forEarlier)
	case x.state == routing:
		x.suspend(forTurn)
		return
	default:
		x.enter(answering, forTurn)
	}
	x.Stream.Wait(x)
}

// TakeTurn returns the next held part. If there is none and the source waits for its turn, TakeTurn starts the source
// and returns nil. ok is false if there was nothing to do.
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

// Lend makes r the request of x while the function use runs.
func (x *Exchange) Lend(r *Request, use func()) {
	x.Req = r
	if use(); x.Req == r {
		x.Req = nil
	}
}

// Keep keeps Req valid until the exchange ends.
func (x *Exchange) Keep() {
	if x.req != nil {
		x.req.keep()
		x.req.lasting = true
	}
}

// WaitsForClient returns true if x waits until the client has read earlier output, or has sent the rest of the request
// body.
func (x *Exchange) WaitsForClient() bool {
	return !x.Held.Empty() || x.Stream != nil && (x.Out.Begun && !x.InTurn() || x.body != nil && !x.body.Paused)
}

// Offload runs the function work on a goroutine, and then the function done on the loop. Until done returns, x.Req
// stays valid, and the connection handles no later request. If gone is true, the client has disconnected, and x ends
// after the call of done.
func (x *Exchange) Offload(work func(), done func(gone bool)) {
	if x.state == routing && x.wait == nothing {
		source := x.Source
		x.suspend(forWork)
		x.Source = source
	}
	x.offloaded = true
	x.s.Set.Offload(x.Conn(), work, func(bug bool) {
		if c := x.Conn(); bug && x.client != nil && c != nil {
			c.Close("internal error") // also calls x.Abandon
		}
		x.offloaded = false
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
			done(false)
		}
	})
}

// Poster returns a function that makes the event loop run its argument. Any goroutine may call it.
func (x *Exchange) Poster() func(func()) bool { return x.s.Set.Events.Post }

// Release returns a part of x to its Owner, and ends x after the last part.
func (x *Exchange) Release(p *Part) {
	last := p.Last()
	if x.Held.unsent != nil {
		x.Held.Uncount(x.s.Set, p, 0)
	}
	if p.Owner != nil {
		p.Owner.Release(p)
	}
	if last {
		x.End()
	}
}

// Detach tells x that its client has disconnected after the last part of x was passed to the stream.
func (x *Exchange) Detach() { x.Stream = nil }

func (x *Exchange) Abandon() {
	x.Detach()
	x.refuseCarrier()
	if x.Check != nil {
		x.Check.Cancel()
	}
	ended := x.Held.EndsWithLast()
	for held := x.Held.TakeAll(); len(held) > 0; held = held[1:] {
		x.Held.unheld(x.s.Set, &held[0])
		x.Release(&held[0])
	}
	switch {
	case ended || x.offloaded: // Release has ended x, or Offload will end x
	case x.state != answering:
		x.End()
	default:
		x.Source.OnGone(x)
	}
}

// Decline continues the routing of x. If index is "", routing continues with the next mount. Otherwise the path of x
// must be a directory, and x is routed again with index appended to the path. Decline must be called before the first
// part. If an index was already appended, Decline returns false and does nothing.
func (x *Exchange) Decline(index string) bool {
	s, q := x.s, x.req
	switch {
	case q == nil:
		return false
	case index == "":
		q.mount.missing.Add(q.Path[q.Script:], s.Set.Now)
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

// A List contains the exchanges of a connection in the order of their requests. An exchange can be in one List only.
// The zero value is an empty List.
type List struct{ First, Last *Exchange }

func (l *List) Add(x *Exchange) {
	if l.First == nil {
		l.First = x
	} else {
		l.Last.Next = x
	}
	l.Last = x
}

// Shift removes the first exchange and returns it. The List must not be empty.
func (l *List) Shift() *Exchange {
	x := l.First
	l.First, x.Next = x.Next, nil
	if l.First == nil {
		l.Last = nil
	}
	return x
}

// Replace replaces x by y.
func (l *List) Replace(x, y *Exchange) {
	at := &l.First
	for *at != x {
		at = &(*at).Next
	}
	*at, y.Next, x.Next = y, x.Next, nil
	if l.Last == x {
		l.Last = y
	}
}
