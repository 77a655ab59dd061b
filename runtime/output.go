package runtime

import (
	"bytes"
	"slices"

	"fapws/runtime/exchange"
	"fapws/runtime/loglevel"
	"fapws/runtime/netio"

	"golang.org/x/sys/unix"
)

const (
	copyLimit  = 16 << 10 // a larger body is written from where it is
	flushLimit = 64 << 10
)

// output gathers the responses that go to one connection, so that those to
// pipelined requests leave in one write.
type output struct {
	conn *httpConn
	buf  []byte
}

// use makes l.out that of c.
func (l *loop) use(c *httpConn) {
	if l.out.conn != c {
		l.flush()
		l.out.conn = c
	}
}

// flush writes what has been gathered.
func (l *loop) flush() {
	c := l.out.conn
	if c == nil {
		return
	}
	l.out.conn = nil
	buf := l.out.buf
	l.out.buf = buf[:0]
	if len(buf) > 0 {
		l.write(c, buf, nil, nil, nil)
	}
	if cap(buf) > 4*flushLimit {
		l.out.buf = nil
	}
	l.settle(c)
}

// sendLarge writes what has been gathered for c and, without copying it, a body, then releases the part.
func (l *loop) sendLarge(c *httpConn, p *exchange.Part, body, tail []byte) {
	buf := l.out.buf
	l.out.conn, l.out.buf = nil, buf[:0]
	l.write(c, buf, body, tail, p)
	l.settle(c)
}

// sendFile is sendLarge for a part with bytes of a file. What is in memory is sent at once, as far as the socket takes it.
func (l *loop) sendFile(c *httpConn, p *exchange.Part, body []byte, count int64, tail []byte) {
	buf := l.out.buf
	l.out.conn, l.out.buf = nil, buf[:0]
	if len(body) <= copyLimit {
		buf, body = append(buf, body...), nil
	}
	file := item{file: p.File, offset: p.Offset, count: count, more: len(tail) > 0}
	if p.Warm {
		file.warm = alwaysWarm
	}
	l.items = append(l.items[:0], item{data: buf, more: true}, item{data: body, more: true}, file, item{data: tail})
	defer clear(l.items)
	_, next, err := l.writeItems(c.fd, l.items, cachedMost)
	left := l.items[next:]
	switch {
	case err == nil && len(left) == 0:
		l.release(p)
		l.settle(c)
	case err != nil && err != unix.EAGAIN && err != errCold:
		if err == errShortFile {
			l.logClient(c, l.exchanges.all[p.Ticket].rules, loglevel.Warning, "a response broke off: %v", err)
		}
		l.release(p)
		l.close(c, err.Error())
	default:
		if next == 0 {
			left[0].data = bytes.Clone(left[0].data) // it is in l.out.buf
		}
		kept := *p
		t := &transfer{items: append(slices.Clone(left), item{part: &kept}), ticket: p.Ticket}
		l.launch(c, err == unix.EAGAIN, t)
	}
}

// sendShared writes what has been gathered for c and, without copying it, a body that does not change.
func (l *loop) sendShared(c *httpConn, body, tail []byte) {
	buf := l.out.buf
	l.out.conn, l.out.buf = nil, buf[:0]
	l.write(c, buf, body, tail, nil)
	l.settle(c)
}

// write sends up to three pieces in one call. What the socket does not take
// becomes a transfer. p, if any, is released when body is not needed any more.
func (l *loop) write(c *httpConn, first, body, tail []byte, p *exchange.Part) {
	var n int
	var err error
	if len(body) == 0 {
		n, err = netio.Send(c.fd, first, 0)
	} else {
		n, err = l.iov.Send(c.fd, first, body, tail)
	}
	total := len(first) + len(body) + len(tail)
	if l.debug >= 2 {
		l.tracef("%s took %d of %d bytes", c, n, total)
	}
	if l.debug >= 3 {
		l.tracef("%s gets %s", c, excerpt(first))
	}
	if err == nil && n < total || err == unix.EAGAIN {
		items := [3]item{
			{data: append([]byte(nil), drop(first, &n)...)},
			{data: drop(body, &n)},
			{data: drop(tail, &n)},
		}
		if p != nil {
			kept := *p
			items[2].part = &kept
		}
		l.startTransfer(c, true, items[:]...)
		return
	}
	if p != nil {
		l.release(p)
	}
	if err != nil {
		l.close(c, err.Error())
	}
}

// drop takes up to *n bytes off the front of b.
func drop(b []byte, n *int) []byte {
	k := min(*n, len(b))
	*n -= k
	return b[k:]
}
