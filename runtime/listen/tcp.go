package listen

import (
	"errors"
	"net"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// tcpSocket makes a listening socket.
func tcpSocket(addr string, o Options) (int, error) {
	if host, port, err := net.SplitHostPort(addr); err == nil && isLocalhost(host) {
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return -1, cause(err)
	}
	fd, err := bindTCP(a)
	if err != nil {
		return -1, err
	}
	if err := listen(fd, o); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// isLocalhost reports whether a name stands for this machine, without a look-up, which may fail: small systems have
// no /etc/hosts (RFC 6761, section 6.3).
func isLocalhost(host string) bool {
	return strings.EqualFold(strings.TrimSuffix(host, "."), "localhost")
}

// bindTCP binds as package net does: an address that stands for all of the
// machine takes IPv6 and IPv4, or IPv4 where the kernel has no IPv6.
func bindTCP(a *net.TCPAddr) (int, error) {
	if a.IP == nil || a.IP.IsUnspecified() {
		fd, err := bind(&unix.SockaddrInet6{Port: a.Port})
		if asked := a.IP != nil && a.IP.To4() == nil; noIPv6(err) && !asked {
			return bind(&unix.SockaddrInet4{Port: a.Port})
		}
		return fd, err
	}
	if ip := a.IP.To4(); ip != nil {
		return bind(&unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(ip)})
	}
	zone, err := zoneNumber(a.Zone)
	if err != nil {
		return -1, err
	}
	return bind(&unix.SockaddrInet6{Port: a.Port, Addr: [16]byte(a.IP.To16()), ZoneId: zone})
}

func noIPv6(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)
}

// zoneNumber returns the number of an interface, given by name or number.
func zoneNumber(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, cause(err)
	}
	return uint32(i.Index), nil
}

// bind makes a socket that has an address and does not listen yet.
func bind(at unix.Sockaddr) (fd int, err error) {
	family := unix.AF_INET
	if _, ok := at.(*unix.SockaddrInet6); ok {
		family = unix.AF_INET6
	}
	if fd, err = newSocket(family); err != nil {
		return -1, err
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
			fd = -1
		}
	}()
	if family == unix.AF_INET6 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0); err != nil {
			return fd, err
		}
	}
	// Connections of a server that ended shortly before do not keep the port.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return fd, err
	}
	setForAccepted(fd)
	if onlyHere(at) && Paces() {
		Unpace(fd)
	}
	return fd, unix.Bind(fd, at)
}

// setForAccepted sets what accepted connections inherit from their listener: small answers are sent at once, and
// the kernel looks after silent connections (see keepAliveIdle; without it there are only the timeouts).
func setForAccepted(fd int) {
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	setKeepIdle(fd, keepAliveIdle)
}
