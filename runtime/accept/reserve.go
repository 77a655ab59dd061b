package accept

import (
	"golang.org/x/sys/unix"

	"fapws/runtime/descriptors"
	"fapws/runtime/netio"
	"fapws/runtime/system"
)

// refusedInARow is how many waiting connections are refused one after the other by the reserve descriptor.
const refusedInARow = 16

// KeepReserve makes the descriptor by which clients are refused when no other is free. Any descriptor will do; a duplicate of
// one that outlives the acceptor is the cheapest.
func (a *Acceptor) KeepReserve(of int) {
	a.reserve, a.reserveOf = -1, of
	if a.openFiles == 0 {
		a.openFiles = openFiles()
	}
	if fd, err := unix.FcntlInt(uintptr(of), unix.F_DUPFD_CLOEXEC, 0); err == nil {
		a.reserve = fd
		descriptors.Hold(fd)
	}
}

// CloseReserve gives that descriptor back.
func (a *Acceptor) CloseReserve() {
	if a.reserve >= 0 {
		descriptors.Release(a.reserve)
		unix.Close(a.reserve)
	}
}

// refuseQueued refuses connections that wait at a listener.
func (a *Acceptor) refuseQueued(listener int) {
	a.CloseReserve()
	var request [4 << 10]byte
	for range refusedInARow {
		fd, _, err := system.Accept(listener)
		if err != nil {
			break
		}
		// Closing a socket with unread input would reset the connection, and with it the answer (RFC 9112 §9.6).
		for n := 1; n > 0; n, _ = netio.Receive(fd, request[:]) {
		}
		_, _ = netio.Send(fd, ServiceUnavailable, 0)
		unix.Close(fd)
	}
	a.KeepReserve(a.reserveOf)
}
