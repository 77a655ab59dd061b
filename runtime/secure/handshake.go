package secure

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime/debug"
	"strings"
	"sync"

	"fapws/runtime/conn"
	"fapws/runtime/http1"
	"fapws/runtime/loglevel"
	"fapws/runtime/netio"
	"fapws/runtime/wheel"

	"golang.org/x/sys/unix"
)

// Handshake is the protocol of a connection until TLS has begun, or has failed.
type Handshake struct {
	s      *Server
	c      *conn.Conn
	next   conn.Protocol
	done   func(*Transport)
	stage  stage
	over   bool         // the connection is closed
	known  bool         // its end is counted
	resume http1.Resume // of the head of a request that comes in the place of a ClientHello
	looks  int64        // time when a queued one looks for a place again
	ran    int64        // time when its goroutine was started
	cancel context.CancelFunc
	t      *Transport // from when its goroutine was started
	choice choice     // of the configuration, for the goroutine

	before, behind *Handshake // in a list of the Server

	arrived chan struct{} // has a value if the goroutine has to look at what follows

	mu      sync.Mutex // for what follows, which the goroutine shares with the loop
	in      []byte     // it has not read
	out     []byte     // it has written, and the loop does not send yet
	ended   bool       // the client has shut down its side
	closed  bool       // the connection is closed
	idle    bool       // the goroutine waits for the client
	full    bool       // the connection is not read from before in is empty
	sending bool       // a transfer is under way, or is about to begin
	result  error      // of a goroutine that has ended
}

type stage uint8

const (
	collecting stage = iota // the first record is arriving
	queued                  // too many others are running
	running                 // a goroutine has it
	finished                // the goroutine has ended, and the last of its output is being sent
	failed                  // the connection closes
)

const (
	recordHeader = 5
	maxRecord    = 16 << 10 // of plaintext
	isHandshake  = 22       // the type of a record (RFC 8446 §5.1)

	// maxAhead bounds the bytes that wait for the goroutine.
	maxAhead = 64 << 10
)

// IsHandshake reports whether b begins like a handshake of TLS (RFC 8446 §5.1).
func IsHandshake(b []byte) bool { return len(b) > 1 && b[0] == isHandshake && b[1] == 3 }

// errNoConfig is why handshakes fail before SetConfig.
var errNoConfig = errors.New("there is no certificate")

// Handshake returns the protocol of c, which is the conn.Protocol of its socket, until TLS has begun: then next is, whose methods Closed, Gone
// and Account are called before that, too. done is called in between. The handshake begins with the stamp of c, which is corrected where the clock
// has been late.
func (s *Server) Handshake(c *conn.Conn, next conn.Protocol, done func(*Transport)) *Handshake {
	c.Stamp = s.set.Now()
	return &Handshake{s: s, c: c, next: next, done: done}
}

// latest returns when h has to have ended.
func (h *Handshake) latest() int64 { return h.c.Stamp + wheel.Tick + int64(h.s.timeout) }

// Input implements conn.Protocol.
func (h *Handshake) Input(b []byte) {
	switch h.stage {
	case collecting:
		h.c.Keep(b)
		h.look()
	case queued:
		h.c.Keep(b)
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
		if n := int(b[3])<<8 | int(b[4]); n > maxRecord || len(b) >= recordHeader+n { // crypto/tls refuses a longer one
			h.start()
		}
	case 'A' <= b[0] && b[0] <= 'Z':
		h.answerPlain(b)
	default:
		h.fail(notTLS, loglevel.Info, "what it has sent is no TLS: "+conn.Excerpt(b[:min(len(b), 16)]))
	}
}

// start runs h, or makes it wait.
func (h *Handshake) start() {
	s := h.s
	if s.running.n >= mostRunning {
		h.stage = queued
		s.waiting.add(h)
		h.c.Pause(conn.HeedEnd)
		h.seek()
		return
	}
	h.run()
}

// seek makes room for h, which waits for a place, and has it look again soon.
func (h *Handshake) seek() {
	h.s.cutOff()
	h.looks = h.s.set.Now() + wheel.Tick
	h.c.Schedule()
}

// cutOff ends the handshake that has waited longest for its client, as others wait for its place.
func (s *Server) cutOff() {
	for h := s.running.first; h != nil && s.set.Now()-h.ran >= leastRunning; h = h.behind {
		if h.isIdle() {
			h.count(displaced)
			h.c.Close("another TLS handshake needs its place")
			return
		}
	}
}

// isIdle reports whether h waits for its client, and still has a connection.
func (h *Handshake) isIdle() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.idle && !h.closed
}

// run starts the goroutine.
func (h *Handshake) run() {
	s, c := h.s, h.c
	h.stage, h.ran = running, s.set.Now()
	s.running.add(h)
	h.in = append([]byte(nil), c.Pending()...)
	c.DropInput()
	h.arrived = make(chan struct{}, 1)
	h.t = &Transport{wire: wire{s: s, handshake: h, local: c.Local, remote: c.Remote, fd: int32(c.Fd()), tcp: c.TCP()}}
	config := s.config.Load()
	if config == nil {
		config = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errNoConfig }}
	}
	h.t.tls = tls.Server(&h.t.wire, config)
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	go h.handshake(ctx)
}

