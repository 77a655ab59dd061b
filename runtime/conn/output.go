package conn

import (
	"bytes"
	"errors"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"fapws/runtime/logfile"
)

type Output struct {
	Items []Item
	// the method Sent of Owner is called when the output has ended; nil means that no call is needed
	Owner OutputOwner
	// counts the bytes that wait for the client; nil if they are not counted
	Unsent *Unsent
}

// Item is a piece of output: the bytes of Data, followed by the bytes of File.
type Item struct {
	Data []byte
	File
	// another item follows at once, so the kernel should not send a partly filled packet yet (MSG_MORE)
	More bool
}

type File struct {
	FD            int
	Offset, Count int64
	Warm          int64 // the file is in memory up to this offset
}

// OutputOwner is notified when an output is no longer needed.
type OutputOwner interface {
	// Sent tells the owner that the connection no longer uses the memory of the output. err is nil if the whole output
	// was written; otherwise the connection is about to be closed.
	Sent(err error)
}

const maxGather = 256 << 10

type gathered struct {
	Buf []byte
	out *Conn
}

func (c *Conn) gathered() *gathered {
	if c.fd < 0 {
		return &c.set.carried
	}
	return &c.set.gathered
}

// Use makes c the connection for which output is gathered, and returns the buffer: Set.Buf, or a separate buffer for
// virtual connections. Use first writes the output that was gathered for another connection. Output of a virtual
// connection is appended to the gathered output of its carrying connection. Several streams of one connection can
// therefore write in turn with only one system call.
func (c *Conn) Use() *[]byte {
	g := c.gathered()
	for s := c.set; g.out != nil && g.out != c; {
		if !s.carried.flush() {
			s.gathered.flush()
		}
	}
	g.out = c
	return &g.Buf
}

func (c *Conn) Gathers() bool { return c.gathered().out == c }

// TakeGathered returns the output that was gathered for c, and stops gathering for c. The output is valid until the
// next call of Use. If c is virtual, only a call of Use for another virtual connection makes the output invalid.
func (c *Conn) TakeGathered() []byte {
	g := c.gathered()
	b := g.Buf
	g.out, g.Buf = nil, b[:0]
	return b
}

func (s *Set) Flush() {
	for s.carried.flush() || s.gathered.flush() {
	}
}

func (g *gathered) flush() (partial bool) {
	c := g.out
	if c == nil {
		return false
	}
	defer c.set.Guard(c)
	partial = true
	b := g.Buf
	g.out, g.Buf = nil, b[:0]
	if len(b) > 0 {
		if n, err := c.WriteSome([][]byte{b}); err == unix.EAGAIN {
			c.Queue(Output{Items: []Item{{Data: bytes.Clone(b[n:])}}}, true)
		} else if err != nil {
			c.Close(err.Error())
		}
	}
	if cap(g.Buf) > maxGather {
		g.Buf = nil
	}
	c.proto.Drained(false)
	return partial
}

// Write writes pieces with one system call. rest contains the unwritten bytes, which the caller must pass to Queue. The
// first Item of rest is a copy, and the others share the memory of pieces. After an error the caller must close the
// connection.
func (c *Conn) Write(pieces ...[]byte) (rest []Item, err error) {
	n, err := c.WriteSome(pieces)
	if err != unix.EAGAIN {
		return nil, err
	}
	for _, b := range pieces {
		rest = append(rest, Item{Data: drop(b, &n)})
	}
	rest[0].Data = bytes.Clone(rest[0].Data)
	return rest, nil
}

func drop(b []byte, n *int) []byte {
	k := min(*n, len(b))
	*n -= k
	return b[k:]
}

const (
	// CopyLimit is the maximum size of a body that is copied to Set.Buf, in bytes.
	CopyLimit = 16 << 10

	// FlushLimit is the size at which Set.Buf is flushed, in bytes.
	FlushLimit = 64 << 10
)

// Send is send(2) with flags (unix.MSG_MORE or 0). Send never blocks: it returns unix.EAGAIN if the socket is full.
// Send never returns unix.EINTR.
func Send(fd int, b []byte, flags uintptr) (int, error) {
	n, _, e := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT|flags, 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}

// filePiece is the size of the pieces in which a file is read for a transport, in bytes.
const filePiece = 32 << 10

func (c *Conn) send(b []byte, flags uintptr) (int, error) {
	if c.transport == nil {
		return Send(c.Fd(), b, flags)
	}
	return c.transport.Write(b)
}

