package conn

import (
	"cmp"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"fapws/runtime/eventloop"
	"fapws/runtime/logfile"
)

// Set is the connections of an event loop, with the state that they share. The fields of the first group are set
// before connections are opened.
type Set struct {
	Events       *eventloop.Loop
	Log          func(level logfile.Level, format string, args ...any)
	Debug        int           // 2 and more: Log gets events of connections, 3 and more: their data
	WriteTimeout time.Duration // a client that reads nothing for this long is disconnected
	Cached       func(file int, offset int64) bool

	Start    time.Time // of Init
	Now      int64     // the time in nanoseconds since Start, as SetTime has set it: it may be a tick late
	Unsent   Ledger    // responses that wait for clients
	gathered           // output of the connection of the last Use that is not virtual

	unix  int64 // seconds since 1970
	wheel eventloop.Wheel[Conn]
	again []*Conn  // those that may go on with their pending input
	soon  []func() // of Soon
	input []byte   // that connections are read into
	file  []byte   // that files are read into, for transports and without sendfile; nil: it was not needed yet

	copies  bool    // files are read and sent, because the system refuses sendfile
	refused []error // of sendfile, that were logged

	spare [][]byte // input buffers

	idle   []idleConn // of CloseIdlest; those that have been idle for longest are last
	idleAt int64      // Now when it was made

	carried gathered // output of a virtual connection
	iov     vector
}

// Init makes s ready.
func (s *Set) Init() {
	s.Cached = cached
	s.Unsent.Exceeded = func() {}
	s.spare = make([][]byte, 0, spareBuffers)
	s.Start = time.Now()
	s.SetTime(s.Start)
}

// SetTime sets the clock.
func (s *Set) SetTime(t time.Time) {
	s.Now = int64(t.Sub(s.Start))
	s.unix = t.Unix()
}

// Unix returns the time in seconds since 1970, as SetTime has set it.
func (s *Set) Unix() int64 { return s.unix }

// SetReadSize sets how many bytes of a connection are read at a time.
func (s *Set) SetReadSize(n int) { s.input = make([]byte, n) }

// ReadSize returns how many bytes of a connection are read at a time.
func (s *Set) ReadSize() int { return len(s.input) }

// All returns all connections in no particular order, also those that are closed and whose output has not left yet.
func (s *Set) All() []*Conn { return s.wheel.All() }

// Tick looks at the connections whose deadlines have passed. Call it when the clock was set, at least every eventloop.Tick.
func (s *Set) Tick() {
	for c := s.wheel.Next(s.Now); c != nil; c = s.wheel.Next(s.Now) {
		c.due()
	}
}

// Drain tells the protocols of all open connections that the server takes no more connections: see Protocol.
func (s *Set) Drain(retire bool) {
	s.Each(func(p Protocol) { p.Drain(retire) })
}

// Each calls f with the protocols of all open connections.
func (s *Set) Each(f func(Protocol)) {
	for _, c := range s.All() {
		if !c.closed {
			f(c.proto)
		}
	}
}

// CloseAll closes all connections at once, and ends their transfers.
func (s *Set) CloseAll(why string) {
	for _, c := range s.All() {
		c.Close(why)
		c.Abort()
	}
}

// Soon has Resume call f. A feature that has something to do tells the loop so, which asks none of them.
func (s *Set) Soon(f func()) { s.soon = append(s.soon, f) }

// Resume calls Input for connections that may go on with their pending input, and the functions of Soon. It reports whether there were any: output
// may be gathered then.
func (s *Set) Resume() (any bool) {
	any = len(s.again)+len(s.soon) > 0
	for i := 0; i < len(s.again); i++ {
		c := s.again[i]
		s.again[i] = nil
		if c == nil {
			continue // it had its turn before a panic
		}
		if c.again = false; !c.closed {
			c.proto.Input(nil)
		}
	}
	s.again = s.again[:0]
	for i := 0; i < len(s.soon); i++ {
		f := s.soon[i]
		s.soon[i] = nil
		if f != nil {
			f()
		}
	}
	s.soon = s.soon[:0]
	return any
}

// Restamp gives connections whose stamp is not older than since the stamp at, if that is later: the clock has been late.
func (s *Set) Restamp(since, at int64) {
	for _, c := range s.wheel.All() {
		if c.Stamp >= since {
			c.Stamp = max(c.Stamp, at)
		}
	}
}

func (s *Set) tracef(format string, args ...any) { s.Log(logfile.Debug, format, args...) }

// Tracef logs a line for debugging, if lines of that kind are wanted.
func (s *Set) Tracef(format string, args ...any) {
	if s.Debug >= 2 {
		s.tracef(format, args...)
	}
}

// maxExcerpt is how many bytes Excerpt quotes.
const maxExcerpt = 512

// Excerpt quotes the beginning of b, for logs.
func Excerpt(b []byte) string {
	if len(b) > maxExcerpt {
		return strconv.Quote(string(b[:maxExcerpt])) + "..."
	}
	return strconv.Quote(string(b))
}

// Beside runs work on a goroutine, and then done on the loop, if that has not ended. bug reports whether work has panicked, which is
// logged.
func (s *Set) Beside(work func(), done func(bug bool)) {
	go func() {
		bug := s.try(work)
		s.Events.Post(func() { done(bug) })
	}()
}

// try runs f and reports whether it has panicked.
func (s *Set) try(f func()) (bug bool) {
	defer func() {
		if p := recover(); p != nil {
			s.Log(logfile.Error, "bug: %v in %s", p, debug.Stack())
			bug = true
		}
	}()
	f()
	return false
}

// idler is a Protocol whose connection may close for another client.
type idler interface {
	// Idle reports whether the connection of a client waits for a request, or for the rest of a head, and since when.
	Idle() (since int64, idle bool)
}

// idleConn is a connection that was idle when CloseIdlest looked at all of them.
type idleConn struct {
	c     *Conn
	since int64
}

// idleGrace is how long a connection must have been idle before it closes for another client: its next request may be on its way.
const idleGrace = int64(time.Second)

// CloseIdlest closes the connection that has been idle for longest, if there is one, so that another client gets its place. All connections
// are examined once in a tick at most.
func (s *Set) CloseIdlest() {
	if len(s.idle) == 0 && s.Now-s.idleAt >= tick {
		s.findIdle()
	}
	for len(s.idle) > 0 {
		last := len(s.idle) - 1
		c, was := s.idle[last].c, s.idle[last].since
		s.idle[last], s.idle = idleConn{}, s.idle[:last]
		if since, idle := c.idle(); idle && since == was && !c.Unread() {
			c.proto.Drain(false)
			s.Flush() // HTTP/2 says which request was the last one
			c.Close("another client gets its place")
			return
		}
	}
	s.idle = nil
}

// findIdle makes Set.idle, with the connection that has been idle for longest at its end.
func (s *Set) findIdle() {
	s.idleAt = s.Now
	for _, c := range s.All() {
		if since, idle := c.idle(); idle && s.Now-since >= idleGrace {
			s.idle = append(s.idle, idleConn{c, since})
		}
	}
	slices.SortFunc(s.idle, func(a, b idleConn) int { return cmp.Compare(b.since, a.since) })
}
