package conn

import (
	"math"
	"net"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/eventloop"
)

type Protocol interface {
	// Input passes received bytes to the protocol. The bytes are valid until Input returns. b is nil if the call was
	// requested with Conn.Again or Conn.Yield. The protocol then uses the pending input (Conn.Pending).
	Input(b []byte)

	// EOF is called when the client has shut down its sending side or has disconnected; the server cannot distinguish
	// the two cases. The result reports whether the connection stays open for more output.
	EOF() (stays bool)

	// Drained is called with ended = false after the loop has written the gathered output, or as much of it as the socket
	// accepted; the rest is a transfer (Queue). Drained is called with ended = true when a transfer has ended and the
	// connection is still open.
	Drained(ended bool)

	// Due handles the deadlines that have passed (Set.Now), and returns the next deadline. The loop calls Due at this
	// deadline, and on the next tick after a call of Conn.Schedule. Due may close the connection.
	Due() (next int64)

	// Drain is called when the server stops accepting connections. Active requests continue. If retire is false, an
	// idle connection closes. If retire is true, another process accepts on the listeners. An idle connection may then
	// serve one more request before it closes.
	Drain(retire bool)

	// Closed is called once when the connection is closed. A closed connection can neither read nor queue output, but a
	// transfer that is in progress continues.
	Closed()
}

// Holder owns the memory of a Conn. Gone is called once, after Protocol.Closed and after the end of the last transfer,
// so that the owner can reuse the memory.
type Holder interface{ Gone() }

// A Conn is a connection with a socket, or a virtual connection (see Virtual). The struct is small, because many
// thousand connections can be idle.
type Conn struct {
	set   *Set
	proto Protocol
	watch eventloop.Watch
	timer eventloop.Entry[Conn]

	Holder        Holder // nil if Gone is not needed
	Local, Remote net.Addr
	// time of the last event that restarted the deadline, on the clock of Set.Now
	Stamp int64

	transport *secured // nil if the socket carries the bytes unchanged
	in        []byte   // in[off:] is the pending input
	transfer  *transfer
	fd        int32
	off       int32
	lingerEnd int32 // time at which lingering ends at the latest, in ticks

	Half  bool // the client has shut down its sending side
	Reset bool // close with RST, so that the client sees an error
	// Finish discards further input of the client before it closes the connection
	Linger bool
	// Brief ends lingering after the time in briefLinger, because the server stops and must not wait for a client that
	// does not read
	Brief bool
	// the connection closes soon, so its write timeout is at most leavesTimeout
	Leaves bool

	// Patient disables the write timeout of transfers while the connection is open.
	Patient bool

	life     life
	pause    PauseMode // 0 while c reads
	stopped  bool      // Stop was called; Pause sets only the field pause
	again    bool
	yields   bool
	readable bool // unread input may have arrived
	// the field readable stays true until recv returns EAGAIN; a short read does not prove that the socket is empty,
	// because urgent data can end a read early, and the end of the input can follow the data
	untilEmpty bool
	tcp        bool // the socket is a TCP socket; a PROXY header changes Remote but not this field
	// a read that does not fill its buffer has emptied the socket; otherwise descriptors can end a read early (unix(7))
	bytesOnly bool
}

type life uint8

const (
	open      life = iota
	lingering      // the sending side is shut down, and input is discarded
	closed
)

func (c *Conn) Init(fd int, local, remote net.Addr) {
	c.fd, c.Local, c.Remote = int32(fd), local, remote
	_, c.tcp = remote.(*net.TCPAddr)
	c.bytesOnly = c.tcp
}

// BytesOnly must be called if the peer never sends descriptors over the unix socket of c. Reads then need fewer calls.
func (c *Conn) BytesOnly() { c.bytesOnly = true }

// Open adds c to the set s with the protocol p. If the event loop cannot watch the socket of c, Open closes c and does
// not call p.
func (c *Conn) Open(s *Set, p Protocol) error {
	c.set, c.proto = s, p
	if err := s.Events.AddNew(&c.watch, c.Fd(), c); err != nil {
		unix.Close(c.Fd())
		c.life = closed
		return err
	}
	return nil
}

func (c *Conn) Protocol() Protocol { return c.proto }

// SetProtocol replaces the protocol of c by p, which gets the pending input (see Again). If Stop paused c, c remains
// paused, but Stopped returns false, because p did not call Stop.
func (c *Conn) SetProtocol(p Protocol) { c.proto, c.stopped = p, false }

