package exchange

import (
	"errors"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// Body is the body of a request, from the end of routing until its last byte has arrived or no source needs the rest.
// Unless Mount.Streams is true, the handler gets the request only when the body is complete, so that a slow client
// never occupies an application. The stream passes each received piece to Arrive, and keeps the framing, the windows
// and the timeouts of its protocol.
type Body struct {
	x       *Exchange // the exchange that gets the body, or nil
	phase   phase
	Expects bool  // the client waits for 100 Continue before it sends the body
	fault   error // reason of Refuse

	max    int64 // limit of the body in bytes; negative means no limit
	length int64 // announced size in bytes; negative if it is unknown
	size   int64

	// The rate of the body is measured in periods (see TooSlow). begun is the time at which the period began, moved
	// forward by the duration of all pauses. before is the value of size at that time.
	begun, before int64
	Paused        bool  // the server does not read the body, so its timeout is suspended
	paused        int64 // time of the last Pause

	data    []byte // the stored bytes in memory; empty after the body has moved to a file
	least   int    // number of bytes that may stay in memory even if the client's share of memory is used up
	counted int64  // number of bytes that are counted in Server.InputMemory
	client  string // key of the client in Server.InputMemory
	spool   int    // descriptor of the file that contains the body, or -1
	waits   bool   // the body waits for a file, or for space in its file (see spill)
}

type phase uint8

const (
	unrouted  phase = iota // routing is not complete, so it is not known which source gets the body
	collected              // the body is arriving, and its source has not got the request
	streamed               // the body is arriving, and its source has got the request and the bytes so far
	complete
	unwanted // no source gets the rest of the body
)

// A BodyAction says what a stream must do after Body.Arrive.
type BodyAction uint8

const (
	More   BodyAction = iota // the next piece may arrive
	Pause                    // no piece should arrive until Stream.WantMore is called
	Whole                    // the body is complete; a collected body is in the request, which can be submitted
	Refuse                   // the client gets Body.Refusal
)

// errTooLarge means that a body exceeds Body.max.
var errTooLarge = errors.New("the request body is too large")

func TooLarge(size, max int64) bool { return size > max && max >= 0 }

// Begin makes b the body of x, whose routing must be complete. length is its announced size in bytes, and negative if
// it is unknown. least is the number of bytes that may stay in memory even if the client has used its share of memory.
func (b *Body) Begin(x *Exchange, length int64, expects bool, least int) {
	*b = Body{x: x, phase: collected, Expects: expects, max: x.MaxBody, length: length, begun: x.s.Set.Now, spool: -1,
		least: least}
	if x.body = b; !x.Choice.Streams {
		x.req.keep()
		x.enter(receiving, nothing)
	}
}

// Arrive takes the next piece of the body. coming is the minimum number of bytes that will follow. last means that the
// body is complete. The first piece of a streamed body becomes a part of the request, which can be submitted then.
func (b *Body) Arrive(piece []byte, coming int64, last bool) BodyAction {
	if b.phase == unwanted {
		return bodyAction(last, false)
	}
	b.size += int64(len(piece))
	switch least := b.size + coming; {
	case least < 0 || TooLarge(least, b.max):
		return b.Fail(errTooLarge)
	case b.phase == streamed:
		return b.feed(piece, last)
	case b.x.Choice.Streams:
		return b.open(piece, last)
	}
	if err := b.store(piece); err != nil {
		return b.Fail(err)
	}
	if last {
		r := b.x.Req
		b.waits = false
		r.Size = b.size
		r.Stays = b.inRegion()
		r.Body, r.Spool = b.stored()
		b.x.body, b.x, b.phase = nil, nil, complete
	}
	return bodyAction(last, b.waits)
}

func bodyAction(last, pause bool) BodyAction {
	switch {
	case last:
		return Whole
	case pause:
		return Pause
	}
	return More
}

// Fail makes err, an error of the framing or of storing, the reason of Refusal.
func (b *Body) Fail(err error) BodyAction {
	b.fault = err
	return Refuse
}

// open makes the first piece of a streamed body a part of the request.
func (b *Body) open(piece []byte, last bool) BodyAction {
	r := b.x.Req
	r.Body, r.Size, r.More = piece, b.length, !last
	if b.phase = streamed; last {
		r.Size = b.size
		b.finish()
	}
	return bodyAction(last, false)
}

// feed passes a piece of a streamed body to its source and counts it (InputWindow).
func (b *Body) feed(piece []byte, last bool) BodyAction {
	if len(piece) == 0 && !last {
		return More
	}
	x := b.x
	b.Expects = false
	if last {
		b.finish()
	}
	x.Received += int64(len(piece))
	x.Source.Input(x, Input{Data: piece, Last: last})
	return bodyAction(last, x.Outstanding.Add(piece))
}

func (b *Body) finish() { b.x.body, b.phase = nil, complete }

// IsFor reports whether b is the body of x, and x may still need bytes of b.
func (b *Body) IsFor(x *Exchange) bool { return b.x == x && x != nil }

// Arriving reports whether a source needs bytes of b that have not arrived yet.
func (b *Body) Arriving() bool { return b.phase == collected || b.phase == streamed }

func (b *Body) Unrouted() bool { return b.phase == unrouted }

func (b *Body) Unwanted() bool { return b.phase == unwanted }

// Collected reports whether bytes of b are still to be stored, before its source gets the request.
func (b *Body) Collected() bool { return b.phase == collected }

// Submitted reports whether the source has got the request, and gets the body as it arrives.
func (b *Body) Submitted() bool { return b.phase == streamed || b.phase == complete && b.x != nil }

// Held returns the number of bytes in memory that hold up the client: input that the handler has not returned
// (OpCredit), or bytes that wait for a file. Less than an eighth of InputWindow counts as 0, because the handler may
// already have used these bytes.
func (b *Body) Held() int64 {
	switch {
	case b.waits:
		return int64(len(b.data))
	case b.Submitted() && b.x.Outstanding >= InputWindow/8:
		return int64(b.x.Outstanding)
	}
	return 0
}

// store stores a piece of a collected body in memory or, if the body is long or the client has used its share of
// memory, in a file. The errors are errNoRoom and those of the file system.
func (b *Body) store(piece []byte) error {
	x := b.x
	cfg := &x.s.Config
	if b.spool >= 0 {
		return b.append(piece)
	}
	if len(b.data) == 0 {
		b.client = x.Account()
	}
	n, most := len(b.data)+len(piece), cfg.SpoolSize
	roomy := max(most, cfg.RoomyBody)
	size := int(min(b.length, int64(roomy)+1)) // of the region
	if b.length < 0 {
		size = min(2*n, roomy)
	}
	switch {
	case n <= len(x.region.data):
		most = roomy
	// The size of an announced body is reserved at once; its pages need memory only when they have arrived.
	case x.Choice.Roomy && x.Choice.Cache == nil && n <= size && size <= roomy && size > heapBody && b.reserve(size):
		most = roomy
	case x.s.InputMemory.Free(b.client) < int64(len(piece)):
		most = min(most, b.least)
	}
	// In Go's heap, the buffer grows with the received bytes, because the announced length may be wrong.
	if tail := b.Tail(); len(piece) > 0 && len(tail) >= len(piece) && &tail[0] == &piece[0] {
		b.data = b.data[:n]
	} else {
		b.data = append(b.data, piece...)
	}
	if x.region.data != nil && !b.inRegion() { // The region was full, and the share of the client is used up.
		x.TakeRegion().Release()
	}
	b.count()
	if n <= most {
		return nil
	}
	return b.spill()
}

// reserve moves b to a region of n bytes, and reports whether the client's share of memory permits that.
func (b *Body) reserve(n int) bool {
	moved := b.inRegion()
	if !b.x.reserve(b.client, n) {
		return false
	}
	to := b.x.region.data
	if !moved {
		copy(to, b.data)
	}
	b.data = to[:len(b.data)]
	return true
}

// Tail returns memory for the next piece. If the piece is read into Tail, Arrive does not copy it. It is empty if b has
// no region.
func (b *Body) Tail() []byte {
	if !b.inRegion() {
		return nil
	}
	return b.x.region.data[len(b.data):]
}

// inRegion reports whether the stored bytes are in the region of the exchange.
func (b *Body) inRegion() bool {
	return b.x != nil && b.x.region.data != nil && unsafe.SliceData(b.data) == unsafe.SliceData(b.x.region.data)
}

// count updates Server.InputMemory, which also counts regions, and must be called after each change of data.
func (b *Body) count() {
	n := int64(len(b.data))
	if b.inRegion() {
		n = 0
	}
	if n != b.counted {
		b.x.s.InputMemory.Add(b.client, n-b.counted)
		b.counted = n
	}
}

// Waits reports whether b waits for a file or for space. Stream.WantMore is called when b may continue.
func (b *Body) Waits() bool { return b.waits }

// Continue lets b, which waits for a file or for space, try again.
func (b *Body) Continue() BodyAction {
	if err := b.spill(); err != nil {
		return b.Fail(err)
	}
	return bodyAction(false, b.waits)
}

// InFile reports whether b is stored in a file.
func (b *Body) InFile() bool { return b.phase == collected && b.spool >= 0 }

// stored returns the body. If it is in a file, spool is a descriptor that the caller must close, otherwise -1.
func (b *Body) stored() (data []byte, spool int) {
	data, spool = b.data, b.spool
	b.data, b.spool = nil, -1
	b.count()
	return data, spool
}

// Drop discards the bytes of b and what may still arrive, because no source needs them.
func (b *Body) Drop() {
	if x := b.x; x != nil {
		if _, spool := b.stored(); spool >= 0 {
			unix.Close(spool)
			x.releaseSpool()
		}
		x.TakeRegion().Release()
		if x.body == b {
			x.body = nil
		}
	}
	b.x, b.phase, b.waits, b.Expects = nil, unwanted, false, false
}

// Asked begins the timeout of the body at the time now, when the server sends 100 Continue.
func (b *Body) Asked(now int64) { b.Expects, b.begun = false, now }

func (b *Body) Pause(now int64) { b.Paused, b.paused = true, now }

func (b *Body) Resume(now int64) {
	b.begun += now - b.paused
	b.Paused = false
}

// TooSlow reports whether b has received less than rate bytes per second in the last period. A period ends at the first
// call after the duration timeout. The rate is not the average of the whole body, because a client could otherwise send
// most of the body fast and hold the rest back for hours.
func (b *Body) TooSlow(now int64, timeout time.Duration, rate int64) bool {
	age := now - b.begun
	if age <= int64(timeout) {
		return false
	}
	if float64(b.size-b.before) < float64(rate)*float64(age)/1e9 {
		return true
	}
	b.begun, b.before = now, b.size
	return false
}

// WaitsUntil returns the latest time at which b may still wait for a file: 2*timeout after its last pause began.
func (b *Body) WaitsUntil(timeout time.Duration) int64 { return b.paused + 2*int64(timeout) }

// Refusal returns the response to a body that was refused or, if it was not, to a client that was too slow. It must be
// called before Drop.
func (b *Body) Refusal() Reply {
	switch {
	case b.fault != nil:
		return refused(b.x.s, b.fault, b.size, b.max)
	case b.waits:
		b.x.s.spools.warnWaited(b.x)
		return Reply{Status: 503, Text: "too many unfinished request bodies", Close: true}
	}
	return Reply{Status: 408, Text: "timed out waiting for the request body", Close: true}
}

func refused(s *Server, err error, size, max int64) Reply {
	limit := Limit{Setting: "--max-body-size", Max: max, Size: size}
	var malformed *http1.StatusError
	switch {
	case err == errTooLarge:
		return Reply{Status: 413, Text: err.Error() + AtMost(max), Close: true, Limit: limit}
	case err == errNoRoom:
		s.spools.warnNoRoom(s, size, max)
		return Reply{Status: 507, Text: err.Error(), Close: true}
	case errors.As(err, &malformed):
		return Malformed(&s.Config.Limits, malformed, nil)
	}
	if s.spools.failed.Once(time.Minute) {
		s.Set.Log(logfile.Error, "cannot store a request body in %s: %v; set TMPDIR to another directory",
			s.Config.SpoolDir, err)
	}
	r := Reply{Status: 507, Text: "the request body cannot be stored", Close: true}
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
		r.Status = 503
	}
	return r
}
