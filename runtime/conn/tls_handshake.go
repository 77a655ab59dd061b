package conn

import (
	"bufio"
	"bytes"
	"container/list"
	"crypto/tls"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/eventloop"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

type TLSHandshake struct {
	s      *TLSServer
	c      *Conn
	client string // key of the client in TLSServer.places
	next   Protocol
	done   func(*TLSTransport)
	stage  stage
	place  *list.Element // nil if removed from TLSServer.handshakes
	known  bool          // the result is counted in the metrics
	t      *TLSTransport // nil until the goroutine starts
	choice choice

	// the goroutine's own descriptor of the socket, which the goroutine closes
	over   *os.File
	waits  atomic.Bool // the goroutine waits for the client
	closed atomic.Bool
}

type stage uint8

const (
	collecting stage = iota // the first record is arriving
	// a goroutine runs the handshake; the loop does not read from the connection
	making
	failed
)

const (
	recordHeader = 5
	maxRecord    = 16 << 10 // maximum plaintext in a record, in bytes
	isAlert      = 21       // record types (RFC 8446 §5.1)
	isHandshake  = 22
)

// maxHello limits the ClientHello, in bytes.
const maxHello = 16 << 10

// clientHello examines the TLS records at the front of b. whole is true if they contain the complete ClientHello, or
// bytes that crypto/tls rejects at once. size is the size of the ClientHello in bytes, or 0 if it is not known yet.
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
		if size = 4 + int(message[1])<<16 + int(message[2])<<8 + int(message[3]); len(message) >= size ||
			message[0] != 1 {
			return size, true
		}
	}
	return size, false
}

func IsHandshake(b []byte) bool { return len(b) > 1 && b[0] == isHandshake && b[1] == 3 }

// Handshake returns a protocol that performs the TLS handshake of c. After the handshake, done is called, and next
// becomes the protocol of the connection. If c is closed during the handshake, next.Closed is called. The timeout of
// the handshake begins with this call.
func (s *TLSServer) Handshake(c *Conn, next Protocol, done func(*TLSTransport)) *TLSHandshake {
	c.Stamp = s.set.Now
	h := &TLSHandshake{s: s, c: c, client: NetworkOf(c.Remote), next: next, done: done}
	h.place = s.handshakes.PushBack(h)
	s.places.Add(h.client, 1)
	return h
}

func (h *TLSHandshake) Input(b []byte) {
	switch h.stage {
	case collecting:
		h.c.Keep(b)
		h.look()
	case failed:
		h.c.Linger = h.c.Linger || len(b) > 0
	}
}

