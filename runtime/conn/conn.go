package conn

import (
	"math"
	"net"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/eventloop"
)

// Protocol is the protocol of a connection. Its methods are called on the loop.
type Protocol interface {
	// Input takes bytes that have arrived. They are valid until it returns. After Again they are nil: it goes on with the pending input.
	Input(b []byte)

	// EOF is called when the client has shut down its side, or has left: these cannot be told apart. It reports whether the
	// connection stays open for the output that is still to come.
	EOF() (stays bool)

	// Room is called when gathered output has been written, or has become a transfer; and, with ended, when a transfer has ended and the
	// connection is still open.
	Room(ended bool)

	// Due deals with deadlines that have passed by the clock of the Set, and returns the next one. It is called at that time, and with the
	// next tick after Schedule. It may close the connection.
	Due() (next int64)

	// Drain is called when the server takes no more connections. Requests that have begun are still answered. If
	// another server goes on with the listeners (retire), an idle connection stays until it has answered one more
	// request, or for a while; otherwise it closes.
	Drain(retire bool)

	// Closed is called once, when the connection is closed: nothing is read from it any more, and nothing can be queued. A
	// transfer goes on.
	Closed()
}

// Holder has a place for a connection. Gone is called once, behind Protocol.Closed, when no transfer needs the connection any more.
type Holder interface{ Gone() }

// Conn is a connection. It is embedded in what uses it. There may be many thousand idle ones, so it is small.
type Conn struct {
	set   *Set
	proto Protocol
	watch eventloop.Watch
	timer eventloop.Entry[Conn]

	Holder        Holder // nil: nothing is told
	Local, Remote net.Addr
	Stamp         int64 // time of the last event that counts for the deadline; see Protocol

	transport *secured // nil: the socket has the bytes as they are
	in        []byte   // input that could not be used yet: in[off:]
	transfer  *transfer
	fd        int32
	off       int32
	lingerEnd int32 // in ticks: when lingering ends at the latest

	Half   bool // its client has shut down its side: it is not read from any more
	Reset  bool // close so that the client sees an error
	Linger bool // the client may be sending bytes that are thrown away: see Finish
	Leaves bool // it is about to close: a client that reads nothing for leavesTimeout is disconnected

	// Patient has a transfer wait for its peer as long as that takes, while the connection is open.
	Patient bool

	again      bool // it is in Set.again
	yields     bool // by Yield
	closed     bool
	lingering  bool // it is shut down for writing, and input is thrown away
	paused     bool // it is not read from
	stopped    bool // by Stop, too
	heed       Heed // what counts while it is paused
	readable   bool // something may have come that was not read
	untilEmpty bool // readable until recv says EAGAIN: it stops at urgent data, and an end comes behind data
	tcp        bool // whatever a proxy says of Remote
}

// Init gives c, which is empty, a socket that it owns from now on, and its addresses.
func (c *Conn) Init(fd int, local, remote net.Addr) {
	c.fd, c.Local, c.Remote = int32(fd), local, remote
	_, c.tcp = remote.(*net.TCPAddr)
}

// Open makes c a connection of s, which speaks p. If it cannot be watched, it is closed and p is not told.
func (c *Conn) Open(s *Set, p Protocol) error {
	c.set, c.proto = s, p
	if err := s.Events.AddNew(&c.watch, c.Fd(), c); err != nil {
		unix.Close(c.Fd())
		c.closed = true
		return err
	}
	return nil
}

// Protocol returns what c speaks.
func (c *Conn) Protocol() Protocol { return c.proto }

// Upgrade makes p what c speaks from now on. Pending input is p's: see Again. A connection that was stopped is only paused then.
func (c *Conn) Upgrade(p Protocol) { c.proto, c.stopped = p, false }

// Fd returns the descriptor of c. It must not be closed, nor be used when Gone was called.
func (c *Conn) Fd() int { return int(c.fd) }

// TCP reports whether c is a connection of TCP, whatever a proxy says of its client.
func (c *Conn) TCP() bool { return c.tcp }

// String names the connection in log lines.
func (c *Conn) String() string {
	if a, ok := c.Remote.(*net.TCPAddr); ok {
		return a.String()
	}
	return "unix client " + strconv.Itoa(c.Fd())
}

// Schedule has c looked at with the next tick. Call it when something may be due earlier than before.
func (c *Conn) Schedule() {
	if !c.closed || c.transfer != nil {
		c.scheduleAt(c.set.Now)
	}
}

func (c *Conn) scheduleAt(at int64) {
	c.set.wheel.Remove(&c.timer)
	c.set.wheel.Add(&c.timer, c, at)
}

// due deals with the deadlines of c that have passed, and schedules the next one.
func (c *Conn) due() {
	if c.roomExpired() {
		c.Schedule()
		return
	}
	next := int64(math.MaxInt64)
	if !c.closed && !c.lingering {
		next = c.proto.Due()
	}
	if c.lingering && !c.closed {
		if next = min(c.Stamp+lingerTimeout, int64(c.lingerEnd)*tick); next <= c.set.Now {
			c.Close("time is up")
		}
	}
	if t := c.transfer; t != nil {
		c.scheduleAt(min(next, t.due()))
	} else if !c.closed {
		c.scheduleAt(next)
	}
}

