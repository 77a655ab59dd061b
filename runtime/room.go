package runtime

import (
	"os"

	"golang.org/x/sys/unix"

	"fapws/runtime/netio"
)

// A transfer whose bytes are all in memory is written by the loop, whenever the client has made room in its socket. Only
// files, which may have to be read from a disk, need a goroutine. A connection that is closed before its transfer has
// ended hands the rest to a goroutine as well.

// roomTurn is how much the loop writes to one connection before others have their turn.
const roomTurn = 1 << 20

// inMemory reports whether t sends nothing of a file.
func (t *transfer) inMemory() bool {
	if t.job != nil {
		return false
	}
	for i := range t.items {
		if t.items[i].count > 0 {
			return false
		}
	}
	return true
}

// awaitRoom lets the loop write t, and reports whether it can.
func (l *loop) awaitRoom(t *transfer) bool {
	if !t.inMemory() || t.c.watch.WantRoom(true) != nil {
		return false
	}
	t.onLoop, t.progress = true, l.now
	if l.debug >= 2 {
		l.tracef("%s: waiting for room", t.c)
	}
	l.schedule(t.c)
	return true
}

// writeOn writes t as far as its client has made room.
func (l *loop) writeOn(t *transfer) {
	t.again = false
	left := roomTurn
	for i := range t.items {
		it := &t.items[i]
		for len(it.data) > 0 {
			if left == 0 {
				t.again = true
				t.c.watch.Again()
				return
			}
			n, err := netio.Send(t.c.fd, it.data[:min(len(it.data), left)], it.flags())
			if err == unix.EAGAIN {
				return
			}
			if err != nil {
				l.endOnLoop(t, err)
				return
			}
			it.data = it.data[n:]
			left -= n
			t.progress = l.now
		}
	}
	l.endOnLoop(t, nil)
}

// endOnLoop ends t, which the loop has written, or cannot write.
func (l *loop) endOnLoop(t *transfer, err error) {
	t.onLoop, t.err = false, err
	if wanted := t.c.watch.WantRoom(false); err == nil {
		t.err = wanted
	}
	t.release()
	l.transferEnded(t)
}

// due returns when the client of t, which the loop writes, has read nothing for too long.
func (t *transfer) due() int64 { return t.progress + tickLength + int64(t.timeout) }

// roomExpired is for c, to whose transfer due is said to have passed. It reports whether that ended it: a handler that runs
// inline may have kept the loop from writing.
func (l *loop) roomExpired(c *conn) bool {
	t := c.transfer
	if t == nil || !t.onLoop || t.due() > l.now {
		return false
	}
	l.writeOn(t)
	if t.onLoop && t.due() <= l.now {
		l.endOnLoop(t, os.ErrDeadlineExceeded)
	}
	return true
}

// writeBeside hands the rest of a transfer that the loop has written to a goroutine, as c is about to be closed.
func (l *loop) writeBeside(c *conn) {
	t := c.transfer
	if t == nil || !t.onLoop {
		return
	}
	t.onLoop = false
	err := errAborted
	if !t.aborted.Load() {
		err = l.spawn(t)
	}
	if err != nil {
		l.drop(t, err)
	}
}
