//lint:file-ignore SA1019 net/http cannot open a connection of HTTP/2 over one that exists

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/sys/unix"
)

type session interface {
	// room returns how many requests may be sent at once.
	room() int

	usable() bool

	// request returns when the whole response has arrived
	request() (status int, err error)
}

func (g *generator) dial() (session, error) {
	ctx, cancel := context.WithTimeout(g.ctx, g.Timeout)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, g.network, g.address)
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: raw, raw: raw, received: &g.received, left: math.MaxInt}
	w.stop = context.AfterFunc(g.ctx, func() { raw.Close() })
	if g.tls != nil {
		secure := tls.Client(raw, g.tls)
		if err = secure.HandshakeContext(ctx); err == nil && g.HTTP2 && secure.ConnectionState().
			NegotiatedProtocol != http2.NextProtoTLS {
			err = errors.New("the server does not offer HTTP/2")
		}
		w.Conn = secure
	}
	var s session
	switch {
	case err != nil:
	case g.HTTP2:
		s, err = newHTTP2(ctx, g, w)
	default:
		s = &http1Session{wire: w, g: g, in: bufio.NewReader(w)}
	}
	if err != nil {
		w.Close()
	}
	return s, err
}

type wire struct {
	net.Conn
	raw      net.Conn
	received *atomic.Int64
	left     int // number of bytes of a head that may still arrive
	failed   error
	stop     func() bool
}

func (w *wire) Read(b []byte) (int, error) {
	if w.left <= 0 {
		w.failed = errLong
		return 0, errLong
	}
	n, err := w.Conn.Read(b)
	w.received.Add(int64(n))
	w.left -= n
	w.failed = err
	return n, err
}

func (w *wire) Close() error {
	w.stop()
	return w.raw.Close()
}

const maxHead = 64 << 10 // in bytes

var errLong = errors.New("the head of a response is too long")

type http1Session struct {
	*wire
	g    *generator
	in   *bufio.Reader
	last bool
}

func (s *http1Session) room() int { return 1 }

func (s *http1Session) usable() bool {
	// If bytes have arrived on the idle connection, find out whether the server has closed the connection, or has only
	// sent TLS records without data.
	if !s.last && s.g.schedule.interval > 0 && s.hasNews() {
		_ = s.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := s.in.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
			s.last = true
			s.Close()
		}
	}
	return !s.last
}

// hasNews reports whether bytes or the end of the stream have arrived.
func (s *http1Session) hasNews() bool {
	raw, err := s.raw.(syscall.Conn).SyscallConn()
	if err == nil {
		_ = raw.Read(func(fd uintptr) bool {
			_, _, err = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
			return true
		})
	}
	return !errors.Is(err, unix.EAGAIN)
}

// inOne is the size, in bytes, above which a request is written while the response is read, because the server may
// respond before it has read the whole request.
const inOne = 64 << 10

func (s *http1Session) request() (status int, err error) {
	_ = s.SetDeadline(time.Now().Add(s.g.Timeout))
	var written atomic.Bool
	write := func() {
		_, err := s.Write(s.g.target.request)
		written.Store(err == nil)
	}
	if len(s.g.target.request) <= inOne {
		write()
	} else {
		go write()
	}
	status, err = s.response()
	// Close the connection if the request was not written completely: the server may have rejected a large request.
	if s.last = s.last || err != nil || !written.Load(); s.last {
		s.Close()
	}
	return status, err
}

func (s *http1Session) response() (status int, err error) {
	var r *http.Response
	for r == nil || r.StatusCode < 200 && r.StatusCode != http.StatusSwitchingProtocols {
		s.left = maxHead
		if r, err = http.ReadResponse(s.in, s.g.asked); err != nil {
			malformed := errors.New("the response is not HTTP/1.1")
			if strings.Contains(err.Error(), "Content-Length") {
				malformed = errors.New("Content-Length is wrong")
			}
			return 0, cmp.Or(s.failed, malformed)
		}
	}
	s.left = math.MaxInt
	s.last = r.Close || s.g.asked.Close || r.StatusCode == http.StatusSwitchingProtocols
	if _, err = io.Copy(io.Discard, r.Body); err != nil {
		return 0, cmp.Or(s.failed, errors.New("the chunks of a response are malformed"))
	}
	if s.in.Buffered() > 0 {
		return 0, errors.New("more than the response has come")
	}
	return r.StatusCode, nil
}

type http2Session struct {
	*http2.ClientConn
	g     *generator
	limit int
}

// newHTTP2 waits until the server has announced its limit of concurrent requests.
func newHTTP2(ctx context.Context, g *generator, w *wire) (session, error) {
	c, err := g.http2.NewClientConn(w)
	if err != nil {
		return nil, err
	}
	switch err := c.Ping(ctx); {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, cmp.Or(w.failed, errors.New("the server does not speak HTTP/2"))
	}
	return &http2Session{c, g, min(g.Streams, int(min(c.State().MaxConcurrentStreams, maxStreams)))}, nil
}

func (s *http2Session) room() int { return s.limit }

func (s *http2Session) usable() bool { return s.CanTakeNewRequest() }

func (s *http2Session) request() (status int, err error) {
	ctx, cancel := context.WithTimeout(s.g.ctx, s.g.Timeout)
	defer cancel()
	asked := s.g.asked.WithContext(ctx)
	if asked.Body != nil {
		asked.Body = io.NopCloser(bytes.NewReader(s.g.Body))
	}
	r, err := s.RoundTrip(asked)
	if err != nil {
		if text := err.Error(); strings.HasSuffix(text, "not usable") || strings.HasSuffix(text, "graceful shutdown GOAWAY") {
			err = errRefused // RFC 9113 §6.8
		}
		return 0, err
	}
	defer r.Body.Close()
	_, err = io.Copy(io.Discard, r.Body)
	return r.StatusCode, err
}

func notOpened(err error) string {
	why := reason(err)
	if errors.As(err, new(unix.Errno)) {
		why += "; start the server there, or correct the address"
	}
	return why
}

func reason(err error) string {
	var code unix.Errno
	var unverified *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var reset http2.StreamError
	var away http2.GoAwayError
	var timeout net.Error
	switch {
	case errors.As(err, &unverified):
		return unverified.Err.Error() + "; see --cacert and --insecure"
	case errors.As(err, &record):
		return "the server does not speak TLS; use http://"
	case errors.As(err, &reset):
		return "reset: " + reset.Code.String()
	case errors.As(err, &away):
		return "the server has ended the connection: " + away.ErrCode.String()
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timed out"
	case errors.As(err, &code):
		return code.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed before the response"
	}
	return err.Error()
}