// WriteSome writes up to MaxPieces pieces while there is room, and does not start a transfer. WriteSome returns
// unix.EAGAIN if unwritten bytes remain in the pieces or in the memory of the transport. If the caller then passes an
// empty Output to Queue, Protocol.Drained is called when there is room again. c must have neither a transfer nor
// gathered output.
func (c *Conn) WriteSome(pieces [][]byte) (n int, err error) {
	total := 0
	for _, b := range pieces {
		total += len(b)
	}
	if total == len(pieces[0]) {
		pieces = pieces[:1]
	}
	switch {
	case c.transport != nil:
		for i := 0; i < len(pieces) && err == nil; i++ {
			var k int
			k, err = c.transport.Write(pieces[i][:min(len(pieces[i]), roomTurn-n)])
			n += k
		}
		if err == nil {
			err = c.transport.Flush()
		}
	case len(pieces) == 1:
		n, err = Send(int(c.fd), pieces[0], 0)
	default:
		n, err = c.set.iov.Send(c.Fd(), pieces...)
	}
	if c.set.Debug >= 2 {
		c.set.tracef("%s took %d of %d bytes", c, n, total)
	}
	if c.set.Debug >= 3 {
		c.set.tracef("%s gets %s", c, Excerpt(pieces[0]))
	}
	if err == nil && n < total {
		err = unix.EAGAIN
	}
	return n, err
}

func (c *Conn) sendCached(item *Item, most int64) (n int, err error) {
	s := c.set
	if c.transport == nil && !s.copies {
		n, err = sendCached(c.Fd(), item.FD, &item.Offset, most)
		if err == nil || clientGone(err) || err == unix.EAGAIN {
			return n, err
		}
		s.sendfileRefused(err)
	}
	if s.file == nil {
		s.file = make([]byte, filePiece)
	}
	if n, err = ReadFile(item.FD, s.file[:min(most, filePiece)], item.Offset); n > 0 {
		if c.transport == nil {
			n, err = c.send(s.file[:n], item.flags())
		} else {
			n, err = c.transport.Write(s.file[:n])
		}
		item.Offset += int64(n)
	}
	return n, err
}

func clientGone(err error) bool {
	switch err {
	case unix.EPIPE, unix.ECONNRESET, unix.ECONNABORTED, unix.ETIMEDOUT, unix.ENOTCONN, unix.EHOSTUNREACH,
		unix.ENETUNREACH, unix.ENETDOWN, unix.ENETRESET:
		return true
	}
	return false
}

// sendfileRefused logs that sendfile(2) failed, and makes the server read and send files itself. A seccomp filter or an
// old kernel refuses sendfile for all files; some file systems refuse it for the files that they contain.
func (s *Set) sendfileRefused(err error) {
	s.copies = s.copies || err == unix.EPERM || err == unix.ENOSYS
	if !slices.Contains(s.refused, err) {
		s.refused = append(s.refused, err)
		s.Log(logfile.Warning, "sendfile: %v; reading files and sending them instead", err)
	}
}

// Queue starts a transfer of o. c must not have another transfer. If full is true, the socket has no room now.
func (c *Conn) Queue(o Output, full bool) {
	t := &transfer{Output: o, c: c, progress: c.set.Now}
	c.transfer = t
	c.set.Tracef("%s: transfer started", c)
	if full {
		t.awaitRoom()
	} else {
		t.again = true
		c.watch.Again()
	}
	c.Schedule()
}

func (c *Conn) Writing() bool { return c.transfer != nil }

// Abort ends the transfer of c. If a goroutine is reading a file for the transfer, the transfer ends after this read.
func (c *Conn) Abort() {
	switch t := c.transfer; {
	case t == nil:
	case t.loading:
		t.aborted = true
	default:
		t.end(errAborted)
	}
}

// WriteItems writes at most cachedMost bytes of items. It stops early if the socket is full or a file is not in memory.
// WriteItems removes the written bytes from items, and returns the remaining items as unsent. The caller must pass
// unsent and full to Queue or, after an error, close the connection.
func (c *Conn) WriteItems(items []Item) (unsent []Item, full bool, err error) {
	_, next, err := c.writeItems(items, cachedMost)
	if full = err == unix.EAGAIN; full || err == errCold {
		err = nil
	}
	if full && next == len(items) { // the transport holds the rest, and its socket is full
		next--
	}
	return items[next:], full, err
}

// writeItems writes items; most limits the number of bytes. sent is the number of written bytes, and next is the number
// of items that were written completely. The error is unix.EAGAIN if the socket is full, or errCold if a file is not in
// memory.
func (c *Conn) writeItems(items []Item, most int) (sent, next int, err error) {
	sent, next, err = c.putItems(items, most)
	if c.transport != nil && (err == nil || err == errCold) {
		if flushed := c.transport.Flush(); flushed != nil {
			err = flushed
		}
	}
	return sent, next, err
}

func (c *Conn) putItems(items []Item, most int) (sent, next int, err error) {
	for next < len(items) {
		it := &items[next]
		var n int
		switch {
		case len(it.Data) == 0 && it.Count == 0:
			next++
			continue
		case sent >= most:
			return sent, next, nil
		case len(it.Data) > 0:
			n, err = c.send(it.Data[:min(len(it.Data), most-sent)], it.flags())
			it.Data = it.Data[n:]
		case !c.set.IsWarm(it):
			return sent, next, errCold
		default:
			n, err = c.sendCached(it, min(it.Count, it.Warm-it.Offset, int64(most-sent)))
			if it.Count -= int64(n); n == 0 && err == nil {
				err = ErrShortFile
			}
		}
		sent += n
		if err != nil {
			return sent, next, err
		}
	}
	return sent, next, nil
}

var errCold = errors.New("the file is not in memory")
