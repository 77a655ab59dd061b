package http2

import (
	"golang.org/x/net/http2"

	"fapws/runtime/exchange"
)

const (
	// initialWindow is the initial window of a stream, in bytes.
	initialWindow = 64 << 10

	// storeWindow is the least window for a collected body that exceeds its first window, in bytes.
	storeWindow = 1 << 20

	// Consecutive pieces of a body that arrive in one turn are joined until they have this size, in bytes: if the body
	// is streamed, so that a handler is not called for a few bytes, and if it is in a file, so that a write is large.
	smallPiece = 4 << 10
	filePiece  = 64 << 10
)

type incoming struct {
	body  exchange.Body
	early []byte // bytes of the body that arrived before routing was complete
	// number of bytes of the body that must still arrive; negative if the length is unknown
	missing  int64
	window   int64 // how many bytes the client may send now
	held     int64 // number of input bytes in memory (see holds)
	target   int64 // size of the window while the handler takes its input, in bytes (see tuneWindows)
	arrived  int64 // bytes that arrived since Conn.measure
	received int64
	ended    bool
}

func (st *stream) Read(x *exchange.Exchange) {
	switch {
	case x.Choice == nil:
		st.drop()
		return
	case st.extended: // the protocol of the virtual connection reads the input
		st.submit(x)
		return
	}
	early := st.early
	st.early = nil
	switch {
	case st.ended && len(early) == 0:
		st.submit(x)
	case !x.Admits(max(st.missing, 0) + int64(len(early))):
		st.drop()
	case st.ended:
		x.Req.Body, x.Req.Size = early, int64(len(early))
		st.submit(x)
	default:
		st.beginBody(x, early)
	}
}

// beginBody begins to receive the body of x; early contains the first bytes of the body. If Mount.Streams is true, x is
// submitted at once and gets the body piece by piece. Otherwise x is submitted when the body is complete.
func (st *stream) beginBody(x *exchange.Exchange, early []byte) {
	streams, asks := x.Choice.Streams, x.Choice.Asks
	length := st.missing
	if length >= 0 {
		length += int64(len(early))
	}
	st.received = st.c.s.Set.Now
	// No byte may stay in memory above the client's share, because a connection can have many bodies.
	st.body.Begin(x, length, x.Req.Parsed.Expect100 && len(early) == 0, 0)
	st.c.conn.Schedule()
	if !streams {
		st.take(early, false)
	} else if st.body.Arrive(early, max(st.missing, 0), false) == exchange.Refuse {
		st.refuseBody()
	} else if st.submit(x); st.x == x {
		st.holds(st.body.Held())
	}
	if st.x == x && st.body.Arriving() && !asks {
		st.askForBody(x)
	}
}

// askForBody sends 100 Continue to a waiting client, and starts the timeout of the body.
func (st *stream) askForBody(x *exchange.Exchange) {
	if st.body.Expects {
		st.received = st.c.s.Set.Now
		st.body.Asked(st.received)
		st.sendContinue(x)
	}
}

// drop discards the rest of the body. If the request is still incomplete when the response ends, the stream is reset.
func (st *stream) drop() {
	st.early = nil
	st.body.Drop()
	st.holds(0)
}

func (st *stream) WantMore(x *exchange.Exchange) {
	b := &st.body
	if !b.IsFor(x) {
		return
	}
	if b.Waits() && b.Continue() == exchange.Refuse {
		st.refuseBody()
		return
	}
	if st.holds(b.Held()); st.c.dead || !b.Arriving() || b.Waits() {
		return
	}
	if st.askForBody(x); x.Outstanding.Low() {
		st.catchUp()
		st.openWindow()
	}
}

func (st *stream) openWindow() {
	switch {
	case st.body.Waits() || st.body.Submitted() && !st.x.Outstanding.Low():
		st.pause()
		return
	case !st.body.Submitted():
		st.target = max(st.target, storeWindow)
		st.catchUp()
	}
	if st.body.Paused {
		st.resume()
	}
	st.growWindow(st.target - st.window)
}