func (h *TLSHandshake) look() {
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

func (h *TLSHandshake) Drained(ended bool) {
	if ended {
		h.c.Finish()
	}
}

func (h *TLSHandshake) EOF() (stays bool) { return false }

func (h *TLSHandshake) Due() (next int64) {
	now := h.s.set.Now
	end := h.c.Stamp + eventloop.Tick + int64(h.s.timeout)
	switch {
	case h.stage == failed: // the connection lingers, or a transfer sends the response
		return now + int64(h.s.timeout)
	case end > now:
		return end
	case h.c.HasUnreadInput(): // a handler on the loop delayed the next read
		return now + eventloop.Tick
	}
	h.count(timedOut)
	h.s.Report(logfile.Debug, h.c.String(), "TLS handshake failed: timeout of "+h.s.timeout.String()+" exceeded")
	h.c.Close("the TLS handshake takes too long")
	return now
}

// Drain does not end the handshake, because the client's first request follows it. The deadline may have become earlier
// (TLSServer.Limit).
func (h *TLSHandshake) Drain(bool) { h.c.Schedule() }

func (h *TLSHandshake) Closed() {
	if h.stage == making {
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

var errNoConfig = errors.New("there is no certificate")

// run starts the goroutine of the handshake. The goroutine has its own descriptor for the socket, which remains
// non-blocking: a read or write through the os.File of this descriptor blocks only the goroutine.
func (h *TLSHandshake) run() {
	s, c := h.s, h.c
	fd, err := unix.FcntlInt(uintptr(c.Fd()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		h.fail(other, logfile.Error, err.Error())
		return
	}
	h.stage, h.over = making, os.NewFile(uintptr(fd), c.String())
	h.t = &TLSTransport{wire: wire{Conn: unopened, c: c, s: s, over: h, in: bytes.Clone(c.Pending())}}
	c.DropInput()
	c.Pause(PauseForReset)
	config := s.config.Load()
	if config == nil {
		config = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return nil, errNoConfig
		}}
	}
	h.t.tls = tls.Server(&h.t.wire, config)
	s.set.Offload(h.c, func() { err = h.try() }, func(bug bool) {
		// the goroutine panicked, for example in a callback of the tls.Config
		if bug {
			err = errors.New("internal error")
		}
		h.conclude(err)
	})
}

// try performs the handshake, on the goroutine of the handshake.
func (h *TLSHandshake) try() error {
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
		h.t.client, h.t.http2, h.t.resumed = describe(&state, &h.choice), state.NegotiatedProtocol == "h2",
			state.DidResume
	}
	return err
}

// Read and Write are called by crypto/tls on the goroutine. While the goroutine waits for its client, the goroutine of
// another handshake may compute.
func (h *TLSHandshake) Read(b []byte) (int, error) { return h.wait(h.over.Read, b) }

func (h *TLSHandshake) Write(b []byte) (int, error) { return h.wait(h.over.Write, b) }

func (h *TLSHandshake) wait(transfer func([]byte) (int, error), b []byte) (int, error) {
	h.waits.Store(true)
	<-h.s.turns
	defer func() {
		h.s.turns <- struct{}{}
		h.waits.Store(false)
	}()
	return transfer(b)
}

// conclude runs on the loop after the goroutine of the handshake has ended.
func (h *TLSHandshake) conclude(err error) {
	h.leave()
	if h.stage == failed {
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
	// In TLS 1.3 the client sends the last message, and Nagle's algorithm (RFC 896) may delay the client's request until
	// the kernel acknowledges this message. Without TCP_QUICKACK (tcp(7)), the kernel would wait up to 40 ms for data to
	// send with the acknowledgment.
	if c.TCP() {
		_ = unix.SetsockoptInt(c.Fd(), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	}
	c.Unpause()
	c.Stamp = h.s.set.Now
	c.SetProtocol(h.next)
	c.setTransport(t)
	h.done(t)
	c.Schedule()
}

func (h *TLSHandshake) Idle() (start int64, idle bool) { return h.c.Stamp, h.stage == collecting }

func (h *TLSHandshake) leave() {
	s := h.s
	if h.place == nil {
		return
	}
	s.handshakes.Remove(h.place)
	h.place = nil
	s.places.Add(h.client, -1)
	if s.places.Free("") == 1 {
		s.Freed()
	}
}

func (h *TLSHandshake) explain(err error) {
	level, why, r := logfile.Info, strings.TrimPrefix(err.Error(), "tls: "), reasonOf(err)
	switch r {
	case disconnected:
		level, why = logfile.Debug, "the client has left"
	case unknownHost:
		why = "there is no certificate for the host that the client names"
	case incompatible:
		why = versions.Replace(why)
	case other:
		// OpenSSL sends an alert in plaintext if it has not begun to encrypt (TLS 1.3), so crypto/tls cannot decrypt
		// the alert. Encrypted alerts have the record type of application data.
		if h.t.wire.frames.head[0] == isAlert && strings.HasSuffix(why, "bad record MAC") {
			r, why = refused, "the client has refused it; perhaps it does not trust the certificate"
		} else if strings.HasSuffix(why, "error decoding message") {
			why = "a message of the client is malformed; perhaps the host name in it ends with a dot, which RFC " +
				"6066 forbids"
		}
	case refused:
		why = "the client has refused it: " + strings.TrimPrefix(why, "remote error: tls: ")
	}
	h.fail(r, level, why)
}

// versions replaces hexadecimal TLS versions in errors of crypto/tls, such as "unsupported versions: [302 301]", by
// names.
var versions = strings.NewReplacer("[304", "TLS 1.3", "[303", "TLS 1.2", "[302", "TLS 1.1", "[301", "TLS 1.0", "[300",
	"SSL 3.0", "[", "", " 303", ", TLS 1.2", " 302", ", TLS 1.1", " 301", ", TLS 1.0", " 300", ", SSL 3.0", "]", "")

func hasLeft(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, unix.EPIPE) ||
		errors.Is(err, unix.ECONNRESET) || errors.Is(err, net.ErrClosed)
}

func (h *TLSHandshake) fail(r reason, level logfile.Level, cause string) {
	h.count(r)
	h.s.Report(level, h.c.String(), "TLS handshake failed: "+cause)
	h.end()
}

// count adds the result r of h to the metrics, unless a result of h is already counted.
func (h *TLSHandshake) count(r reason) {
	if !h.known {
		h.known = true
		h.s.counts.failed[r]++
	}
}

func (h *TLSHandshake) end() {
	h.stage = failed
	h.leave()
	h.c.Linger = true
	if !h.c.IsClosed() && !h.c.Writing() {
		h.c.Finish()
	}
}

const maxPlain = 8 << 10 // in bytes

func (h *TLSHandshake) answerPlain(b []byte) {
	if !bytes.Contains(b, []byte("\r\n\r\n")) && len(b) < maxPlain {
		return
	}
	url, browser := "", false
	if r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b))); err == nil && r.Host != "" &&
		r.RequestURI[0] == '/' {
		url, browser = "https://"+r.Host+r.RequestURI, strings.Contains(r.Header.Get("Accept"), "text/html")
	}
	h.count(plainHTTP)
	h.s.Report(logfile.Info, h.c.String(), "plain HTTP on an HTTPS port: answered 400")
	out := h.c.Use()
	*out = appendPlain(*out, url, browser)
	h.c.DropInput()
	h.stage = failed
	h.s.set.Flush()
	h.end()
}

func appendPlain(dst []byte, url string, browser bool) []byte {
	const text = "This is an HTTPS port."
	kind, body := "text/plain", text
	switch {
	case browser:
		kind = "text/html"
		link := html.EscapeString(url)
		body = string(http1.Page("400 Bad Request", "<p>"+text+` Use <a href="`+link+`">`+link+"</a>.</p>", ""))
	case url != "":
		body = text + " Use " + url
	}
	return fmt.Appendf(dst, "HTTP/1.1 400 Bad Request\r\nContent-Type: %s; charset=utf-8\r\nContent-Length: "+
		"%d\r\nConnection: close\r\n\r\n%s\n", kind, len(body)+1, body)
}
