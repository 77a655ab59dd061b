package conn

import (
	"sort"
	"strconv"
	"time"

	"fapws/runtime/eventloop"
	"fapws/runtime/logfile"
)

// Set holds the connections of an event loop. The fields from Events to Cached must be set before connections are
// opened.
type Set struct {
	Events       *eventloop.Loop
	Log          func(level logfile.Level, format string, args ...any)
	Debug        int
	WriteTimeout time.Duration // a client that reads nothing for this long is disconnected
	Cached       func(file int, offset int64) bool

	Start time.Time
	// time of the last SetTime in nanoseconds since Start; may be a tick behind the real time
	Now      int64
	Unsent   Ledger
	gathered // gathered output of connections with sockets (see Conn.Use)

	unix  int64
	wheel eventloop.Wheel[Conn]
	again []*Conn
	soon  []soon
	input []byte
	// spare buffers for input
	inputs [][]byte
	// buffer for pieces of files, used if a connection has a transport or sendfile does not work; nil until first used
	file []byte

	copies  bool
	refused []error
	faults  logfile.Faults

	spare [][]byte

	// candidates of CloseIdlest; the last one has been idle longest
	idle   []idleConn
	idleAt int64 // value of Now when the slice idle was made

	carried gathered // gathered output of a virtual connection
	iov     vector
}

func (s *Set) Init() {
	s.Cached = cached
	s.Unsent.Exceeded = func() {}
	s.spare = make([][]byte, 0, spareBuffers)
	s.Start = time.Now()
	s.SetTime(s.Start)
}

func (s *Set) SetTime(t time.Time) {
	s.Now = int64(t.Sub(s.Start))
	s.unix = t.Unix()
}

func (s *Set) Unix() int64 { return s.unix }

func (s *Set) SetReadSize(n int) { s.input = make([]byte, n) }

func (s *Set) ReadSize() int { return len(s.input) }

// All returns all connections in no particular order, including closed connections whose output is still being sent.
func (s *Set) All() []*Conn { return s.wheel.All() }

// Tick handles the deadlines that have passed, and must be called after SetTime, at least every eventloop.Tick.
func (s *Set) Tick() {
	for c := s.wheel.Next(s.Now); c != nil; c = s.wheel.Next(s.Now) {
		c.guarded((*Conn).due)
	}
}

func (s *Set) Drain(retire bool) {
	s.Each(func(p Protocol) { p.Drain(retire) })
}

func (s *Set) Each(f func(Protocol)) {
	for _, c := range s.All() {
		if !c.IsClosed() {
			c.guarded(func(c *Conn) { f(c.proto) })
		}
	}
}

func (s *Set) CloseAll(reason string) {
	for _, c := range s.All() {
		c.guarded(func(c *Conn) {
			c.Close(reason)
			c.Abort()
		})
	}
}

// Restamp corrects the timestamps of connections after the clock of the Set was late: it replaces timestamps after the
// time start, which are too early, by the time now.
func (s *Set) Restamp(start, now int64) {
	for _, c := range s.wheel.All() {
		if c.Stamp >= start {
			c.Stamp = max(c.Stamp, now)
		}
	}
}

func (s *Set) tracef(format string, args ...any) { s.Log(logfile.Debug, format, args...) }

func (s *Set) Tracef(format string, args ...any) {
	if s.Debug >= 2 {
		s.tracef(format, args...)
	}
}

const maxExcerpt = 512

func Excerpt(b []byte) string {
	if len(b) > maxExcerpt {
		return strconv.Quote(string(b[:maxExcerpt])) + "..."
	}
	return strconv.Quote(string(b))
}

// idler is a Protocol whose connection may be closed to make room for another client.
type idler interface {
	// If the connection waits for a request or for the rest of a head, idle is true, and start is the start of the
	// wait.
	Idle() (start int64, idle bool)
}

type idleConn struct {
	c     *Conn
	since int64
}

// idleGrace is how long a connection must be idle before it may be closed to make room for another client. The next
// request of a connection that has just become idle may be on its way.
const idleGrace = int64(time.Second)

// CloseIdlest closes the connection that has been idle for longest, if any, to make room for another client.
func (s *Set) CloseIdlest() {
	if len(s.idle) == 0 && s.Now-s.idleAt >= tick {
		s.findIdle()
	}
	for len(s.idle) > 0 {
		last := len(s.idle) - 1
		c, was := s.idle[last].c, s.idle[last].since
		s.idle[last], s.idle = idleConn{}, s.idle[:last]
		if since, idle := idleSince(c); idle && since == was && !c.HasUnreadInput() {
			c.proto.Drain(false)
			s.Flush()
			c.Close("another client gets its place")
			return
		}
	}
	s.idle = nil
}

func (s *Set) findIdle() {
	s.idleAt = s.Now
	for _, c := range s.All() {
		if since, idle := idleSince(c); idle && s.Now-since >= idleGrace {
			s.idle = append(s.idle, idleConn{c, since})
		}
	}
	sort.Slice(s.idle, func(i, j int) bool { return s.idle[i].since > s.idle[j].since })
}

func idleSince(c *Conn) (start int64, idle bool) {
	if p, ok := c.proto.(idler); ok && !c.IsClosed() {
		return p.Idle()
	}
	return 0, false
}
