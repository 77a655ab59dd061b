package exchange

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"fapws/runtime/conn"
	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

// spools divides the files with request bodies, and the disk space for these files, among the clients. All files
// together may use three quarters of the space that is free without them (system.SpoolSpace). Because a client gets a
// third of that (conn.Shares), the bodies of a client use at most a quarter of the free space. A body that does not fit
// is not read until other bodies have ended.
//
// A body claims its announced size before its first byte is written, so that each body with a file can be completed. A
// body of unknown size claims spoolAhead and more as it grows.
type spools struct {
	files   conn.Shares
	space   conn.Shares // claimed bytes
	total   int64       // free bytes and written bytes, when they were last measured
	written int64       // bytes in all files

	noRoom, waited, failed logfile.Seldom
}

// A spooled is the file of a body, and counts in spools until its exchange ends.
type spooled struct {
	client           string // key of the client in spools
	claimed, written int64  // in bytes
}

const (
	// CollectedBody is the default limit for collected bodies, in bytes. A body may use a quarter of the free disk
	// space.
	CollectedBody = 1 << 30

	// usualBody is the default limit for all other bodies, in bytes. A shorter body may use more than a quarter of the
	// free space if its client has no other body in a file.
	usualBody = 10 << 20

	// spoolAhead is the number of bytes of a body that may still arrive after the server has stopped to read the body:
	// the window of HTTP/2.
	spoolAhead = 1 << 20

	// spoolLook is the number of bytes of a body between two measurements of the free space.
	spoolLook = 1 << 20
)

// errNoRoom means that a body exceeds its share of the free disk space, even if it waits.
var errNoRoom = errors.New("not enough free space for the request body")

// measure updates the number of bytes that all files may use. Other processes use the file system, too.
func (s *spools) measure(dir string) {
	s.total = system.SpoolSpace(dir, s.written)
	s.space.Max = s.total / 4 * 3
}

// admits returns errTooLarge if size exceeds max, or errNoRoom if the body could not be stored even if there were no
// other bodies.
func (s *spools) admits(dir string, size, max int64) error {
	switch {
	case TooLarge(size, max):
		return errTooLarge
	case max != CollectedBody || size <= usualBody:
		return nil
	}
	if s.measure(dir); size > s.total/4 {
		return errNoRoom
	}
	return nil
}

// fits reports whether the file f may claim n more bytes. The only file of a client may use the share of all clients,
// because the limit for bodies may be larger than the share of a client.
func (s *spools) fits(f *spooled, n int64) bool {
	switch {
	case s.written > s.space.Max: // other processes have taken space that is claimed
		return false
	case s.space.Held(f.client) == f.claimed:
		return n <= s.space.Free("")
	}
	return s.space.Fits(f.client, n)
}

// spill gives b a file without a name and moves b from memory to the file, or claims more space for the file. If the
// client has reached its share of files or of space, b waits, and the caller should stop reading. The errors are
// errNoRoom and those of the file system.
func (b *Body) spill() (err error) {
	x := b.x
	s, dir := &x.s.spools, x.s.Config.SpoolDir
	f := x.file
	if f == nil {
		f = &spooled{client: x.Account()}
		if b.waits = s.files.Free(f.client) < 1; b.waits {
			s.files.Awaited = true
			return nil
		}
	}
	if err := s.admits(dir, b.size, b.max); err != nil {
		return err
	}
	s.measure(dir)
	size := max(b.length, b.size)
	more := size - f.claimed
	if b.length < 0 {
		more += 2 * spoolAhead
	}
	switch {
	case size > s.space.Max:
		return errNoRoom
	case s.space.Used() > f.claimed && !s.fits(f, more):
		b.waits, s.space.Awaited = true, true
		return nil
	}
	b.waits = false
	s.space.Add(f.client, more)
	f.claimed += more
	if b.spool >= 0 {
		return nil
	}
	s.files.Add(f.client, 1)
	x.file = f
	if b.spool, err = system.UnnamedFile(dir); err != nil {
		x.releaseSpool()
		return err
	}
	data := b.data
	b.data = nil
	b.count()
	err = b.append(data)
	x.TakeRegion().Release()
	return err
}

// append writes a piece to the file of b.
func (b *Body) append(piece []byte) error {
	s, f := &b.x.s.spools, b.x.file
	if err := writeAll(b.spool, piece); err != nil {
		return err
	}
	n := int64(len(piece))
	f.written += n
	s.written += n
	switch {
	case b.length < 0 && b.size+spoolAhead > f.claimed:
		return b.spill()
	case f.written/spoolLook != (f.written-n)/spoolLook:
		if s.measure(b.x.s.Config.SpoolDir); s.written > s.space.Max {
			return b.spill()
		}
	}
	return nil
}

// releaseSpool returns the share of x in Server.spools. The file must have been closed or passed on.
func (x *Exchange) releaseSpool() {
	s, f := &x.s.spools, x.file
	x.file = nil
	s.written -= f.written
	s.files.Add(f.client, -1)
	s.space.Add(f.client, -f.claimed)
}

// easeSpools continues bodies that wait, as far as they fit now.
func (s *Server) easeSpools() {
	for _, x := range s.exchanges {
		if b := x.body; b != nil && b.waits && x.Stream != nil {
			x.wantMore()
		}
	}
}

func (x *Exchange) wantMore() {
	defer x.s.Set.Guard(x.Conn())
	x.Stream.WantMore(x)
}

func (s *spools) warnNoRoom(server *Server, size, max int64) {
	if !s.noRoom.Once(time.Minute) {
		return
	}
	share, remedy := "three quarters", ""
	if max == CollectedBody && size > usualBody {
		share, remedy = "a quarter", ", or set --max-body-size, which raises this to three quarters"
	}
	server.Set.Log(logfile.Warning, "sent 507: a request body of %d bytes or more does not fit into %s of the free space "+
		"of %s (%d MiB); free some, or set TMPDIR to another directory%s", size, share, server.Config.SpoolDir,
		s.total>>20, remedy)
}

func (s *spools) warnWaited(x *Exchange) {
	if !s.waited.Once(time.Minute) {
		return
	}
	most := fmt.Sprint(s.files.Max)
	remedy := "raise the limit of open files (ulimit -n, LimitNOFILE of systemd)"
	if s.files.Free(x.Account()) >= 1 {
		most = fmt.Sprintf("%d MiB in %s", s.space.Max>>20, x.s.Config.SpoolDir)
		remedy = "free some space, or set TMPDIR to another directory"
	}
	x.Log(logfile.Warning, fmt.Sprintf("sent 503: too many request bodies wait in files (at most %s of all clients, "+
		"a third of them of one address); %s", most, remedy))
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
