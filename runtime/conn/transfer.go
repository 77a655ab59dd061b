package conn

import (
	"errors"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"fapws/runtime/logfile"
)

// transfer writes bytes that a socket does not take at once, and files that may have to be read from a disk: see
// room.go.
//
// The connection stays in the loop for reading meanwhile: so a client that disconnects is noticed at once, and its
// further input is bounded as always. When the connection is closed, its descriptor stays open until the transfer has
// ended: a client that only shut down its side still gets the rest.
type transfer struct {
	Output
	c        *Conn
	next     int   // items before it were written
	progress int64 // time when the client last took something

	again   bool // it has asked for another turn
	lent    bool // a goroutine writes from a file to the descriptor, which must not be closed
	room    bool // there is room since then
	aborted bool // it ends as soon as the descriptor is back
}

var (
	// ErrShortFile is why an output ends before its time.
	ErrShortFile = errors.New("the file became shorter than announced")

	errAborted = errors.New("the server is shutting down")
)

// Queue makes o a transfer. c must not have another one. full: there is no room now.
func (c *Conn) Queue(o Output, full bool) {
	t := &transfer{Output: o, c: c, progress: c.set.now}
	c.transfer = t
	if c.set.Debug >= 2 {
		c.set.tracef("%s: transfer started", c)
	}
	if full {
		t.awaitRoom()
	} else {
		t.again = true
		c.watch.Again()
	}
	c.Schedule()
}

// Writing reports whether c has a transfer.
func (c *Conn) Writing() bool { return c.transfer != nil }

// AwaitsRoom reports whether a transfer waits for its client.
func (c *Conn) AwaitsRoom() bool {
	t := c.transfer
	return t != nil && !t.lent && !t.again
}

// Abort ends the transfer of c, or makes it end when the descriptor is back.
func (c *Conn) Abort() {
	switch t := c.transfer; {
	case t == nil:
	case t.lent:
		t.aborted = true
		unix.Shutdown(c.Fd(), unix.SHUT_RDWR)
	default:
		t.end(errAborted)
	}
}

// end ends t, which has written everything if err is nil.
func (t *transfer) end(err error) {
	c, closed := t.c, t.c.closed
	if c.transfer != t { // c is virtual, and what carries it broke while t was writing
		return
	}
	if wanted := c.watch.WantRoom(false); err == nil {
		err = wanted
	}
	c.transfer = nil
	if c.set.Debug >= 2 {
		c.set.tracef("%s: transfer ended", c)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.Reset = true // bytes in the kernel would wait for the client for long
		c.set.Log(logfile.Info, "%s: closed after write timeout of %v", c, t.timeout())
	}
	if t.Owner != nil {
		t.Owner.Sent(err)
	}
	switch {
	case closed:
		c.closeSocket()
		c.proto.Gone()
	case c.closed: // by the owner
	case err != nil:
		c.Close(err.Error())
	default:
		if c.transport != nil { // it does not read while it has much to write
			c.ReadAgain()
		}
		c.proto.Writable()
	}
}

// Beside runs work on a goroutine, and then done on the loop, if that has not ended. bug reports whether work has panicked, which is
// logged.
func (s *Set) Beside(work func(), done func(bug bool)) {
	go func() {
		bug := s.try(work)
		s.Events.Post(func() { done(bug) })
	}()
}

// try runs f and reports whether it has panicked.
func (s *Set) try(f func()) (bug bool) {
	defer func() {
		if p := recover(); p != nil {
			s.Log(logfile.Error, "bug: %v in %s", p, debug.Stack())
			bug = true
		}
	}()
	f()
	return false
}
