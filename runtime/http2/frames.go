package http2

import (
	"encoding/binary"
	"errors"
	"slices"

	"golang.org/x/net/http2"
)

const (
	// RFC 9113 §6.9.1
	maxWindow = 1<<31 - 1

	// http2InitialWindow is the initial window of a connection, and of streams before settings change it (RFC 9113
	// §6.9.2).
	http2InitialWindow = 64<<10 - 1
)

func (c *Conn) read(frame []byte) {
	s := c.s
	s.input.Reset(frame)
	f, err := s.framer.ReadFrame()
	h := http2.FrameHeader{Type: http2.FrameType(frame[3]), Flags: http2.Flags(frame[4]),
		StreamID: binary.BigEndian.Uint32(frame[5:]) &^ (1 << 31)}
	switch {
	case !c.settled && (h.Type != http2.FrameSettings || h.Flags.Has(http2.FlagSettingsAck)): // RFC 9113 §3.4
		c.fail(http2.ErrCodeProtocol, "no settings")
		return
	// RFC 9113 §6.2, §6.10
	case (c.arrives != nil) != (h.Type == http2.FrameContinuation) || c.arrives != nil && h.StreamID != c.arrives.id:
		c.fail(http2.ErrCodeProtocol, "a header block was interrupted")
		return
	case err != nil:
		c.malformed(h, err)
		return
	}
	if h.Type != http2.FrameData && c.gather != nil {
		c.feedGathered()
	}
	switch f := f.(type) {
	case *http2.DataFrame:
		c.onData(f)
	case *http2.HeadersFrame:
		c.onHeaders(f)
	case *http2.ContinuationFrame:
		c.onFragment(f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.PriorityFrame:
		c.charge(costUpdate)
		if f.StreamDep == f.StreamID { // RFC 7540 §5.3.1
			c.protocolError(f.StreamID, http2.ErrCodeProtocol)
		}
	case *http2.RSTStreamFrame:
		c.onReset(f)
	case *http2.SettingsFrame:
		c.onSettings(f)
	case *http2.PushPromiseFrame: // RFC 9113 §8.4
		c.fail(http2.ErrCodeProtocol, "a client pushes nothing")
	case *http2.PingFrame:
		c.onPing(f)
	case *http2.GoAwayFrame:
		c.charge(costEmpty)
	case *http2.WindowUpdateFrame:
		c.onWindowUpdate(f)
	case *http2.PriorityUpdateFrame:
		c.charge(costUpdate)
		c.onPriorityUpdate(f)
	case *http2.UnknownFrame:
		c.charge(costUpdate)
	}
}

func (c *Conn) malformed(h http2.FrameHeader, err error) {
	var stream http2.StreamError
	switch {
	case !errors.As(err, &stream):
		c.fail(codeOf(err), "a malformed frame")
	// the block was not decoded, so the dynamic table would be wrong for later blocks (RFC 9113 §4.3)
	case h.Type == http2.FrameHeaders:
		c.fail(stream.Code, "a malformed header block")
	case c.unopened(h.StreamID):
		c.fail(stream.Code, "a malformed frame of no stream")
	default:
		c.protocolError(h.StreamID, stream.Code)
	}
}

// codeOf returns the code of a connection error, or PROTOCOL_ERROR for all other errors.
func codeOf(err error) http2.ErrCode {
	var connection http2.ConnectionError
	if errors.As(err, &connection) {
		return http2.ErrCode(connection)
	}
	return http2.ErrCodeProtocol
}

// unopened reports whether the client has not opened the stream.
func (c *Conn) unopened(id uint32) bool { return id > c.last && c.leaving != refuses }

// charge takes points from the budget of c, and ends c if the budget is exhausted.
func (c *Conn) charge(points int64) {
	if !c.budget.charge(points, c.s.Set.Now) {
		c.failForFlood()
	}
}

func (c *Conn) failForFlood() {
	c.fail(http2.ErrCodeEnhanceYourCalm, "too many frames without progress")
}

// onSettings follows RFC 9113 §6.5.
func (c *Conn) onSettings(f *http2.SettingsFrame) {
	if f.IsAck() {
		c.charge(costEmpty)
		return
	}
	if c.settled {
		if c.charge(costSettings); c.dead {
			return
		}
	}
	c.settled = true
	initial := c.initial
	err := f.ForeachSetting(func(set http2.Setting) error {
		if err := set.Valid(); err != nil {
			return err
		}
		switch set.ID {
		case http2.SettingHeaderTableSize:
			c.resized = true
		case http2.SettingMaxFrameSize:
			c.frame = min(int(set.Val), maxFrame)
		case http2.SettingInitialWindowSize:
			initial = int64(set.Val)
		}
		return nil
	})
	if err == nil {
		// If the frame contains the setting several times, the windows are resized once, for the last value.
		err = c.resize(initial)
	}
	if err != nil {
		c.fail(codeOf(err), "an invalid setting")
		return
	}
	c.frames().WriteSettingsAck()
}

// resize follows RFC 9113 §6.9.2.
func (c *Conn) resize(initial int64) error {
	grow := initial - c.initial
	if grow == 0 {
		return nil
	}
	c.initial = initial
	for _, st := range c.streams {
		if st.credit += grow; st.credit > maxWindow {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
		if st.credit <= 0 {
			c.queue.dequeue(st)
		} else {
			c.queue.enqueue(st)
		}
	}
	return nil
}

func (c *Conn) onPing(f *http2.PingFrame) {
	if f.IsAck() {
		if c.leaving == notified && f.Data == leavingPing {
			c.refuse(true)
			return
		}
		if c.inflow.measuring && f.Data == windowPing {
			c.tuneWindows()
			return
		}
		c.charge(costEmpty)
		return
	}
	if c.charge(costPing); c.dead {
		return
	}
	c.frames().WritePing(true, f.Data)
}

func (c *Conn) onReset(f *http2.RSTStreamFrame) {
	if c.unopened(f.StreamID) {
		c.fail(http2.ErrCodeProtocol, "a reset of no stream")
		return
	}
	st := c.streams[f.StreamID]
	if c.charge(costReset); c.dead || st == nil {
		return
	}
	c.forget(st)
	st.abandon()
}

// onWindowUpdate follows RFC 9113 §6.9.
func (c *Conn) onWindowUpdate(f *http2.WindowUpdateFrame) {
	if !c.budget.updated(c.s.Set.Now) {
		c.failForFlood()
		return
	}
	if f.StreamID == 0 {
		if c.credit += int64(f.Increment); c.credit > maxWindow {
			c.fail(http2.ErrCodeFlowControl, "the window of the connection is too large")
			return
		}
		c.sent = c.s.Set.Now
		c.pump()
		return
	}
	if c.unopened(f.StreamID) {
		c.fail(http2.ErrCodeProtocol, "an update of no stream")
		return
	}
	st := c.streams[f.StreamID]
	if st == nil {
		return
	}
	if st.credit += int64(f.Increment); st.credit > maxWindow {
		c.protocolError(st.id, http2.ErrCodeFlowControl)
		return
	}
	if st.credit > 0 {
		c.queue.enqueue(st)
		c.pump()
	}
}

// onPriorityUpdate changes the priority of an open stream, or records the priority for a stream that is not open yet
// (RFC 9218 §7.1).
func (c *Conn) onPriorityUpdate(f *http2.PriorityUpdateFrame) {
	id := f.PrioritizedStreamID
	st := c.streams[id]
	switch {
	case id%2 == 0:
		c.fail(http2.ErrCodeProtocol, "a priority of no stream")
		return
	case st == nil && id <= c.last || len(f.Priority) > 250:
		return
	}
	var p priority
	p.parse(f.Priority)
	if st != nil {
		c.queue.reprioritize(st, p)
	} else {
		c.queue.expect(id, p)
	}
}

// onData follows RFC 9113 §6.1.
func (c *Conn) onData(f *http2.DataFrame) {
	size := int64(f.Length)
	c.inflow.moved = true
	if c.inflow.window -= size; c.inflow.window < 0 {
		c.fail(http2.ErrCodeFlowControl, "more data than the window has")
		return
	}
	if len(f.Data()) == 0 && !f.StreamEnded() {
		if c.charge(costEmpty); c.dead {
			return
		}
	}
	st := c.streams[f.StreamID]
	switch {
	case c.unopened(f.StreamID):
		c.fail(http2.ErrCodeProtocol, "data of no stream")
		return
	case st == nil:
		if c.charge(costUpdate); !c.dead && f.StreamID <= c.last && !slices.Contains(c.reset, f.StreamID) {
			c.protocolError(f.StreamID, http2.ErrCodeStreamClosed)
		}
		return
	case st.ended:
		c.protocolError(st.id, http2.ErrCodeStreamClosed)
		return
	}
	if st.window -= size; st.window < 0 {
		c.protocolError(st.id, http2.ErrCodeFlowControl)
		return
	}
	data := f.Data()
	if pad := size - int64(len(data)); pad > 0 { // return the padding to the window: no source receives it
		st.window += pad
		c.frames().WriteWindowUpdate(st.id, uint32(pad))
	}
	if st.missing >= 0 {
		if st.missing -= int64(len(data)); st.missing < 0 {
			c.protocolError(st.id, http2.ErrCodeProtocol)
			return
		}
	}
	if least := st.leastPiece(); len(data) < least && !f.StreamEnded() {
		if c.gather != st || len(c.s.gathered)+len(data) > least {
			c.feedGathered()
		}
		c.gather, c.s.gathered = st, append(c.s.gathered, data...)
		return
	}
	c.feedGathered()
	st.receive(data, f.StreamEnded())
}

func (c *Conn) feedGathered() {
	st := c.gather
	if st == nil {
		return
	}
	piece := c.s.gathered
	c.gather, c.s.gathered = nil, nil // receive may close the connection, or call a handler
	if len(piece) > 0 {
		st.receive(piece, false)
	}
	c.s.gathered = piece[:0]
}

// onHeaders follows RFC 9113 §6.2.
func (c *Conn) onHeaders(f *http2.HeadersFrame) {
	id, use := f.StreamID, ofRequest
	st := c.streams[id]
	switch {
	case id%2 == 0:
		c.fail(http2.ErrCodeProtocol, "a client opens streams with odd numbers")
		return
	case st != nil && st.ended:
		c.fail(http2.ErrCodeStreamClosed, "a head behind the end of its stream")
		return
	case st != nil:
		use = ofTrailers
	case id <= c.last && !slices.Contains(c.reset, id):
		c.fail(http2.ErrCodeStreamClosed, "a head for a stream that has ended")
		return
	case id <= c.last || c.leaving == refuses:
		use = ofNothing
	}
	if f.HasPriority() && f.Priority.StreamDep == id { // RFC 7540 §5.3.1
		if st == nil {
			c.last = max(c.last, id)
		}
		c.protocolError(id, http2.ErrCodeProtocol)
		use = ofNothing
	}
	switch use {
	case ofRequest:
		c.last = id
	case ofNothing:
		if c.charge(costEmpty); c.dead {
			return
		}
	}
	b := c.s.spare
	if c.s.spare = nil; b == nil {
		b = newHeaderBlock()
	}
	b.begin(id, use, f.StreamEnded(), c.s.maxList)
	c.decoder.SetEmitFunc(b.emit)
	c.arrives = b
	c.onFragment(f.HeaderBlockFragment(), f.HeadersEnded())
}

func (c *Conn) onFragment(fragment []byte, last bool) {
	s, b := c.s, c.arrives
	if b.frames++; b.frames == 1 {
		b.since = s.Set.Now
		if !last {
			c.conn.Schedule()
		}
	} else if len(fragment) < maxFrame/2 {
		c.charge(costEmpty)
	}
	if b.coded += len(fragment); b.coded > s.maxBlock {
		c.fail(http2.ErrCodeEnhanceYourCalm, "a header block is too large")
	}
	if c.dead {
		return
	}
	_, err := c.decoder.Write(fragment)
	if err == nil && last {
		err = c.decoder.Close()
	}
	if err != nil {
		c.fail(http2.ErrCodeCompression, "a malformed header block")
		return
	}
	if !last {
		if !c.countBlock() {
			c.fail(http2.ErrCodeEnhanceYourCalm, "the client has its share of unfinished header blocks")
		}
		return
	}
	c.arrives = nil
	if c.block > 0 {
		c.countBlock()
	}
	switch st := c.streams[b.id]; {
	case b.use == ofRequest:
		c.open(b)
	case b.use == ofNothing || st == nil:
	case b.Fault != "" || !b.end: // invalid trailers (RFC 9113 §8.1)
		c.protocolError(st.id, http2.ErrCodeProtocol)
	default:
		st.receive(nil, true)
	}
	s.spare = b
}

// countBlock counts a large incomplete header block in Server.heads. If the client would exceed its share, countBlock
// returns false and does not count the block.
func (c *Conn) countBlock() bool {
	n := int64(0)
	if b := c.arrives; b != nil {
		// The HPACK decoder may keep an incomplete field in a buffer that is twice as large as the field.
		if n = int64(2*b.coded + b.Held()); n <= 2*smallHead {
			n = 0
		}
	}
	grows, heads := n-c.block, &c.s.heads
	switch {
	case grows == 0:
		return true
	case grows > 0 && heads.Free(c.inflow.client) < grows:
		return false
	}
	heads.Add(c.inflow.client, grows)
	c.block = n
	return true
}
