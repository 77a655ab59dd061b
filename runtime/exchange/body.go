package exchange

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

// Body is the body of a request while it arrives from the client. Unless Mount.Streams is true, the handler gets the
// request only when the body is complete, so that a slow client never occupies an application.
type Body struct {
	X        *Exchange // the exchange; nil if the rest of the body is discarded
	Streamed bool      // X gets pieces as they arrive; if false, the body is collected
	Expects  bool      // the client waits for 100 Continue before it sends a streamed body

	max    int64 // limit of the body in bytes; negative means no limit
	size   int64
	begun  int64 // time of the first byte, moved forward by the duration of all pauses
	Paused bool  // the server does not read the body, so its timeout is suspended
	paused int64 // time of the last Pause

	data  []byte // the stored bytes in memory; empty after the body has moved to a file
	spool int    // descriptor of the file that contains the body, or -1
	waits bool   // the body waits for a file because its client has the maximum number of files
}

// CollectedBody is the default limit for collected bodies, in bytes. A body may use a quarter of the free disk space.
const CollectedBody = 1 << 30

// usualBody is the default limit for all other bodies, in bytes. Only longer bodies need a check of the free space.
const usualBody = 10 << 20

// errTooLarge means that a body exceeds Body.max. errNoRoom means that a body exceeds its share of the free disk space.
var (
	errTooLarge = errors.New("input body too big")
	errNoRoom   = errors.New("not enough free space for the request body")
)

// admits returns errTooLarge if size exceeds max, or errNoRoom if the disk is too full for a body of this size. The
// first written bytes of the body are on the disk.
func admits(dir string, size, written, max int64) error {
	switch {
	case TooLarge(size, max):
		return errTooLarge
	case max != CollectedBody || size <= usualBody:
		return nil
	}
	if free, ok := system.FreeSpace(dir); ok && !hasRoom(free+written, size) {
		return errNoRoom
	}
	return nil
}

func hasRoom(free, size int64) bool { return size <= free/4 }

func TooLarge(size, max int64) bool { return size > max && max >= 0 }

func (b *Body) Begin(max, now int64) { *b = Body{max: max, begun: now, spool: -1} }

// Collect makes b the body of x and collects it. Begin must have been called. The routing of x must not be complete.
func (b *Body) Collect(x *Exchange) {
	x.req.keep()
	x.enter(receiving, nothing)
	b.X, x.body = x, b
}

func (b *Body) Stream(x *Exchange) { b.X, b.Streamed, x.body = x, true, b }

func (b *Body) Arrived() {
	if x := b.X; x != nil && x.body == b {
		x.body = nil
	}
}

// End stores b in the request of its exchange. b must be a complete, collected body.
func (b *Body) End() {
	b.Arrived()
	r := b.X.Req
	b.waits = false
	r.Size = b.size
	r.Body, r.Spool = b.stored()
}

func (b *Body) Size() int64 { return b.size }

// Count adds n received bytes to the size of b. coming is the minimum number of bytes that will follow. If the body is
// too large, the error is errTooLarge.
func (b *Body) Count(n int, coming int64) error {
	b.size += int64(n)
	if least := b.size + coming; least < 0 || TooLarge(least, b.max) {
		return errTooLarge
	}
	return nil
}

// Store stores a piece that Count has counted. A body of more than memory bytes moves to a file. The errors are from
// the file system.
func (b *Body) Store(piece []byte, memory int) error {
	if b.spool >= 0 {
		const look = 1 << 20 // number of bytes between two checks of the free space
		if before := b.size - int64(len(piece)); before/look != b.size/look {
			if err := admits(b.X.s.Config.SpoolDir, b.size, before, b.max); err != nil {
				return err
			}
		}
		return writeAll(b.spool, piece)
	}
	// The buffer grows with the received bytes, because the announced length may be wrong.
	b.data = append(b.data, piece...)
	if b.size <= int64(memory) {
		return nil
	}
	return b.Spill()
}

// Spill moves b from memory to a file without a name. If the client has reached its limit of files, b waits for a file,
// and the caller should stop reading.
func (b *Body) Spill() (err error) {
	x := b.X
	files, client := &x.s.files, x.from.Account()
	if b.waits = files.Room(client) < 1; b.waits {
		files.Awaited = true
		return nil
	}
	x.file.take(files, client)
	if b.spool, err = system.UnnamedFile(x.s.Config.SpoolDir); err != nil {
		x.file.release()
		return err
	}
	data := b.data
	b.data = nil
	return writeAll(b.spool, data)
}

