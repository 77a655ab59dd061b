package static

import (
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// openFile is an open file that the cache and responses share: it is closed
// when the last of them lets go. Its position is never used.
type openFile struct {
	file *os.File
	fd   int
	refs atomic.Int32
}

// newOpenFile makes a file one that is shared. The caller holds it.
func newOpenFile(file *os.File) *openFile {
	f := &openFile{file: file, fd: int(file.Fd())}
	f.refs.Store(1)
	return f
}

// hold adds a holder. false: it has been closed meanwhile.
func (f *openFile) hold() bool {
	for {
		n := f.refs.Load()
		if n == 0 {
			return false
		}
		if f.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (f *openFile) release() {
	if f.refs.Add(-1) == 0 {
		f.file.Close()
	}
}

// hold takes hold of the files for the cache and reports whether there are any.
func (v *variants) hold() (open bool) {
	for _, r := range v {
		if r != nil && r.open != nil {
			open = r.open.hold() || open
		}
	}
	return open
}

func (v *variants) release() {
	for _, r := range v {
		if r != nil && r.open != nil {
			r.open.release()
		}
	}
}

func (v *variants) open() bool {
	for _, r := range v {
		if r != nil && r.open != nil {
			return true
		}
	}
	return false
}

// is tells whether the file is still in the state of a stamp. The caller holds
// it. It is a system call that does not wait, and allocates nothing.
func (f *openFile) is(s stamp) bool {
	var now unix.Stat_t
	return fstat(f.fd, &now) && now.Size == s.size &&
		time.Unix(now.Mtim.Unix()).UnixNano() == s.modified && time.Unix(now.Ctim.Unix()).UnixNano() == s.status
}

// read brings the first bytes of the file into memory, if they are not there.
func (f *openFile) read(count int64) {
	buf := make([]byte, 64<<10)
	for offset := int64(0); offset < count; {
		n, err := f.file.ReadAt(buf, offset)
		if offset += int64(n); err != nil {
			return
		}
	}
}
