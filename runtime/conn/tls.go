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

type TLSServer struct {
	// LogClient writes a line about a client, such as "192.0.2.7:4711", to the error log. LogClient is called on the
	// loop.
	LogClient func(level logfile.Level, client, line string)

	// Freed is called on the loop when HasRoom returns true again.
	Freed func()

	set     *Set
	config  atomic.Pointer[tls.Config]
	timeout time.Duration

	places     Shares    // divides the handshakes in progress among client addresses
	handshakes list.List // the handshakes in progress, oldest first
	// number of handshakes whose connection is closed but whose goroutine still runs
	ending int
	turns  chan struct{} // semaphore: limits how many goroutines of handshakes compute at once
	input  []byte
	spare  [][]byte
	lines  lines
	counts counts
}

const (
	defaultTimeout = 10 * time.Second

	// inputSize and minInput are the maximum and minimum sizes of a read from a socket, in bytes. Between these limits,
	// a read is as large as the free part of the caller's buffer.
	inputSize = 32 << 10
	minInput  = 512

	// turnRecords limits the records of a client that the loop reads in one turn, because records without data, such as
	// KeyUpdate, also cost processor time.
	turnRecords = 256

	// overSize is the size of the reads in the goroutine of a handshake, in bytes.
	overSize = 4 << 10

	tlsSpareBuffers = 8

	// bufferSize is the capacity of an output buffer, in bytes. It has room for two pieces and the overhead of their
	// records. The overhead is highest at the beginning of a connection, when records are small.
	bufferSize = 2*pieceSize + 4<<10
)

func (s *TLSServer) Init(set *Set) {
	s.set = set
	s.Configure(0, 0)
	s.turns = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1))
}

// Configure sets the timeout of handshakes (0 means 10 s) and the maximum number of handshakes in progress (0 means
// 1024). The maximum is reduced to an eighth of the limit of open files.
func (s *TLSServer) Configure(timeout time.Duration, most int) {
	s.timeout = cmp.Or(timeout, defaultTimeout)
	// each handshake needs a second descriptor, so the limit of open files also limits the handshakes
	s.places.Max = int64(min(uint64(cmp.Or(most, defaultMost)), max(1, system.OpenFiles()/8)))
}

// Limit shortens the timeout of handshakes to at most timeout.
func (s *TLSServer) Limit(timeout time.Duration) { s.timeout = min(s.timeout, timeout) }

// SetConfig sets the configuration for new handshakes. The caller must not change c afterwards; if c is nil, handshakes
// fail. SetConfig is safe for concurrent use.
func (s *TLSServer) SetConfig(c *tls.Config) { s.config.Store(c) }

func (s *TLSServer) Trim() { s.input, s.spare = nil, nil }

func (s *TLSServer) takeBuffer() []byte {
	if n := len(s.spare); n > 0 {
		b := s.spare[n-1]
		s.spare[n-1] = nil
		s.spare = s.spare[:n-1]
		return b
	}
	return make([]byte, 0, bufferSize)
}

// giveBuffer adds b to the spare buffers. No other slice may refer to the memory of b.
func (s *TLSServer) giveBuffer(b []byte) {
	if len(s.spare) < tlsSpareBuffers && cap(b) >= bufferSize && cap(b) < 2*bufferSize {
		s.spare = append(s.spare, b[:0])
	}
}

const (
	defaultMost = 1024

	// leastTime is the minimum age of a handshake that cutOff may close.
	leastTime = int64(time.Second)
)

// HasRoom reports whether another handshake may begin; otherwise connections must stay in the queue of their listener
// until Freed is called.
func (s *TLSServer) HasRoom() bool { return s.places.Free("") > 0 }

// MakeRoom is called when a connection waits in the queue of a listener. If HasRoom returns false, MakeRoom closes one
// handshake that waits for its client and is older than a second. MakeRoom reports whether another handshake may begin
// now.
func (s *TLSServer) MakeRoom() bool {
	if !s.HasRoom() && s.ending == 0 { // an ending handshake makes room soon
		s.cutOff()
	}
	return s.HasRoom()
}

// cutOff closes the connection of one handshake. It selects the client address with the most handshakes, and then the
// handshake of this address that has waited longest.
func (s *TLSServer) cutOff() {
	var longest *TLSHandshake
	for e := s.handshakes.Front(); e != nil; e = e.Next() {
		h := e.Value.(*TLSHandshake)
		if s.set.Now-h.c.Stamp < leastTime {
			break
		}
		waits := h.stage == collecting || h.waits.Load()
		if waits && (longest == nil || s.places.Held(h.client) > s.places.Held(longest.client)) {
			longest = h
		}
	}
	if longest != nil {
		longest.count(displaced)
		longest.c.Close("another TLS handshake needs its place")
	}
}

// lines limits the lines about clients in the error log, which hostile clients could otherwise fill.
type lines struct {
	since   int64
	n       int
	omitted int
}

const (
	mostLines   = 10
	linesPeriod = int64(10 * time.Second)
)

// Report writes a line about TLS and a client to the error log, unless there are too many lines.
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
