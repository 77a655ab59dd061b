package conn

import "net"

// Virtual is the transport of a virtual connection, which has no socket: another connection carries its bytes, as a stream. It has to
//
//   - call ReadAgain when something has come,
//   - gather what it writes for the connection that carries it, whose closing has to close this one, and abort its transfer.
type Virtual interface {
	Transport

	// AwaitRoom has Watch().Notify called with eventloop.Writable when there is room, even if there is already. A Write that returns
	// unix.EAGAIN does that, too.
	AwaitRoom()
}

// OpenVirtual makes c, which is empty, a virtual connection of s that speaks p. Addresses are those of the connection that carries it.
func (c *Conn) OpenVirtual(s *Set, t Virtual, p Protocol, local, remote net.Addr) {
	c.set, c.proto, c.transport, c.fd = s, p, &secured{t}, -1
	c.Local, c.Remote, c.Stamp = local, remote, s.now
	s.Events.AddVirtual(&c.watch, c)
	c.Schedule()
}

func (c *Conn) virtual() bool { return c.fd < 0 }
