package runtime

import (
	"errors"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/descriptors"
	"fapws/runtime/eventloop"
	"fapws/runtime/listen"
	"fapws/runtime/loglevel"
	"fapws/runtime/netio"
	"fapws/runtime/system"
)

const (
	// acceptsAtOnce is how many connections are accepted before others have their turn.
	acceptsAtOnce = 64

	// acceptAgainAfter is how long the loop waits after an error of accept that only time can heal, unless a
	// connection closes before.
	acceptAgainAfter = 50 * time.Millisecond

	// starvedFor is how long descriptors may be missing before waiting clients get 503: most shortages are shorter.
	starvedFor = 5 * time.Second

	rejectedAtOnce = 64 // connections that are being told 503 because of Config.MaxClients
	rejectedInARow = 16 // waiting connections that get 503 one after the other by the reserve descriptor
)

// accepting is how connections come in. What stands before mu belongs to the loop.
type accepting struct {
	acceptors []*acceptor
	clients   int       // connections that count for Config.MaxClients
	rejected  int       // connections that are being told 503
	reserve   int       // a descriptor for rejectQueued; -1: it is lost
	starved   time.Time // when accepting began to fail; zero: it works
	retries   bool      // a timer will try again
	balance   balance

	stopped atomic.Bool // set with mu held

	mu        sync.Mutex
	listeners []*listen.Listener
	failed    error // why a listener accepts no more, although it should
}

// acceptor is a listener that the loop accepts from. It is edge-triggered like everything else, so it remembers what
// was left in its queue.
type acceptor struct {
	l       *loop
	ln      *listen.Listener
	fd      int
	local   net.Addr // of its connections; nil: each one is asked
	watch   eventloop.Watch
	pending bool // connections may be waiting
}

// Accept starts to accept connections on ln, which the server owns from now on. Call it after Serve; after
// Shutdown or Retire it only closes ln. It is safe for concurrent use.
func (s *Server) Accept(ln *listen.Listener) {
	a := &s.loop.accepting
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped.Load() || !s.loop.post(func() { s.loop.listen(ln) }) {
		s.closeListener(ln)
		return
	}
	a.listeners = append(a.listeners, ln)
}

// StopAccepting ends accepting at once, and closes the listeners as soon as the loop can. Shutdown and Retire begin
// with it. It is safe for concurrent use.
func (s *Server) StopAccepting() {
	a := &s.loop.accepting
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped.Swap(true) {
		return
	}
	for _, ln := range a.listeners {
		s.loop.post(func() { s.loop.unlisten(ln) })
	}
}

func (s *Server) closeListener(ln *listen.Listener) {
	if err := ln.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		s.logf(loglevel.Warning, "closing %s: %v", ln.Addr(), err)
	}
}

// listen accepts from ln from now on.
func (l *loop) listen(ln *listen.Listener) {
	d := &acceptor{l: l, ln: ln, fd: ln.Fd()}
	if a, ok := ln.Addr().(*net.TCPAddr); !ok || !a.IP.IsUnspecified() {
		d.local = ln.Addr()
	}
	l.accepting.acceptors = append(l.accepting.acceptors, d)
	if err := l.conns.Events.Add(&d.watch, d.fd, d); err != nil {
		l.unacceptable(err)
	}
}

// unlisten closes ln.
func (l *loop) unlisten(ln *listen.Listener) {
	a := &l.accepting
	if i := slices.IndexFunc(a.acceptors, func(d *acceptor) bool { return d.ln == ln }); i >= 0 {
		a.acceptors[i].watch.Remove()
		a.acceptors[i].pending = false
		a.acceptors = slices.Delete(a.acceptors, i, i+1)
	}
	l.s.closeListener(ln)
}

// Ready implements eventloop.Handler: clients have connected, or may be accepted again.
func (d *acceptor) Ready(eventloop.Readiness) {
	d.pending = true
	d.l.accept(d)
}

