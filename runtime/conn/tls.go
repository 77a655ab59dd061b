package conn

import (
	"cmp"
	"container/list"
	"crypto/tls"
	"runtime"
	"sync/atomic"
	"time"

	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

// TLSServer is what the connections with TLS of a loop share.
type TLSServer struct {
	// LogClient writes a line about a client, "192.0.2.7:4711", to the error log. It is called on the loop.
	LogClient func(level logfile.Level, client, line string)

	// Freed is called on the loop when there is room for a handshake, and was not before. See Room.
	Freed func()

	set     *Set
	config  atomic.Pointer[tls.Config]
	timeout time.Duration

	most       int           // handshakes that may be under way
	handshakes list.List     // that are, in the order in which they have begun
	ending     int           // of them have lost their connections, and their goroutines are about to end
	turns      chan struct{} // those of handshakes that compute; a few may at the same time
	input      []byte        // that sockets are read into
	spare      [][]byte      // buffers of records
	lines      lines
	counts     counts
}

const (
	// defaultTimeout is in which time a handshake has to end.
	defaultTimeout = 10 * time.Second

	// inputSize is how much is read from a socket at once, minInput also where there is no room for it.
	inputSize = 32 << 10
	minInput  = 512

	// turnRecords is how many records of a client are read before others have their turn. They may be empty but for work: KeyUpdate.
	turnRecords = 256

	// overSize is how much a goroutine reads at once.
	overSize = 4 << 10

	// tlsSpareBuffers is how many buffers of records are kept.
	tlsSpareBuffers = 8

	// bufferSize is the capacity of a buffer of records: a piece, and another one with what records have in addition, which are small at the
	// beginning of a connection.
	bufferSize = 2*pieceSize + 4<<10
)

// Init makes s ready for connections of set.
func (s *TLSServer) Init(set *Set) {
	s.set = set
	s.Configure(0, 0)
	s.turns = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1))
}

// Configure sets in which time handshakes have to end from now on (0: 10 s), and how many may be under way (0: 1024), at most an eighth of the
// descriptors that the process may have open.
func (s *TLSServer) Configure(timeout time.Duration, most int) {
	s.timeout = cmp.Or(timeout, defaultTimeout)
	s.most = int(min(uint64(cmp.Or(most, defaultMost)), max(1, system.OpenFiles()/8))) // each has another descriptor
}

// SetConfig sets what the handshakes that begin from now on are made with. It must not be changed afterwards. nil: they fail. It is safe for
// concurrent use.
func (s *TLSServer) SetConfig(c *tls.Config) { s.config.Store(c) }

// Trim gives memory back when no client is connected.
func (s *TLSServer) Trim() { s.input, s.spare = nil, nil }

// takeBuffer returns an empty buffer for records.
func (s *TLSServer) takeBuffer() []byte {
	if n := len(s.spare); n > 0 {
		b := s.spare[n-1]
		s.spare[n-1] = nil
		s.spare = s.spare[:n-1]
		return b
	}
	return make([]byte, 0, bufferSize)
}

// giveBuffer takes a buffer back that nothing refers to.
func (s *TLSServer) giveBuffer(b []byte) {
	if len(s.spare) < tlsSpareBuffers && cap(b) >= bufferSize && cap(b) < 2*bufferSize {
		s.spare = append(s.spare, b[:0])
	}
}

const (
	// defaultMost is how many handshakes may be under way. Nearly all of them wait for their clients.
	defaultMost = 1024

	// leastTime is how long a handshake may take at least.
	leastTime = int64(time.Second)
)

// Room reports whether another connection may begin with a handshake. Others are to stay in the queue of their listener until Freed is called: at the
// latest when one of the handshakes times out.
func (s *TLSServer) Room() bool { return s.handshakes.Len() < s.most }

// MakeRoom is Room for a connection in the queue: for it the handshake that has waited longest for its client is cut off, if it is older than a
// second.
func (s *TLSServer) MakeRoom() bool {
	if !s.Room() && s.ending == 0 { // else a place becomes free at once
		s.cutOff()
	}
	return s.Room()
}

// cutOff ends the handshake that has waited longest for its client.
func (s *TLSServer) cutOff() {
	for e := s.handshakes.Front(); e != nil; e = e.Next() {
		h := e.Value.(*Handshake)
		if s.set.Now-h.c.Stamp < leastTime {
			return
		}
		if h.stage == collecting || h.waits.Load() {
			h.count(displaced)
			h.c.Close("another TLS handshake needs its place")
			return
		}
	}
}

// lines bounds the lines in the error log, which hostile clients could fill.
type lines struct {
	since   int64 // when counting began
	n       int
	omitted int
}

const (
	// mostLines may be written in linesPeriod.
	mostLines   = 10
	linesPeriod = int64(10 * time.Second)
)

// Report writes a line about TLS and a client to the error log, unless there are too many.
func (s *TLSServer) Report(level logfile.Level, client, line string) {
	l, now := &s.lines, s.set.Now
	if now-l.since >= linesPeriod {
		if l.omitted > 0 {
			s.set.Log(logfile.Info, "%d more lines about TLS were left out", l.omitted)
		}
		*l = lines{since: now}
	}
	if l.n++; l.n > mostLines {
		l.omitted++
		return
	}
	s.LogClient(level, client, line)
}
