package conn

import (
	"time"

	"fapws/runtime/system"

	"golang.org/x/sys/unix"
)

const (
	// lingerTimeout is how long a client that was told to stop may send nothing before the connection closes, maxLinger how
	// long it may go on sending.
	lingerTimeout = int64(2 * time.Second)
	maxLinger     = int64(10 * time.Second)
)

// Finish closes c, on which everything has been sent.
//
// When the client is still sending (a body that was refused), closing at once would make the kernel answer with RST, and that
// can destroy output before the client has read it (RFC 9112 §9.6). So, if Linger is set or input is pending, only the
// sending side is shut down, and input is thrown away until the client closes.
func (c *Conn) Finish() {
	if c.lingering || !c.sayEnd() {
		return
	}
	if c.half || c.Reset || !c.Linger && len(c.Pending()) == 0 {
		c.Close("the last response is out")
		return
	}
	c.DropInput()
	if c.paused {
		c.Unpause()
	}
	if !c.virtual() {
		unix.Shutdown(c.Fd(), unix.SHUT_WR)
	}
	c.lingering = true
	c.Stamp, c.lingerEnd = c.set.now, int32((c.set.now+maxLinger)/tick)
	c.Schedule()
}

// Lingers reports whether Finish waits for the client.
func (c *Conn) Lingers() bool { return c.lingering && !c.closed }

// Close closes c now. A transfer goes on; its descriptor is closed when that has ended.
func (c *Conn) Close(why string) {
	if c.closed {
		return
	}
	if c.set.Debug >= 2 {
		c.set.tracef("%s is closed: %s", c, why)
	}
	c.shut()
}

// Unwatch ends that the loop hears of the descriptor of c, before Detach or Close.
func (c *Conn) Unwatch() { c.watch.Remove() }

// Detach closes c without its descriptor, which is the caller's from now on. It must not have a transfer.
func (c *Conn) Detach() {
	c.watch.Remove()
	c.end()
	c.proto.Gone()
}

func (c *Conn) shut() {
	c.end()
	if c.transfer != nil {
		c.Schedule()
		return
	}
	c.closeSocket()
	c.proto.Gone()
}

// end takes c out of everything but its transfer.
func (c *Conn) end() {
	c.closed = true
	c.set.wheel.Remove(&c.timer)
	if c.Gathers() {
		c.TakeGathered()
	}
	c.proto.Closed()
	c.DropInput()
}

// closeSocket closes the descriptor of c.
func (c *Conn) closeSocket() {
	fd := c.Fd()
	if c.Reset && !c.virtual() {
		system.ResetOnClose(fd)
	} else if c.transport != nil && !c.Reset {
		_ = c.transport.CloseWrite() // unless it was said
		_ = c.transport.Flush()
	}
	c.set.wheel.Remove(&c.timer)
	c.watch.Remove()
	if c.virtual() {
		return
	}
	system.ReleaseDescriptor(fd)
	unix.Close(fd)
}
