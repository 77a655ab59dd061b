package http2

import (
	"encoding/binary"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"fapws/runtime/conn"
	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
)

const (
	// maxFrame is the maximum payload of a frame from a client, in bytes: the smallest maximum that the protocol
	// allows.
	maxFrame = 16 << 10

	// frameHeader is the size of a frame without its payload.
	frameHeader = 9

	tableSize = 4 << 10

	// maxLate limits the waiting control frames (Conn.late), in bytes. Above this limit, the server does not read from
	// the connection.
	maxLate = 64 << 10

	// turnBytes is the maximum cost of a turn (Conn.used), in bytes.
	turnBytes = 1 << 20

	// turnFrame is the minimum cost of a sent or received frame, in bytes. turnStream is the additional cost of a
	// request, because a client can send thousands of small requests at once.
	turnFrame  = 2 << 10
	turnStream = 14 << 10
)

// A Conn is an HTTP/2 connection. It may be used only on the event loop.
type Conn struct {
	s      *Server
	client *exchange.Client
	conn   *conn.Conn

	streams map[uint32]*stream
	last    uint32 // number of the last stream that the client has opened
	// numbers of streams that the server reset recently, for which the client may still send frames
	reset []uint32

	decoder *hpack.Decoder
	arrives *headerBlock // the incomplete header block; nil if none
	// bytes of the incomplete header block that are counted in Server.heads
	block int64
	// the client has changed its maximum HPACK table size, so the next header block must again announce size 0
	resized bool

	queue   sendQueue
	late    []byte  // frames that wait until the transfer of earlier output has ended
	credit  int64   // send window of the connection
	initial int64   // initial send window of a stream
	frame   int     // maximum payload of a frame to the client
	inflow  inflow  // receive window of the connection
	sent    int64   // time of the last DATA frame sent
	gather  *stream // stream whose pieces of the request body are in Server.gathered, until Input ends
	// semaphore for the goroutines that read files; nil before the first goroutine
	loads chan struct{}
	// numbers of streams whose responses are delayed until less output waits for the client
	delayed []uint32
	resumed uint32 // number of the last stream whose delayed response has begun
	budget  budget
	// cost of the current turn: the sent bytes, plus turnFrame for each frame, plus turnStream for each request (see
	// yield)
	used int

	settled bool
	pumping bool
	leaving leaving
	dead    bool
	closed  bool
}

type leaving uint8

const (
	stays leaving = iota
	// the server has announced the end of the connection (GOAWAY), but still accepts requests
	notified
	// the server has announced the last accepted stream, and ignores later streams
	refuses
)

func (c *Conn) Input(data []byte) {
	switch {
	case c.dead:
		c.conn.Linger = c.conn.Linger || len(data) > 0
		c.conn.DropInput()
	case len(c.conn.Pending()) == 0:
		if c.used < turnBytes { // the last turn was not interrupted by yield
			c.used = 0
		}
		if n := c.consume(data); n < len(data) && !c.dead {
			c.conn.Keep(data[n:])
		}
	default:
		c.conn.Keep(data)
		if n := c.consume(c.conn.Pending()); c.dead {
			c.conn.DropInput()
		} else {
			c.conn.Consume(n)
			if c.conn.Paused() && len(c.conn.Pending()) < frameHeader+maxFrame {
				c.conn.Unpause()
			}
		}
	}
	if c.gather != nil {
		c.feedGathered()
	}
	if in := &c.inflow; in.moved || in.window <= in.opened/2 {
		c.openWindow()
	}
	c.pump()
	if c.used >= turnBytes {
		c.yield()
	}
	c.settle()
}

// consume handles the complete frames at the front of buf and returns their size in bytes.
func (c *Conn) consume(buf []byte) (n int) {
	for !c.dead && !c.closed {
		rest := buf[n:]
		if len(rest) < frameHeader {
			break
		}
		size := int(binary.BigEndian.Uint32(rest) >> 8)
		if size > maxFrame {
			c.fail(http2.ErrCodeFrameSize, "a frame is too large")
			break
		}
		if len(rest) < frameHeader+size {
			break
		}
		// c.late grows if the client does not read the answers to its control frames
		if len(c.late) > maxLate || c.used >= turnBytes {
			c.conn.Pause(conn.PauseForReset)
			break
		}
		n += frameHeader + size
		c.used += turnFrame
		c.read(rest[:frameHeader+size])
	}
	return n
}

