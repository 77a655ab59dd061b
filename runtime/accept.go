package runtime

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"fapws/runtime/accept"
	"fapws/runtime/listen"
	"fapws/runtime/netio"
	"fapws/runtime/protocol/http1"
)

// rejectedAtOnce is how many connections may be told 503 at the same time because of Config.MaxClients.
const rejectedAtOnce = 64

// accepting is how connections come in. It belongs to the loop, but for methods of accept.Acceptor that say otherwise.
type accepting struct {
	accept.Acceptor
	clients  int // connections that count for Config.MaxClients
	rejected int // connections that are being told 503
	balance  balance
}

// Accept starts to accept connections on ln, which the server owns from now on. Call it after Serve; after
// Shutdown or Retire it only closes ln. It is safe for concurrent use.
func (s *Server) Accept(ln *listen.Listener) { s.loop.accepting.Accept(ln) }

// StopAccepting ends accepting at once, and closes the listeners as soon as the loop can. Shutdown and Retire begin
// with it. It is safe for concurrent use.
func (s *Server) StopAccepting() { s.loop.accepting.Stop() }

// acceptHost is the loop, as the acceptor sees it.
type acceptHost struct{ l *loop }

// Admit implements accept.Host. At the limit connections stay in the queue, or get 503 with Config.Refuse.
func (h acceptHost) Admit() accept.Verdict {
	l := h.l
	a := &l.accepting
	full := a.clients >= l.cfg.MaxClients
	switch {
	case full && (!l.cfg.Refuse || a.rejected >= rejectedAtOnce): // makeRoom resumes
		return accept.Wait
	case l.leavesToOthers(): // balance resumes
		return accept.Wait
	case full:
		return accept.Reject
	}
	return accept.Take
}

// Accepted implements accept.Host.
func (h acceptHost) Accepted(fd int, local, remote net.Addr, v accept.Verdict) {
	l := h.l
	c := l.newClient(fd, local, remote)
	if v == accept.Reject {
		l.reject(c, serviceUnavailable)
		return
	}
	l.open(c)
	l.expect(c)
}

// QueueEmpty implements accept.Host.
func (h acceptHost) QueueEmpty() {
	b := &h.l.accepting.balance
	b.allowed, b.next = 0, minAllowed
}

// serviceUnavailable is what a client gets for which there is no room.
var serviceUnavailable = []byte("HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 20\r\n" +
	"Retry-After: 1\r\nConnection: close\r\n\r\nService Unavailable\n")

// reject sends its last bytes to a client that is not served, and closes its connection when the client does, or soon.
func (l *loop) reject(c *client, last []byte) {
	c.proxy, c.rejected = nil, true
	l.open(c)
	if c.State() != http1.StateClosed {
		_, _ = netio.Send(c.Fd(), last, 0) // an empty socket takes it
		c.Dismiss()
	}
}

// descriptorOf returns a descriptor of a connection, which it closes.
func descriptorOf(nc net.Conn) (int, error) {
	defer nc.Close()
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return -1, unix.ENOTSOCK
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd, failed := -1, error(nil)
	if err := rc.Control(func(of uintptr) { fd, failed = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return -1, err
	}
	return fd, failed
}
