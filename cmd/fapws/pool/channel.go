package pool

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

const (
	// maxDatagram limits a datagram, in bytes. The kernel rejects datagrams that exceed a socket buffer, about 200 KiB.
	maxDatagram = 128 << 10

	// maxObject limits the JSON object of a message, in bytes, because the parsed object needs far more memory than its
	// text. maxMessage limits the whole message.
	maxObject  = 192 << 10
	maxMessage = maxEvents + maxObject

	// maxFiles limits the number of descriptors attached to a message. The kernel's limit (SCM_MAX_FD) is 253.
	maxFiles = 200

	passWithin = 10 * time.Second
)

// Channel is one end of the SOCK_SEQPACKET socket between the supervisor and a worker. A message is a JSON object,
// optionally followed by a line feed and arbitrary bytes. A message that is too long for one datagram is split into
// several datagrams, and the first byte of each of these datagrams is a mark. The method Send is safe for concurrent
// use, but only one goroutine may call the method Receive.
type Channel struct {
	conn  *net.UnixConn
	send  sync.Mutex
	parts []byte // the parts of an incomplete message; used only by the method Receive
}

// A datagram with a part of a split message begins with a mark. The mark of the last part is endMark, and no unsplit
// message begins with the byte of a mark.
const (
	partMark = '+'
	endMark  = '.'
)

func Pair() (c *Channel, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	theirs = os.NewFile(uintptr(fds[1]), "control channel")
	if c, err = NewChannel(fds[0]); err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return c, theirs, nil
}

// NewChannel returns a channel that owns fd. After an error, fd is closed.
func NewChannel(fd int) (*Channel, error) {
	f := os.NewFile(uintptr(fd), "control channel")
	defer f.Close()
	return ChannelOf(f)
}

// ChannelOf returns a channel with a duplicate of the descriptor of f.
func ChannelOf(f *os.File) (*Channel, error) {
	nc, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	conn, ok := nc.(*net.UnixConn)
	if !ok {
		nc.Close()
		return nil, errors.New("the control channel is not a unix socket")
	}
	return &Channel{conn: conn}, nil
}

func (c *Channel) SyscallConn() (syscall.RawConn, error) { return c.conn.SyscallConn() }

// Send sends m and optional descriptors, which stay open. If the socket buffer is full, Send waits until the receiving
// process reads. If the message has descriptors, Send waits no longer than passWithin.
func (c *Channel) Send(m *Message, fds ...int) error {
	texts, err := m.encode()
	if err != nil {
		return err
	}
	var until time.Time
	var rights []byte
	if len(fds) > 0 {
		until, rights = time.Now().Add(passWithin), unix.UnixRights(fds...)
	}
	return c.write(until, texts, rights)
}

func Duplicate(c syscall.Conn) (fd int, err error) { return duplicate(c, unix.F_DUPFD_CLOEXEC) }

func duplicate(c syscall.Conn, command int) (fd int, err error) {
	if fd, err = descriptor(c); err == nil {
		fd, err = unix.FcntlInt(uintptr(fd), command, 3)
	}
	return fd, err
}

func (c *Channel) ReceiveWithin(limit time.Duration) (*Message, []*os.File, error) {
	c.conn.SetReadDeadline(time.Now().Add(limit))
	return c.Receive()
}

func (c *Channel) write(deadline time.Time, texts [][]byte, rights []byte) error {
	c.send.Lock()
	defer c.send.Unlock()
	c.conn.SetWriteDeadline(deadline)
	for i, text := range texts {
		var err error
		if i < len(texts)-1 || rights == nil {
			err = c.writeText(text)
		} else {
			_, _, err = c.conn.WriteMsgUnix(text, rights, nil)
		}
		if err != nil {
			if i > 0 {
				c.Close() // otherwise the receiver would append the next message to this incomplete message
			}
			return err
		}
	}
	return nil
}

func (c *Channel) writeText(text []byte) error {
	rc, err := c.conn.SyscallConn()
	if err != nil {
		return err
	}
	waitErr := rc.Write(func(fd uintptr) (done bool) {
		_, err = system.Send(int(fd), text)
		return err != unix.EAGAIN
	})
	return cmp.Or(waitErr, err)
}

// isBare reports whether a datagram is only the kind of a message, without JSON. A Check is sent every second. Without
// JSON, a Check does not keep the memory pages of package json in use in an idle process.
func isBare(datagram string) bool {
	return datagram == string(Check) || datagram == string(Checked) || datagram == string(Unused)
}

