package runtime

import (
	"errors"
	"net"
	"strconv"

	"golang.org/x/sys/unix"
)

// tcpSockets makes n listening sockets at one address.
func tcpSockets(addr string, n int, o ListenOptions) (fds []int, err error) {
	defer func() {
		if err != nil {
			closeAll(fds)
			fds = nil
		}
	}()
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, cause(err)
	}
	first, err := bindTCP(a)
	if err != nil {
		return nil, err
	}
	fds = append(fds, first)
	if n > 1 || o.ReusePort {
		// Only now: with SO_REUSEPORT from the start, bind would succeed beside
		// another server of this user that has it too (a fapws that still runs,
		// say), and the two would share the clients without a word.
		if err := unix.SetsockoptInt(first, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return fds, err
		}
	}
	if n > 1 {
		at, err := unix.Getsockname(first) // port 0 is settled
		if err != nil {
			return fds, err
		}
		for len(fds) < n {
			fd, err := bind(at, true)
			if err != nil {
				return fds, err
			}
			fds = append(fds, fd)
		}
	}
	for _, fd := range fds {
		if err := listen(fd, o); err != nil {
			return fds, err
		}
	}
	return fds, nil
}

// bindTCP binds as package net does: an address that stands for all of the
// machine takes IPv6 and IPv4, or IPv4 where the kernel has no IPv6.
func bindTCP(a *net.TCPAddr) (int, error) {
	if a.IP == nil || a.IP.IsUnspecified() {
		fd, err := bind(&unix.SockaddrInet6{Port: a.Port}, false)
		if asked := a.IP != nil && a.IP.To4() == nil; noIPv6(err) && !asked {
			return bind(&unix.SockaddrInet4{Port: a.Port}, false)
		}
		return fd, err
	}
	if ip := a.IP.To4(); ip != nil {
		return bind(&unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(ip)}, false)
	}
	zone, err := zoneNumber(a.Zone)
	if err != nil {
		return -1, err
	}
	return bind(&unix.SockaddrInet6{Port: a.Port, Addr: [16]byte(a.IP.To16()), ZoneId: zone}, false)
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

// bind makes a socket that has an address and does not listen yet; beside is
// for one that shares the address with others of ours.
func bind(at unix.Sockaddr, beside bool) (fd int, err error) {
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
	if beside {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return fd, err
		}
	}
	keepAlive(fd)
	if onlyHere(at) && paces() {
		unpace(fd)
	}
	return fd, unix.Bind(fd, at)
}

// keepAlive makes the kernel look after the connections that fd accepts; see
// keepAliveIdle. Without it there are only the timeouts.
func keepAlive(fd int) {
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepAliveIdle)
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
