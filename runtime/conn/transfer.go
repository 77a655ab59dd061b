package conn

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/logfile"
)

// transfer writes bytes that a socket does not take at once, and files that may have to be read from a disk.
//
// The connection stays in the loop for reading meanwhile: so a client that disconnects is noticed at once, and its
// further input is bounded as always. When the connection is closed, its descriptor stays open until the transfer has
// ended: a client that only shut down its side still gets the rest.
type transfer struct {
	Output
	c        *Conn
	next     int   // items before it were written
	progress int64 // time when the client last read data

	again   bool // it has asked for another turn
	loading bool // a goroutine reads the file, which must not be closed
	aborted bool // it ends as soon as the file is read
}

var (
	// ErrShortFile reports that a file became shorter while it was sent.
	ErrShortFile error = &FileError{"the file became shorter than announced"}

	errAborted = errors.New("the server is shutting down")
)

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
	c.set.Tracef("%s: transfer ended", c)
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
		c.gone()
	case c.closed: // by the owner
	case err != nil:
		c.Close(err.Error())
	default:
		if c.transport != nil { // it does not read while it has much to write
			c.ReadAgain()
		}
		c.proto.Room(true)
	}
}

// The loop writes a transfer whenever the client has made room in its socket. A piece of a file that is not in memory would
// make it wait for the disk: a goroutine reads that one before.

const (
	// roomTurn is how much the loop writes to one connection before others have their turn.
	roomTurn = 1 << 20

	// cachedMost is for how much of a file the loop asks at once whether it is in memory.
	cachedMost = 2 << 20

	// coldMost is how much of a file a goroutine reads at once.
	coldMost = 256 << 10

	// maxReading is how many goroutines read at the same time. Each takes a thread, of which Go ends the process with 10,000, while the disk does
	// not answer.
	maxReading = 1024
)

// reading has an element for each of these goroutines.
var reading = make(chan struct{}, maxReading)

// leavesTimeout is how long a client may read nothing of a connection that Leaves.
const leavesTimeout = 2 * time.Second

// awaitRoom has the loop write t when there is room.
func (t *transfer) awaitRoom() {
	if t.c.virtual() {
		t.c.transport.Transport.(Virtual).AwaitRoom()
		return
	}
	if err := t.c.watch.WantRoom(true); err != nil {
		t.end(err)
	}
}

// write writes t as far as its client has made room.
func (t *transfer) write() {
	if t.loading {
		return
	}
	t.again = false
	n, next, err := t.c.writeItems(t.Items[t.next:], roomTurn)
	t.next += next
	if n > 0 {
		t.progress = t.c.set.Now
		if t.Unsent != nil {
			t.Unsent.Took(n, t.progress)
		}
	}
	switch {
	case err == unix.EAGAIN:
		t.awaitRoom()
	case err == errCold:
		t.load()
	case err != nil || t.next == len(t.Items):
		t.end(err)
	default:
		t.again = true
		t.c.watch.Again()
	}
}

// flags are those of send(2) for its bytes.
func (it *Item) flags() uintptr {
	if it.More {
		return sendMore
	}
	return 0
}

// IsWarm reports whether the next bytes of a file are in memory, and asks if that is not known.
func (s *Set) IsWarm(it *Item) bool {
	if it.Warm <= it.Offset {
		if end := it.Offset + min(it.Count, cachedMost); s.Cached(it.File, end-1) {
			it.Warm = end
		}
	}
	return it.Warm > it.Offset
}

// Load has a goroutine read the next bytes of the file of it, so that they are in memory, and then calls done on the loop. turns, if not nil,
// bounds how many goroutines read at the same time.
func (s *Set) Load(it *Item, turns chan struct{}, done func(err error)) {
	file, offset, size := it.File, it.Offset, min(it.Count, coldMost)
	n, err := 0, io.ErrUnexpectedEOF // if it panics
	s.Beside(func() {
		if turns != nil {
			turns <- struct{}{}
			defer func() { <-turns }()
		}
		reading <- struct{}{}
		defer func() { <-reading }()
		if n, err = ReadFile(file, make([]byte, size), offset); n == 0 && err == nil {
			err = ErrShortFile
		}
	}, func(bool) {
		it.Warm = offset + int64(n)
		done(err)
	})
}

// load goes on with t when the next bytes of its file are in memory.
func (t *transfer) load() {
	t.loading = true
	t.c.set.Load(&t.Items[t.next], nil, func(err error) {
		t.loading = false
		t.progress = t.c.set.Now
		switch {
		case t.aborted:
			t.end(errAborted)
		case err != nil:
			t.end(err)
		default:
			t.write()
		}
	})
}

// due returns when the client of t has read nothing for too long.
func (t *transfer) due() int64 {
	s := t.c.set
	if t.loading || t.c.Patient && !t.c.closed { // loading: the disk is waited for
		return s.Now + int64(s.WriteTimeout)
	}
	return t.progress + tick + int64(t.timeout())
}

// timeout is how long the client of t may read nothing.
func (t *transfer) timeout() time.Duration {
	if t.c.Leaves {
		return min(leavesTimeout, t.c.set.WriteTimeout)
	}
	return t.c.set.WriteTimeout
}
