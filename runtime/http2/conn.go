package http2

import (
	"bytes"
	"cmp"
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
	// maxFrame is the size of the payload of a frame that a client may send: the smallest that it may be told.
	maxFrame = 16 << 10

	// frameHeader is the size of what comes before the payload.
	frameHeader = 9

	// tableSize is the size of the table of fields that clients have sent.
	tableSize = 4 << 10

	// maxLate bounds the frames that wait for a client which does not read: beyond it, it is not read from.
	maxLate = 64 << 10
)

// Conn is the protocol of a connection that speaks HTTP/2. It belongs to the event loop.
type Conn struct {
	s      *Server
	client *exchange.Client
	conn   *conn.Conn // of client

	streams map[uint32]*stream
	last    uint32   // number of the last stream that the client has opened
	working int      // exchanges that have not ended
	reset   []uint32 // streams that the server has reset lately: frames may still come for them

	decoder *hpack.Decoder
	arrives *headerBlock // the header block that is arriving, or nil
	block   int64        // bytes of it that are counted in Server.heads
	resized bool         // the client has set the size of the table of fields: the next header block says that it is empty

	expected map[uint32]priority  // of streams that are not open yet
	ready    [urgencies][]*stream // streams that have something to send, and a window for it, in the order of their turns
	late     []byte               // frames that wait until a transfer has ended
	credit   int64                // what the client takes of data, of all streams together
	initial  int64                // what it takes of a new stream
	frame    int                  // size of the payload of a frame that it takes
	inflow   inflow               // data that it may send
	sent     int64                // time when data was sent last
	gather   *stream              // small pieces of its body are in gathered
	gathered []byte
	loads    chan struct{} // has a value for each goroutine that reads a file; nil: none did yet
	delayed  []uint32      // streams whose responses wait until less waits for the client
	resumed  uint32        // the stream among them that has begun last
	budget   budget
	used     int // bytes that were sent in this turn, and what counts as such: see yield

	settled bool // its settings have come
	pumping bool // pump is on the stack
	leaving leaving
	dead    bool // nothing that comes counts any more
	closed  bool
}

// leaving is how far the end of a connection has come.
type leaving uint8

const (
	stays    leaving = iota
	notified         // the client was told that the connection ends; requests that were under way are taken
	refuses          // the client was told which request is the last one
)

// Begin has a connection speak HTTP/2, whose client has sent the preface: it was consumed.
func (s *Server) Begin(client *exchange.Client) {
	on := &client.Conn
	c := &Conn{s: s, client: client, conn: on}
	c.streams = make(map[uint32]*stream)
	c.decoder = hpack.NewDecoder(tableSize, s.emit)
	c.decoder.SetMaxStringLength(s.maxBlock)
	c.credit, c.initial, c.frame = http2InitialWindow, http2InitialWindow, maxFrame
	c.inflow = inflow{window: http2InitialWindow, opened: http2InitialWindow, client: client.Account()}
	c.budget.begin(s.cfg.MaxResets, s.Set.Now)
	on.Upgrade(c)
	on.Stamp = s.Set.Now
	c.frames().WriteSettings(
		http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: uint32(s.cfg.MaxStreams)},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: initialWindow},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: uint32(s.maxList)},
		http2.Setting{ID: settingNoPriorities, Val: 1},
		http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1},
	)
	on.Schedule()
	if s.End >= exchange.Leaving {
		c.Drain(s.End == exchange.Leaving)
	}
	c.Input(nil)
}

// settingNoPriorities says that the server does not use the priorities of RFC 7540 (RFC 9218 §2.1).
const settingNoPriorities http2.SettingID = 9

// Input implements conn.Protocol.
func (c *Conn) Input(data []byte) {
	switch {
	case c.dead:
		c.conn.Linger = c.conn.Linger || len(data) > 0
		c.conn.DropInput()
	case len(c.conn.Pending()) == 0:
		if c.used < turnBytes { // nothing is left of the turn before
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
	c.yield()
	c.settle()
}

// consume deals with the frames at the front of buf and returns how many bytes they have.
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
		if len(c.late) > maxLate || c.used >= turnBytes { // late: the client does not read what it asks for
			c.conn.Pause(conn.HeedReset)
			break
		}
		n += frameHeader + size
		c.used += turnFrame
		c.read(rest[:frameHeader+size])
	}
	return n
}

// output returns where frames go: to the output that is gathered or, while the connection has a transfer, to c.late.
func (c *Conn) output() *[]byte {
	if c.conn.Writing() || c.closed {
		return &c.late
	}
	return c.conn.Use()
}

