package conn

import (
	"strconv"
	"time"

	"fapws/runtime/eventloop"
	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

const (
	// tick is how exact deadlines are, in nanoseconds.
	tick = eventloop.Tick

	// smallBuffer is the capacity of an input buffer that is worth keeping.
	smallBuffer = 4 << 10

	// spareBuffers is how many of them are kept.
	spareBuffers = 64
)

// Set is the connections of an event loop, with the state that they share. The fields of the first group are set
// before connections are opened.
type Set struct {
	Events       *eventloop.Loop
	Log          func(level logfile.Level, format string, args ...any)
	Debug        int           // 2 and more: Log gets events of connections, 3 and more: their data
	WriteTimeout time.Duration // a client that reads nothing for this long is disconnected
	Cached       func(file int, offset int64) bool

	Unsent Ledger // responses that wait for clients
	Buf    []byte // output that is gathered, for the connection of the last Use

	start time.Time
	now   int64 // nanoseconds since start
	unix  int64 // seconds since 1970
	wheel eventloop.Wheel[Conn]
	again []*Conn  // those that may go on with their pending input
	out   *Conn    // for which output is gathered, or nil
	input []byte   // that connections are read into
	file  []byte   // that files are read into, for transports; nil: it was not needed yet
	spare [][]byte // input buffers

	below    gathered // output that waits while Buf is that of a virtual connection
	spareBuf []byte   // memory of Buf, for a virtual connection
	iov      system.Vector
}

// Init makes s ready.
func (s *Set) Init() {
	s.Cached = system.Cached
	s.spare = make([][]byte, 0, spareBuffers)
	s.start = time.Now()
	s.SetTime(s.start)
}

// SetTime sets the clock.
func (s *Set) SetTime(t time.Time) {
	s.now = int64(t.Sub(s.start))
	s.unix = t.Unix()
}

// Now returns the time in nanoseconds since Init, as SetTime has set it.
func (s *Set) Now() int64 { return s.now }

// Unix returns the time in seconds since 1970, as SetTime has set it.
func (s *Set) Unix() int64 { return s.unix }

// Start returns the time of Init.
func (s *Set) Start() time.Time { return s.start }

// SetReadSize sets how many bytes of a connection are read at a time.
func (s *Set) SetReadSize(n int) { s.input = make([]byte, n) }

// ReadSize returns how many bytes of a connection are read at a time.
func (s *Set) ReadSize() int { return len(s.input) }

// All returns all connections in no particular order, also those that are closed and whose output has not left yet.
func (s *Set) All() []*Conn { return s.wheel.All() }

// Tick looks at the connections whose deadlines have passed. Call it when the clock was set, at least every eventloop.Tick.
func (s *Set) Tick() {
	for {
		c := s.wheel.Next(s.now)
		if c == nil {
			return
		}
		switch {
		case c.deadline() > s.now:
			c.Schedule()
		case c.roomExpired():
			c.Schedule()
		case c.lingering:
			c.Close("time is up")
		default:
			c.proto.Expired()
		}
	}
}

// Drain tells the protocols of all open connections that the server takes no more connections: see Protocol.
func (s *Set) Drain(retire bool) {
	for _, c := range s.All() {
		if !c.closed {
			c.proto.Drain(retire)
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

// Resume calls Input for connections that may go on with their pending input. Output may be gathered then.
func (s *Set) Resume() {
	for i := 0; i < len(s.again); i++ {
		c := s.again[i]
		s.again[i] = nil
		if c.again = false; !c.closed {
			c.proto.Input(nil)
		}
	}
	s.again = s.again[:0]
}

// Resumes reports whether Resume has something to do.
func (s *Set) Resumes() bool { return len(s.again) > 0 }

// Gathers reports whether Flush has something to do.
func (s *Set) Gathers() bool { return s.out != nil }

// Restamp gives connections whose stamp is not older than since the stamp at, if that is later: the clock has been late.
func (s *Set) Restamp(since, at int64) {
	for _, c := range s.wheel.All() {
		if c.Stamp >= since {
			c.Stamp = max(c.Stamp, at)
		}
	}
}

func (s *Set) tracef(format string, args ...any) { s.Log(logfile.Debug, format, args...) }

// maxExcerpt is how many bytes Excerpt quotes.
const maxExcerpt = 512

// Excerpt quotes the beginning of b, for logs.
func Excerpt(b []byte) string {
	if len(b) > maxExcerpt {
		return strconv.Quote(string(b[:maxExcerpt])) + "..."
	}
	return strconv.Quote(string(b))
}
