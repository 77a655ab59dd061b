package exchange

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// Body is the body of a request while it arrives from the client. Unless Mount.Streams is true, the handler gets the
// request only when the body is complete, so that a slow client never occupies an application.
type Body struct {
	X        *Exchange // the exchange; nil if the rest of the body is discarded
	Streamed bool      // X gets pieces as they arrive; if false, the body is collected
	Expects  bool      // the client waits for 100 Continue before it sends a streamed body

	max    int64 // limit of the body in bytes; negative means no limit
	length int64 // announced size in bytes; negative if it is unknown
	size   int64

	// The rate of the body is measured in periods (see TooSlow). begun is the time at which the period began, moved
	// forward by the duration of all pauses. before is the value of size at that time.
	begun, before int64
	Paused        bool  // the server does not read the body, so its timeout is suspended
	paused        int64 // time of the last Pause

	data  []byte // the stored bytes in memory; empty after the body has moved to a file
	spool int    // descriptor of the file that contains the body, or -1
	waits bool   // the body waits for a file, or for space in its file (see Spill)
}

// errTooLarge means that a body exceeds Body.max.
var errTooLarge = errors.New("input body too big")

func TooLarge(size, max int64) bool { return size > max && max >= 0 }

// Begin makes b an empty body. max is its limit and length its announced size, in bytes; negative values mean no limit
// and an unknown size.
func (b *Body) Begin(max, length, now int64) {
	*b = Body{max: max, length: length, begun: now, spool: -1}
}

// Collect makes b the body of x and collects it. Begin must have been called. The routing of x must not be complete.
func (b *Body) Collect(x *Exchange) {
	x.req.keep()
	x.enter(receiving, nothing)
	b.X, x.body = x, b
}

func (b *Body) Stream(x *Exchange) { b.X, b.Streamed, x.body = x, true, b }

func (b *Body) Arrived() {
	if x := b.X; x != nil && x.body == b {
		x.body = nil
	}
}

// End stores b in the request of its exchange. b must be a complete, collected body.
func (b *Body) End() {
	b.Arrived()
	r := b.X.Req
	b.waits = false
	r.Size = b.size
	r.Body, r.Spool = b.stored()
}

func (b *Body) Size() int64 { return b.size }

// Count adds n received bytes to the size of b. coming is the minimum number of bytes that will follow. If the body is
// too large, the error is errTooLarge.
func (b *Body) Count(n int, coming int64) error {
	b.size += int64(n)
	if least := b.size + coming; least < 0 || TooLarge(least, b.max) {
		return errTooLarge
	}
	return nil
}

// Store stores a piece that Count has counted. A body of more than memory bytes moves to a file. The errors are errNoRoom
// and those of the file system.
func (b *Body) Store(piece []byte, memory int) error {
	if b.spool >= 0 {
		return b.append(piece)
	}
	// The buffer grows with the received bytes, because the announced length may be wrong.
	b.data = append(b.data, piece...)
	if b.size <= int64(memory) {
		return nil
	}
	return b.Spill()
}

// Waits reports whether b waits for a file or for space (see Spill). Stream.WantMore is called when b may continue.
func (b *Body) Waits() bool { return b.waits }

func (b *Body) InFile() bool { return b.spool >= 0 }

func (b *Body) InMemory() int { return len(b.data) }

// stored returns the body. If it is in a file, spool is a descriptor that the caller must close, otherwise -1.
func (b *Body) stored() (data []byte, spool int) {
	data, spool = b.data, b.spool
	b.data, b.spool = nil, -1
	return data, spool
}

func (b *Body) Drop() {
	if _, spool := b.stored(); spool >= 0 {
		unix.Close(spool)
		b.X.releaseSpool()
	}
	if b.X != nil {
		b.waits = false
		b.Arrived()
	}
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

func (b *Body) Refused(s *Server, err error) Reply { return refused(s, err, b.size, b.max) }

func refused(s *Server, err error, size, max int64) Reply {
	limit := Limit{Setting: "max-body-size", Max: max, Size: size}
	var malformed *http1.StatusError
	switch {
	case err == errTooLarge:
		return Reply{Status: 413, Text: fmt.Sprintf("%v: the limit is %d bytes (max-body-size)", err, max), Close: true,
			Limit: limit}
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

func (b *Body) TimedOut() Reply {
	if b.Waits() {
		b.X.s.spools.warnWaited(b.X)
		return Reply{Status: 503, Text: "too many unfinished request bodies", Close: true}
	}
	return Reply{Status: 408, Text: "timed out waiting for the request body", Close: true}
}

// Feed delivers a piece of a streamed body to X and counts it (InputWindow). If enough is true, no piece may follow
// until the handler has returned half of the window (OpCredit).
func (b *Body) Feed(piece []byte, last bool) (enough bool) {
	x := b.X
	x.Received += int64(len(piece))
	x.Source.Input(x, Input{Data: piece, Last: last})
	return x.Outstanding.Add(piece) && !last
}