// frames returns what writes a frame to the output of c, for all but heads and data. It is valid until the next call of a method, and its errors
// are those of frames that no server would write.
func (c *Conn) frames() *http2.Framer {
	c.s.written.to = c.output()
	return c.s.framer
}

// appender is an io.Writer that appends to a slice.
type appender struct{ to *[]byte }

func (a *appender) Write(b []byte) (int, error) {
	*a.to = append(*a.to, b...)
	return len(b), nil
}

// Room implements conn.Protocol.
func (c *Conn) Room(ended bool) {
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
	if len(c.conn.Pending()) > 0 { // Input reads on when it is nearly used
		c.conn.Again()
	}
	c.pump()
	if !c.conn.Gathers() { // else it is settled later
		c.settle()
	}
}

// EOF implements conn.Protocol. A client that has shut down its side has no use for responses: it could not open their windows.
func (c *Conn) EOF() (stays bool) { return false }

// Closed implements conn.Protocol.
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

// Config says what is different for HTTP/2.
type Config struct {
	MaxStreams int // streams of a connection, and requests of it that are worked on
	MaxResets  int // streams of a connection that its client may give up in a row: see budget
	MaxWindow  int // bytes of a body that is streamed, which its client may send ahead; at least 64 KiB

	// ConnectionWindow is how many bytes of bodies a client may send ahead on all streams together, and how many are kept in memory; at least 64 KiB.
	ConnectionWindow int

	// MaxUnread is how many bytes clients may have sent ahead on all connections together, above 64 KiB on each: see exchange.Shares. A client gets up
	// to a third. As many bytes may be in the heads of active requests that have more than 4 KiB. 0: twelve times ConnectionWindow.
	MaxUnread int64
}

// Server is what connections of HTTP/2 share. It belongs to the event loop.
type Server struct {
	*exchange.Server
	cfg    Config
	memory exchange.Shares // Config.MaxUnread
	heads  exchange.Shares // as much, for large heads

	maxList  int // SETTINGS_MAX_HEADER_LIST_SIZE
	maxBlock int // bytes of a header block, and of a name or value in it, before a connection is given up; longer ones than a head may have get 431

	input   bytes.Reader // the frame that is being read
	written appender     // where others are written to: see Conn.frames
	framer  *http2.Framer

	head       []byte         // memory of a request's head
	text       []byte         // memory of a response's head
	piece      [maxFrame]byte // that was read from a file
	block      []byte         // memory of a header block
	encoder    *hpack.Encoder // of lines; it writes into coded
	coded      bytes.Buffer
	known      [256]knownLine
	other      knownLine        // one that is too long to be kept
	spare      *headerBlock     // memory of the header block that is arriving
	ended      []*stream        // memory of streams
	parts      []*exchange.Part // memory of parts that were written
	spareInput []byte           // memory of byteStream.in
	emit       func(hpack.HeaderField)
	target     *headerBlock // of emit
}

// tick is how exact deadlines are, in nanoseconds.
const tick = eventloop.Tick

// Init makes s ready. of has what it shares with connections of HTTP/1.
func (s *Server) Init(of *exchange.Server) {
	s.Server = of
	s.framer = http2.NewFramer(&s.written, &s.input)
	s.framer.SetReuseFrames()
	s.framer.SetMaxReadFrameSize(maxFrame)
	s.framer.AllowIllegalReads = true // its order of frames is that of one connection, and this one reads for all
	s.makeEncoder()
	s.emit = func(f hpack.HeaderField) { s.target.add(f) }
}

// Configure sets how connections behave from now on.
func (s *Server) Configure(cfg Config) {
	s.cfg = cfg
	s.memory.Max = cmp.Or(cfg.MaxUnread, 12*int64(s.cfg.ConnectionWindow))
	s.heads.Max = s.memory.Max
	l := &s.Config.Limits
	s.maxList, s.maxBlock = l.Head+32*l.Fields, 4*l.Head
}

func (s *Server) tracef(format string, args ...any) { s.Set.Log(logfile.Debug, format, args...) }

// look is how often streams that wait for their client are looked at.
const look = int64(time.Second)

// lingerTimeout is how long a stream stays behind its response if its request has not ended: clients that are told at once to stop sending
// take that for an error, and lose the response. Its window is not opened any more.
const lingerTimeout = 2 * int64(time.Second)

// leavingPing is the content of the PING behind the first GOAWAY: requests that the client has sent before it had that come before its
// answer.
var leavingPing = [8]byte{'l', 'e', 'a', 'v', 'i', 'n', 'g'}

