package conn

import (
	"bytes"
	"cmp"
	"container/list"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

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

// leave gives the place of h to another one.
func (h *Handshake) leave() {
	s := h.s
	if h.place == nil {
		return
	}
	s.handshakes.Remove(h.place)
	h.place = nil
	if s.handshakes.Len() == s.most-1 {
		s.Freed()
	}
}

// explain fails because of an error of crypto/tls.
func (h *Handshake) explain(err error) {
	level, why, r := logfile.Info, strings.TrimPrefix(err.Error(), "tls: "), reasonOf(err)
	switch r {
	case disconnected:
		level, why = logfile.Debug, "the client has left"
	case unknownHost:
		why = "there is no certificate for the host that the client names"
	case incompatible:
		why = versions.Replace(why)
	case other:
		// OpenSSL before it encrypts (TLS 1.3) sends this alert in the clear, so crypto/tls can't decrypt it. Encrypted alerts have the type of data.
		if h.t.wire.frames.head[0] == isAlert && strings.HasSuffix(why, "bad record MAC") {
			r, why = refused, "the client has refused it; perhaps it does not trust the certificate"
		}
	case refused:
		why = "the client has refused it: " + strings.TrimPrefix(why, "remote error: tls: ")
	}
	h.fail(r, level, why)
}

// versions names the versions of TLS in errors of crypto/tls, which has their numbers: "unsupported versions: [302 301]".
var versions = strings.NewReplacer("[304", "TLS 1.3", "[303", "TLS 1.2", "[302", "TLS 1.1", "[301", "TLS 1.0", "[300", "SSL 3.0", "[", "",
	" 303", ", TLS 1.2", " 302", ", TLS 1.1", " 301", ", TLS 1.0", " 300", ", SSL 3.0", "]", "")

// hasLeft reports whether an error of crypto/tls means that the client has closed the connection.
func hasLeft(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, net.ErrClosed)
}

// fail closes the connection, behind what it was sent, and says why.
func (h *Handshake) fail(r reason, level logfile.Level, why string) {
	h.count(r)
	h.s.Report(level, h.c.String(), "TLS handshake failed: "+why)
	h.end()
}

// count counts why h has failed, once.
func (h *Handshake) count(r reason) {
	if !h.known {
		h.known = true
		h.s.counts.failed[r]++
	}
}

