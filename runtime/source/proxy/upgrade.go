package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"syscall"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/sys/unix"

	"fapws/runtime/backend"
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/websocket"
)

// upgrade passes on a request for a WebSocket. It has a new connection, which is never one of those that are
// kept for others, before or after: the answer of the upstream decides whether the next bytes are a request, and only
// the upstream knows how it takes them.
func (p *Proxy) upgrade(w *backend.Response, r *backend.Request) {
	ctx, cancel := context.WithCancelCause(r.Context)
	defer cancel(nil)
	request, ok := p.request(ctx, r)
	if !ok {
		w.Refuse(400, badPath)
		return
	}
	for name, values := range maps.Clone(request.Header) {
		delete(request.Header, name)
		request.Header[spelling(name)] = values
	}
	request.Header["Connection"] = []string{"Upgrade"}
	request.Header["Upgrade"] = []string{"websocket"}
	c, err := p.dial(ctx)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	defer c.close()
	response, err := c.ask(request, nil)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		p.pass(w, r, response, cancel)
		return
	}
	if wrong := switches(response, r); wrong != "" {
		p.complain(r, "its answer to a request for a WebSocket is 101 %s", wrong)
		w.Refuse(502, "")
		return
	}
	head, ok := p.head(w, r, response)
	if !ok {
		return
	}
	head.Fields = append([]byte("Upgrade: websocket\r\nConnection: Upgrade\r\n"), head.Fields...)
	ahead, _ := c.in.Peek(c.in.Buffered())
	t := &exchange.Tunnel{Ahead: bytes.Clone(ahead), Idle: max(0, p.opt.TunnelTimeout)}
	client := r.Client()
	t.Ended = func(err error) { p.complainOf(client, "WebSocket closed: %v", err) }
	if !c.unbind() {
		w.Refuse(502, "") // the client has disconnected
		return
	}
	if t.Upstream, err = detach(c.Conn); err != nil {
		p.complain(r, "no tunnel for a WebSocket: %v", err)
		w.Refuse(503, "")
		return
	}
	w.Tunnel(head, t)
}

// switches returns the name of a field that a 101 lacks to be the answer to r, or "" (RFC 6455 §4.1, RFC 9110 §7.8).
func switches(response *http.Response, r *backend.Request) string {
	h := response.Header
	accept := websocket.AcceptKey([]byte(r.Field("Sec-WebSocket-Key")))
	switch {
	case len(h["Upgrade"]) != 1 || !strings.EqualFold(h["Upgrade"][0], "websocket"):
		return "without Upgrade: websocket"
	case !httpguts.HeaderValuesContainsToken(h["Connection"], "upgrade"):
		return "without Connection: Upgrade"
	case len(h["Sec-Websocket-Accept"]) != 1 || h["Sec-Websocket-Accept"][0] != string(accept[:]):
		return "without a valid Sec-WebSocket-Accept"
	}
	return ""
}

// detach takes a connection out of Go's poller, for the event loop, and closes c. The result does not block. For a moment
// there is a descriptor more.
func detach(c net.Conn) (conn.Side, error) {
	under := plain(c)
	defer under.Close()
	raw, err := under.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var failed error
	err = raw.Control(func(old uintptr) { fd, failed = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 3) })
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, fmt.Errorf("dup: %w", err)
	}
	_, tcp := under.(*net.TCPConn)
	socket := conn.Plain{Descriptor: fd, TCP: tcp}
	secure, ok := c.(*tls.Conn)
	if !ok {
		return socket, nil
	}
	below := secure.NetConn().(*carrier)
	below.detached, below.socket = true, socket
	return &secureSocket{Plain: socket, conn: secure, below: below}, nil
}

// secureSocket is a TLS connection that does not block. crypto/tls keeps the beginning of an incomplete record when
// its connection returns a temporary error, so reading needs no goroutine.
type secureSocket struct {
	conn.Plain
	conn  *tls.Conn
	below *carrier
}

// Drains implements conn.Side. crypto/tls returns one record at a time.
func (s *secureSocket) Drains() bool { return false }

// Read implements conn.Side.
func (s *secureSocket) Read(b []byte) (int, error) {
	n, err := s.conn.Read(b)
	switch {
	case n > 0:
		return n, nil // an error comes again
	case err == conn.ErrNotYet:
		return 0, unix.EAGAIN
	case err == io.ErrUnexpectedEOF:
		return 0, io.EOF // without the farewell of TLS, which many servers do not send
	}
	return n, err
}

// Write implements conn.Side.
func (s *secureSocket) Write(b []byte) (int, error) {
	if err := s.Flush(); err != nil {
		return 0, err
	}
	return s.conn.Write(b)
}

// Flush implements conn.Side.
func (s *secureSocket) Flush() error { return s.below.flush() }

// CloseWrite implements conn.Side.
func (s *secureSocket) CloseWrite() error { return s.conn.CloseWrite() }

// carrier is the connection below one of TLS. After the handshake it can be detached: then it does not block, and deadlines, which
// crypto/tls sets to say goodbye, are those of the closed Conn.
type carrier struct {
	net.Conn
	detached bool       // Conn is closed
	socket   conn.Plain // if it is detached
	out      []byte     // data that socket has not accepted
}

// Read implements net.Conn.
func (c *carrier) Read(b []byte) (int, error) {
	if !c.detached {
		return c.Conn.Read(b)
	}
	n, err := c.socket.Read(b)
	if err == unix.EAGAIN {
		err = conn.ErrNotYet
	}
	return n, err
}

// Write implements net.Conn. A detached carrier accepts everything, and keeps the data for which its socket has no room:
// crypto/tls cannot write a part of a record. secureSocket.Write is refused until that is flushed, which bounds it.
func (c *carrier) Write(b []byte) (int, error) {
	if !c.detached {
		return c.Conn.Write(b)
	}
	n := 0
	if len(c.out) == 0 {
		var err error
		if n, err = c.socket.Write(b); err != nil && err != unix.EAGAIN {
			return 0, err
		}
	}
	c.out = append(c.out, b[n:]...)
	return len(b), nil
}

// flush writes waiting bytes. It returns unix.EAGAIN if some are left.
func (c *carrier) flush() error {
	for len(c.out) > 0 {
		n, err := c.socket.Write(c.out)
		if err != nil {
			return err
		}
		c.out = c.out[n:]
	}
	c.out = nil
	return nil
}
