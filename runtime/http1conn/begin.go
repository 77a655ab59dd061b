package http1conn

import (
	"bytes"
	"fmt"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/route"
)

// AwaitTLS makes c begin with TLS, after the header of the PROXY protocol if there is one. AwaitTLS must be called
// before Open.
func (c *Conn) AwaitTLS() { c.awaitsTLS = true }

func (c *Conn) Speaks() conn.Protocol {
	if c.AwaitsProxyHeader() {
		return proxyHeader{c}
	}
	return c.afterProxyHeader()
}

func (c *Conn) afterProxyHeader() conn.Protocol {
	if c.awaitsTLS {
		if c.s.Config.Current != nil {
			return helloReader{c}
		}
		return c.handshake()
	}
	if c.s.Config.H2C && !c.Subrequest() {
		return prefaceReader{c}
	}
	return c
}

func (c *Conn) handshake() conn.Protocol {
	return c.s.tls.Handshake(&c.Client.Conn, c, c.secured)
}

// helloReader is the protocol of a connection before its TLS handshake. It is used only if Config.Current is not nil.
// Config.Current waits until changed application code is loaded, possibly by a different process. The handshake begins
// only after this wait, because a different process can take over the connection only before the handshake.
type helloReader struct{ *Conn }

func (h helloReader) Input(data []byte) {
	c := h.Conn
	c.Keep(data)
	if c.mustAsk() {
		return
	}
	c.gate = closed // the first request must also wait for Config.Current
	c.setState(StateNew)
	p := c.handshake()
	c.Upgrade(p)
	p.Input(nil)
}

func (c *Conn) secured(t *conn.TLSTransport) {
	c.awaitsTLS = false
	c.Secured()
	if t.HTTP2() {
		c.Upgrade(prefaceReader{c})
	}
}

type proxyHeader struct{ *Conn }

func (h proxyHeader) Input(data []byte) {
	c, s := h.Conn, h.s
	c.Keep(data)
	buf := c.Pending()
	header, n, err := conn.ParseProxyHeader(buf)
	switch {
	case err == http1.ErrNeedMore:
	case err != nil:
		if s.unannounced.Now() {
			s.Config.LogClient(logfile.Warning, c.String(),
				fmt.Sprintf("connection closed: %v: %s; let the proxy send one (send-proxy), or remove "+
					"--proxy-protocol",
					err, conn.Excerpt(buf[:min(len(buf), conn.MaxProxyLine)])))
		}
		c.Close("no PROXY header")
	default:
		s.ApplyProxyHeader(&c.Client, &header)
		c.Consume(n)
		p := c.afterProxyHeader()
		c.Upgrade(p)
		p.Input(nil)
	}
}

// preface contains the first bytes that every HTTP/2 client sends (RFC 9113 §3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// prefaceReader is the protocol of a connection whose first bytes select HTTP/1 or HTTP/2. If ALPN has selected HTTP/2
// and the first bytes are not the preface, the connection closes (RFC 9113 §3.4).
type prefaceReader struct{ *Conn }

func (p prefaceReader) Input(data []byte) {
	c := p.Conn
	c.Keep(data)
	got := c.Pending()
	n := min(len(got), len(preface))
	switch {
	case !bytes.Equal(got[:n], []byte(preface)[:n]) && c.Transport() != nil:
		c.Close("no preface of HTTP/2")
	case !bytes.Equal(got[:n], []byte(preface)[:n]):
		c.Upgrade(c)
		c.Input(nil)
	case n < len(preface), c.Transport() == nil && c.s.Config.Current != nil && c.mustAsk():
	default:
		c.Consume(n)
		c.s.http2(&c.Client)
	}
}

// A gate determines whether the next request of a connection may be parsed. It is used only if Config.Current is not
// nil. In that case every request waits until Config.Current permits its response.
type gate uint8

const (
	closed gate = iota // Config.Current must be called before the next request
	// Config.Current was called and has not called done yet; the request waits in the pending input
	asking
	open
)

// mustAsk reports whether the arriving request must wait for Config.Current, which must not be nil. mustAsk calls
// Config.Current once for each request.
func (c *Conn) mustAsk() bool {
	s := c.s
	if c.gate == open || c.Busy() || c.Subrequest() {
		return false
	}
	if c.gate == closed {
		if c.state == StateNew {
			s.Arrived(&c.Client)
		}
		c.gate, c.Stamp = asking, s.Set.Now
		s.AwaitCurrent(func() {
			if c.gate == asking {
				c.gate = open
				c.queue()
			}
		})
	}
	c.setState(StateWaiting)
	return true
}

// redirect redirects a request to its own URL. A new process has the new code of the application, but only this process
// has the keys of the TLS connection, so the client must send the request again on a new connection. If the path begins
// with several slashes, redirect keeps only one of them, because "//" would begin a host name.
func (c *Conn) redirect(req *http1.Request, head []byte) {
	fields := append([]byte("Location: "), '/')
	fields = route.AppendURL(fields, bytes.TrimLeft(req.Path.In(head), `/\`))
	if query := req.Query.In(head); len(query) > 0 {
		fields = route.AppendURL(append(fields, '?'), query)
	}
	c.s.rest = nil
	c.newErrorExchange(head).Sink.Reply(exchange.Reply{Status: 307, Fields: append(fields, "\r\n"...),
		Text: "the code has changed, and a new connection reaches it", Override: true, Close: true})
}
