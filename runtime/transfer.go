package runtime

import (
	"errors"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"fapws/runtime/descriptors"
	"fapws/runtime/exchange"
	"fapws/runtime/netio"

	"golang.org/x/sys/unix"
)

// transfer writes what a socket does not take at once, and all files. The loop does
// it if all of it is in memory: see room.go. Otherwise a goroutine does, with
// Go's own poller, on a duplicate of the descriptor.
//
// The connection stays in the loop for reading meanwhile: so a client that
// leaves is noticed at once, and what it sends ahead is bounded as always. When
// the loop closes its descriptor, the duplicate lives on, and a client that only
// shut down its side still gets the rest.
type transfer struct {
	l       *loop
	c       *conn
	fd      int // the duplicate, if a goroutine writes
	items   []item
	timeout time.Duration
	job     *fileJob          // whose file this is; without items, that is being opened
	ended   []exchange.Ticket // of the last parts among its items, when they were released
	err     error             // set when it has ended

	onLoop   bool  // the loop writes it, and the next two are of use
	again    bool  // it has asked for another turn
	progress int64 // loop.now when the client last took something

	peer    *exchange.Peer // the client that is sent the counted bytes; see loop.sending
	counted int64
	aborted atomic.Bool
	file    atomic.Pointer[os.File] // fd once it is in Go's poller
}

// item is a piece of a transfer: bytes or a range of a file.
type item struct {
	data          []byte
	file          int
	offset, count int64
	more          bool           // another item follows at once: let the kernel fill its packets
	part          *exchange.Part // given back to handler when the item has ended, if not nil
	handler       Handler
}

var (
	errShortFile = errors.New("the file is shorter than was promised")
	errAborted   = errors.New("the server is shutting down")
	errBug       = errors.New("internal error")
)

// startTransfer lets a goroutine write items to c, whose responses wait until
// it has ended.
func (l *loop) startTransfer(c *conn, items ...item) {
	l.launch(c, &transfer{items: append([]item(nil), items...)})
}

// attachTransfer makes t what c is busy with.
func (l *loop) attachTransfer(c *conn, t *transfer) {
	t.l, t.c, t.timeout = l, c, l.cfg.WriteTimeout
	c.transfer = t
	l.transfers[t] = struct{}{}
	l.sending(t)
}

// detachTransfer ends what attachTransfer began.
func (l *loop) detachTransfer(t *transfer) {
	t.c.transfer = nil
	delete(l.transfers, t)
	l.sent(t)
}

func (l *loop) launch(c *conn, t *transfer) {
	l.attachTransfer(c, t)
	if l.awaitRoom(t) {
		return
	}
	if err := l.spawn(t); err == nil {
		return
	} else if outOfDescriptors(err) {
		t.await(time.Now().Add(t.timeout))
	} else {
		l.drop(t, err)
		l.close(c, "no descriptor for a transfer")
	}
}

// drop ends t, of which nothing more is sent.
func (l *loop) drop(t *transfer, err error) {
	t.err = err
	t.release()
	l.putEnded(t)
	l.detachTransfer(t)
}

// spawn starts the goroutine, if there is a descriptor for it.
func (l *loop) spawn(t *transfer) (err error) {
	if t.fd, err = unix.FcntlInt(uintptr(t.c.fd), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		return err
	}
	descriptors.Keep(t.fd)
	if l.debug >= 2 {
		l.tracef("%s: a transfer begins", t.c)
	}
	go t.run()
	return nil
}

// await tries again until there is a descriptor: others end all the time, and
// the client waits rather than losing its response.
func (t *transfer) await(deadline time.Time) {
	time.AfterFunc(descriptorWait, func() { t.l.post(func() { t.l.retry(t, deadline) }) })
}

const descriptorWait = 10 * time.Millisecond

func (l *loop) retry(t *transfer, deadline time.Time) {
	err := errAborted
	if t.c.state != stateClosed && !t.aborted.Load() { // else its descriptor may be another's by now
		if err = l.spawn(t); err == nil {
			return
		}
		if outOfDescriptors(err) && time.Now().Before(deadline) {
			t.await(deadline)
			return
		}
		l.s.logf(LevelError, "cannot write to %s: %v", t.c, err)
	}
	t.err = err
	t.release()
	l.transferEnded(t)
}

func outOfDescriptors(err error) bool { return err == unix.EMFILE || err == unix.ENFILE }

// run is the goroutine.
func (t *transfer) run() {
	t.err = t.send()
	t.release()
	if f := t.file.Load(); f != nil {
		f.Close()
	} else {
		unix.Close(t.fd)
	}
	t.l.post(func() { t.l.transferEnded(t) })
}