// Fd returns the descriptor of c. The caller must not close the descriptor, nor use it after Holder.Gone.
func (c *Conn) Fd() int { return int(c.fd) }

// TCP reports whether the socket of c is a TCP socket, regardless of the client's address in a PROXY header.
func (c *Conn) TCP() bool { return c.tcp }

func (c *Conn) String() string {
	switch a := c.Remote.(type) {
	case *net.TCPAddr:
		return a.String()
	case *net.UnixAddr:
		return "unix client " + strconv.Itoa(c.Fd())
	}
	return "connection " + strconv.Itoa(c.Fd())
}

// Schedule calls Protocol.Due on the next tick. The protocol must call Schedule when its deadline becomes earlier.
func (c *Conn) Schedule() {
	if !c.IsClosed() || c.transfer != nil {
		c.scheduleAt(c.set.Now)
	}
}

func (c *Conn) scheduleAt(tick int64) {
	c.set.wheel.Remove(&c.timer)
	c.set.wheel.Add(&c.timer, c, tick)
}

func (c *Conn) due() {
	if c.transfer.expired() {
		c.Schedule()
		return
	}
	next := int64(math.MaxInt64)
	if c.life == open {
		next = c.proto.Due()
	}
	if c.life == lingering {
		if next = min(c.Stamp+lingerTimeout, int64(c.lingerEnd)*tick); next <= c.set.Now {
			c.Close("time is up")
		}
	}
	if t := c.transfer; t != nil {
		c.scheduleAt(min(next, t.due()))
	} else if !c.IsClosed() {
		c.scheduleAt(next)
	}
}

// A Transport encrypts and decrypts the bytes between a connection and its socket, on the loop and without blocking.
type Transport interface {
	// Read reads decrypted input into b. Read returns io.EOF after the last byte, and unix.EAGAIN if no input is
	// available. A read that does not fill b has emptied the socket. If Read returns bytes and an error, the next call
	// returns the error again.
	Read(b []byte) (int, error)

	// Write accepts bytes of b while there is room, and may keep accepted bytes in memory. It returns unix.EAGAIN if it
	// did not accept all of b.
	Write(b []byte) (int, error)

	// Flush writes the bytes in memory, and returns unix.EAGAIN until all of them are written.
	Flush() error

	// CloseWrite announces the end of the output. It must be called only once, and Flush must be called afterwards.
	CloseWrite() error

	// TLS describes the TLS connection of the client; nil without TLS, and for a connection to an upstream.
	TLS() *TLSState
}

// A Conn points to secured instead of containing the interface, which saves a word in connections without a transport.
type secured struct{ Transport }

// Virtual is the transport of a virtual connection. A virtual connection has no socket: a stream of another connection
// carries its bytes. The transport must
//
//   - call ReadAgain when input has arrived,
//   - gather its output for the carrying connection,
//   - close the virtual connection and abort its transfer when the carrying connection closes.
type Virtual interface {
	Transport

	// AwaitRoom makes the transport call Conn.Ready with eventloop.Writable as soon as there is room for output. The
	// call also happens if there is room already.
	AwaitRoom()

	// Ends reports whether the client has ended its side, even if the last bytes have not been read yet.
	Ends() bool

	// Close is called when the connection has closed and its last transfer has ended. If CloseWrite was not called
	// before, the client must see that its input is incomplete. No other method is called afterwards.
	Close()
}

// OpenVirtual adds c, a zero Conn, to the set s as a virtual connection with the protocol p. local and remote are the
// addresses of the carrying connection.
func (c *Conn) OpenVirtual(s *Set, t Virtual, p Protocol, local, remote net.Addr) {
	c.set, c.proto, c.transport, c.fd = s, p, &secured{t}, -1
	c.Local, c.Remote, c.Stamp = local, remote, s.Now
	s.Events.AddVirtual(&c.watch, c)
	c.Schedule()
}

func (c *Conn) virtual() bool { return c.fd < 0 }

// bearer returns the transport of a virtual connection.
func (c *Conn) bearer() Virtual { return c.transport.Transport.(Virtual) }

// Stop stops reading from c until Continue is called, because the handler has enough input. mode selects the events
// that the loop still handles. Stop returns false if c is already stopped or its input has ended.
func (c *Conn) Stop(mode PauseMode) bool {
	if c.stopped || c.Half {
		return false
	}
	if !c.Paused() {
		c.Pause(mode)
	}
	c.stopped = true
	return true
}

