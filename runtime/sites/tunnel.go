package sites

import (
	"bufio"
	"bytes"
	"net/http"

	"golang.org/x/sys/unix"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
)

// Where Mount.Tunnels, a handler may answer a request for a WebSocket with a connection to an upstream
// (exchange.Head.Tunnel). Then a Link of package protocol/tunnel is the protocol of the connection. What the client has sent behind
// its request, before the answer, was kept like what follows any request, and goes along. Without a tunnel it is the
// next request.

// tunnelHost is an exchange that a tunnel has answered. It implements conn.TunnelHost.
type tunnelHost struct{ x *Exchange }

func (h tunnelHost) Ended(proper bool) {
	h.x.proper = proper
	h.x.End()
}

// openTunnel makes the connection of x, and the upstream in p, a tunnel.
func (s *Sites) openTunnel(x *Exchange, p *exchange.Part) {
	if c := x.Conn(); c.Half() {
		c.Close("the client has shut down its side before its WebSocket began")
		x.Release(p)
		return
	}
	s.set.Flush()
	if x.Conn() == nil { // its client has left
		x.Release(p)
		return
	}
	if !x.InTurn() { // the answer before goes first
		x.Hold(p)
		return
	}
	t, err := s.tunnels.Open(tunnelHost{x}, s.set, p.Head.Tunnel)
	if err != nil {
		s.logClient(x, logfile.Error, "no tunnel for a WebSocket: %v", err)
		y := ofHTTP(x.Substitute())
		x.Release(p)
		y.Reply(exchange.Reply{Status: 503, Fields: retryAfter})
		return
	}
	c, head := x.Carrier.SwitchProtocols(&x.Exchange, &http1.Response{
		Status: p.Head.Status, Reason: p.Head.Reason, Version: http1.HTTP11, KeepAlive: true, Length: -1,
		Fields: p.Head.Fields, HasDate: p.Head.HasDate, HasServer: p.Head.HasServer,
	})
	if s.cfg.Debug >= 2 {
		s.tracef("%s: tunnel opened", c)
	}
	x.tunnel, x.KeepAlive = t, false
	ahead := p.Head.Tunnel.Ahead
	p.Owner.Release(p) // the exchange goes on until the tunnel has ended
	x.Source = exchange.Memory{}
	t.Begin(c, append(head[:len(head):len(head)], ahead...), len(head))
}

// maxAnswer bounds the head that an application writes.
const maxAnswer = 16 << 10

// readAnswer reads the head of the response that the application has written to its socket, and nothing behind it. It returns nil if it has
// not arrived yet, or does not accept a WebSocket: then the client was answered.
func (r *relay) readAnswer() *http1.Response {
	head := make([]byte, maxAnswer)
	n, _, err := unix.Recvfrom(r.fd, head, unix.MSG_PEEK|unix.MSG_DONTWAIT)
	size := bytes.Index(head[:max(n, 0)], []byte("\r\n\r\n")) + 4
	switch {
	case size >= 4:
	case err == unix.EAGAIN || n > 0 && n < maxAnswer:
		return nil
	default:
		r.malformed("it has no head of at most 16 KiB")
		return nil
	}
	unix.Recvfrom(r.fd, head[:size], unix.MSG_DONTWAIT) // which were there
	answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head[:size])), nil)
	switch {
	case err != nil:
		r.malformed(err.Error())
		return nil
	case answer.StatusCode >= 400:
		r.refuse(exchange.Reply{Status: answer.StatusCode})
		return nil
	case answer.StatusCode != http.StatusSwitchingProtocols:
		r.malformed("its status is " + answer.Status)
		return nil
	}
	var fields bytes.Buffer
	answer.Header.Write(&fields) // into memory
	return &http1.Response{
		Status: 101, Version: http1.HTTP11, KeepAlive: true, Length: -1, Fields: fields.Bytes(),
		HasDate: answer.Header["Date"] != nil, HasServer: answer.Header["Server"] != nil,
	}
}

// malformed refuses a WebSocket whose application has written something else than the head that accepts it.
func (r *relay) malformed(why string) {
	r.x.s.logClient(r.x, logfile.Error, "the application's response to a request for a WebSocket is malformed: %s", why)
	r.refuse(exchange.Reply{Status: 502})
}
