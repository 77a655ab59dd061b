package http2

import (
	"golang.org/x/net/http2"

	"fapws/runtime/exchange"
)

const (
	// initialWindow is what a client may send of a body before it is told more. Before it has heard of that, it may send a byte less.
	initialWindow = 64 << 10

	// storeWindow is the window of a body that is collected, once it is in a file.
	storeWindow = 1 << 20

	// storeMemory is how many of its bytes are kept in memory: a connection may have many such bodies. A longer one goes to a file.
	storeMemory = 64 << 10

	// smallPiece is the size below which pieces of a streamed body are moved together, as far as they have come at once.
	smallPiece = 4 << 10
)

// incoming is the body of a stream's request.
type incoming struct {
	body     exchange.Body
	early    []byte // what has come before it was decided who gets it
	missing  int64  // bytes that were announced and have not come; below 0: nothing was announced
	window   int64  // bytes that the client may send
	held     int64  // bytes in memory: see holds
	target   int64  // what window becomes when it is opened
	received int64  // time of the last bytes
	admitted bool   // it was decided who gets the body
	arriving bool   // it is collected or streamed, and not whole
	unwanted bool   // nothing takes the rest
	ended    bool   // nothing more comes
}

// Read implements exchange.Stream.
func (st *stream) Read(x *exchange.Exchange) {
	switch {
	case !x.Deciding():
		st.readMore(x)
	case x.Choice == nil:
		st.drop()
	case st.extended: // the input is of the other protocol
		st.submit(x)
	default:
		st.admit(x)
	}
}