func (m *Message) encode() (texts [][]byte, err error) {
	var text []byte
	if m.Text == "" && isBare(string(m.Kind)) {
		text = []byte(m.Kind)
	} else if text, err = json.Marshal(m); err != nil {
		return nil, err
	}
	if len(text) > maxObject || len(text)+len(m.Raw) >= maxMessage {
		return nil, fmt.Errorf("message %s is too long: %d bytes", m.Kind, len(text)+len(m.Raw))
	}
	if len(m.Raw) > 0 {
		text = append(append(text, '\n'), m.Raw...)
	}
	if len(text) <= maxDatagram {
		return [][]byte{text}, nil
	}
	for part := range slices.Chunk(text, maxDatagram-1) {
		texts = append(texts, append([]byte{partMark}, part...))
	}
	texts[len(texts)-1][0] = endMark
	return texts, nil
}

// BeforeReason returns the beginning of the datagram in which a process reports why it is crashing.
func BeforeReason() []byte {
	m := Message{Kind: Failing, Raw: []byte{0}}
	texts, _ := m.encode()
	return texts[0][:len(texts[0])-1]
}

// A buffer is large, so it is taken from this pool only to read a datagram, and is then put back.
var buffers = sync.Pool{New: func() any {
	return &buffer{in: make([]byte, maxDatagram), oob: make([]byte, unix.CmsgSpace(4*maxFiles))}
}}

type buffer struct{ in, oob []byte }

// Receive returns the next message and its descriptors, which have the flag FD_CLOEXEC. The error is io.EOF after the
// process at the other end has closed the channel.
func (c *Channel) Receive() (m *Message, files []*os.File, err error) {
	rc, err := c.conn.SyscallConn()
	if err != nil {
		return nil, nil, err
	}
	waitErr := rc.Read(func(fd uintptr) (done bool) {
		m, files, err = c.receive(int(fd))
		for m == nil && err == nil {
			m, files, err = c.receive(int(fd))
		}
		return !errors.Is(err, unix.EAGAIN)
	})
	if waitErr != nil {
		err = waitErr
	}
	return m, files, err
}

// receive reads one datagram without blocking; the error is EAGAIN if there is none. receive returns the message that
// the datagram completes, or nil if more parts follow.
func (c *Channel) receive(fd int) (*Message, []*os.File, error) {
	b := buffers.Get().(*buffer)
	defer buffers.Put(b)
	n, oobn, flags, err := system.Receive(fd, b.in, b.oob)
	switch {
	case err == unix.ECONNRESET:
		// If the process at the other end died before it read all messages, the kernel first reports ECONNRESET once.
		// The messages from that process can be read afterwards.
		return nil, nil, nil
	case err != nil:
		return nil, nil, err
	case n == 0 && oobn == 0:
		return nil, nil, io.EOF
	}
	files, err := filesIn(b.oob[:oobn])
	if err == nil && flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		err = errors.New("a message was cut off")
	}
	var m *Message
	if err == nil {
		m, err = c.join(b.in[:n])
	}
	if err != nil {
		err = fmt.Errorf("control channel: %w", err)
	}
	if m == nil { // only a message's last datagram may carry descriptors
		CloseFiles(files)
		files = nil
	}
	return m, files, err
}

var errTooLong = errors.New("a message is too long")

// join adds a datagram to the parts of a message, and returns the complete message, or nil if more parts follow.
func (c *Channel) join(datagram []byte) (*Message, error) {
	if len(datagram) == 0 || datagram[0] != partMark && datagram[0] != endMark {
		return decode(datagram)
	}
	part := datagram[1:]
	if len(c.parts)+len(part) > maxMessage {
		return nil, errTooLong
	}
	c.parts = append(c.parts, part...)
	if datagram[0] == partMark {
		return nil, nil
	}
	text := c.parts
	c.parts = nil
	return decode(text)
}

// decode parses a message into new memory.
func decode(datagram []byte) (*Message, error) {
	if isBare(string(datagram)) {
		return &Message{Kind: Kind(datagram)}, nil
	}
	object, raw, _ := bytes.Cut(datagram, []byte{'\n'}) // marshaled JSON contains no line feed
	if len(object) > maxObject {
		return nil, errTooLong
	}
	m := new(Message)
	if err := json.Unmarshal(object, m); err != nil {
		return nil, err
	}
	if len(raw) > 0 {
		m.Raw = bytes.Clone(raw)
	}
	return m, nil
}

// interrupt makes a waiting Receive fail with os.ErrDeadlineExceeded. resume allows Receive to wait again.
func (c *Channel) interrupt() { c.conn.SetReadDeadline(time.Unix(1, 0)) }
func (c *Channel) resume()    { c.conn.SetReadDeadline(time.Time{}) }

func (c *Channel) Close() error { return c.conn.Close() }

func filesIn(oob []byte) (files []*os.File, err error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "socket"))
		}
	}
	return files, nil
}

func CloseFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// Unlike the method Fd, descriptor leaves the socket non-blocking in all processes that share the socket.
func descriptor(c syscall.Conn) (fd int, err error) {
	rc, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	err = rc.Control(func(n uintptr) { fd = int(n) })
	return fd, err
}
