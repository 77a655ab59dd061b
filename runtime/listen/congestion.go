package listen

import (
	"net"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Paces says whether the kernel's congestion control spreads packets over time, as
// BBR does, when it is first called. It is safe for concurrent use.
//
// Between two programs of one machine that only costs: there is no queue to keep short, and every pause is a timer
// and a wake-up. Over loopback three times as many files of 1 MiB leave in a second without it, for a fifth of the
// CPU. So connections from the machine itself, for example from a proxy, get Reno, which every kernel has and every
// user may choose.
var Paces = sync.OnceValue(func() bool {
	name, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
	return err == nil && strings.HasPrefix(string(name), "bbr")
})

// Unpace takes a TCP socket out of that. One that was accepted has had BBR, whose pacing stays, if with a higher
// rate; connections of a listener without it have never had it.
func Unpace(fd int) {
	// Without it everything works as well.
	_ = setCongestion(fd, "reno")
}

// SameMachine says whether packets between the two addresses never leave the kernel.
func SameMachine(local, remote net.Addr) bool {
	l, ok := local.(*net.TCPAddr)
	r, ok2 := remote.(*net.TCPAddr)
	return ok && ok2 && (r.IP.IsLoopback() || r.IP.Equal(l.IP))
}

// onlyHere says whether only clients of this machine reach a socket with that address.
func onlyHere(at unix.Sockaddr) bool {
	switch a := at.(type) {
	case *unix.SockaddrInet4:
		return a.Addr[0] == 127
	case *unix.SockaddrInet6:
		return net.IP(a.Addr[:]).IsLoopback()
	}
	return false
}