func (c *Conn) pump() {
	if c.pumping || c.dead {
		return
	}
	c.pumping = true
	for c.credit > 0 && !c.conn.Writing() && !c.dead {
		st := c.queue.first()
		if st == nil {
			break
		}
		if c.used >= turnBytes {
			c.yield()
			break
		}
		before := c.credit
		if st.bytes != nil {
			st.bytes.room()
		} else {
			st.write()
		}
		c.used += max(int(before-c.credit), turnFrame)
		if len(c.s.Set.Buf) > conn.FlushLimit && c.conn.Gathers() {
			c.s.Set.Flush()
		}
	}
	c.pumping = false
}

// yield ends the turn of c, and must be called if the cost of the turn has reached turnBytes. yield queues empty
// output: after serving other connections, the loop calls Drained(true), which begins the next turn. After
// conn.Conn.Again, the loop would call Input before serving other connections.
func (c *Conn) yield() {
	if c.conn.Gathers() {
		c.s.Set.Flush()
	}
	if !c.closed && !c.conn.Writing() {
		c.conn.Queue(conn.Output{}, false)
	}
}

// output returns the buffer for frames: the gathered output or, during a transfer, c.late.
func (c *Conn) output() *[]byte {
	if c.conn.Writing() || c.closed {
		return &c.late
	}
	return c.conn.Use()
}

// frames returns a Framer that writes to the output of c, for frames other than HEADERS and DATA. The Framer is valid
// until the next call of a method of c. Its errors can be ignored, because callers write only valid frames.
func (c *Conn) frames() *http2.Framer {
	c.s.written.to = c.output()
	return c.s.framer
}

func (c *Conn) Drained(ended bool) {
	if !ended {
		c.settle()
		return
	}
	c.used = 0
	if len(c.late) > 0 {
		out := c.conn.Use()
		*out = append(*out, c.late...)
		c.late = nil
	}
	// Again makes the loop call Input, which processes the pending input and then resumes reading
	if len(c.conn.Pending()) > 0 {
		c.conn.Again()
	}
	c.pump()
	if !c.conn.Gathers() { // otherwise Drained(false) calls settle when the output is written
		c.settle()
	}
}

// EOF closes the connection, because a client that has shut down its sending side cannot open windows for responses.
func (c *Conn) EOF() (stays bool) { return false }

func (c *Conn) Closed() {
	c.s.Arrived(c.client)
	c.closed, c.dead = true, true
	c.share()
	for _, st := range c.streams {
		st.abandon()
	}
	c.late, c.arrives = nil, nil
	c.countBlock()
}

const tick = eventloop.Tick

const look = int64(time.Second)

// leavingPing is the content of the PING before the first GOAWAY. The client's answer to the PING arrives after almost
// all requests that the client sent before it received the GOAWAY. The PING precedes the GOAWAY because Python's h2
// reports an error if a PING follows a GOAWAY.
var leavingPing = [8]byte{'l', 'e', 'a', 'v', 'i', 'n', 'g'}

// fail ends c with a connection error (RFC 9113 §5.4.1).
func (c *Conn) fail(code http2.ErrCode, reason string) {
	if c.dead {
		return
	}
	if c.s.Set.Debug >= 1 {
		c.s.Set.Log(logfile.Debug, "%s: %v: %s", c.conn, code, reason)
	}
	c.frames().WriteGoAway(c.last, code, nil)
	c.dead, c.arrives = true, nil
	c.countBlock()
	for _, st := range c.streams {
		c.forget(st)
		st.abandon()
	}
	c.conn.Linger = true
	c.settle()
}

// Drain announces the end of the connection with two GOAWAY frames (RFC 9113 §6.8). Streams that the client has opened
// before it received the first of them are served.
//
// A client that has been silent since its last request always gets a single GOAWAY. If its next request crosses this
// GOAWAY, the client retries the request. Python's httpx reads frames only when it sends its next request, and would
// not retry this request after two GOAWAYs. A connection that closes for another client (conn.Set.CloseIdlest) also
// gets a single GOAWAY.
func (c *Conn) Drain(retire bool) {
	silent := c.last > 0 && len(c.streams) == 0 && c.s.Set.Now-c.conn.Stamp > look && !c.conn.HasUnreadInput()
	switch {
	case c.dead || c.leaving == refuses:
		return
	case !retire && c.s.End < exchange.Leaving || silent:
		c.refuse(false)
	case c.leaving == stays:
		c.leaving = notified
		c.frames().WritePing(false, leavingPing)
		c.frames().WriteGoAway(maxWindow, http2.ErrCodeNo, nil)
		c.conn.Stamp = c.s.Set.Now
	}
	c.conn.Schedule()
	c.settle()
}

