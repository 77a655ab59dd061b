package sites

import (
	"bytes"

	"fapws/runtime/conn"
	"fapws/runtime/protocol/http2"
)

// prefaceReader is the protocol of a connection that may begin with HTTP/2: its first bytes say so. Otherwise it goes on with HTTP/1 or,
// if its client has chosen HTTP/2 by ALPN, closes (RFC 9113 §3.4).
type prefaceReader struct{ *Client }

// Input implements conn.Protocol.
func (p prefaceReader) Input(data []byte) {
	c := p.Client
	c.Keep(data)
	got := c.Pending()
	n := min(len(got), len(http2.Preface))
	switch {
	case !bytes.Equal(got[:n], []byte(http2.Preface)[:n]) && c.Transport() != nil:
		c.Close("no preface of HTTP/2")
	case !bytes.Equal(got[:n], []byte(http2.Preface)[:n]):
		c.Upgrade(c)
		c.Input(nil)
	case n == len(http2.Preface):
		c.Consume(n)
		m := &multiplexed{client: c}
		m.Begin(&c.s.http2, &c.Conn.Conn, m)
		m.Input(nil)
	}
}

// multiplexed is the protocol of a connection that speaks HTTP/2, and accounts for its client.
type multiplexed struct {
	http2.Conn
	client *Client
}

var _ conn.Protocol = (*multiplexed)(nil)

// Account implements Self of package http2.
func (m *multiplexed) Account() string { return accountOf(m.client.Client()) }

// Closed implements conn.Protocol.
func (m *multiplexed) Closed() {
	m.client.Closed()
	m.Conn.Closed()
}

// Gone implements conn.Protocol.
func (m *multiplexed) Gone() { m.client.Gone() }
