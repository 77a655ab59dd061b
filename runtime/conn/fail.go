package conn

import (
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/logfile"
)

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
	if !h.closed && !h.c.Writing() {
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
	l, now := &s.lines, s.set.Now()
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