// Waits reports whether b waits for a file (see Spill). Stream.WantMore is called when a file may be available.
func (b *Body) Waits() bool { return b.waits }

func (b *Body) InFile() bool { return b.spool >= 0 }

func (b *Body) InMemory() int { return len(b.data) }

// stored returns the body. If it is in a file, spool is a descriptor that the caller must close, otherwise -1.
func (b *Body) stored() (data []byte, spool int) {
	data, spool = b.data, b.spool
	b.data, b.spool = nil, -1
	return data, spool
}

func (b *Body) Drop() {
	if _, spool := b.stored(); spool >= 0 {
		unix.Close(spool)
		b.X.file.release()
	}
	if b.X != nil {
		b.waits = false
		b.Arrived()
	}
}

// Asked begins the timeout of the body at the time now, when the server sends 100 Continue.
func (b *Body) Asked(now int64) { b.Expects, b.begun = false, now }

func (b *Body) Pause(now int64) { b.Paused, b.paused = true, now }

func (b *Body) Resume(now int64) {
	b.begun += now - b.paused
	b.Paused = false
}

// TooSlow reports whether the timeout has passed and the average rate of b is below rate, in bytes per second.
func (b *Body) TooSlow(now int64, timeout time.Duration, rate int64) bool {
	age := now - b.begun
	return age > int64(timeout) && float64(b.size) < float64(rate)*float64(age)/1e9
}

// WaitsUntil returns the latest time at which b may still wait for a file: 2*timeout after its last pause began.
func (b *Body) WaitsUntil(timeout time.Duration) int64 { return b.paused + 2*int64(timeout) }

func (b *Body) Refused(s *Server, err error) Reply { return refused(s, err, b.size, b.max) }

func refused(s *Server, err error, size, max int64) Reply {
	limit := Limit{Setting: "max-body-size", Max: max, Size: size}
	var malformed *http1.StatusError
	switch {
	case err == errTooLarge:
		return Reply{Status: 413, Text: fmt.Sprintf("%v: the limit is %d bytes (max-body-size)", err, max), Close: true,
			Limit: limit}
	case err == errNoRoom:
		if s.limitWarnings["space"].Once(time.Minute) {
			s.Set.Log(logfile.Warning, "sent 507: a request body of %d bytes or more does not fit into a quarter of "+
				"the free space of %s; "+
				"free some, set TMPDIR to another directory, or raise --max-body-size", size, s.Config.SpoolDir)
		}
		return Reply{Status: 507, Text: err.Error(), Close: true}
	case errors.As(err, &malformed):
		return Malformed(&s.Config.Limits, malformed, nil)
	}
	s.Set.Log(logfile.Error, "cannot store a request body in %s: %v", s.Config.SpoolDir, err)
	r := Reply{Status: 500, Close: true}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG) {
		r.Status = 507
	}
	return r
}

func (b *Body) TimedOut() Reply {
	if b.Waits() {
		if s := b.X.s; s.spoolWarnings.Once(time.Minute) {
			b.X.Log(logfile.Warning, fmt.Sprintf("sent 503: too many request bodies wait in files (at most %d of all "+
				"clients, a third of them of one address); "+
				"raise the limit of open files (ulimit -n, LimitNOFILE of systemd)", s.files.Max))
		}
		return Reply{Status: 503, Text: "too many unfinished request bodies", Close: true}
	}
	return Reply{Status: 408, Text: "timed out waiting for the request body", Close: true}
}

// writeAll may be called on the event loop, because the kernel only copies the bytes to its page cache.
func writeAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// Feed delivers a piece of a streamed body to X and counts it (InputWindow). If enough is true, no piece may follow
// until the handler has returned half of the window (OpCredit).
func (b *Body) Feed(piece []byte, last bool) (enough bool) {
	x := b.X
	x.Received += int64(len(piece))
	x.Source.Input(x, Input{Data: piece, Last: last})
	return x.Outstanding.Add(piece) && !last
}

// A claim is a file or a descriptor that an exchange has taken from Shares; the zero value is no claim.
type claim struct {
	shares *conn.Shares
	client string // key of the client in shares
}

func (c *claim) take(s *conn.Shares, client string) {
	s.Add(client, 1)
	*c = claim{s, client}
}

func (c *claim) release() {
	if s := c.shares; s != nil {
		c.shares = nil
		s.Add(c.client, -1)
	}
}

func easeBodies(s *Server) {
	files := &s.files
	for _, x := range s.exchanges {
		if b := x.body; b != nil && b.waits && x.Stream != nil {
			x.Stream.WantMore(x)
			files.Awaited = files.Awaited || b.waits
		}
	}
}
