package conn

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/logfile"
)

// A transfer writes output in several turns of the loop. The output consists of bytes for which the socket had no room,
// and of files that may not be in memory.
//
// During a transfer the loop continues to read from the connection, so that it notices when the client disconnects. A
// closed connection keeps its descriptor until the transfer has ended, because the client may only have shut down its
// sending side, and still receives the rest of the output.
type transfer struct {
	Output
	c        *Conn
	next     int
	progress int64 // when the client last read data

	again   bool
	loading bool // a goroutine reads the file, so the file must stay open
	aborted bool // the transfer ends when the goroutine has read the file
}

var (
	ErrShortFile error = &FileError{"the file became shorter than announced"}

	errAborted = errors.New("the server is shutting down")
)

// end ends t. err is nil if everything was written.
func (t *transfer) end(err error) {
	c, wasClosed := t.c, t.c.IsClosed()
	if c.transfer != t { // c is virtual, and its carrying connection broke while t was writing
		return
	}
	if wanted := c.watch.WantRoom(false); err == nil {
		err = wanted
	}
	c.transfer = nil
	c.set.Tracef("%s: transfer ended", c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		// Without a reset, the kernel would keep trying to send its bytes to the client for a long time.
		c.Reset = true
		c.set.Log(logfile.Info, "%s: closed after write timeout of %v", c, t.timeout())
	}
	if t.Owner != nil {
		t.Owner.Sent(err)
	}
	switch {
	case wasClosed:
		c.closeSocket()
		c.gone()
	case c.IsClosed():
	case err != nil:
		c.Close(err.Error())
	default:
		if c.transport != nil { // the transport does not read while much output waits
			c.ReadAgain()
		}
		c.proto.Drained(true)
	}
}

const (
	// roomTurn limits the bytes that the loop writes to a connection in one turn.
	roomTurn = 1 << 20

	// cachedMost is the size of the file range that IsWarm checks at once, in bytes.
	cachedMost = 2 << 20

	coldMost = 256 << 10 // in bytes

	// maxReading limits the goroutines that read files at the same time. Each of these goroutines blocks a thread while
	// the disk does not respond, and Go ends a process that has 10,000 threads.
	maxReading = 1024
)

var reading = make(chan struct{}, maxReading)

const leavesTimeout = 2 * time.Second

func (t *transfer) awaitRoom() {
	if t.c.virtual() {
		t.c.bearer().AwaitRoom()
		return
	}
	if err := t.c.watch.WantRoom(true); err != nil {
		t.end(err)
	}
}

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

func (item *Item) flags() uintptr {
	if item.More {
		return unix.MSG_MORE
	}
	return 0
}

// IsWarm reports whether the next bytes of a file are in memory. It asks the kernel, unless an earlier answer covered
// these bytes.
func (s *Set) IsWarm(item *Item) bool {
	if item.Warm <= item.Offset {
		if end := item.Offset + min(item.Count, cachedMost); s.Cached(item.FD, end-1) {
			item.Warm = end
		}
	}
	return item.Warm > item.Offset
}

// Load reads the next bytes of the file of an item into memory on a goroutine, and then calls done on the loop. turns
// is a semaphore that limits the goroutines that read at the same time; nil means no limit. The bytes are for c.
func (s *Set) Load(c *Conn, item *Item, turns chan struct{}, done func(err error)) {
	file, offset, size := item.FD, item.Offset, min(item.Count, coldMost)
	n, err := 0, io.ErrUnexpectedEOF // err keeps this value if the read panics
	s.Offload(c, func() {
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
		item.Warm = offset + int64(n)
		done(err)
	})
}

// load continues t when the next bytes of its file are in memory.
func (t *transfer) load() {
	t.loading = true
	t.c.set.Load(t.c, &t.Items[t.next], nil, func(err error) {
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

func (t *transfer) due() int64 {
	s := t.c.set
	// while a goroutine reads the file, t waits for the disk and not for the client
	if t.loading || t.c.Patient && !t.c.IsClosed() {
		return s.Now + int64(s.WriteTimeout)
	}
	return t.progress + tick + int64(t.timeout())
}

func (t *transfer) timeout() time.Duration {
	if t.c.Leaves {
		return min(leavesTimeout, t.c.set.WriteTimeout)
	}
	return t.c.set.WriteTimeout
}

// expired is called when a deadline of the connection has passed, and reports whether the transfer t has timed out. t
// may be nil. It first tries to write, because a handler that ran on the loop may have delayed the write.
func (t *transfer) expired() bool {
	if t == nil || t.due() > t.c.set.Now {
		return false
	}
	t.write()
	if t.c.transfer == t && t.due() <= t.c.set.Now {
		t.end(os.ErrDeadlineExceeded)
	}
	return true
}