// send writes all items.
func (t *transfer) send() (err error) {
	defer func() {
		if p := recover(); p != nil {
			t.l.s.logf(LevelError, "bug: %v in %s", p, debug.Stack())
			err = errBug
		}
	}()
	for i := range t.items {
		it := &t.items[i]
		if len(it.data) > 0 {
			err = t.sendData(it)
		} else if it.count > 0 {
			err = t.sendFile(it)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// release gives back what the items hold.
func (t *transfer) release() {
	for i := range t.items {
		if p := t.items[i].part; p != nil {
			if p.Last {
				t.ended = append(t.ended, p.Ticket)
			}
			t.items[i].handler.Release(p)
		}
	}
	t.items = nil
	if t.job != nil {
		t.job.res.Close()
	}
}

// abort makes the transfer end soon. Any goroutine may call it.
func (t *transfer) abort() {
	t.aborted.Store(true)
	if f := t.file.Load(); f != nil {
		f.SetWriteDeadline(time.Unix(1, 0))
	}
}

// flags are those of send(2) for its bytes.
func (it *item) flags() uintptr {
	if it.more {
		return sendMore
	}
	return 0
}

func (t *transfer) sendData(it *item) error {
	return t.write(func(fd int) (done bool, n int, err error) {
		n, err = netio.Send(fd, it.data, it.flags())
		it.data = it.data[n:]
		return len(it.data) == 0, n, err
	})
}

// cachedMost is how much of a file a raw system call sends: it holds up Go's
// collector meanwhile, by 50 µs.
const cachedMost = 2 << 20

// sendFile sends what can be had without waiting for the disk by raw system
// calls. Of others Go's scheduler hears, and each piece for a slow client would
// wake the thread that watches over them.
func (t *transfer) sendFile(it *item) error {
	warm := it.offset // what is before it was in memory a moment ago
	return t.write(func(fd int) (done bool, n int, err error) {
		count := min(it.count, cachedMost)
		if warm <= it.offset && cached(it.file, it.offset+count-1) {
			warm = it.offset + count
		}
		if warm > it.offset {
			// When not all of it is taken, the next try has to say so: only after
			// EAGAIN does the poller tell of room, and transfers without one stood still.
			n, err = sendWarm(fd, it.file, &it.offset, min(count, warm-it.offset))
		} else {
			n, err = sendFile(fd, it.file, &it.offset, it.count)
		}
		it.count -= int64(n)
		if n == 0 && err == nil {
			return false, 0, errShortFile
		}
		return it.count == 0, n, err
	})
}

// write calls step until it is done. When the socket takes no more it waits
// for room, at most timeout (and up to a quarter more) without any progress.
func (t *transfer) write(step func(fd int) (done bool, n int, err error)) (err error) {
	progress := true
	more := func(fd uintptr) (done bool) { // false: wait for room
		for {
			var n int
			done, n, err = step(int(fd))
			progress = progress || n > 0
			switch {
			case err == unix.EAGAIN:
				err = nil
				return false
			case err != nil || done:
				return true
			}
		}
	}
	if t.file.Load() == nil {
		// Most transfers end here, without Go's poller.
		if more(uintptr(t.fd)) {
			return err
		}
		t.file.Store(os.NewFile(uintptr(t.fd), "connection"))
	}
	f := t.file.Load()
	rc, err := f.SyscallConn()
	if err != nil {
		return err
	}
	for {
		begin := time.Now()
		f.SetWriteDeadline(begin.Add(t.timeout + t.timeout/4))
		if t.aborted.Load() { // after the deadline, which abort moves
			return errAborted
		}
		progress = false
		late := false
		waitErr := rc.Write(func(fd uintptr) bool {
			if more(fd) {
				return true
			}
			late = progress && time.Since(begin) > t.timeout/4 // a new deadline is due
			return late
		})
		if waitErr != nil {
			return waitErr
		}
		if !late {
			return err
		}
	}
}

// transferEnded is called on the loop.
func (l *loop) transferEnded(t *transfer) {
	c := t.c
	l.detachTransfer(t)
	l.putEnded(t)
	if l.debug >= 2 {
		l.tracef("%s: a transfer has ended", c)
	}
	if t.job != nil {
		l.fileSent(c, t.job, t.err)
	}
	switch {
	case c.state == stateClosed:
		l.forget(c)
		return
	case t.err != nil:
		if errors.Is(t.err, os.ErrDeadlineExceeded) {
			c.reset = true // what the kernel holds would wait for the client for long
			l.s.logf(LevelInfo, "%s took nothing for %v and has been closed", c, t.timeout)
		} else if errors.Is(t.err, errShortFile) {
			var r *rules
			if t.job != nil {
				r = t.job.rules
			}
			l.logClient(c, r, LevelWarning, "a response broke off: %v", t.err)
		}
		l.close(c, t.err.Error())
		return
	}
	l.goOn(c)
}

// goOn sends what had to wait for a transfer, or for a file to be opened.
func (l *loop) goOn(c *conn) {
	c.stamp = l.now
	if c.first != nil {
		c.first.since = l.now
	}
	if c.ws != nil {
		l.socketFree(c)
	}
	l.advance(c)
	if c.state == stateWaiting && !c.waits() {
		l.queue(c)
	}
	if l.out.conn != c { // else flush settles it
		l.settle(c)
	}
}

func (l *loop) putEnded(t *transfer) {
	for _, ticket := range t.ended {
		l.done(l.exchanges.all[ticket])
	}
}

// sendFile is sendfile(2), for at most 2 GiB.
func sendFile(to, from int, offset *int64, count int64) (int, error) {
	for {
		n, err := unix.Sendfile(to, from, offset, int(min(count, 1<<31-4096)))
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}