// growWindow opens the window by the given number of bytes if that is worth a frame, and the client has more to send.
func (st *stream) growWindow(grow int64) {
	if grow < min(st.target/2, usualUpdate) || st.ended || st.missing >= 0 && st.missing <= st.window {
		return
	}
	st.window += grow
	st.c.frames().WriteWindowUpdate(st.id, uint32(grow))
}

// takesInput reports whether the input of st does not wait for its handler.
func (st *stream) takesInput() bool {
	switch {
	case st.bytes != nil:
		return len(st.bytes.in) == 0
	case st.body.Submitted():
		return st.x != nil && st.x.Outstanding.Low()
	}
	return st.body.Arriving()
}

func (st *stream) pause() {
	if st.window <= 0 && !st.body.Paused {
		st.body.Pause(st.c.s.Set.Now)
	}
}

func (st *stream) resume() {
	now := st.c.s.Set.Now
	st.body.Resume(now)
	st.received = now
}

func (st *stream) receive(piece []byte, last bool) {
	c := st.c
	st.received = c.s.Set.Now
	n := int64(len(piece))
	if st.arrived+n >= st.target/2 && st.target < int64(c.s.cfg.MaxWindow) {
		c.measure()
	}
	st.arrived += n
	if last {
		st.ended = true
		if st.missing > 0 { // RFC 9113 §8.1.1
			c.protocolError(st.id, http2.ErrCodeProtocol)
			return
		}
	}
	switch {
	// ignore the rest of the request, because bytes flow only to the client
	case st.bytes != nil && !st.extended:
	case st.bytes != nil:
		st.bytes.receive(piece)
	case st.x == nil && last: // the response has already ended
		c.forget(st)
	case st.body.Unrouted():
		st.early = append(st.early, piece...)
		st.holds(int64(len(st.early)))
	case st.body.Arriving():
		st.take(piece, last)
	}
}

// leastPiece returns the size below which the next piece of the body is joined with those that follow.
func (st *stream) leastPiece() int {
	switch b := &st.body; {
	case b.InFile():
		return filePiece
	case b.Submitted() && b.Arriving():
		return smallPiece
	}
	return 0
}

// take passes a piece of the body on, and opens the window of st for the next one.
func (st *stream) take(piece []byte, last bool) {
	x, streamed := st.x, st.body.Submitted()
	action := st.body.Arrive(piece, max(st.missing, 0), last)
	switch {
	case action == exchange.Refuse:
		st.refuseBody()
		return
	case st.x != x: // the source has ended the response
		return
	}
	st.holds(st.body.Held())
	switch {
	case action != exchange.Whole:
		st.openWindow()
	case !streamed:
		st.submit(x)
	}
}

// holds records that n bytes of the input of st are in memory. If the number has decreased, the window of the
// connection may open.
func (st *stream) holds(n int64) {
	c := st.c
	less := n < st.held
	c.inflow.held += n - st.held
	c.inflow.moved = true
	if st.held = n; less && c.room() > 0 {
		c.conn.Again()
	}
}

// refuseBody answers the exchange of st while its body is arriving. If a response has already begun, refuseBody resets
// the stream.
func (st *stream) refuseBody() {
	x, submitted, r := st.x, st.body.Submitted(), st.body.Refusal()
	st.drop()
	switch {
	case !submitted:
		x.Sink.Reply(r)
	case x.Out.Begun:
		st.c.resetStream(st, http2.ErrCodeCancel)
	default:
		x.FailWith(r, nil)
	}
}

func (st *stream) late(now int64) bool {
	cfg := &st.c.s.Config
	if st.body.Paused && st.body.Waits() {
		return now > st.body.WaitsUntil(cfg.BodyTimeout)
	}
	if !st.body.Arriving() || st.body.Paused || st.window <= 0 || st.body.Expects {
		return false
	}
	if st.c.inflow.blocks(now, int64(cfg.BodyTimeout)) {
		return false
	}
	return now-st.received > int64(cfg.BodyTimeout)+tick || st.body.TooSlow(now, cfg.BodyTimeout, cfg.BodyRate)
}
