package conn

import (
	"bytes"
	"container/list"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/eventloop"
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
	t      *TLSTransport // from when its goroutine was started
	choice choice        // of the configuration, for the goroutine

	over   *os.File    // the socket, for the goroutine, which closes it
	waits  atomic.Bool // the goroutine waits for the client
	closed atomic.Bool // the connection is, so that nothing need be computed for it
}

// stage is how far a handshake has come.
type stage uint8

const (
	collecting stage = iota // the first record is arriving
	making                  // a goroutine makes it; the loop does not read from the connection
	failed                  // the connection closes
)

const (
	recordHeader = 5
	maxRecord    = 16 << 10 // of plaintext
	isAlert      = 21       // types of a record (RFC 8446 §5.1)
	isHandshake  = 22
)

// maxHello bounds the ClientHello, and half of the records that it comes in, in bytes. Browsers send up to 4 KiB. The rest of
// a handshake costs a descriptor and a goroutine, and begins when the ClientHello is whole.
const maxHello = 16 << 10

// clientHello reports whether the records at the front of b have the first message of a handshake, or something that
// crypto/tls refuses at once, and how many bytes that message has, as far as that is known.
func clientHello(b []byte) (size int, whole bool) {
	var message []byte
	for len(b) >= recordHeader {
		n := recordSize(b)
		if b[0] != isHandshake || n == 0 || n > maxRecord {
			return size, true
		}
		if len(b) < recordHeader+n {
			break
		}
		message, b = append(message, b[recordHeader:recordHeader+n]...), b[recordHeader+n:]
		if len(message) < 4 {
			continue
		}
		if size = 4 + int(message[1])<<16 + int(message[2])<<8 + int(message[3]); len(message) >= size || message[0] != 1 {
			return size, true
		}
	}
	return size, false
}

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
		if size, whole := clientHello(b); whole {
			h.run()
		} else if size > maxHello || len(b) > 2*maxHello {
			h.fail(other, logfile.Info, "the ClientHello has more than 16 KiB")
		}
	case 'A' <= b[0] && b[0] <= 'Z':
		h.answerPlain(b)
	default:
		h.fail(notTLS, logfile.Info, "what it has sent is no TLS: "+Excerpt(b[:min(len(b), 16)]))
	}
}

// Room implements conn.Protocol: the answer to plain HTTP is sent.
func (h *Handshake) Room(ended bool) {
	if ended {
		h.c.Finish()
	}
}

// EOF implements conn.Protocol.
func (h *Handshake) EOF() (stays bool) { return false }

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

// Drain implements conn.Protocol. A client that was accepted is served if another server goes on with the listeners,
// or if it
// has sent its ClientHello.
func (h *Handshake) Drain(retire bool) {
	if !retire && !h.c.Unread() {
		h.known = true // it is not the client's fault
		h.c.Close("the server is shutting down")
	}
}

// Closed implements conn.Protocol.
func (h *Handshake) Closed() {
	if h.stage == making { // it leaves when its goroutine has ended
		h.closed.Store(true)
		h.over.SetDeadline(time.Unix(0, 0))
		h.count(disconnected)
		h.s.ending++
	} else {
		h.leave()
	}
	h.stage = failed
	h.next.Closed()
}

// errNoConfig is why handshakes fail before SetConfig.
var errNoConfig = errors.New("there is no certificate")

// run starts the goroutine. It has a descriptor of its own, so that it can wait for the client beside the loop.
func (h *Handshake) run() {
	s, c := h.s, h.c
	fd, err := unix.FcntlInt(uintptr(c.Fd()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		h.fail(other, logfile.Error, err.Error())
		return
	}
	h.stage, h.over = making, os.NewFile(uintptr(fd), c.String())
	h.t = &TLSTransport{wire: wire{Conn: unopened, c: c, s: s, over: h, in: bytes.Clone(c.Pending())}}
	c.DropInput()
	c.Pause(HeedReset)
	config := s.config.Load()
	if config == nil {
		config = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errNoConfig }}
	}
	h.t.tls = tls.Server(&h.t.wire, config)
	s.set.Beside(func() { err = h.try() }, func(bug bool) {
		if bug { // perhaps in a callback of the configuration
			err = errors.New("internal error")
		}
		h.conclude(err)
	})
}

// try is the goroutine: it has crypto/tls make the handshake.
func (h *Handshake) try() error {
	defer h.over.Close()
	h.s.turns <- struct{}{}
	defer func() { <-h.s.turns }()
	if h.closed.Load() {
		return net.ErrClosed
	}
	err := h.t.tls.Handshake()
	if err == nil {
		state := h.t.tls.ConnectionState()
		if err = checkChain(state.PeerCertificates); err != nil {
			return err
		}
		h.t.client, h.t.http2, h.t.resumed = describe(&state, &h.choice), state.NegotiatedProtocol == "h2", state.DidResume
	}
	return err
}

// Read and Write are for the goroutine. While it waits for its client another one computes.
func (h *Handshake) Read(b []byte) (int, error) { return h.wait(h.over.Read, b) }

func (h *Handshake) Write(b []byte) (int, error) { return h.wait(h.over.Write, b) }

func (h *Handshake) wait(transfer func([]byte) (int, error), b []byte) (int, error) {
	h.waits.Store(true)
	<-h.s.turns
	defer func() {
		h.s.turns <- struct{}{}
		h.waits.Store(false)
	}()
	return transfer(b)
}

// conclude goes on when the goroutine has ended.
func (h *Handshake) conclude(err error) {
	h.leave()
	if h.stage == failed { // the connection was closed
		h.s.ending--
		return
	}
	if err != nil {
		h.explain(err)
		return
	}
	c, t := h.c, h.t
	h.known = true
	if t.resumed {
		h.s.counts.resumed++
	} else {
		h.s.counts.full++
	}
	t.wire.over = nil
	// The client has spoken last, in TLS 1.3, and may wait for the acknowledgment before it sends its request. Servers that send session tickets
	// behind its last message acknowledge it with those; crypto/tls sends them before.
	if c.TCP() {
		acknowledge(c.Fd())
	}
	c.Unpause()
	c.Stamp = h.s.set.Now
	c.Upgrade(h.next)
	c.setTransport(t)
	h.done(t)
	c.Schedule()
}

// Idle reports whether the ClientHello is missing, and since when.
func (h *Handshake) Idle() (since int64, idle bool) { return h.c.Stamp, h.stage == collecting }

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