// Stopped reports whether the current protocol has paused c with Stop.
func (c *Conn) Stopped() bool { return c.stopped }

// Continue ends a pause that Stop or Pause began, and restarts the client's deadline. Continue does not call
// Protocol.Input for the pending input (see Again).
func (c *Conn) Continue() {
	c.stopped = false
	c.Stamp = c.set.Now
	c.Unpause()
}

const (
	// lingerTimeout is how long a client may be silent before a lingering connection closes. maxLinger limits the whole
	// duration of lingering, and briefLinger that of a Brief connection.
	lingerTimeout = int64(2 * time.Second)
	maxLinger     = int64(10 * time.Second)
	briefLinger   = 2 * tick
)

// Finish closes c after everything was sent.
//
// The client may still be sending, for example a rejected body. If c closed at once, the kernel would send RST, and the
// client could lose output that it has not read (RFC 9112 §9.6). If Linger is set or input is pending, Finish therefore
// does not close c at once. Finish shuts down the sending side, and c discards input until the client closes.
func (c *Conn) Finish() {
	if c.life != open || !c.sayEnd() {
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
	c.life = lingering
	most := maxLinger
	if c.Brief {
		most = briefLinger
	}
	c.Stamp, c.lingerEnd = c.set.Now, int32((c.set.Now+most)/tick)
	c.Schedule()
}

// Close closes c. If a transfer is in progress, the descriptor of c stays open until the transfer has ended.
func (c *Conn) Close(reason string) {
	if c.IsClosed() {
		return
	}
	c.set.Tracef("%s is closed: %s", c, reason)
	c.shut()
}

func (c *Conn) IsClosed() bool { return c.life == closed }

// Detach closes c but leaves its descriptor to the caller. c must not have a transfer.
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

func (c *Conn) gone() {
	if c.Holder != nil {
		c.Holder.Gone()
	}
}

func (c *Conn) end() {
	c.life = closed
	c.set.wheel.Remove(&c.timer)
	if c.Gathers() {
		c.TakeGathered()
	}
	c.proto.Closed()
	c.DropInput()
}

func (c *Conn) closeSocket() {
	fd := c.Fd()
	if c.Reset && !c.virtual() {
		resetOnClose(fd)
	} else if c.transport != nil && !c.Reset {
		_ = c.transport.CloseWrite() // fails only if close_notify was already sent
		_ = c.transport.Flush()
	}
	c.set.wheel.Remove(&c.timer)
	c.watch.Remove()
	if c.virtual() {
		c.bearer().Close()
		return
	}
	unix.Close(fd)
}

const (
	// tick is the resolution of deadlines, in nanoseconds.
	tick = eventloop.Tick

	// smallBuffer is the capacity of the input buffers that are reused.
	smallBuffer = 4 << 10

	spareBuffers = 64
)

// Lingers reports whether c has sent its last response and only waits for the client to close. start is the time when
// the wait began, or an earlier time if c is Brief.
func (c *Conn) Lingers() (start int64, lingers bool) {
	return int64(c.lingerEnd)*tick - maxLinger, c.life == lingering
}

// setTransport makes t the transport of c. c must not have pending input, because t must receive every byte of the
// socket.
func (c *Conn) setTransport(t Transport) {
	c.transport = &secured{t}
	c.untilEmpty = c.untilEmpty || c.Half || c.readable
	c.Half = false // t has not read the end of the input yet
	c.readable = true
	c.watch.Again()
}

// TLS describes the TLS connection of the client; nil without TLS.
func (c *Conn) TLS() *TLSState {
	if c.transport == nil {
		return nil
	}
	return c.transport.TLS()
}

// Movable reports whether another process can continue c with its descriptor, because no transport of this process
// carries the bytes.
func (c *Conn) Movable() bool { return c.transport == nil }

// sayEnd makes the transport announce the end of the output, or returns false if the socket is full. In that case
// Protocol.Drained is called when there is room, and must call Finish again.
func (c *Conn) sayEnd() bool {
	if c.transport == nil || c.Reset {
		return true
	}
	if err := c.transport.CloseWrite(); err != nil {
		return true
	}
	if c.transport.Flush() == unix.EAGAIN {
		c.Queue(Output{}, true)
		return false
	}
	return true
}
