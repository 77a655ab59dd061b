package secure

import (
	"crypto/tls"
	"runtime"
	"sync/atomic"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/loglevel"
)

// Server is what the connections with TLS of a loop share.
type Server struct {
	// LogClient writes a line about a client, "192.0.2.7:4711", to the error log. It is called on the loop.
	LogClient func(level loglevel.Level, client, line string)

	set     *conn.Set
	config  atomic.Pointer[tls.Config]
	timeout time.Duration

	running, waiting list
	turns            turns
	spare            [][]byte // buffers of records
	lines            lines
	counts           counts
	described        descriptions
}

const (
	// mostRunning is how many handshakes may have a goroutine. Nearly all of these wait for their clients.
	mostRunning = 1024

	// leastRunning is how long a handshake may run at least.
	leastRunning = int64(time.Second)

	// defaultTimeout is in which time a handshake has to end.
	defaultTimeout = 10 * time.Second

	// spareBuffers is how many buffers of records are kept.
	spareBuffers = 8

	// bufferSize is the capacity of a buffer of records: a piece, and another one with what records have in addition, which are small at the
	// beginning of a connection.
	bufferSize = 2*pieceSize + 4<<10
)

// Init makes s ready for connections of set.
func (s *Server) Init(set *conn.Set) {
	s.set, s.timeout = set, defaultTimeout
	s.turns.init(max(1, runtime.GOMAXPROCS(0)-1))
}

// Configure sets in which time handshakes have to end from now on. 0: 10 s.
func (s *Server) Configure(timeout time.Duration) {
	if s.timeout = timeout; timeout == 0 {
		s.timeout = defaultTimeout
	}
}

// SetConfig sets what the handshakes that begin from now on are made with. It must not be changed afterwards. nil: they fail. It is safe for
// concurrent use.
func (s *Server) SetConfig(c *tls.Config) { s.config.Store(c) }

// Trim gives memory back when no client is connected.
func (s *Server) Trim() { s.spare = nil }

// takeBuffer returns an empty buffer for records.
func (s *Server) takeBuffer() []byte {
	if n := len(s.spare); n > 0 {
		b := s.spare[n-1]
		s.spare[n-1] = nil
		s.spare = s.spare[:n-1]
		return b
	}
	return make([]byte, 0, bufferSize)
}

// giveBuffer takes a buffer back that nothing refers to.
func (s *Server) giveBuffer(b []byte) {
	if len(s.spare) < spareBuffers && cap(b) >= bufferSize && cap(b) < 2*bufferSize {
		s.spare = append(s.spare, b[:0])
	}
}
