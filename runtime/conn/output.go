package conn

import (
	"bytes"
	"errors"
	"math"
	"os"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"fapws/runtime/logfile"
)

// Output waits to be written: bytes that a socket did not take at once, and ranges of files.
type Output struct {
	Items  []Item
	Owner  Owner   // nil: nothing has to be told of the end
	Unsent *Unsent // is told what was written; nil: nothing is
}

// Item is bytes or a range of a file, or the bytes before a range that were read.
type Item struct {
	Data          []byte
	File          int
	Offset, Count int64
	Warm          int64 // the file is in memory up to this offset
	More          bool  // another item follows at once: let the kernel fill its packets
}

// Owner is told when an output is not needed any more.
type Owner interface {
	// Sent takes back the memory of the output. All of it was written if err is nil. Otherwise the connection is
	// about to be closed, or is.
	Sent(err error)
}

// maxGather is the capacity up to which Set.Buf is kept.
const maxGather = 256 << 10

// gathered is output that is gathered for a connection.
type gathered struct {
	Buf []byte
	out *Conn // nil: for none
}

// gathered returns where output of c is gathered: that of virtual connections beside that of the ones that carry them.
func (c *Conn) gathered() *gathered {
	if c.fd < 0 {
		return &c.set.carried
	}
	return &c.set.gathered
}

// Use makes c the connection that output is gathered for, and returns that: Set.Buf, but for virtual connections. Output that was gathered for
// another one is written: that of a virtual connection becomes output of the one that carries it. So streams that take turns cost one system call.
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

// Gathers reports whether output is being gathered for c.
func (c *Conn) Gathers() bool { return c.gathered().out == c }

// TakeGathered ends the gathering for c, and returns the output. It is valid until Use is called or, if c is virtual, until that was
// called for another virtual one.
func (c *Conn) TakeGathered() []byte {
	g := c.gathered()
	b := g.Buf
	g.out, g.Buf = nil, b[:0]
	return b
}

// Flush writes the gathered output.
func (s *Set) Flush() {
	for s.carried.flush() || s.gathered.flush() {
	}
}

// flush writes the output, and reports whether there was a connection for it.
func (g *gathered) flush() bool {
	c := g.out
	if c == nil {
		return false
	}
	if b := c.TakeGathered(); len(b) > 0 {
		if n, err := c.WriteSome([][]byte{b}); err == unix.EAGAIN {
			c.Queue(Output{Items: []Item{{Data: bytes.Clone(b[n:])}}}, true)
		} else if err != nil {
			c.Close(err.Error())
		}
	}
	if cap(g.Buf) > maxGather {
		g.Buf = nil
	}
	c.proto.Room(false)
	return true
}

// Write writes pieces in one call. If the socket has not taken all, rest is for Queue; the first piece is copied
// to it. With an error the connection is broken, and the caller has to close it.
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

// drop takes up to *n bytes off the front of b.
func drop(b []byte, n *int) []byte {
	k := min(*n, len(b))
	*n -= k
	return b[k:]
}

const (
	// CopyLimit is the size up to which a body is copied to Set.Buf. A larger one is written from where it is.
	CopyLimit = 16 << 10

	// FlushLimit is the size of Set.Buf from which it is flushed.
	FlushLimit = 64 << 10
)

// Send is send(2) with flags (unix.MSG_MORE or 0). It returns unix.EAGAIN if there is no room, and never unix.EINTR, as it does not wait.
func Send(fd int, b []byte, flags uintptr) (int, error) {
	n, _, e := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT|flags, 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}

// filePiece is how much of a file is read at once for a transport.
const filePiece = 32 << 10

// send writes bytes as far as there is room.
func (c *Conn) send(b []byte, flags uintptr) (int, error) {
	if c.transport == nil {
		return Send(c.Fd(), b, flags)
	}
	return c.transport.Write(b)
}

// encode writes pieces through the transport, as far as there is room, and up to an amount after which others have their turn.
func (c *Conn) encode(pieces [][]byte) (n int, err error) {
	for _, b := range pieces {
		k, err := c.transport.Write(b[:min(len(b), roomTurn-n)])
		if n += k; err != nil {
			return n, err
		}
	}
	return n, c.transport.Flush()
}

