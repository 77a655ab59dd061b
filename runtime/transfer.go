package runtime

import (
	"errors"
	"os"

	"fapws/runtime/exchange"
	"fapws/runtime/loglevel"

	"golang.org/x/sys/unix"
)

// transfer writes what a socket does not take at once, and files that may have to be read from a disk: see room.go.
//
// The connection stays in the loop for reading meanwhile: so a client that leaves is noticed at once, and what it
// sends ahead is bounded as always. When the connection is closed, its descriptor stays open until the transfer has
// ended: a client that only shut down its side still gets the rest.
type transfer struct {
	c       *httpConn
	items   []item
	timeout int64             // nanoseconds without progress
	ticket  exchange.Ticket   // whose file this is, if there is one
	ended   []exchange.Ticket // of the last parts among its items, when they were released

	next     int   // items before it were written
	again    bool  // it has asked for another turn
	lent     bool  // a goroutine writes from a file to the descriptor, which must not be closed
	room     bool  // there is room since then
	aborted  bool  // it ends as soon as the descriptor is back
	progress int64 // loop.now when the client last took something

	peer    *exchange.Peer // the client that is sent the counted bytes; see loop.sending
	counted int64
}

// item is a piece of a transfer: bytes or a range of a file.
type item struct {
	data          []byte
	file          int
	offset, count int64
	warm          int64          // the file is in memory up to this offset
	more          bool           // another item follows at once: let the kernel fill its packets
	part          *exchange.Part // given back when the item has ended, if not nil
}

var (
	errShortFile = errors.New("the file is shorter than was promised")
	errAborted   = errors.New("the server is shutting down")
)

// attachTransfer makes t what c is busy with.
func (l *loop) attachTransfer(c *httpConn, t *transfer) {
	t.c, t.timeout, t.progress = c, int64(l.cfg.WriteTimeout), l.now()
	c.transfer = t
	l.sending(t)
}

// detachTransfer ends what attachTransfer began.
func (l *loop) detachTransfer(t *transfer) {
	t.c.transfer = nil
	l.sent(t)
}

// startTransfer writes items to c, whose responses wait until that has ended. full: there is no room now.
func (l *loop) startTransfer(c *httpConn, full bool, items ...item) {
	l.launch(c, full, &transfer{items: append([]item(nil), items...)})
}

// release gives back what the items hold.
func (t *transfer) release() {
	for i := range t.items {
		if p := t.items[i].part; p != nil {
			if p.Last {
				t.ended = append(t.ended, p.Ticket)
			}
			if p.Owner != nil {
				p.Owner.Release(p)
			}
		}
	}
	t.items = nil
}

// endTransfer ends t, which has written everything if err is nil.
func (l *loop) endTransfer(t *transfer, err error) {
	c := t.c
	if wanted := c.watch.WantRoom(false); err == nil {
		err = wanted
	}
	t.release()
	l.detachTransfer(t)
	if errors.Is(err, errShortFile) {
		l.logClient(c, l.exchanges.all[t.ticket].rules, loglevel.Warning, "a response broke off: %v", err)
	}
	for _, ticket := range t.ended {
		l.done(l.exchanges.all[ticket])
	}
	if l.debug >= 2 {
		l.tracef("%s: a transfer has ended", c)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.reset = true // what the kernel holds would wait for the client for long
		l.s.logf(loglevel.Info, "%s took nothing for %v and has been closed", c, l.cfg.WriteTimeout)
	}
	switch {
	case c.state == stateClosed:
		l.closeSocket(c)
		l.forget(c)
	case err != nil:
		l.close(c, err.Error())
	default:
		l.goOn(c)
	}
}

// abortTransfer ends t, or makes it end when the descriptor is back.
func (l *loop) abortTransfer(t *transfer) {
	if t.lent {
		t.aborted = true
		unix.Shutdown(t.c.fd, unix.SHUT_RDWR)
		return
	}
	l.endTransfer(t, errAborted)
}

// goOn sends what had to wait for a transfer.
func (l *loop) goOn(c *httpConn) {
	c.stamp = l.now()
	if x := c.first; x != nil && len(x.held) == 0 && x.Source != nil {
		x.Source.OnRoom(&x.Exchange)
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

func outOfDescriptors(err error) bool { return err == unix.EMFILE || err == unix.ENFILE }
