package compress

import (
	"slices"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// patience limits how long a response waits for a turn.
const patience = 20 * time.Millisecond

// A Compressor creates a filter for each response, on the event loop.
type Compressor struct {
	// Inline is true if handlers run on the event loop. The loop then also compresses the pieces of a body. Otherwise a
	// piece would reach the client only after the handler has made the next piece.
	Inline bool
	// Due is true if parts wait for Compress.
	Due bool

	conns *conn.Set
	room  int     // number of bytes that the event loop itself may still compress in this batch
	open  int     // number of responses with an encoder
	whole int64   // number of bytes of whole bodies that wait for a turn or are being compressed
	spare *filter // list of unused filters

	waiting []*filter // filters with parts to compress
}

func New(conns *conn.Set) *Compressor { return &Compressor{conns: conns} }

// Filter implements exchange.Compressor.
func (c *Compressor) Filter(x *exchange.Exchange, next exchange.Sink) exchange.Sink {
	if x.Req.Depth() > 0 || x.Version < http1.HTTP11 {
		return next
	}
	coding, strong := acceptedBy(x.Req)
	if coding == Identity {
		return next
	}
	f := c.spare
	if f == nil {
		f = new(filter)
	} else {
		c.spare = f.free
	}
	*f = filter{c: c, x: x, next: next, head: x.IsHead, coding: coding, strong: strong}
	return f
}

// Varies implements exchange.Compressor.
func (c *Compressor) Varies(x *exchange.Exchange, p *exchange.Part) bool { return compressible(x, p) }

// A filter gets the parts of a response as their Sink. After the handler's last part, the filter also replaces the
// handler as the Source of the exchange, because compressed parts may remain to be sent.
type filter struct {
	exchange.Memory
	c      *Compressor
	x      *exchange.Exchange
	next   exchange.Sink
	coding Coding // of the response, not Identity
	head   bool
	strong bool // the client has the uncompressed form (acceptedBy)

	// the filter keeps parts for compression, instead of sending them unchanged
	holds   bool
	waiting []exchange.Part // parts that were not yet compressed
	busy    bool
	stream  *stream // nil if the body is not compressed in pieces

	free *filter // next filter in Compressor.spare
}

func (f *filter) Send(p *exchange.Part) {
	switch {
	case p.Op != exchange.OpBody || p.Interim:
		f.next.Send(p)
	case f.holds:
		f.hold(p)
	case p.First:
		f.begin(p)
	default:
		f.pass(p)
	}
}

func (f *filter) Reply(r exchange.Reply) {
	next := f.next
	f.release()
	next.Reply(r)
}

// pass sends a part unchanged; f must not be used after the last part.
func (f *filter) pass(p *exchange.Part) {
	next := f.next
	if p.Last() {
		f.release()
	}
	next.Send(p)
}

func (f *filter) release() {
	c := f.c
	f.x.SetSink(f.next) // send the server's error page to the client without this filter
	*f = filter{free: c.spare}
	c.spare = f
}

// compressible reports whether the response to x that p begins may be compressed.
func compressible(x *exchange.Exchange, p *exchange.Part) bool {
	h, length := &p.Head, size(p)
	if x.IsHead {
		length = h.Length
	}
	if h.Status != 304 && 0 <= length && length < least {
		return false
	}
	return x.By != "files" && p.File == nil && p.Takeover == nil && p.End != exchange.Incomplete && suits(h)
}

// begin decides whether a response is compressed. p is the first part of the response.
func (f *filter) begin(p *exchange.Part) {
	own := *p
	h := &own.Head
	switch {
	case !compressible(f.x, p), h.Status == 304 && f.strong:
		f.pass(p)
	// A 304 must have the same fields as the compressed response that the client has (RFC 9110 §15.4.5).
	case h.Status == 304:
		h.Fields = codedFields(h.Fields, Identity)
		f.pass(&own)
	case f.head:
		h.Fields, h.Length, own.Body = codedFields(h.Fields, f.coding), -1, nil
		f.pass(&own)
	case size(p) < 0 || size(p) > most:
		f.begins(&own)
	default:
		f.hold(p)
	}
}

// size returns the length of the body whose first part is p, or -1 if the length is unknown.
func size(p *exchange.Part) int64 {
	if p.Head.Length < 0 && p.Last() {
		return int64(len(p.Body))
	}
	return p.Head.Length
}

// complete reports whether the waiting parts contain the whole body.
func (f *filter) complete() bool {
	n := int64(0)
	for i := range f.waiting {
		n += int64(len(f.waiting[i].Body))
	}
	return n == size(&f.waiting[0])
}

// later makes the event loop call Compress at the end of the batch.
func (c *Compressor) later(f *filter) {
	if !c.Due {
		c.Due = true
		c.conns.Soon(nil, c.Compress)
	}
	if n := len(c.waiting); n == 0 || c.waiting[n-1] != f {
		c.waiting = append(c.waiting, f)
	}
}

// Compress compresses the parts that have arrived since the last call. It is called before the event loop writes the
// output of a batch, so that parts of a batch are compressed together. A handler often sends a large body immediately
// after the head, so Compress also decides whether a body is compressed in pieces.
func (c *Compressor) Compress() {
	if c.Inline {
		c.room = inlineRoom
	}
	for len(c.waiting) > 0 {
		f := c.waiting[0]
		c.waiting = c.waiting[1:]
		f.compress()
	}
	c.Due = false
}

func (f *filter) compress() {
	own := f.x.Conn()
	defer f.c.conns.Guard(own)
	switch {
	case f.stream != nil:
		f.stream.goOn(true)
	// Skip filters that have sent their parts already, and filters that are already used for a different response.
	case !f.holds || f.busy:
	case own == nil:
		f.drop()
	default:
		waiting := f.waiting
		f.waiting, f.holds = nil, false
		f.begins(&waiting[0])
		for i := range waiting[1:] {
			f.Send(&waiting[1+i])
		}
	}
}

func (f *filter) hold(p *exchange.Part) {
	f.holds = true
	f.waiting = append(f.waiting, *p)
	if p.Last() {
		f.x.SetSource(f, "")
	}
	switch {
	case f.busy:
	case f.stream == nil && f.complete():
		f.whole()
	default:
		f.c.later(f)
	}
}

// whole compresses a body that has arrived completely, or sends it uncompressed if no processor becomes free soon.
func (f *filter) whole() {
	c, n, size := f.c, len(f.waiting), size(&f.waiting[0])
	took := f.waiting[:n:n]
	f.busy = true
	c.whole += size
	patience := c.patience()
	var coded []byte
	made := false
	c.conns.Offload(f.x.Conn(), func() {
		if Processors.Take(patience) {
			defer Processors.Leave()
			coded, made = compress(f.coding, joined(took), Processors.level())
		}
	}, func(bool) {
		f.busy = false
		c.whole -= size
		if !made {
			f.passAll()
			return
		}
		f.waiting = f.waiting[n:]
		first, end := &took[0], &took[n-1]
		out := exchange.Part{First: true, End: end.End, Head: first.Head, Body: coded, Trailers: trailersOf(end),
			Owner: &owned{parts: took}}
		out.Head.Fields, out.Head.Length = codedFields(first.Head.Fields, f.coding), int64(len(coded))
		f.next.Send(&out)
		f.passAll()
	})
}

// patience returns how long another body may wait for a turn.
func (c *Compressor) patience() time.Duration {
	if c.whole > memory() {
		return 0
	}
	return patience
}

// joined returns the body that consists of parts.
func joined(parts []exchange.Part) []byte {
	body := parts[0].Body
	for i := range parts[1:] {
		if more := parts[1+i].Body; len(body) == 0 {
			body = more
		} else if len(more) > 0 {
			body = slices.Concat(body, more)
		}
	}
	return body
}

func (f *filter) passAll() {
	waiting := f.waiting
	f.waiting, f.holds = nil, false
	for i := range waiting {
		f.next.Send(&waiting[i])
	}
}

func (f *filter) OnGone(*exchange.Exchange) {
	if !f.busy {
		f.drop()
	}
}

func (f *filter) drop() {
	if f.stream != nil {
		f.stream.free()
	}
	f.passAll()
}

// owned is the owner of a compressed part. owned releases the original parts when the compressed part was sent.
type owned struct {
	parts  []exchange.Part
	stream *stream
	size   int
}

func (o *owned) Release(*exchange.Part) {
	for i := range o.parts {
		o.parts[i].Release()
	}
	if o.stream != nil {
		o.stream.sent(o.size)
	}
}
