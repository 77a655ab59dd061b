package conn

import (
	"cmp"
	"crypto/tls"
	"runtime"
	"sync/atomic"
	"time"

	"fapws/runtime/logfile"
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

	most       int  // handshakes that may be under way
	handshakes list // that are, in the order in which they have begun
	ending     int  // of them have lost their connections, and their goroutines are about to end
	turns      turns
	input      []byte   // that sockets are read into
	spare      [][]byte // buffers of records
	lines      lines
	counts     counts
	described  descriptions
}

const (
	// defaultTimeout is in which time a handshake has to end.
	defaultTimeout = 10 * time.Second

	// inputSize is how much is read from a socket at once, minInput also where there is no room for it.
	inputSize = 32 << 10
	minInput  = 512

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
	s.turns.init(max(1, runtime.GOMAXPROCS(0)-1))
}

// Configure sets in which time handshakes have to end from now on (0: 10 s), and how many may be under way (0: 1024).
func (s *TLSServer) Configure(timeout time.Duration, most int) {
	s.timeout, s.most = cmp.Or(timeout, defaultTimeout), cmp.Or(most, defaultMost)
}

// SetConfig sets what the handshakes that begin from now on are made with. It must not be changed afterwards. nil: they fail. It is safe for
// concurrent use.
func (s *TLSServer) SetConfig(c *tls.Config) { s.config.Store(c) }

// Trim gives memory back when no client is connected.
func (s *TLSServer) Trim() { s.input, s.spare = nil, nil }

// inputBuffer returns memory for what comes next, of which room bytes can be passed on.
func (s *TLSServer) inputBuffer(room int) []byte {
	if s.input == nil {
		s.input = make([]byte, inputSize)
	}
	return s.input[:min(max(room, minInput), inputSize)]
}

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
