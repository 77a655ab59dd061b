package worker

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/settings"
	"fapws/runtime/conn"
)

// MayListen returns the error with which a server would fail to listen on addrs, which have the form of
// settings.Config.Bind. MayListen does not check sockets that a service manager passes. own reports whether a process
// is the running server itself, which keeps its addresses at a reload.
func MayListen(addrs []string, o conn.ListenOptions, own func(pid int) bool) error {
	for i, addr := range addrs {
		plain, _ := settings.SplitSecure(addr)
		if plain == "systemd" {
			continue
		}
		err := conn.MayListen(plain, o)
		if errors.Is(err, unix.EADDRINUSE) && isOwn(plain, own) {
			continue
		}
		if err == nil && overlaps(plain, addrs[:i]) {
			err = fmt.Errorf("cannot listen on %s: %w", plain, unix.EADDRINUSE)
		}
		if err != nil {
			return BindFailed(plain, addrs, err)
		}
	}
	return nil
}

func isOwn(addr string, own func(pid int) bool) bool {
	pids, _ := holders(addr)
	for pid := range pids {
		if own(pid) {
			return true
		}
	}
	return false
}

// overlaps reports whether a socket cannot listen on addr because the same server already listens on one of addresses:
// the ports are equal, and so are the hosts, or one host means all addresses of the machine.
func overlaps(addr string, addresses []string) bool {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port == "0" || strings.HasPrefix(addr, "unix:") {
		return false
	}
	everywhere := func(host string) bool {
		ip, err := netip.ParseAddr(host)
		return host == "" || err == nil && ip.IsUnspecified()
	}
	for _, other := range addresses {
		plain, _ := settings.SplitSecure(other)
		its, same, err := net.SplitHostPort(plain)
		if err == nil && same == port && (its == host || everywhere(host) || everywhere(its)) {
			return true
		}
	}
	return false
}
