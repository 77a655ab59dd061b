package conn

import (
	"container/list"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"

	"golang.org/x/sys/unix"

	"fapws/runtime/eventloop"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// Handshake is the protocol of a connection until TLS has begun, or has failed.
type Handshake struct {
	s      *TLSServer
	c      *Conn
	next   Protocol
	done   func(*TLSTransport)
	stage  stage
	place  *list.Element // among those of the Server; nil: it has none
	known  bool          // its end is counted
	resume http1.Resume  // of the head of a request that comes in the place of a ClientHello
	t      *TLSTransport // from when its goroutine was started
	choice choice        // of the configuration, for the goroutine

	arrived chan struct{} // has a value if the goroutine has to look at what follows

	mu      sync.Mutex // for what follows, which the goroutine shares with the loop
	in      []byte     // it has not read
	out     []byte     // it has written, and the loop does not send yet
	ended   bool       // the client has shut down its side
	closed  bool       // the connection is closed; the loop writes it
	idle    bool       // the goroutine waits for the client
	full    bool       // the connection is not read from before in is empty
	sending bool       // a transfer is under way, or is about to begin
	result  error      // of a goroutine that has ended
}

type stage uint8

const (
	collecting stage = iota // the first record is arriving
	running                 // a goroutine has it
	finished                // the goroutine has ended, and the last of its output is being sent
	failed                  // the connection closes
)

const (
	recordHeader = 5
	maxRecord    = 16 << 10 // of plaintext
	isAlert      = 21       // types of a record (RFC 8446 §5.1)
	isHandshake  = 22

	// maxAhead bounds the bytes that wait for the goroutine.
	maxAhead = 64 << 10
)

// IsHandshake reports whether b begins like a handshake of TLS (RFC 8446 §5.1).
func IsHandshake(b []byte) bool { return len(b) > 1 && b[0] == isHandshake && b[1] == 3 }

// Handshake returns the protocol of c, which is the conn.Protocol of its socket, until TLS has begun: then next is, whose methods Closed, Gone
// and Account are called before that, too. done is called in between. The handshake begins with the stamp of c, which is corrected where the clock
// has been late.
func (s *TLSServer) Handshake(c *Conn, next Protocol, done func(*TLSTransport)) *Handshake {
	c.Stamp = s.set.Now
	h := &Handshake{s: s, c: c, next: next, done: done}
	h.place = s.handshakes.PushBack(h)
	return h
}

// Input implements conn.Protocol.
func (h *Handshake) Input(b []byte) {
	switch h.stage {
	case collecting:
		h.c.Keep(b)
		h.look()
	case running:
		h.feed(b)
	case failed:
		h.c.Linger = h.c.Linger || len(b) > 0
	}
}

// look decides about what has come: the first bytes of a connection.
func (h *Handshake) look() {
	b := h.c.Pending()
	switch {
	case len(b) == 0:
	case b[0] == isHandshake:
		if len(b) < recordHeader {
			return
		}
		if n := recordSize(b); n > maxRecord || len(b) >= recordHeader+n { // crypto/tls refuses a longer one
			h.run()
		}
	case 'A' <= b[0] && b[0] <= 'Z':
		h.answerPlain(b)
	default:
		h.fail(notTLS, logfile.Info, "what it has sent is no TLS: "+Excerpt(b[:min(len(b), 16)]))
	}
}

// Room implements conn.Protocol.
func (h *Handshake) Room(ended bool) {
	switch {
	case !ended:
	case h.stage == running || h.stage == finished:
		h.send()
		if h.stage == finished {
			h.conclude()
		}
	case h.stage == failed:
		h.c.Finish()
	}
}

// EOF implements conn.Protocol. A client may have sent all that it has to say with its side of the handshake.
func (h *Handshake) EOF() (stays bool) {
	if h.stage != running {
		return false
	}
	h.mu.Lock()
	h.ended, h.idle = true, false
	h.mu.Unlock()
	h.tell()
	return true
}

// Due implements conn.Protocol.
func (h *Handshake) Due() (next int64) {
	now := h.s.set.Now
	end := h.c.Stamp + eventloop.Tick + int64(h.s.timeout)
	switch {
	case h.stage == failed: // it lingers, or waits for its transfer
		return now + int64(h.s.timeout)
	case end > now:
		return end
	case h.c.Unread(): // a handler on the loop has kept it from what the client has sent
		return now + eventloop.Tick
	}
	h.count(timedOut)
	h.s.Report(logfile.Debug, h.c.String(), "TLS handshake failed: timeout of "+h.s.timeout.String()+" exceeded")
	h.c.Close("the TLS handshake takes too long")
	return now
}

// Drain implements conn.Protocol. A client that was accepted is served if another server goes on with the listeners.
func (h *Handshake) Drain(retire bool) {
	if !retire {
		h.known = true // it is not the client's fault
		h.c.Close("the server is shutting down")
	}
}

// Closed implements conn.Protocol.
func (h *Handshake) Closed() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	if h.stage == running { // it leaves when its goroutine has ended
		h.count(disconnected)
		h.s.ending++
		h.tell()
	} else {
		h.leave()
	}
	h.stage = failed
	h.next.Closed()
}

