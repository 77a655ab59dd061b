package conn

import (
	"io"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"fapws/runtime/eventloop"
	"fapws/runtime/logfile"
)

type PauseMode uint8

const (
	PauseForReset    PauseMode = iota + 1 // the loop handles only errors of the connection, such as a reset
	PauseForHandover                      // the loop handles no event: the connection is passed to another process
)

func (c *Conn) Ready(r eventloop.Readiness) {
	if r == eventloop.Unwatched {
		c.set.Log(logfile.Error, "cannot watch %s: the kernel is out of memory, or "+
			"fs.epoll.max_user_watches is reached", c)
		c.Close("it cannot be watched")
		// otherwise the transfer would wait forever, because no further event arrives
		c.Abort()
		return
	}
	if t := c.transfer; t != nil && (t.again || r&eventloop.Writable != 0) {
		t.write()
	}
	if r == eventloop.Writable || c.IsClosed() {
		return
	}
	c.readable = c.readable || r&eventloop.Readable != 0
	c.untilEmpty = c.untilEmpty || r&(eventloop.Urgent|eventloop.MaybeGone) != 0
	if c.yields {
		c.yields = false
		if c.proto.Input(nil); c.yields || c.IsClosed() {
			return
		}
	}
	if c.Half || c.Paused() {
		if c.pause == PauseForHandover {
			c.readable = true
		} else if r&eventloop.MaybeGone != 0 {
			// If both sides have shut down, the kernel reports POLLHUP, although the client may not have disconnected.
			// After the client has shut down its side, only POLLERR proves that the client has disconnected.
			if has := poll(c.Fd(), 0); has != 0 && (!c.Half || has&unix.POLLERR != 0) {
				c.leaves(io.EOF)
			}
		}
		return
	}
	for range readsAtOnce {
		buffer := c.set.input // a protocol can take it (Set.TakeInput)
		n, err := c.receive(buffer)
		if err == unix.EAGAIN {
			c.readable, c.untilEmpty = false, false
			return
		}
		if n <= 0 {
			if err == nil {
				err = io.EOF
			}
			c.leaves(err)
			return
		}
		c.readable = n == len(buffer) || err != nil || c.untilEmpty || !c.bytesOnly
		if c.set.Debug >= 3 {
			c.set.tracef("%s sent %d bytes: %s", c, n, Excerpt(buffer[:n]))
		}
		if c.life == lingering {
			c.Stamp = c.set.Now
		} else {
			c.proto.Input(buffer[:n])
		}
		if !c.readable || c.IsClosed() || c.Half || c.Paused() || c.yields {
			return
		}
		if n == len(buffer) || c.transport != nil && !c.virtual() { // TLS may have reached its limit (turnRecords)
			break
		}
	}
	c.watch.Again()
}

// readsAtOnce limits the reads from a connection in one turn of the loop, because a client may send faster than the
// loop reads.
const readsAtOnce = 16

// ReadMore reads more input while Protocol.Input runs. It does not report errors or the end of input; the next ordinary
// read does.
func (c *Conn) ReadMore(b []byte) (n int) {
	n, err := c.receive(b)
	if c.transport == nil && (n > 0 || err == unix.EAGAIN) {
		c.readable = n == len(b) || c.untilEmpty || !c.tcp
	}
	if n > 0 && c.set.Debug >= 3 {
		c.set.tracef("%s sent %d bytes more", c, n)
	}
	return max(n, 0)
}

// AwaitInput makes the kernel report further input of a TCP client only when n bytes have arrived. The end of the input
// and errors are reported at once. It does nothing after Close, because the number of the descriptor may be that of
// another file.
func (c *Conn) AwaitInput(n int) {
	if c.tcp && c.transport == nil && !c.IsClosed() {
		unix.SetsockoptInt(c.Fd(), unix.SOL_SOCKET, unix.SO_RCVLOWAT, n)
	}
}

// ReadAgain makes the loop read from c again, although the kernel reports no new event.
func (c *Conn) ReadAgain() {
	c.readable, c.untilEmpty = true, true
	c.watch.Again()
}

// readAfterOutput makes the loop read from c again when the output in the memory of its transport has been written. A
// transport calls it if it stops reading because of this output. The socket can get room at once, and then reports
// neither room nor the input that it already holds.
func (c *Conn) readAfterOutput() {
	switch {
	case c.transfer != nil: // at its end, the loop reads again
	case c.Gathers():
		c.ReadAgain()
	default:
		c.Queue(Output{}, true)
	}
}

func (c *Conn) Pause(mode PauseMode) {
	c.pause = mode
	c.set.Tracef("%s is paused, %d bytes ahead", c, len(c.Pending()))
}

func (c *Conn) Unpause() {
	c.pause = 0
	if c.readable && !c.Half {
		c.watch.Again()
	}
}

func (c *Conn) Paused() bool { return c.pause != 0 }

