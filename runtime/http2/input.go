package http2

import (
	"golang.org/x/net/http2"

	"fapws/runtime/exchange"
)

const (
	// initialWindow is the initial window of a stream, in bytes.
	initialWindow = 64 << 10

	// storeWindow is the least window for a collected body that is stored in a file, in bytes.
	storeWindow = 1 << 20

	// storeMemory is the maximum size of a collected body in memory, in bytes. A longer body is stored in a file,
	// because a connection can have many bodies.
	storeMemory = 64 << 10

	// smallPiece is the size below which consecutive pieces of a streamed body are joined, in bytes.
	smallPiece = 4 << 10
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
	large    bool  // the body exceeded its first window
	received int64
	admitted bool // routing is complete, so it is known what happens to the body
	arriving bool // the body is being collected or streamed, and is incomplete
	unwanted bool // the rest of the body is discarded
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
	st.early, st.admitted = nil, true
	switch {
	case st.ended && len(early) == 0:
		st.submit(x)
	case !x.Admits(max(st.missing, 0) + int64(len(early))):
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
	c, r := st.c, x.Req
	s := c.s
	st.arriving, st.received = true, s.Set.Now
	length := st.missing
	if length >= 0 {
		length += int64(len(early))
	}
	st.body.Begin(x.MaxBody, length, s.Set.Now)
	expects := r.Parsed.Expect100 && len(early) == 0
	if a := x.Choice; a.Streams {
		st.body.Stream(x)
		st.body.Expects = expects
		r.Body, r.More, r.Size = early, true, length
		if err := st.body.Count(len(early), 0); err != nil {
			x.Refuse(st.body.Refused(s.Server, err))
			return
		}
		c.conn.Schedule()
		st.submit(x)
		if st.x != x {
			return
		}
		st.holdsGiven(x)
		if !a.Asks {
			st.askForBody(x)
		}
		return
	}
	st.body.Collect(x)
	if expects {
		st.sendContinue(x)
	}
	c.conn.Schedule()
	st.take(early, false)
	st.openWindow()
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
	st.unwanted, st.arriving, st.early = true, false, nil
	st.body.Arrived()
	st.body.Expects = false
	st.holds(0)
	if st.body.X != nil && !st.body.Streamed {
		st.body.Drop()
		st.body.X = nil
	}
}

func (st *stream) WantMore(x *exchange.Exchange) {
	if st.body.X == x && st.body.Streamed {
		st.holdsGiven(x)
	}
	if st.c.dead || !st.arriving {
		return
	}
	switch {
	case st.body.X != x:
	case st.body.Waits():
		if err := st.body.Spill(); err != nil {
			st.refuseBody(st.body.Refused(st.c.s.Server, err))
			return
		}
		st.holds(int64(st.body.InMemory()))
	default:
		st.askForBody(x)
	}
	if x.Outstanding.Low() {
		st.openWindow()
	}
}

func (st *stream) openWindow() {
	switch {
	case st.body.Waits():
		st.pause()
		return
	case st.body.InFile():
		st.target = max(st.target, storeWindow)
	case st.body.Streamed:
		if st.x == nil || !st.x.Outstanding.Low() {
			st.pause()
			return
		}
	}
	if st.body.Paused {
		st.resume()
	}
	st.growWindow(st.target - st.window)
}

func (st *stream) growWindow(grow int64) {
	if grow < min(st.target/2, usualUpdate) || st.ended {
		return
	}
	st.window += grow
	st.large = true
	st.c.frames().WriteWindowUpdate(st.id, uint32(grow))
}

// takesInput reports whether the input of st does not wait for its handler.
func (st *stream) takesInput() bool {
	switch {
	case st.bytes != nil:
		return len(st.bytes.in) == 0
	case st.body.Streamed:
		return st.x != nil && st.x.Outstanding.Low()
	}
	return st.body.InFile()
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
	if st.large && st.target < int64(c.s.cfg.MaxWindow) {
		c.measure()
	}
	st.arrived += int64(len(piece))
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
	case st.unwanted:
	case !st.admitted:
		st.early = append(st.early, piece...)
		st.holds(int64(len(st.early)))
	case !st.arriving:
	case st.body.Streamed:
		st.feed(piece, last)
	default:
		st.take(piece, last)
	}
}

func (st *stream) take(piece []byte, last bool) {
	s := st.c.s
	err := st.body.Count(len(piece), max(st.missing, 0))
	if err == nil {
		memory := min(s.Config.SpoolSize, storeMemory)
		if !st.c.mayHold(len(piece)) {
			memory = 0
		}
		err = st.body.Store(piece, memory)
		st.holds(int64(st.body.InMemory()))
	}
	switch {
	case err != nil:
		st.refuseBody(st.body.Refused(s.Server, err))
	case last:
		st.arriving = false
		x := st.x
		st.body.End()
		st.body.X = nil
		st.submit(x)
	default:
		st.openWindow()
	}
}

func (st *stream) feed(piece []byte, last bool) {
	s, x := st.c.s, st.x
	if err := st.body.Count(len(piece), max(st.missing, 0)); err != nil {
		st.refuseBody(st.body.Refused(s.Server, err))
		return
	}
	if len(piece) == 0 && !last {
		return
	}
	st.arriving, st.body.Expects = !last, false
	if last {
		st.body.Arrived()
	}
	// If the handler now has enough input, the window opens only when the handler has used some input.
	st.body.Feed(piece, last)
	if st.x != x {
		return
	}
	st.holdsGiven(x)
	if st.arriving {
		st.openWindow()
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

// holdsGiven calls holds with the number of input bytes that the handler of x has not returned (OpCredit). A number
// below an eighth of exchange.InputWindow is treated as 0, because the handler may already have used these bytes.
func (st *stream) holdsGiven(x *exchange.Exchange) {
	n := int64(x.Outstanding)
	if n < exchange.InputWindow/8 {
		n = 0
	}
	st.holds(n)
}

// refuseBody answers the exchange of st with r, while its body is arriving. If a response has already begun, refuseBody
// resets the stream.
func (st *stream) refuseBody(r exchange.Reply) {
	x, streamed := st.x, st.body.Streamed
	st.drop()
	switch {
	case !streamed:
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
	if !st.arriving || st.body.Paused || st.window <= 0 || st.body.Expects {
		return false
	}
	if st.c.inflow.blocks(now, int64(cfg.BodyTimeout)) {
		return false
	}
	return now-st.received > int64(cfg.BodyTimeout)+tick || st.body.TooSlow(now, cfg.BodyTimeout, cfg.BodyRate)
}
