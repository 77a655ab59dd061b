package conn

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

// AcceptConfig says how many connections are accepted.
type AcceptConfig struct {
	// MaxClients bounds the open connections of clients; the rest wait in the kernel's listen queue. 0: three quarters of the descriptors that
	// the process may have open, because files that are sent and upstreams of tunnels have descriptors, too.
	MaxClients int

	// Refuse answers 503 to connections beyond MaxClients, instead of letting them wait.
	Refuse bool

	// Concurrency is how many requests the application answers at once, if other processes accept on the same listeners: while so many run
	// here, or are about to, new connections are left to the others for a moment. See balance. 0: no other process accepts.
	Concurrency int

	// Moment is for how long connections are left to other processes. 0: 100 ms, long enough for a process that is awake or can
	// be woken, short enough for files.
	Moment time.Duration
}

// defaultMoment is the default of AcceptConfig.Moment.
const defaultMoment = 100 * time.Millisecond

// rejectedAtOnce is how many connections may be told 503 at the same time because of AcceptConfig.MaxClients.
const rejectedAtOnce = 64

// ServiceUnavailable is a whole response for a client for which there is no room.
var ServiceUnavailable = []byte("HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 20\r\n" +
	"Retry-After: 1\r\nConnection: close\r\n\r\nService Unavailable\n")

// Configure replaces the Config.
func (a *Acceptor) Configure(c AcceptConfig) {
	if c.Moment == 0 {
		c.Moment = defaultMoment
	}
	a.cfg = c
}

// Opened counts an open connection: Take, one of a client; Reject, one that is told that there is no room; Wait, one that does not
// count, because the server made it.
func (a *Acceptor) Opened(v Verdict) { a.open[v]++ }

// Closed is for a connection that Opened has counted. Another one may have its place.
func (a *Acceptor) Closed(v Verdict) {
	a.open[v]--
	a.Resume()
}

// Full reports whether there are as many clients as there may be.
func (a *Acceptor) Full() bool { return a.open[Take] >= a.cfg.MaxClients }

// admit decides about the next connection.
func (a *Acceptor) admit() Verdict {
	full := a.Full()
	switch {
	case full && (!a.cfg.Refuse || a.open[Reject] >= rejectedAtOnce): // Closed resumes
		return Wait
	case a.leavesToOthers(): // balance resumes
		return Wait
	case full:
		return Reject
	}
	return Take
}

// openFilesIntact returns an error, of one line, if no client can connect because the application has lowered the limit
// of open files. It is safe for concurrent use.
func (a *Acceptor) openFilesIntact() error {
	if now := system.OpenFiles(); a.short.Load() && now < a.openFiles {
		return fmt.Errorf("the application lowered the limit of open files (RLIMIT_NOFILE) from %d to %d, so no client can connect", a.openFiles, now)
	}
	return nil
}

// hint returns the end of a line about an error of accept: the limit that was reached, and how to raise it.
func hint(err error) string {
	if err != unix.EMFILE {
		return ""
	}
	return fmt.Sprintf(" (ulimit -n %d); raise LimitNOFILE of systemd or ulimit -n, or lower --max-clients", system.OpenFiles())
}

// warnFull logs that clients at ln do not get in because of AcceptConfig.MaxClients, whose default follows from the limit of open files.
func (a *Acceptor) warnFull(ln *Listener) {
	if !a.Full() || !ln.Queued() || !a.fullWarnings.Once(warnsEvery) {
		return
	}
	fate := "wait"
	if a.cfg.Refuse {
		fate = "get 503"
	}
	a.Log(logfile.Warning, "max-clients reached: %d connections are open, further clients %s; raise --max-clients, or the limit of open files "+
		"that its default follows from (ulimit -n %d, LimitNOFILE of systemd)", a.open[Take], fate, system.OpenFiles())
}

const (
	// refusedInARow is how many waiting connections are refused one after the other by the reserve descriptor.
	refusedInARow = 16

	// refusedReads is how often each of them is read from, 4 KiB at a time: a client may send faster than it is read.
	refusedReads = 16
)

// KeepReserve makes the descriptor by which clients are refused when no other is free. Any descriptor will do; a duplicate of
// one that outlives the acceptor is the cheapest.
func (a *Acceptor) KeepReserve(of int) {
	a.reserve, a.reserveOf = -1, of
	if a.openFiles == 0 {
		a.openFiles = system.OpenFiles()
	}
	if fd, err := unix.FcntlInt(uintptr(of), unix.F_DUPFD_CLOEXEC, 0); err == nil {
		a.reserve = fd
	}
}