// Virtual is the transport of a virtual connection, which has no socket: another connection carries its bytes, as a stream. It has to
//
//   - call ReadAgain when something has come,
//   - gather what it writes for the connection that carries it, whose closing has to close this one, and abort its transfer.
type Virtual interface {
	Transport

	// AwaitRoom has Conn.Ready called with eventloop.Writable when there is room, even if there is already. A Write that returns
	// unix.EAGAIN does that, too.
	AwaitRoom()
}

// OpenVirtual makes c, which is empty, a virtual connection of s that speaks p. Addresses are those of the connection that carries it.
func (c *Conn) OpenVirtual(s *Set, t Virtual, p Protocol, local, remote net.Addr) {
	c.set, c.proto, c.transport, c.fd = s, p, &secured{t}, -1
	c.Local, c.Remote, c.Stamp = local, remote, s.Now
	s.Events.AddVirtual(&c.watch, c)
	c.Schedule()
}

func (c *Conn) virtual() bool { return c.fd < 0 }

// Stop stops reading from c until Continue, because its handler has enough input. h selects the events that count
// meanwhile. It returns false if c is stopped already, or if nothing more comes.
func (c *Conn) Stop(h Heed) bool {
	if c.stopped || c.Half {
		return false
	}
	if !c.paused {
		c.Pause(h)
	}
	c.stopped = true
	return true
}

// Stopped reports whether c is not read from because of Stop. It is false when another protocol has taken the connection.
func (c *Conn) Stopped() bool { return c.stopped }

// Continue ends a Stop, or another pause. The client may have waited since then, so its time begins again. It does not call
// Protocol.Input for the pending input: see Again.
func (c *Conn) Continue() {
	c.stopped = false
	c.Stamp = c.set.Now
	c.Unpause()
}

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
	if c.Half || c.Reset || !c.Linger && len(c.Pending()) == 0 {
		c.Close("the last response is out")
		return
	}
	c.DropInput()
	c.Unpause()
	if !c.virtual() {
		unix.Shutdown(c.Fd(), unix.SHUT_WR)
	}
	c.lingering = true
	c.Stamp, c.lingerEnd = c.set.Now, int32((c.set.Now+maxLinger)/tick)
	c.Schedule()
}

// Close closes c now. A transfer goes on; its descriptor is closed when that has ended.
func (c *Conn) Close(why string) {
	if c.closed {
		return
	}
	c.set.Tracef("%s is closed: %s", c, why)
	c.shut()
}

// IsClosed reports whether c was closed. A transfer may still go on.
func (c *Conn) IsClosed() bool { return c.closed }

// Unwatch ends that the loop hears of the descriptor of c, before Detach or Close.
func (c *Conn) Unwatch() { c.watch.Remove() }

// Detach closes c without its descriptor, which is the caller's from now on. It must not have a transfer.
func (c *Conn) Detach() {
	c.watch.Remove()
	c.end()
	c.gone()
}

func (c *Conn) shut() {
	c.end()
	if c.transfer != nil {
		c.Schedule()
		return
	}
	c.closeSocket()
	c.gone()
}

// gone tells that nothing needs c any more.
func (c *Conn) gone() {
	if c.Holder != nil {
		c.Holder.Gone()
	}
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
		resetOnClose(fd)
	} else if c.transport != nil && !c.Reset {
		_ = c.transport.CloseWrite() // unless it was said
		_ = c.transport.Flush()
	}
	c.set.wheel.Remove(&c.timer)
	c.watch.Remove()
	if c.virtual() {
		return
	}
	unix.Close(fd)
}

const (
	// tick is how exact deadlines are, in nanoseconds.
	tick = eventloop.Tick

	// smallBuffer is the capacity of an input buffer that is worth keeping.
	smallBuffer = 4 << 10

	// spareBuffers is how many of them are kept.
	spareBuffers = 64
)

// Writing reports whether c has a transfer.
func (c *Conn) Writing() bool { return c.transfer != nil }

// idle is the Idle of the protocol of c, if it has one.
func (c *Conn) idle() (since int64, idle bool) {
	if p, ok := c.proto.(idler); ok && !c.closed {
		return p.Idle()
	}
	return 0, false
}

// Lingers reports whether c has sent its last response and only waits for its client to close, and since when.
func (c *Conn) Lingers() (since int64, lingers bool) {
	return int64(c.lingerEnd)*tick - maxLinger, c.lingering
}

// setTransport has the bytes of c go through t from now on. What has arrived already is t's: nothing may be pending.
func (c *Conn) setTransport(t Transport) {
	c.transport = &secured{t}
	c.untilEmpty = c.untilEmpty || c.Half || c.readable
	c.Half = false // t has to come to the end, too
	c.readable = true
	c.watch.Again()
}

// Transport returns what the bytes of c go through, nil if the socket has them as they are. Then c can be lent, and given to another process.
func (c *Conn) Transport() Transport {
	if c.transport == nil {
		return nil
	}
	return c.transport.Transport
}

// sayEnd has the transport tell the client that nothing more comes. It returns false if there is no room for that now: then Protocol.Room
// is called when there was, and c has to be finished again.
func (c *Conn) sayEnd() bool {
	if c.transport == nil || c.Reset {
		return true
	}
	if err := c.transport.CloseWrite(); err != nil {
		return true // it is broken
	}
	if c.transport.Flush() == unix.EAGAIN {
		c.Queue(Output{}, true)
		return false
	}
	return true
}