// accept takes connections from the queue of d. At the limit the rest stays there, the first come first, or with
// Config.Refuse gets 503.
func (l *loop) accept(d *acceptor) {
	a := &l.accepting
	for range acceptsAtOnce {
		full := a.clients >= l.cfg.MaxClients
		if full && (!l.cfg.Refuse || a.rejected >= rejectedAtOnce) || a.stopped.Load() {
			return // makeRoom calls acceptMore
		}
		if l.leavesToOthers() {
			return // balance calls acceptMore
		}
		fd, remote, err := system.Accept(d.fd)
		switch err {
		case nil:
			a.starved = time.Time{}
			c := l.s.newConn(fd, d.localOf(fd), listen.AddrOf(remote))
			if full {
				l.reject(c)
			} else {
				l.open(c)
				l.expect(c)
			}
		case unix.EAGAIN:
			d.pending = false
			a.balance.allowed, a.balance.next = 0, minAllowed
			return
		case unix.EINTR, unix.ECONNABORTED:
		case unix.EBADF, unix.EINVAL, unix.ENOTSOCK, unix.EOPNOTSUPP:
			d.watch.Remove()
			d.pending = false
			l.unacceptable(err)
			return
		default:
			l.cannotAccept(d, err)
			return
		}
	}
	d.watch.Again()
}

// acceptMore is for when there is room for another connection.
func (l *loop) acceptMore() {
	for _, d := range l.accepting.acceptors {
		if d.pending {
			d.watch.Again()
		}
	}
}

// localOf returns the address at which a connection has come in.
func (d *acceptor) localOf(fd int) net.Addr {
	if d.local != nil {
		return d.local
	}
	local, err := syscall.Getsockname(fd)
	if err != nil {
		return d.ln.Addr()
	}
	return listen.AddrOf(local)
}

// unacceptable is for errors after which a listener accepts no more.
func (l *loop) unacceptable(err error) {
	a := &l.accepting
	l.s.logf(loglevel.Error, "accepting connections has ended: %v", err)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = err
}

// cannotAccept is for errors that only time can heal: descriptors or memory are missing, or the network is.
func (l *loop) cannotAccept(d *acceptor, err error) {
	a := &l.accepting
	if a.starved.IsZero() {
		a.starved = time.Now()
		l.s.logf(loglevel.Warning, "cannot accept connections for now: %v", err)
	} else if outOfDescriptors(err) && time.Since(a.starved) > starvedFor {
		l.rejectQueued(d)
	}
	if a.retries {
		return
	}
	a.retries = true
	time.AfterFunc(acceptAgainAfter, func() {
		l.post(func() {
			a.retries = false
			l.acceptMore()
		})
	})
}

// serviceUnavailable is what a client gets for which there is no room.
var serviceUnavailable = []byte("HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 20\r\n" +
	"Retry-After: 1\r\nConnection: close\r\n\r\nService Unavailable\n")

// reject answers 503 to a connection beyond Config.MaxClients, and closes it when its client does, or soon.
func (l *loop) reject(c *httpConn) {
	c.proxy, c.rejected = nil, true
	l.open(c)
	if c.state != stateClosed {
		_, _ = netio.Send(c.Fd(), serviceUnavailable, 0) // an empty socket takes it
		c.Linger = true
		l.setState(c, stateEnding)
		c.Finish()
	}
}

// rejectQueued answers 503 to waiting connections by the one descriptor that is kept for it.
func (l *loop) rejectQueued(d *acceptor) {
	a := &l.accepting
	a.closeReserve()
	var request [4 << 10]byte
	for range rejectedInARow {
		fd, _, err := system.Accept(d.fd)
		if err != nil {
			break
		}
		// Closing a socket with unread input would reset the connection, and with it the answer (RFC 9112 §9.6).
		for n := 1; n > 0; n, _ = netio.Receive(fd, request[:]) {
		}
		_, _ = netio.Send(fd, serviceUnavailable, 0)
		unix.Close(fd)
	}
	a.keepReserve(l.wake.signals)
}

// keepReserve makes the reserve descriptor. Any descriptor will do; a duplicate of this one is the cheapest.
func (a *accepting) keepReserve(of int) {
	a.reserve = -1
	if fd, err := unix.FcntlInt(uintptr(of), unix.F_DUPFD_CLOEXEC, 0); err == nil {
		a.reserve = fd
		descriptors.Hold(fd)
	}
}

func (a *accepting) closeReserve() {
	if a.reserve >= 0 {
		descriptors.Release(a.reserve)
		unix.Close(a.reserve)
	}
}

// descriptorOf returns a descriptor of a connection, which it closes.
func descriptorOf(nc net.Conn) (int, error) {
	defer nc.Close()
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return -1, unix.ENOTSOCK
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd, failed := -1, error(nil)
	if err := rc.Control(func(of uintptr) { fd, failed = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return -1, err
	}
	return fd, failed
}

func outOfDescriptors(err error) bool { return err == unix.EMFILE || err == unix.ENFILE }