// handshake is the goroutine.
func (h *Handshake) handshake(ctx context.Context) {
	own := &turn{of: &h.s.turns}
	h.t.wire.turn = own
	own.take()
	err := h.try(ctx)
	own.give()
	h.s.set.Events.Post(func() { h.ranOut(err) })
}

// try has crypto/tls make the handshake. A panic, of a callback of the configuration, is an error.
func (h *Handshake) try(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			h.s.set.Log(loglevel.Error, "bug: %v in %s", p, debug.Stack())
			err = errors.New("internal error")
		}
	}()
	if err = h.t.tls.HandshakeContext(ctx); err == nil {
		state := h.t.tls.ConnectionState()
		h.t.client, h.t.http2, h.t.resumed = h.s.described.of(&state, &h.choice), state.NegotiatedProtocol == "h2", state.DidResume
	}
	return err
}

// read is wire.Read of the goroutine.
func (h *Handshake) read(b []byte) (int, error) {
	own := h.t.wire.turn
	for {
		h.mu.Lock()
		n := copy(b, h.in)
		h.in = h.in[n:]
		unpause := h.full && len(h.in) == 0
		switch {
		case n > 0:
			h.full = h.full && !unpause
			h.mu.Unlock()
			if unpause {
				h.s.set.Events.Post(h.readOn)
			}
			return n, nil
		case h.closed:
			h.mu.Unlock()
			return 0, net.ErrClosed
		case h.ended:
			h.mu.Unlock()
			return 0, io.EOF
		}
		h.idle = true
		h.mu.Unlock()
		own.give()
		<-h.arrived
		own.take()
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
		h.c.Pause(conn.HeedEnd)
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
		if n, err = netio.Send(h.c.Fd(), b, 0); err != nil && err != unix.EAGAIN {
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
		h.c.Queue(conn.Output{Items: []conn.Item{{Data: rest}}}, true)
	}
}

// Writable implements conn.Protocol.
func (h *Handshake) Writable() {
	switch h.stage {
	case running, finished:
		h.send()
		if h.stage == finished {
			h.conclude()
		}
	case failed:
		h.c.Finish()
	}
}

// ranOut is called when the goroutine has ended.
func (h *Handshake) ranOut(err error) {
	h.cancel()
	s := h.s
	s.running.remove(h)
	if next := s.waiting.first; next != nil {
		s.waiting.remove(next)
		next.c.Unpause()
		next.run()
	}
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
	t.wire.in, t.wire.handshake, t.wire.turn = h.in, nil, nil
	if len(t.wire.in) == 0 {
		t.wire.in = nil
	}
	if c.Paused() {
		c.Unpause()
	}
	c.Stamp = h.s.set.Now()
	c.Upgrade(h.next)
	c.SetTransport(t)
	h.done(t)
	c.Schedule()
}

// explain fails because of an error of crypto/tls.
func (h *Handshake) explain(err error) {
	level, why, r := loglevel.Info, strings.TrimPrefix(err.Error(), "tls: "), reasonOf(err)
	switch r {
	case disconnected:
		level, why = loglevel.Debug, "the client has left"
	case unknownHost:
		why = "there is no certificate for the host that the client names"
	case incompatible:
		why = versions.Replace(why)
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
func (h *Handshake) fail(r reason, level loglevel.Level, why string) {
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
	h.c.Linger = true
	if !h.over && !h.c.Writing() {
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

// Deadline implements conn.Protocol.
func (h *Handshake) Deadline() int64 {
	switch end := h.latest(); h.stage {
	case queued:
		return min(end, h.looks)
	case failed:
		return h.s.set.Now() + int64(h.s.timeout)
	default:
		return end
	}
}

// Expired implements conn.Protocol.
func (h *Handshake) Expired() {
	switch late := h.latest() <= h.s.set.Now(); {
	case h.stage == failed:
		h.c.Close("time is up")
	case !late:
		h.seek()
	case h.c.Unread(): // a handler on the loop has kept it from what the client has sent
		h.c.Postpone()
	default:
		h.count(timedOut)
		h.s.Report(loglevel.Debug, h.c.String(), "TLS handshake failed: timeout of "+h.s.timeout.String()+" exceeded")
		h.c.Close("the TLS handshake takes too long")
	}
}

// Drain implements conn.Protocol. A client that was accepted is served if another server goes on with the listeners.
func (h *Handshake) Drain(retire bool) {
	if !retire {
		h.known = true // it is not the client's fault
		h.c.Close("the server is shutting down")
	}
}

// Flushed implements conn.Protocol.
func (h *Handshake) Flushed() {}

// Account implements conn.Protocol.
func (h *Handshake) Account() string { return h.next.Account() }

// Closed implements conn.Protocol.
func (h *Handshake) Closed() {
	h.over = true
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	switch h.stage {
	case queued:
		h.count(disconnected)
		h.s.waiting.remove(h)
	case running:
		h.count(disconnected)
		h.tell()
		h.cancel()
	}
	h.stage = failed
	h.next.Closed()
}

// Gone implements conn.Protocol.
func (h *Handshake) Gone() { h.next.Gone() }
