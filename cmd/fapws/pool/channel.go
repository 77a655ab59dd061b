package pool

import (
	"bytes"
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
	// maxDatagram bounds a datagram; a socket takes none beyond its buffer of about 200 KiB.
	maxDatagram = 128 << 10

	// maxObject bounds the JSON of a message, which costs far more memory once it is read, and maxMessage all of it.
	maxObject  = 192 << 10
	maxMessage = maxEvents + maxObject

	// maxFiles is how many descriptors one message may carry (SCM_MAX_FD is 253).
	maxFiles = 200

	// passWithin bounds how long a Send with descriptors waits for a process that reads nothing.
	passWithin = 10 * time.Second
)

// Channel is one end of the connection between the supervisor and a worker: a
// SOCK_SEQPACKET socket. A message is one JSON object, behind which, after
// a line feed, there may be bytes that are none of JSON's. One that is too long for a datagram takes several, which
// begin with a mark. Send may be called from any goroutine, Receive from one.
type Channel struct {
	conn  *net.UnixConn
	send  sync.Mutex
	parts []byte // of a message whose last datagram has not come; of Receive
}

// The first byte of a datagram that is a part of a message, and of the last one. No whole message begins with it.
const (
	partMark = '+'
	endMark  = '.'
)

// Pair makes a channel and the other end for a child process.
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

// NewChannel makes a channel of the descriptor, which belongs to it from then on.
func NewChannel(fd int) (*Channel, error) {
	nc, err := system.Conn(fd, "control channel")
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

// SyscallConn implements syscall.Conn.
func (c *Channel) SyscallConn() (syscall.RawConn, error) { return c.conn.SyscallConn() }

// Send sends m, with descriptors perhaps, which stay open. It waits as long as the other side is there; with descriptors, ten seconds at most.
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

// ChannelOf makes a channel of a file, which stays open.
func ChannelOf(f *os.File) (*Channel, error) {
	fd, err := Duplicate(f)
	if err != nil {
		return nil, err
	}
	return NewChannel(fd)
}

// Duplicate returns another descriptor of c, which is closed on exec.
func Duplicate(c syscall.Conn) (fd int, err error) { return duplicate(c, unix.F_DUPFD_CLOEXEC) }

// duplicate returns another descriptor of c by a command of fcntl(2).
func duplicate(c syscall.Conn, command int) (fd int, err error) {
	if fd, err = descriptor(c); err == nil {
		fd, err = unix.FcntlInt(uintptr(fd), command, 3)
	}
	return fd, err
}

// ReceiveWithin is Receive with a limit; after it the error is os.ErrDeadlineExceeded.
func (c *Channel) ReceiveWithin(limit time.Duration) (*Message, []*os.File, error) {
	c.conn.SetReadDeadline(time.Now().Add(limit))
	return c.Receive()
}

func (c *Channel) write(until time.Time, texts [][]byte, rights []byte) error {
	c.send.Lock()
	defer c.send.Unlock()
	c.conn.SetWriteDeadline(until)
	for i, text := range texts {
		var with []byte
		if i == len(texts)-1 {
			with = rights
		}
		if _, _, err := c.conn.WriteMsgUnix(text, with, nil); err != nil {
			if i > 0 {
				c.Close() // the next message must not follow a part of this one
			}
			return err
		}
	}
	return nil
}

// isBare reports whether a datagram is the kind of a message, without JSON. Checks come each second: they would keep 3 MB of the
// program, which JSON needs, resident in processes that do nothing else.
func isBare(datagram string) bool {
	return datagram == string(Check) || datagram == string(Checked) || datagram == string(Unused)
}

// encode makes the datagrams of a message.
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

// BeforeReason returns the first bytes of the datagram by which a process that crashes names the reason: it
// sends the others as they are.
func BeforeReason() []byte {
	m := Message{Kind: Failing, Raw: []byte{0}}
	texts, _ := m.encode()
	return texts[0][:len(texts[0])-1]
}

// buffers are for datagrams while they are read, and not while one is waited
// for: they are large, and there are many workers.
var buffers = sync.Pool{New: func() any {
	return &buffer{in: make([]byte, maxDatagram), oob: make([]byte, unix.CmsgSpace(4*maxFiles))}
}}

type buffer struct{ in, oob []byte }

// Receive returns the next message with the descriptors that came with it,
// which are closed on exec. The error is io.EOF when the other side is gone.
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

// receive takes a datagram from a socket if there is one, or EAGAIN. It returns the message that the datagram completes, or nil.
func (c *Channel) receive(fd int) (*Message, []*os.File, error) {
	b := buffers.Get().(*buffer)
	defer buffers.Put(b)
	n, oobn, flags, _, err := unix.Recvmsg(fd, b.in, b.oob, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
	switch {
	case err == unix.EINTR || err == unix.ECONNRESET:
		return nil, nil, nil // a process that dies with unread messages resets once, before its own messages
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
	if m == nil { // descriptors come with the last datagram
		CloseFiles(files)
		files = nil
	}
	return m, files, err
}

var errTooLong = errors.New("a message is too long")

// join returns the message that a datagram completes; nil: it is a part of one.
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

// decode reads a datagram, and keeps none of it.
func decode(datagram []byte) (*Message, error) {
	if isBare(string(datagram)) {
		return &Message{Kind: Kind(datagram)}, nil
	}
	object, raw, _ := bytes.Cut(datagram, []byte{'\n'}) // marshaled text has no line feed
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

// interrupt makes a Receive that waits fail with os.ErrDeadlineExceeded; resume
// lets the next one wait again.
func (c *Channel) interrupt() { c.conn.SetReadDeadline(time.Unix(1, 0)) }
func (c *Channel) resume()    { c.conn.SetReadDeadline(time.Time{}) }

// Close ends the channel; the other side's Receive gets io.EOF.
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
			continue // another control message
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "socket"))
		}
	}
	return files, nil
}

// CloseFiles closes files, such as those of a message.
func CloseFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// descriptor returns the number of c without making it block, as Fd might: the flag belongs to the socket, which other
// processes share.
func descriptor(c syscall.Conn) (fd int, err error) {
	rc, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	err = rc.Control(func(n uintptr) { fd = int(n) })
	return fd, err
}
