package runtime

import (
	"errors"
	"math"
	"os"

	"golang.org/x/sys/unix"

	"fapws/runtime/netio"
)

// The loop writes a transfer whenever the client has made room in its socket. A piece of a file that is not in memory would
// make it wait for the disk: a goroutine writes that one, to which the descriptor is lent meanwhile.

const (
	// roomTurn is how much the loop writes to one connection before others have their turn.
	roomTurn = 1 << 20

	// cachedMost is for how much of a file the loop asks at once whether it is in memory.
	cachedMost = 2 << 20

	// coldMost is how much of a file a goroutine sends at once.
	coldMost = 16 << 20
)

// errCold is the error of writeItems where a file may have to be read from a disk.
var errCold = errors.New("the file is not in memory")

// launch begins t. full: there is no room now.
func (l *loop) launch(c *httpConn, full bool, t *transfer) {
	l.attachTransfer(c, t)
	if l.debug >= 2 {
		l.tracef("%s: a transfer begins", c)
	}
	if full {
		l.awaitRoom(t)
	} else {
		t.again = true
		c.watch.Again()
	}
	l.schedule(c)
}

// awaitRoom has the loop write t when there is room.
func (l *loop) awaitRoom(t *transfer) {
	if err := t.c.watch.WantRoom(true); err != nil {
		l.endTransfer(t, err)
	}
}

// writeOn writes t as far as its client has made room.
func (l *loop) writeOn(t *transfer) {
	if t.lent {
		t.room = true
		return
	}
	t.again = false
	n, next, err := l.writeItems(t.c.fd, t.items[t.next:], roomTurn)
	t.next += next
	if n > 0 {
		t.progress = l.now()
	}
	switch {
	case err == unix.EAGAIN:
		l.awaitRoom(t)
	case err == errCold:
		l.lend(t)
	case err != nil || t.next == len(t.items):
		l.endTransfer(t, err)
	default:
		t.again = true
		t.c.watch.Again()
	}
}

// writeItems writes up to most bytes of items to a socket. It returns how many bytes and how many whole items it has written,
// and unix.EAGAIN if there is no room, or errCold.
func (l *loop) writeItems(fd int, items []item, most int) (sent, next int, err error) {
	for next < len(items) && sent < most {
		it := &items[next]
		var n int
		switch {
		case len(it.data) > 0:
			n, err = netio.Send(fd, it.data[:min(len(it.data), most-sent)], it.flags())
			it.data = it.data[n:]
		case it.count > 0:
			if !l.isWarm(it) {
				return sent, next, errCold
			}
			n, err = netio.SendCached(fd, it.file, &it.offset, min(it.count, it.warm-it.offset, int64(most-sent)))
			if it.count -= int64(n); n == 0 && err == nil {
				err = errShortFile
			}
		default:
			next++
		}
		sent += n
		if err != nil {
			return sent, next, err
		}
	}
	for next < len(items) && len(items[next].data) == 0 && items[next].count == 0 {
		next++
	}
	return sent, next, nil
}

// flags are those of send(2) for its bytes.
func (it *item) flags() uintptr {
	if it.more {
		return netio.SendMore
	}
	return 0
}

// isWarm reports whether the next bytes of a file are in memory.
func (l *loop) isWarm(it *item) bool {
	if it.warm > it.offset {
		return true
	}
	if end := it.offset + min(it.count, cachedMost); l.cached(it.file, end-1) {
		it.warm = end
	}
	return it.warm > it.offset
}

// alwaysWarm is item.warm of a file that was read a moment ago.
const alwaysWarm = math.MaxInt64

// lend has a goroutine write the next bytes of t, which are those of a file.
func (l *loop) lend(t *transfer) {
	if err := t.c.watch.WantRoom(true); err != nil {
		l.endTransfer(t, err)
		return
	}
	t.lent, t.room = true, false
	fd, it := t.c.fd, &t.items[t.next]
	go func() {
		n, err := netio.SendFile(fd, it.file, &it.offset, min(it.count, coldMost))
		l.post(func() { l.returned(t, n, err) })
	}()
}

// returned goes on with t when its descriptor is back.
func (l *loop) returned(t *transfer, n int, err error) {
	t.lent = false
	t.items[t.next].count -= int64(n)
	if n > 0 {
		t.progress = l.now()
	}
	switch {
	case t.aborted:
		l.endTransfer(t, errAborted)
	case err == unix.EAGAIN && n == 0 && !t.room:
	case err != nil && err != unix.EAGAIN:
		l.endTransfer(t, err)
	case n == 0 && err == nil:
		l.endTransfer(t, errShortFile)
	default:
		l.writeOn(t)
	}
}

// due returns when the client of t has read nothing for too long.
func (l *loop) due(t *transfer) int64 {
	if t.lent { // it is the disk that is waited for
		return l.now() + t.timeout
	}
	return t.progress + tickLength + t.timeout
}

// roomExpired is for c, whose deadline has passed. It reports whether that was the one of its transfer: a handler that runs
// inline may have kept the loop from writing.
func (l *loop) roomExpired(c *httpConn) bool {
	t := c.transfer
	if t == nil || l.due(t) > l.now() {
		return false
	}
	l.writeOn(t)
	if c.transfer == t && l.due(t) <= l.now() {
		l.endTransfer(t, os.ErrDeadlineExceeded)
	}
	return true
}
