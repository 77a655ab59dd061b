package conn

import (
	"net"

	"golang.org/x/sys/unix"
)

// Connect makes c, a zero Conn, a connection to a *net.TCPAddr or *net.UnixAddr, and opens it with the protocol p. The
// connection is perhaps not established yet: a write then returns unix.EAGAIN, and the result is known when the socket
// has room, or when a read or a transfer fails.
func (s *Set) Connect(c *Conn, to net.Addr, p Protocol) error {
	family, address := unix.AF_INET, unix.Sockaddr(nil)
	switch a := to.(type) {
	case *net.UnixAddr:
		family, address = unix.AF_UNIX, &unix.SockaddrUnix{Name: a.Name}
	case *net.TCPAddr:
		if ip := a.IP.To4(); ip != nil {
			address = &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(ip)}
		} else {
			family, address = unix.AF_INET6, &unix.SockaddrInet6{Port: a.Port, Addr: [16]byte(a.IP)}
		}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err = unix.Connect(fd, address); err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return err
	}
	return s.OpenOutward(c, fd, to, p)
}

// OpenOutward makes c, a zero Conn, a connection to another server with the connected, non-blocking socket fd, which c
// then owns, and opens it with the protocol p.
func (s *Set) OpenOutward(c *Conn, fd int, to net.Addr, p Protocol) error {
	c.Init(fd, nil, to)
	if a, ok := to.(*net.TCPAddr); ok {
		setForAccepted(fd)
		if a.IP.IsLoopback() && Paces() {
			Unpace(fd)
		}
	}
	c.set, c.proto, c.Patient, c.Stamp, c.bytesOnly = s, p, true, s.Now, true
	if err := s.Events.Add(&c.watch, fd, c); err != nil {
		unix.Close(fd)
		c.life = closed
		return err
	}
	c.Schedule()
	return nil
}

// Adopt does the same as OpenOutward with a connection of package net, which it closes: it duplicates the descriptor. t
// is the TLS transport of the connection (NewTLSClient), whose handshake has ended; nil without TLS.
func (s *TLSServer) Adopt(c *Conn, dialled net.Conn, t *TLSTransport, p Protocol) error {
	to := dialled.RemoteAddr()
	fd, err := descriptorOf(dialled)
	if err == nil {
		err = s.set.OpenOutward(c, fd, to, p)
	}
	if err == nil && t != nil {
		t.wire.c, t.wire.s, t.wire.over = c, s, nil
		c.setTransport(t)
	}
	return err
}

// Quiet reports whether c is open and has no input that the protocol has not got. If c has such input, it must be closed.
func (c *Conn) Quiet() bool {
	err := error(nil)
	if c.transport != nil {
		_, err = c.transport.Read(make([]byte, 1))
	} else {
		_, err = peek(c.Fd())
	}
	return err == unix.EAGAIN
}

// Progress returns the time at which the peer last took bytes of a transfer, on the clock of Set.Now; 0 without one.
func (c *Conn) Progress() int64 {
	if c.transfer == nil {
		return 0
	}
	return c.transfer.progress
}

const spareInputs = 16

// TakeInput gives the buffer that contains the argument of Protocol.Input to the protocol, which returns it with
// GiveInput when it no longer needs the bytes.
func (s *Set) TakeInput() []byte {
	taken := s.input
	if n := len(s.inputs); n > 0 {
		s.input, s.inputs = s.inputs[n-1], s.inputs[:n-1]
	} else {
		s.input = make([]byte, len(taken))
	}
	return taken
}

func (s *Set) GiveInput(b []byte) {
	if len(s.inputs) < spareInputs {
		s.inputs = append(s.inputs, b)
	}
}

// Trim discards spare memory.
func (s *Set) Trim() { s.inputs = nil }