// errNoConfig is why handshakes fail before SetConfig.
var errNoConfig = errors.New("there is no certificate")

// run starts the goroutine.
func (h *Handshake) run() {
	s, c := h.s, h.c
	h.stage = running
	h.in = append([]byte(nil), c.Pending()...)
	c.DropInput()
	h.arrived = make(chan struct{}, 1)
	h.t = &TLSTransport{wire: wire{Conn: unopened, s: s, handshake: h, local: c.Local, fd: int32(c.Fd()), tcp: c.TCP()}}
	config := s.config.Load()
	if config == nil {
		config = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errNoConfig }}
	}
	h.t.tls = tls.Server(&h.t.wire, config)
	var err error
	s.set.Beside(func() { err = h.try() }, func(bug bool) {
		if bug { // perhaps in a callback of the configuration
			err = errors.New("internal error")
		}
		h.ranOut(err)
	})
}

// try is the goroutine: it has crypto/tls make the handshake.
func (h *Handshake) try() error {
	h.s.turns <- struct{}{}
	defer func() { <-h.s.turns }()
	err := h.t.tls.Handshake()
	if err == nil {
		state := h.t.tls.ConnectionState()
		h.t.client, h.t.http2, h.t.resumed = describe(&state, &h.choice), state.NegotiatedProtocol == "h2", state.DidResume
	}
	return err
}

// read is wire.Read of the goroutine.
func (h *Handshake) read(b []byte) (int, error) {
	for {
		h.mu.Lock()
		switch {
		case h.closed: // what has come need not be computed
			h.mu.Unlock()
			return 0, net.ErrClosed
		case len(h.in) > 0:
			n := copy(b, h.in)
			h.in = h.in[n:]
			unpause := h.full && len(h.in) == 0
			h.full = h.full && !unpause
			h.mu.Unlock()
			if unpause {
				h.s.set.Events.Post(h.readOn)
			}
			return n, nil
		case h.ended:
			h.mu.Unlock()
			return 0, io.EOF
		}
		h.idle = true
		h.mu.Unlock()
		<-h.s.turns
		<-h.arrived
		h.s.turns <- struct{}{}
	}
}

// readOn goes on reading from the connection.
func (h *Handshake) readOn() {
	if h.stage == running && h.c.Paused() {
		h.c.Unpause()
	}
}

// feed gives the goroutine what has come.
func (h *Handshake) feed(b []byte) {
	h.mu.Lock()
	h.in = append(h.in, b...)
	h.idle = false
	h.full = len(h.in) > maxAhead
	full := h.full
	h.mu.Unlock()
	if full {
		h.c.Pause(HeedEnd)
	}
	h.tell()
}

// tell has the goroutine look whether it can go on.
func (h *Handshake) tell() {
	select {
	case h.arrived <- struct{}{}:
	default:
	}
}

// write is wire.Write of the goroutine. The socket takes all of it, unless the chain of certificates is long.
func (h *Handshake) write(b []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return 0, net.ErrClosed
	}
	if !h.sending {
		if n, err = Send(h.c.Fd(), b, 0); err != nil && err != unix.EAGAIN {
			return n, err
		}
	}
	if n < len(b) {
		h.out = append(h.out, b[n:]...)
		if !h.sending {
			h.sending = true
			h.s.set.Events.Post(h.send)
		}
	}
	return len(b), nil
}

// send has the loop send what the goroutine has written, and the socket has not taken.
func (h *Handshake) send() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	rest := h.out
	h.out = nil
	if h.sending = len(rest) > 0; h.sending {
		h.c.Queue(Output{Items: []Item{{Data: rest}}}, true)
	}
}

// ranOut is called when the goroutine has ended.
func (h *Handshake) ranOut(err error) {
	if h.closed {
		h.s.ending--
	}
	h.leave()
	if h.stage == failed { // the connection was closed
		return
	}
	h.stage, h.result = finished, err
	h.conclude()
}

// conclude goes on when the goroutine has ended and everything that it has written was sent.
func (h *Handshake) conclude() {
	if h.sending {
		return
	}
	c, t := h.c, h.t
	if h.result != nil {
		h.explain(h.result)
		return
	}
	h.known = true
	if t.resumed {
		h.s.counts.resumed++
	} else {
		h.s.counts.full++
	}
	t.wire.in, t.wire.handshake = h.in, nil
	if len(t.wire.in) == 0 {
		t.wire.in = nil
		// The client has spoken last, in TLS 1.3, and may wait for the acknowledgment before it sends its request. Servers that send session tickets
		// behind its last message acknowledge it with those; crypto/tls sends them before.
		if c.TCP() {
			acknowledge(c.Fd())
		}
	}
	if c.Paused() {
		c.Unpause()
	}
	c.Stamp = h.s.set.Now
	t.wire.drained = !c.readable
	t.wire.empty = t.wire.drained && t.wire.in == nil
	c.Upgrade(h.next)
	c.SetTransport(t)
	h.done(t)
	c.Schedule()
}
