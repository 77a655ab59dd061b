package http1conn_test

import (
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/exchange/exchangetest"
	"fapws/runtime/http1conn"
)

// wire is the transport of a client without a socket, as a protocol over UDP would have it.
type wire struct {
	in, out      []byte
	tls          conn.TLSState
	said, closed bool
}

func (w *wire) Read(b []byte) (n int, err error) {
	if len(w.in) == 0 {
		return 0, unix.EAGAIN
	}
	n = copy(b, w.in)
	w.in = w.in[n:]
	return n, nil
}

func (w *wire) Write(b []byte) (int, error) {
	w.out = append(w.out, b...)
	return len(b), nil
}

func (w *wire) CloseWrite() error {
	w.said = true
	return nil
}

func (w *wire) Flush() error        { return nil }
func (w *wire) TLS() *conn.TLSState { return &w.tls }
func (w *wire) AwaitRoom()          {}
func (w *wire) Ends() bool          { return len(w.in) == 0 }
func (w *wire) Close()              { w.closed = true }

type peers struct {
	later
	peer *exchange.Peer
}

func (p *peers) Start(x *exchange.Exchange) {
	p.peer = x.Req.Peer
	p.later.Start(x)
}

func TestClientWithoutASocketIsServedByItsTransport(t *testing.T) {
	p, w := new(peers), &wire{in: []byte("GET / HTTP/1.0\r\n\r\n")}
	p.Run(t, p, exchange.Config{})
	var c *http1conn.Conn
	p.Do(func() {
		made, err := p.HTTP1.NewClient(-1, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 80), Port: 443},
			&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711}, false)
		checktest.Must(t, err)
		c = made
		c.OpenVirtual(p.Set, w, c, c.Local, c.Remote)
		c.ReadAgain()
	})
	for begun := false; !begun; {
		p.Do(func() { begun = p.peer != nil })
	}
	p.Do(func() {
		x := p.Held[0]
		checktest.Truef(t, p.peer.HTTPS && p.peer.TLS == &w.tls && p.peer.Addr == "192.0.2.1", "%+v", p.peer)
		checktest.Truef(t, x.Conn() == &c.Client.Conn && c.Ends() && !w.closed, "%v, closed: %v", x.Conn(), w.closed)
		exchangetest.Answer(x, "an answer")
	})
	p.Do(func() {
		p.Held = nil
		checktest.Truef(t, w.said && w.closed, "%+v", w)
		head, body, _ := strings.Cut(string(w.out), "\r\n\r\n")
		checktest.Truef(t, strings.HasPrefix(head, "HTTP/1.1 200 ") && body == "an answer", "%q", w.out)
	})
}
