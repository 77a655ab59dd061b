package runtime

import (
	"io"

	"fapws/runtime/eventloop"
	"fapws/runtime/loglevel"
	"fapws/runtime/netio"
	"fapws/runtime/tunnel"

	"golang.org/x/sys/unix"
)

// poller is what the loop reads with.
type poller struct {
	events *eventloop.Loop
	buffer []byte // that connections are read into
}

// busy reports whether other work waits for the loop.
func (l *loop) busy() bool { return l.events.Busy() }

// endOfBatch passes on what a batch of events has brought.
func (l *loop) endOfBatch(woken bool) {
	l.flushBatch()
	if woken { // now that all others have had their turn
		l.subscribers.Turn()
		l.groups.turn()
	}
}

// Ready implements eventloop.Handler.
func (c *httpConn) Ready(r eventloop.Readiness) {
	if r == eventloop.Unwatched {
		c.l.s.logf(loglevel.Error, "cannot watch %s: the kernel has no memory for it, or fs.epoll.max_user_watches is reached", c)
		c.l.close(c, "it cannot be watched")
		if c.transfer != nil { // there will be no news of room
			c.l.abortTransfer(c.transfer)
		}
		return
	}
	if c.state == stateTunnel {
		c.l.passOn(c.first.tunnel, tunnel.Client, r)
		return
	}
	if t := c.transfer; t != nil && (t.again || r&eventloop.Writable != 0) {
		c.l.writeOn(t)
	}
	if r != eventloop.Writable && c.state != stateClosed {
		c.l.take(c, r)
	}
}

// take reads what a client has sent, a buffer at a time.
func (l *loop) take(c *httpConn, r eventloop.Readiness) {
	c.readable = c.readable || r&eventloop.Readable != 0
	c.untilEmpty = c.untilEmpty || r&(eventloop.Urgent|eventloop.MaybeGone) != 0
	if c.ws != nil && c.ws.handing { // what comes now, its end too, is for the process that gets it
		c.readable = true
		return
	}
	if c.half || c.paused { // the bytes stay in the kernel
		if r&eventloop.MaybeGone != 0 && c.hungUp() {
			l.gone(c, io.EOF)
		}
		return
	}
	for {
		n, err := netio.Receive(c.fd, l.buffer)
		if err == unix.EAGAIN {
			c.readable, c.untilEmpty = false, false
			return
		}
		if n <= 0 {
			if err == nil {
				err = io.EOF
			}
			l.gone(c, err)
			return
		}
		c.readable = n == len(l.buffer) || c.untilEmpty || !c.tcp
		if l.debug >= 3 {
			l.tracef("%s sent %d bytes: %s", c, n, excerpt(l.buffer[:n]))
		}
		l.received(c, l.buffer[:n])
		if l.taken >= takenMost {
			l.flushBatch()
		}
		if !c.readable || c.state == stateClosed || c.half || c.paused {
			return
		}
		if n == len(l.buffer) {
			c.watch.Again()
			return
		}
	}
}

// hungUp reports whether the kernel knows that nothing goes to the client any more, or, for a connection whose
// socket was lent, that nothing comes. Of one whose client has shut down its side that is said as soon as the
// server has, too: then the connection has to be broken.
func (c *httpConn) hungUp() bool {
	state := [1]unix.PollFd{{Fd: int32(c.fd)}}
	if c.lendsEnd {
		state[0].Events = netio.PollEnd
	}
	n, err := unix.Poll(state[:], 0)
	return n > 0 && err == nil && (!c.half || state[0].Revents&unix.POLLERR != 0)
}

// takenMost is how many requests are worth taking before they are passed on: more
// of them push each other out of the processor's cache, and out of the queue.
const takenMost = 256

// pause stops reading from c: what the client sends stays in the kernel, whose window then stops the client.
// end: the client's shutting down its side counts meanwhile, as RST always does.
func (l *loop) pause(c *httpConn, end bool) {
	c.paused, c.lendsEnd = true, end
	if l.debug >= 2 {
		l.tracef("%s is paused, %d bytes ahead", c, len(c.pending()))
	}
}

// unpause reads on.
func (l *loop) unpause(c *httpConn) {
	c.paused, c.lendsEnd = false, false
	if c.readable && !c.half {
		c.watch.Again()
	}
}