// WriteSome writes as much of up to MaxPieces pieces as there is room for now, without a transfer. It returns unix.EAGAIN if something is
// left, of the pieces or in memory of the transport: Queue with an empty Output waits for room, and Protocol.Room is called then. c must not
// have a transfer, and nothing may be gathered for it.
func (c *Conn) WriteSome(pieces [][]byte) (n int, err error) {
	total := 0
	for _, b := range pieces {
		total += len(b)
	}
	switch {
	case c.transport != nil:
		n, err = c.encode(pieces)
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

// sendCached writes up to most bytes of a file that is in memory.
func (c *Conn) sendCached(it *Item, most int64) (n int, err error) {
	s := c.set
	if c.transport == nil && !s.copies {
		n, err = sendCached(c.Fd(), it.File, &it.Offset, most)
		if err == nil || clientGone(err) || err == unix.EAGAIN {
			return n, err
		}
		s.sendfileRefused(err)
	}
	if s.file == nil {
		s.file = make([]byte, filePiece)
	}
	if n, err = ReadFile(it.File, s.file[:min(most, filePiece)], it.Offset); n > 0 {
		if c.transport == nil {
			n, err = c.send(s.file[:n], it.flags())
		} else {
			n, err = c.transport.Write(s.file[:n])
		}
		it.Offset += int64(n)
	}
	return n, err
}

// clientGone reports whether an error of a socket is one of its connection.
func clientGone(err error) bool {
	switch err {
	case unix.EPIPE, unix.ECONNRESET, unix.ECONNABORTED, unix.ETIMEDOUT, unix.ENOTCONN, unix.EHOSTUNREACH,
		unix.ENETUNREACH, unix.ENETDOWN, unix.ENETRESET:
		return true
	}
	return false
}

// sendfileRefused notes that sendfile(2) failed, so the file is read and sent instead: a seccomp filter or an old kernel refuses
// it for all files, some file systems for theirs.
func (s *Set) sendfileRefused(err error) {
	s.copies = s.copies || err == unix.EPERM || err == unix.ENOSYS
	if !slices.Contains(s.refused, err) {
		s.refused = append(s.refused, err)
		s.Log(logfile.Warning, "sendfile: %v; reading files and sending them instead", err)
	}
}

// Queue makes o a transfer. c must not have another one. full: there is no room now.
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

// AwaitsRoom reports whether a transfer waits for its client.
func (c *Conn) AwaitsRoom() bool {
	t := c.transfer
	return t != nil && !t.loading && !t.again
}

// Abort ends the transfer of c, or makes it end when its file is not being read any more.
func (c *Conn) Abort() {
	switch t := c.transfer; {
	case t == nil:
	case t.loading:
		t.aborted = true
	default:
		t.end(errAborted)
	}
}

// WriteItems writes items as far as the socket takes them and their files are in memory, up to an amount after which others have
// their turn. It takes the bytes that it writes off items. left are the items for Queue, with full. With an error the connection has to be
// closed.
func (c *Conn) WriteItems(items []Item) (left []Item, full bool, err error) {
	_, next, err := c.writeItems(items, cachedMost)
	if full = err == unix.EAGAIN; full || err == errCold {
		err = nil
	}
	if full && next == len(items) { // the transport has all of it, and its socket not
		next--
	}
	return items[next:], full, err
}

// writeItems writes up to most bytes of items. It returns how many bytes and how many whole items it has written,
// and unix.EAGAIN if there is no room, or errCold.
func (c *Conn) writeItems(items []Item, most int) (sent, next int, err error) {
	sent, next, err = c.putItems(items, most)
	if c.transport != nil && (err == nil || err == errCold) {
		if flushed := c.transport.Flush(); flushed != nil {
			err = flushed
		}
	}
	return sent, next, err
}

// putItems is writeItems without what a transport keeps in memory.
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

// roomExpired is for c, whose deadline has passed. It reports whether that was the one of its transfer: a handler that runs
// on the loop may have kept the loop from writing.
func (c *Conn) roomExpired() bool {
	t := c.transfer
	if t == nil || t.due() > c.set.Now {
		return false
	}
	t.write()
	if c.transfer == t && t.due() <= c.set.Now {
		t.end(os.ErrDeadlineExceeded)
	}
	return true
}

// errCold is the error of writeItems where a file may have to be read from a disk.
var errCold = errors.New("the file is not in memory")

// AlwaysWarm is Item.Warm of a file that was read a moment ago.
const AlwaysWarm = math.MaxInt64
