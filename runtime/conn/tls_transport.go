package conn

import (
	"bytes"
	"crypto/tls"
	"html"
	"strconv"

	"golang.org/x/sys/unix"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// TLSTransport encrypts a connection. It implements conn.Transport.
type TLSTransport struct {
	tls     *tls.Conn
	client  *exchange.TLS
	http2   bool
	resumed bool
	wire    wire
}

var _ Transport = (*TLSTransport)(nil)

// pieceSize is how many bytes are encrypted before they are written.
const pieceSize = 32 << 10

// Client returns what handlers are told of the client.
func (t *TLSTransport) Client() *exchange.TLS { return t.client }

// HTTP2 reports whether the client speaks HTTP/2 (ALPN, RFC 9113 §3.2).
func (t *TLSTransport) HTTP2() bool { return t.http2 }

// Read implements conn.Transport.
func (t *TLSTransport) Read(b []byte) (n int, err error) {
	t.wire.drained, t.wire.empty = false, false
	n, err = t.read(b)
	t.wire.keep()
	return n, err
}

// read is Read. Records of which all is used end it without asking crypto/tls for more, which costs a tenth of reading a small record.
func (t *TLSTransport) read(b []byte) (n int, err error) {
	for n < len(b) {
		t.wire.room = len(b) - n
		if t.wire.waiting() > pieceSize && t.Flush() == unix.EAGAIN { // what is read may have to be answered: KeyUpdate
			if n > 0 {
				return n, nil
			}
			return 0, unix.EAGAIN
		}
		k, err := t.tls.Read(b[n:])
		n += k
		switch {
		case err == nil && n < len(b) && t.wire.drained && len(t.wire.in) == 0:
			return n, nil
		case err == nil:
		case err != errNotYet:
			return n, err
		case n > 0:
			return n, nil
		case t.wire.empty:
			return 0, unix.EAGAIN
		default: // a part of a record, behind which the client may have shut down its side: EAGAIN must come from the socket
			t.wire.drained = false
		}
	}
	return n, nil
}

// Write implements conn.Transport.
func (t *TLSTransport) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		if t.wire.waiting() >= pieceSize {
			if err := t.Flush(); err == unix.EAGAIN && n > 0 {
				return n, nil
			} else if err != nil {
				return n, err
			}
		}
		k, err := t.tls.Write(b[:min(len(b), pieceSize)])
		if n += k; err != nil {
			return n, err
		}
		b = b[k:]
	}
	return n, nil
}

// Flush implements conn.Transport.
func (t *TLSTransport) Flush() error { return t.wire.flush() }

// CloseWrite implements conn.Transport: it sends close_notify.
func (t *TLSTransport) CloseWrite() error { return t.tls.CloseWrite() }

// maxPlain bounds the head of a request of HTTP that is looked at.
const maxPlain = 8 << 10

// answerPlain answers b, which begins like a request of HTTP, when its head is whole or cannot become that.
func (h *Handshake) answerPlain(b []byte) {
	r := http1.Request{Resume: h.resume}
	limits := http1.Limits{}.WithDefaults()
	n, err := r.Parse(b, &limits)
	if err == http1.ErrNeedMore && len(b) < maxPlain {
		h.resume = r.Resume
		return
	}
	url, browser := "", false
	if err == nil {
		url, browser = secureURL(&r, b[n-r.HeadLen:n])
	}
	h.count(plainHTTP)
	h.s.Report(logfile.Info, h.c.String(), "plain HTTP on an HTTPS port: answered 400")
	set := h.s.set
	h.c.Use()
	set.Buf = appendPlain(set.Buf, url, browser)
	h.c.DropInput()
	h.stage = failed
	set.Flush()
	h.end()
}

// secureURL returns the URL with https of what r, which is in head, asks for, or "", and reports whether its client is a browser.
func secureURL(r *http1.Request, head []byte) (url string, browser bool) {
	for _, f := range r.Fields {
		if bytes.EqualFold(f.Name.In(head), []byte("Accept")) {
			browser = bytes.Contains(f.Value.In(head), []byte("text/html"))
		}
	}
	host, target := string(r.Host.In(head)), string(r.Target.In(head))
	if host == "" || target == "" || target[0] != '/' {
		return "", browser
	}
	return "https://" + host + target, browser
}

// appendPlain appends a response that says where to find url with https.
func appendPlain(dst []byte, url string, browser bool) []byte {
	const text = "This is an HTTPS port."
	kind, body := "text/plain", text
	switch {
	case browser && url != "":
		kind = "text/html"
		body = "<!DOCTYPE html><title>400 Bad Request</title><p>" + text + " Use <a href=\"" + html.EscapeString(url) + "\">" + html.EscapeString(url) + "</a>."
	case url != "":
		body = text + " Use " + url
	}
	dst = append(dst, "HTTP/1.1 400 Bad Request\r\nContent-Type: "...)
	dst = append(append(dst, kind...), "; charset=utf-8\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(body)+1), 10)
	dst = append(dst, "\r\nConnection: close\r\n\r\n"...)
	return append(append(dst, body...), '\n')
}