// end closes the connection behind what it was sent.
func (h *Handshake) end() {
	h.stage = failed
	h.leave()
	h.c.Linger = true
	if !h.c.closed && !h.c.Writing() {
		h.c.Finish()
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

// wire is the net.Conn that crypto/tls reads from and writes to. It is the loop's, unless a handshake has it, or the client of an upstream.
type wire struct {
	net.Conn // to an upstream, until it was closed; unopened
	c        *Conn
	s        *TLSServer
	over     io.ReadWriter // that the goroutine reads from and writes to: the handshake, or Conn; nil: the wire is the loop's

	in      []byte // received, and not given to crypto/tls
	shared  bool   // in is in memory of the Server, until Transport.Read ends
	room    int    // bytes of what Transport.Read was given that are free
	out     []byte // records to be written; out[:sent] were
	sent    int
	drained bool // nothing is left in the socket but perhaps the end
	empty   bool // the socket has said EAGAIN
	frames  framing
	records int // read since Transport.Read began
}

// notYet is the error of a wire that has nothing to read now.
type notYet struct{}

// errNotYet is what a net.Conn on the loop returns to crypto/tls when nothing has come.
var errNotYet net.Error = notYet{}

func (notYet) Error() string   { return "nothing has come" }
func (notYet) Timeout() bool   { return true }
func (notYet) Temporary() bool { return true }

// Read implements net.Conn. It does not read beyond a record.
func (w *wire) Read(b []byte) (n int, err error) {
	if w.over == nil && w.records >= turnRecords && w.frames.between() {
		return 0, errNotYet
	}
	if len(w.in) == 0 {
		err = w.receive()
	}
	n = copy(b[:min(len(b), w.frames.limit(w.in))], w.in)
	w.in = w.in[n:]
	if w.frames.follow(b[:n]); n > 0 && w.frames.between() {
		w.records++
	}
	return n, err
}

// receive reads from the socket into w.in, which is empty.
func (w *wire) receive() error {
	if w.over != nil {
		b := make([]byte, overSize)
		n, err := w.over.Read(b)
		w.in = b[:n]
		return err
	}
	if w.drained {
		return errNotYet
	}
	if w.s.input == nil {
		w.s.input = make([]byte, inputSize)
	}
	b := w.s.input[:min(max(w.room, minInput), inputSize)]
	n, err := Receive(int(w.c.fd), b)
	switch {
	case err == unix.EAGAIN:
		w.drained, w.empty = true, true
		return errNotYet
	case err != nil:
		return err
	case n == 0:
		return io.EOF
	}
	w.in, w.shared = b[:n], true
	w.drained = n < len(b) && w.c.tcp // a read of a unix socket may end where one of the client's writes has ended
	return nil
}

// keep ends the use of the Server's memory for input, and what is known of the socket.
func (w *wire) keep() {
	switch {
	case len(w.in) == 0:
		w.in = nil
	case w.shared:
		w.in = bytes.Clone(w.in)
	}
	w.shared, w.drained, w.empty = false, false, false
}

// Write implements net.Conn. It takes everything: crypto/tls cannot write a part of a record.
func (w *wire) Write(b []byte) (int, error) {
	if w.over != nil {
		return w.over.Write(b)
	}
	if w.out == nil {
		w.out = w.s.takeBuffer()
	}
	w.out = append(w.out, b...)
	return len(b), nil
}

// waiting returns how many bytes wait for room in the socket.
func (w *wire) waiting() int { return len(w.out) - w.sent }

// shrink gives memory back that the records which wait, perhaps for long, do not need.
func (w *wire) shrink() {
	if w.waiting() < cap(w.out)/2 {
		rest := append([]byte(nil), w.out[w.sent:]...)
		w.s.giveBuffer(w.out)
		w.out, w.sent = rest, 0
	}
}

// LocalAddr implements net.Conn.
func (w *wire) LocalAddr() net.Addr {
	if w.c == nil {
		return w.Conn.LocalAddr()
	}
	return w.c.Local
}

// unopened is below TLS of clients. It refuses deadlines, which crypto/tls sets to say goodbye: the connection has deadlines of its own.
var unopened net.Conn = new(net.TCPConn)

// framing follows the records that crypto/tls is given (RFC 8446 §5.1), so that it is given one at a time: its buffer for input, which a connection
// keeps, grows to several records otherwise.
type framing struct {
	head [recordHeader]byte // of the next record; head[:have] are the bytes received so far
	have uint8
	left uint16 // bytes of the last record that are missing
}

// limit returns how many bytes may be given: no more than the rest of a record. next are the bytes available.
func (f *framing) limit(next []byte) int {
	switch {
	case f.left > 0:
		return int(f.left)
	case f.have == 0 && len(next) >= recordHeader:
		return recordHeader + recordSize(next)
	}
	return recordHeader - int(f.have)
}

// between reports whether the next byte begins a record.
func (f *framing) between() bool { return f.have == 0 && f.left == 0 }

// follow takes the next bytes that crypto/tls is given, within their limit.
func (f *framing) follow(b []byte) {
	if f.left > 0 {
		f.left -= uint16(len(b))
		return
	}
	n := copy(f.head[f.have:], b)
	if f.have += uint8(n); f.have == recordHeader {
		f.have, f.left = 0, uint16(recordSize(f.head[:])-(len(b)-n))
	}
}

// recordSize returns the size of a record behind its header.
func recordSize(header []byte) int { return int(header[3])<<8 | int(header[4]) }