// Ends reports whether the client has shut down its sending side, even if the loop has not read all input yet. For a
// socket, it is a system call.
func (c *Conn) Ends() bool {
	if c.virtual() {
		return c.Half || c.bearer().Ends()
	}
	return c.Half || poll(c.Fd(), unix.POLLRDHUP)&unix.POLLRDHUP != 0
}

// HasUnreadInput reports whether the kernel holds input that the loop has not read, for example because a handler ran
// on the loop for a long time. If HasUnreadInput returns true, the client has not missed its deadline.
func (c *Conn) HasUnreadInput() bool {
	if c.Half || c.Paused() {
		return false
	}
	switch {
	case c.transport != nil && c.readable: // TLS may hold input although the socket is empty
		return true
	case c.virtual():
		return false
	}
	n, err := peek(c.Fd())
	return err == nil && n > 0
}

// leaves is called when the client has disconnected or shut down its sending side.
func (c *Conn) leaves(err error) {
	if err == io.EOF && !c.Half && c.life != lingering && c.proto.EOF() {
		c.Half = true
		c.Stamp = c.set.Now
		c.Schedule()
		c.set.Tracef("%s has shut down its side", c)
		return
	}
	c.set.Tracef("%s: %v", c, err)
	if p, ok := c.proto.(interface{ Broke(error) }); ok && err != io.EOF {
		p.Broke(err)
	}
	// a client that has only shut down its sending side can still read the output
	if c.Gathers() {
		c.set.Flush()
	}
	if !c.IsClosed() {
		c.shut()
	}
}

// Pending returns the input that Keep stored and the protocol has not used yet. The result is valid until the next call
// of a method of c.
func (c *Conn) Pending() []byte { return c.in[c.off:] }

// Keep appends input that cannot be used now to the pending input.
func (c *Conn) Keep(b []byte) {
	if len(b) == 0 {
		return
	}
	if c.off > 0 {
		c.in = c.in[:copy(c.in, c.Pending())]
		c.off = 0
	}
	if c.in == nil {
		c.in = c.set.takeBuffer()
	}
	c.in = append(c.in, b...)
}

func (c *Conn) Consume(n int) {
	if c.off += int32(n); int(c.off) >= len(c.in) {
		c.DropInput()
	}
}

// Again makes Set.Resume call Protocol.Input for the pending input.
func (c *Conn) Again() {
	if !c.again {
		c.again = true
		c.set.again = append(c.set.again, c)
	}
}

// Resume calls Input for connections that called Again, and calls the functions that were passed to Soon. The result is
// true if there was a call, so that connections may have gathered output.
func (s *Set) Resume() (progress bool) {
	progress = len(s.again)+len(s.soon) > 0
	for i := 0; i < len(s.again); i++ {
		c := s.again[i]
		s.again[i] = nil
		if c.again = false; !c.IsClosed() {
			c.guarded(func(c *Conn) { c.proto.Input(nil) })
		}
	}
	s.again = s.again[:0]
	for i := 0; i < len(s.soon); i++ {
		if next := s.soon[i]; next.f != nil { // nil if an earlier call of Resume ended with the panic of next.f
			s.soon[i] = soon{}
			next.call(s)
		}
	}
	s.soon = s.soon[:0]
	return progress
}

// Yield makes the loop call Protocol.Input for the pending input in its next turn, after it has served other
// connections.
func (c *Conn) Yield() {
	c.yields = true
	c.watch.Again()
}

func (c *Conn) Yields() bool { return c.yields }

func (c *Conn) WaitsForAgain() bool { return c.again }

func (c *Conn) DropInput() {
	if s := c.set; cap(c.in) == smallBuffer && len(s.spare) < cap(s.spare) {
		s.spare = append(s.spare, c.in[:0])
	}
	c.in, c.off = nil, 0
}

func (s *Set) takeBuffer() []byte {
	if n := len(s.spare); n > 0 {
		b := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return b
	}
	return make([]byte, 0, smallBuffer)
}

// Receive is recv(2): it returns 0 and no error at the end of the stream, and unix.EAGAIN if no input is available.
func Receive(fd int, b []byte) (int, error) { return receive(fd, b, 0) }

// peek is Receive of at most one byte, which stays in the socket.
func peek(fd int) (int, error) {
	var b [1]byte
	return receive(fd, b[:], unix.MSG_PEEK)
}

func receive(fd int, b []byte, flags uintptr) (int, error) {
	n, _, e := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT|flags, 0, 0)
	if e != 0 {
		return -1, e
	}
	return int(n), nil
}

// receive reads from the transport or the socket, and at the end of the input returns 0 and either no error or io.EOF.
func (c *Conn) receive(b []byte) (n int, err error) {
	if c.transport == nil || c.life == lingering && !c.virtual() {
		return Receive(int(c.fd), b)
	}
	n, err = c.transport.Read(b)
	if c.transfer == nil && !c.Gathers() && c.transport.Flush() == unix.EAGAIN { // Read may have produced output
		c.Queue(Output{}, true)
	}
	return n, err
}