// fail ends c because of what its client has done (RFC 9113 §5.4.1).
func (c *Conn) fail(code http2.ErrCode, why string) {
	if c.dead {
		return
	}
	if c.s.Set.Debug >= 1 {
		c.s.tracef("%s: %v: %s", c.conn, code, why)
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

// Drain implements conn.Protocol: the client is told that no more requests are taken, in two steps if there is time (RFC 9113 §6.8).
func (c *Conn) Drain(retire bool) {
	switch {
	case c.dead || c.leaving == refuses:
		return
	case !retire:
		c.refuse()
	case c.leaving == stays:
		c.leaving = notified
		c.frames().WriteGoAway(maxWindow, http2.ErrCodeNo, nil)
		c.frames().WritePing(false, leavingPing)
		c.conn.Stamp = c.s.Set.Now
	}
	c.conn.Schedule()
	c.settle()
}

// refuse tells the client which stream is the last one that is answered. An idle connection closes then: one that was idle for too long when
// its client has heard that, because a request may be on its way; at the end of the server, which a client that is asleep must not hold up, at once.
func (c *Conn) refuse() {
	c.leaving = refuses
	c.frames().WriteGoAway(c.last, http2.ErrCodeNo, nil)
	c.dead = len(c.streams) == 0
	c.conn.Linger = c.s.End < exchange.Leaving
	c.settle()
}

// settle closes c if nothing more is to be sent.
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

// deadline returns when c has kept the server waiting for too long, or has to be looked at again, and what is to be done then.
func (c *Conn) deadline() (at int64, expire func()) {
	now, cfg := c.s.Set.Now, &c.s.Config
	switch {
	case c.dead: // what is left to do has a deadline of its own
		return now + look, func() {}
	case !c.settled:
		return c.conn.Stamp + tick + int64(cfg.HeadTimeout), func() { c.fail(http2.ErrCodeSettingsTimeout, "no settings") }
	case c.arrives != nil:
		return c.arrives.since + tick + int64(cfg.HeadTimeout), func() { c.fail(http2.ErrCodeEnhanceYourCalm, "timed out waiting for the request") }
	}
	at, expire = c.conn.Stamp+tick+int64(cfg.KeepAlive), c.refuse
	if len(c.streams) > 0 {
		at = now + max(look, int64(cfg.KeepAlive))
	}
	if c.leaving == notified { // perhaps it does not answer
		at = min(at, c.conn.Stamp+tick+look)
	}
	for _, st := range c.streams {
		switch {
		case st.lingers(now) || st.late(now) || st.stalled(now):
			return now, c.expireStreams
		case st.bytes == nil: // else it has a deadline of its own
			at = min(at, now+look)
		}
	}
	return at, expire
}

// Due implements conn.Protocol.
func (c *Conn) Due() (next int64) {
	now := c.s.Set.Now
	at, expire := c.deadline()
	if at > now {
		return at
	}
	if c.conn.Unread() {
		return now + tick
	}
	expire()
	if !c.closed {
		c.openWindow() // other connections of the client may have less
	}
	at, _ = c.deadline()
	return at
}

// Idle reports whether c has no stream, and since when. A header block that is not whole is none.
func (c *Conn) Idle() (since int64, idle bool) {
	if c.arrives != nil {
		since = c.arrives.since
	} else {
		since = c.conn.Stamp
	}
	return since, len(c.streams) == 0 && c.working == 0 && !c.conn.Writing()
}

// expireStreams ends streams whose clients have kept them waiting for too long.
func (c *Conn) expireStreams() {
	s, now := c.s, c.s.Set.Now
	for _, st := range c.streams {
		switch {
		case c.dead:
			return
		case st.lingers(now): // RFC 9113 §8.1: the rest of the request is not needed
			c.forget(st)
			c.writeReset(st.id, http2.ErrCodeNo)
		case st.late(now):
			st.refuseBody(st.body.TimedOut())
		case st.stalled(now):
			s.Set.Log(logfile.Info, "%s: stream closed after write timeout of %v", c.conn, s.Set.WriteTimeout)
			c.resetStream(st, http2.ErrCodeCancel)
		}
	}
}

// lingers reports whether the request of st, which was answered, should have ended by now.
func (st *stream) lingers(now int64) bool {
	return st.x == nil && st.bytes == nil && now-st.stamp > lingerTimeout
}

// stalled reports whether the client of st has kept a window closed for too long.
func (st *stream) stalled(now int64) bool {
	c := st.c
	limit := int64(c.s.Set.WriteTimeout) + tick
	switch {
	case !st.writing || st.loading || c.conn.Writing(): // a transfer has a timeout of its own
		return false
	case st.credit <= 0:
		return now-st.stamp > limit
	}
	return c.credit <= 0 && now-max(c.sent, st.stamp) > limit
}