// refuse tells the client the number of the last stream that the server processes, and closes an idle connection. The
// connection lingers before it closes, because the client may still send. At a stop of the server, the connection
// lingers only briefly, unless answered is true.
func (c *Conn) refuse(answered bool) {
	c.leaving = refuses
	c.frames().WriteGoAway(c.last, http2.ErrCodeNo, nil)
	c.dead = len(c.streams) == 0
	c.conn.Linger = true
	c.conn.Brief = c.s.End >= exchange.Leaving && !answered && len(c.conn.Pending()) == 0
	c.settle()
}

func (c *Conn) settle() {
	if len(c.delayed) > 0 {
		c.beginDelayed()
	}
	switch {
	case c.closed || c.conn.Writing() || c.conn.Gathers() || len(c.late) > 0:
	case c.dead:
		c.conn.Finish()
	case c.leaving == refuses && len(c.streams) == 0:
		c.dead, c.conn.Linger = true, true
		c.conn.Finish()
	}
}

// deadline returns the time of the next check of c, and the function to call at this time.
func (c *Conn) deadline() (moment int64, expire func()) {
	now, cfg := c.s.Set.Now, &c.s.Config
	head := int64(cfg.HeadTimeout)
	if c.s.End == exchange.Draining {
		head = min(head, int64(cfg.KeepAlive))
	}
	switch {
	case c.dead: // a transfer of the remaining output has its own deadline
		return now + look, func() {}
	case !c.settled:
		return c.conn.Stamp + tick + head, func() {
			c.fail(http2.ErrCodeSettingsTimeout, "no settings")
		}
	case c.arrives != nil:
		return c.arrives.since + tick + head, func() {
			c.fail(http2.ErrCodeEnhanceYourCalm, "timed out waiting for the request")
		}
	}
	moment, expire = c.conn.Stamp+tick+int64(cfg.KeepAlive), func() { c.refuse(false) }
	if len(c.streams) > 0 {
		moment = now + max(look, int64(cfg.KeepAlive))
	}
	if c.leaving == notified { // the client may never acknowledge the PING
		moment = min(moment, c.conn.Stamp+tick+look)
	}
	for _, st := range c.streams {
		switch {
		case st.lingers(now) || st.late(now) || st.stalled(now):
			return now, c.expireStreams
		case st.bytes == nil: // A virtual connection has its own deadline.
			moment = min(moment, now+look)
		}
	}
	return moment, expire
}

func (c *Conn) Due() (next int64) {
	now := c.s.Set.Now
	at, expire := c.deadline()
	if at > now {
		return at
	}
	if c.conn.HasUnreadInput() {
		return now + tick
	}
	expire()
	if !c.closed {
		// other connections of the client may have given back a part of the client's share
		c.openWindow()
	}
	at, _ = c.deadline()
	return at
}

// If c has no stream, idle is true, and start is when this state began. An incomplete header block is not a stream.
func (c *Conn) Idle() (start int64, idle bool) {
	if c.arrives != nil {
		start = c.arrives.since
	} else {
		start = c.conn.Stamp
	}
	return start, len(c.streams) == 0 && c.client.Active == 0 && !c.conn.Writing()
}

func (c *Conn) expireStreams() {
	s, now := c.s, c.s.Set.Now
	for _, st := range c.streams {
		switch {
		case c.dead:
			return
		case st.lingers(now): // the server does not need the rest of the request (RFC 9113 §8.1)
			c.forget(st)
			c.writeReset(st.id, http2.ErrCodeNo)
		case st.late(now):
			st.refuseBody()
		case st.stalled(now):
			s.Set.Log(logfile.Info, "%s: stream closed after write timeout of %v", c.conn, s.Set.WriteTimeout)
			c.resetStream(st, http2.ErrCodeCancel)
		}
	}
}