// CloseReserve gives that descriptor back.
func (a *Acceptor) CloseReserve() {
	if a.reserve >= 0 {
		unix.Close(a.reserve)
	}
}

// refuseQueued refuses connections that wait at a listener.
func (a *Acceptor) refuseQueued(listener int) {
	a.CloseReserve()
	var request [4 << 10]byte
	for range refusedInARow {
		fd, _, err := acceptNonblock(listener)
		if err != nil {
			break
		}
		// Closing a socket with unread input would reset the connection, and with it the answer (RFC 9112 §9.6).
		for range refusedReads {
			if n, _ := Receive(fd, request[:]); n <= 0 {
				break
			}
		}
		_, _ = Send(fd, ServiceUnavailable, 0)
		unix.Close(fd)
	}
	a.KeepReserve(a.reserveOf)
}

// The application may close standard input, output and error by a direct system call. The next clients would get their numbers, and what
// is written to the error log.

// aboveStandard returns another descriptor of a connection in the place of fd, which is 0, 1 or 2.
func (a *Acceptor) aboveStandard(fd int) (int, error) {
	a.closed.Store(int32(fd) + 1)
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	null, failed := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if failed == nil {
		failed = unix.Dup3(null, fd, 0)
		unix.Close(null)
	}
	if failed != nil { // in a chroot, perhaps
		unix.Close(fd)
	}
	return high, err
}

// standardIntact returns an error if the application has closed standard input, output or error.
func (a *Acceptor) standardIntact() error {
	closed := int(a.closed.Load()) - 1
	for fd := 0; fd <= 2 && closed < 0; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == unix.EBADF {
			closed = fd
		}
	}
	if closed < 0 {
		return nil
	}
	return fmt.Errorf("the application closed descriptor %d, standard %s, which clients must not get", closed, [...]string{"input", "output", "error"}[closed])
}

// balance divides new connections among processes that share their listeners (AcceptConfig.Concurrency). A process that has as
// many requests as it can run leaves them in the queue, where another one finds them. If they are still there after a
// moment, all processes are busy, or the connections that were expected to bring requests are silent: then it accepts
// them all the same, because it can still serve files, and because the number of silent clients must not matter.
type balance struct {
	running  int    // requests that occupy the application
	expected int    // connections that were accepted lately, and have sent no request yet
	epoch    uint32 // of expected: older connections do not count any more
	waits    bool   // the moment has begun
	allowed  int    // connections that may be accepted all the same
	next     int    // how many there will be the next time, if the queue is not empty before
}

const (
	minAllowed = 16
	maxAllowed = 1024
)

// Expected says whether, and since when, the first request of a connection is expected. The zero value says that it is not.
type Expected uint32

// Expect counts a connection that was just accepted and has sent nothing yet.
func (a *Acceptor) Expect() Expected {
	b := &a.balance
	if a.cfg.Concurrency == 0 {
		return 0
	}
	b.epoch = max(b.epoch, 1)
	b.expected++
	return Expected(b.epoch)
}

// Arrived is for a connection that has sent its first request, or was closed.
func (a *Acceptor) Arrived(e Expected) {
	b := &a.balance
	if e != 0 && uint32(e) == b.epoch {
		b.expected--
		a.Resume()
	}
}

// Occupied counts n more requests that occupy the application.
func (a *Acceptor) Occupied(n int) {
	a.balance.running += n
	if n < 0 {
		a.Resume()
	}
}

// Running returns how many requests occupy the application.
func (a *Acceptor) Running() int { return a.balance.running }

// leavesToOthers reports whether connections in the queue are for other processes now.
func (a *Acceptor) leavesToOthers() bool {
	b := &a.balance
	switch {
	case b.running+b.expected < a.cfg.Concurrency || a.cfg.Concurrency == 0:
		return false
	case b.allowed > 0:
		b.allowed--
		return false
	}
	if !b.waits {
		b.waits = true
		time.AfterFunc(a.cfg.Moment, func() { a.Events.Post(a.left) })
	}
	return true
}

// left is called when connections have been left to others for long enough.
func (a *Acceptor) left() {
	b := &a.balance
	b.waits = false
	b.epoch++
	b.expected = 0
	b.allowed = max(b.next, minAllowed)
	b.next = min(2*b.allowed, maxAllowed)
	a.Resume()
}

// queueEmpty notes that no more connections wait at a listener.
func (b *balance) queueEmpty() { b.allowed, b.next = 0, minAllowed }
