package conn

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// MayListen returns the error that Listen would return for addr, except that it accepts every inherited socket
// ("fd://3"). MayListen creates and removes no file, and never listens, so that it can run beside a starting server.
func MayListen(addr string, o ListenOptions) (err error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		err = mayListenAt(path, o.File)
	} else if !strings.HasPrefix(addr, "fd://") {
		err = mayBind(addr)
	}
	if err != nil {
		return cannotListen(addr, err)
	}
	return nil
}

func mayListenAt(path string, file *SocketFile) error {
	found, err := existing(path)
	switch {
	case err != nil:
		return err
	case isAbstract(path):
		if err := isStale(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	case found:
		if err := isStale(path); err != nil {
			return err
		}
	}
	if err := system.MayCreate(path); err != nil {
		return err
	}
	if file != nil && os.Geteuid() != 0 {
		groups, _ := os.Getgroups()
		if file.UID >= 0 && file.UID != os.Geteuid() ||
			file.GID >= 0 && file.GID != os.Getegid() && !slices.Contains(groups, file.GID) {
			return unix.EPERM
		}
	}
	return nil
}

var errBound = errors.New("the address is free")

// mayBind binds a socket to a TCP address and closes it. The kernel reports an address on which another process
// listens, but two sockets that only bind do not disturb each other.
func mayBind(addr string) error {
	a, err := resolveTCP(addr)
	if err != nil {
		return err
	}
	with := net.ListenConfig{Control: func(network, _ string, c syscall.RawConn) (err error) {
		if failed := c.Control(func(fd uintptr) { err = unix.Bind(int(fd), sockaddr(network, a)) }); failed != nil {
			return failed
		}
		if err != nil {
			return err
		}
		return errBound
	}}
	with.SetMultipathTCP(false)
	_, err = with.Listen(context.Background(), "tcp", a.String())
	if errors.Is(err, errBound) {
		return nil
	}
	return system.Cause(err)
}

// sockaddr returns a for a socket of the network "tcp4" or "tcp6".
func sockaddr(network string, a *net.TCPAddr) unix.Sockaddr {
	if network == "tcp4" {
		to := &unix.SockaddrInet4{Port: a.Port}
		copy(to.Addr[:], a.IP.To4())
		return to
	}
	to := &unix.SockaddrInet6{Port: a.Port}
	if !a.IP.IsUnspecified() { // IPv6 and IPv4, as the socket accepts both
		copy(to.Addr[:], a.IP.To16())
	}
	if zone, err := net.InterfaceByName(a.Zone); err == nil {
		to.ZoneId = uint32(zone.Index)
	} else if n, err := strconv.ParseUint(a.Zone, 10, 32); err == nil {
		to.ZoneId = uint32(n)
	}
	return to
}
