package http1conn

import (
	"bytes"
	"fmt"

	"fapws/runtime/conn"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// proxyHeader is the protocol of a connection that must begin with a header of the PROXY protocol.
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
		c.SetProtocol(p)
		p.Input(nil)
	}
}

// handshake returns the protocol that begins TLS.
func (c *Conn) handshake() conn.Protocol {
	return c.s.tls.Handshake(&c.Client.Conn, c, func(t *conn.TLSTransport) {
		c.Secured()
		if t.HTTP2() {
			c.SetProtocol(prefaceReader{c})
		}
	})
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
	case !bytes.Equal(got[:n], []byte(preface)[:n]) && c.TLS() != nil:
		c.Close("no preface of HTTP/2")
	case !bytes.Equal(got[:n], []byte(preface)[:n]):
		c.SetProtocol(c)
		c.Input(nil)
	case n < len(preface):
	default:
		c.Consume(n)
		c.s.http2(&c.Client)
	}
}
