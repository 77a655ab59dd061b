package conn

import "net"

// A virtual connection has no socket: another connection carries its bytes, as a stream. Its transport has to
//
//   - call ReadAgain when something has come,
//   - call Watch().Notify with eventloop.Writable when there is room, after a Write that has returned unix.EAGAIN,
//   - gather what it writes for the connection that carries it, whose closing has to close this one, and abort its transfer.

// OpenVirtual makes c, which is empty, a virtual connection of s that speaks p. Addresses are those of the connection that carries it.
func (c *Conn) OpenVirtual(s *Set, t Transport, p Protocol, local, remote net.Addr) {
	c.set, c.proto, c.transport, c.fd = s, p, &secured{t}, -1
	c.Local, c.Remote, c.Stamp = local, remote, s.now
	s.Events.AddVirtual(&c.watch, c)
	c.Schedule()
}

func (c *Conn) virtual() bool { return c.fd < 0 }