// admit has the body of x go to its Choice.
func (st *stream) admit(x *exchange.Exchange) {
	c, r := st.c, x.Req
	s := c.s
	st.admitted = true
	early := st.early
	st.early = nil
	switch {
	case st.ended && len(early) == 0:
		st.submit(x)
		return
	case !x.Admits(max(st.missing, 0) + int64(len(early))):
		return
	case st.ended:
		r.Body, r.Size = early, int64(len(early))
		st.submit(x)
		return
	}
	st.arriving, st.received = true, s.Set.Now
	st.body.Begin(x.MaxBody, s.Set.Now)
	expects := r.Parsed.Expect100 && len(early) == 0
	if a := x.Choice; a.Streams {
		st.body.Stream(x)
		st.body.Expects = expects
		r.Body, r.More, r.Size = early, true, st.missing
		if r.Size >= 0 {
			r.Size += int64(len(early))
		}
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

// askForBody sends 100 Continue to a client that waits for it. The time of the body begins then.
func (st *stream) askForBody(x *exchange.Exchange) {
	if st.body.Expects {
		st.received = st.c.s.Set.Now
		st.body.Asked(st.received)
		st.sendContinue(x)
	}
}

// drop has the rest of the body thrown away. The stream is reset behind its response if the body has not ended then.
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

// readMore has the client send more of the body of x.
func (st *stream) readMore(x *exchange.Exchange) {
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
	if x.Takes() {
		st.openWindow()
	}
}

// openWindow lets the client send more, if that is worth a frame.
func (st *stream) openWindow() {
	c := st.c
	switch {
	case st.body.Waits():
		st.pause()
		return
	case st.body.InFile():
		st.target = storeWindow
	case st.body.Streamed:
		if st.x == nil || !st.x.Takes() {
			st.pause()
			return
		}
		if st.x.Given() == 0 && st.window < st.target/2 {
			st.target = min(2*st.target, int64(c.s.cfg.MaxWindow))
		}
	}
	if st.body.Paused {
		st.resume()
	}
	st.growWindow(st.target - st.window)
}

// growWindow lets the client send so many bytes more, if that is worth a frame.
func (st *stream) growWindow(grow int64) {
	if grow < st.target/2 || st.ended {
		return
	}
	st.window += grow
	st.c.frames().WriteWindowUpdate(st.id, uint32(grow))
}

// pause notes that the client cannot send what it has to, if that is so.
func (st *stream) pause() {
	if st.window <= 0 && !st.body.Paused {
		st.body.Pause(st.c.s.Set.Now)
	}
}

// resume ends what pause, or Body.Pause, has begun.
func (st *stream) resume() {
	now := st.c.s.Set.Now
	st.body.Resume(now)
	st.received = now
}

// onData takes a piece of a body (RFC 9113 §6.1).
func (c *Conn) onData(f *http2.DataFrame) {
	size := int64(f.Length)
	c.inflow.moved = true
	if c.inflow.window -= size; c.inflow.window < 0 {
		c.fail(http2.ErrCodeFlowControl, "more data than the window has")
		return
	}
	if len(f.Data()) == 0 && !f.StreamEnded() {
		if c.spend(costEmpty); c.dead {
			return
		}
	}
	st := c.streams[f.StreamID]
	switch {
	case st == nil && c.unopened(f.StreamID):
		c.fail(http2.ErrCodeProtocol, "data of no stream")
		return
	case st == nil:
		if c.spend(costUpdate); !c.dead && f.StreamID <= c.last && !c.wasReset(f.StreamID) {
			c.breach(f.StreamID, http2.ErrCodeStreamClosed)
		}
		return
	case st.ended:
		c.breach(st.id, http2.ErrCodeStreamClosed)
		return
	}
	if st.window -= size; st.window < 0 {
		c.breach(st.id, http2.ErrCodeFlowControl)
		return
	}
	data := f.Data()
	if pad := size - int64(len(data)); pad > 0 { // it is never given to anybody
		st.window += pad
		c.frames().WriteWindowUpdate(st.id, uint32(pad))
	}
	if st.missing >= 0 {
		if st.missing -= int64(len(data)); st.missing < 0 {
			c.breach(st.id, http2.ErrCodeProtocol)
			return
		}
	}
	if st.body.Streamed && st.arriving && len(data) < smallPiece && !f.StreamEnded() {
		if c.gather != st || len(c.gathered)+len(data) > smallPiece {
			c.feedGathered()
		}
		c.gather, c.gathered = st, append(c.gathered, data...)
		return
	}
	c.feedGathered()
	st.receive(data, f.StreamEnded())
}

// feedGathered delivers the small pieces that were gathered.
func (c *Conn) feedGathered() {
	st := c.gather
	if st == nil {
		return
	}
	c.gather = nil
	piece := c.gathered
	c.gathered = nil // the source may close the connection
	if len(piece) > 0 {
		st.receive(piece, false)
	}
	c.gathered = piece[:0]
	if len(c.streams) == 0 {
		c.gathered = nil
	}
}

// receive takes the next piece of the body, and its end.
func (st *stream) receive(piece []byte, last bool) {
	c := st.c
	st.received = c.s.Set.Now
	if last {
		st.ended = true
		if st.missing > 0 { // RFC 9113 §8.1.1
			c.breach(st.id, http2.ErrCodeProtocol)
			return
		}
	}
	switch {
	case st.bytes != nil && !st.extended: // the rest of a request
	case st.bytes != nil:
		st.bytes.receive(piece)
	case st.x == nil && last: // its response has ended before
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

// take stores a piece of a body that is collected.
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

// feed delivers a piece of a body that is streamed.
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
	x.Feed(piece, last) // its window is not opened before it takes more
	if st.x != x {
		return
	}
	st.holdsGiven(x)
	if st.arriving {
		st.openWindow()
	}
}

// refuseBody ends the exchange of st, whose body is arriving, with r or, if its response has begun, with a reset.
func (st *stream) refuseBody(r exchange.Reply) {
	x, streamed := st.x, st.body.Streamed
	st.drop()
	switch {
	case !streamed:
		x.Sink.Reply(r)
	case x.Out.Begun:
		st.c.resetStream(st, http2.ErrCodeCancel)
	default:
		x.FailWith(r)
	}
}

// late reports whether the body of st comes too slowly.
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
