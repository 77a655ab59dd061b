package runtime

import (
	"errors"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// starvedFor is how long there may be no descriptor for another connection
	// before those that wait are told to come back: most bouts are shorter.
	starvedFor = 5 * time.Second

	turnedAwayAtOnce = 64                    // connections that get 503 side by side
	turnedAwayInARow = 16                    // those that get it from the descriptor kept for them, at a time
	lastWordsWithin  = 50 * time.Millisecond // for each of these
	lingerWithin     = time.Second
)

// comeBack is what a client gets for whom there is no room.
var comeBack = []byte("HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 20\r\n" +
	"Retry-After: 1\r\nConnection: close\r\n\r\nService Unavailable\n")

// beyond answers a connection for which there is no slot, if that is wanted
// instead of letting it wait. On an acceptor; the work is done elsewhere.
func (s *Server) beyond(nc net.Conn) {
	select {
	case s.leaving <- struct{}{}:
	case <-s.acceptors.end:
		nc.Close()
		return
	}
	go func() {
		defer func() { <-s.leaving }()
		turnAway(nc, lingerWithin)
	}()
}

// turnAway answers 503 and closes, within that time. It reads what the client has
// sent, because closing would reset the connection otherwise, and with it the
// answer (RFC 9112 §9.6).
func turnAway(nc net.Conn, within time.Duration) {
	defer nc.Close()
	var request [4 << 10]byte
	_ = nc.SetDeadline(time.Now().Add(within))
	_, _ = nc.Read(request[:])
	if _, err := nc.Write(comeBack); err != nil {
		return
	}
	if half, ok := nc.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	for err := error(nil); err == nil; {
		_, err = nc.Read(request[:])
	}
}

// starved says whether err means that there is no descriptor.
func starved(err error) bool { return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) }

// turnSomeAway answers connections that wait at ln with the one descriptor that
// door has kept for it. On an acceptor.
func turnSomeAway(ln net.Listener, spare, door *spare) {
	patient, ok := ln.(interface{ SetDeadline(time.Time) error })
	if !ok {
		return
	}
	spare.lend() // one of the two is there, or will be with the first that is free
	door.lend()
	for range turnedAwayInARow {
		_ = patient.SetDeadline(time.Now().Add(time.Millisecond))
		nc, err := ln.Accept()
		if err != nil {
			break
		}
		turnAway(nc, lastWordsWithin)
	}
	_ = patient.SetDeadline(time.Time{})
	_ = door.hold() // failing, it is tried again
}
