package auth

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// watched is what a file says, which is read again when it has changed. The file stays open, so that the event loop notices that
// at once: fstat(2) of an open file asks the kernel's memory, not the disk. Its methods are safe for concurrent use.
type watched[T any] struct {
	path     string
	flags    int  // of open(2)
	optional bool // the file may be missing until it is there for the first time
	parse    func(text []byte) (*T, error)
	value    atomic.Pointer[T]
	looked   atomic.Int64 // when the path was looked at, as now has it

	reading   sync.Mutex  // guards what follows
	file      *os.File    // nil: none was read
	info      fs.FileInfo // of file, before it was read
	complaint string      // about the file that is there now; "": none
}

const (
	lookEvery = time.Second // at the path, which may lead elsewhere
	maxFile   = 16 << 20    // bytes
)

var started = time.Now()

// now is a time in nanoseconds that is not set back.
func now() int64 { return int64(time.Since(started)) }

// Fresh reports whether the value is that of the file, as far as can be told without the disk. Otherwise Refresh comes
// before a question. A file that cannot be used is read once a second, not for each question. It does not block.
func (w *watched[T]) Fresh() bool {
	if now()-w.looked.Load() > int64(lookEvery) || !w.reading.TryLock() {
		return false
	}
	defer w.reading.Unlock()
	return w.complaint != "" || w.unchanged()
}

// refresh reads the file if it has changed. It returns an error once, not each time that the same one follows; the value stays then.
func (w *watched[T]) refresh() error {
	asked := now()
	w.reading.Lock()
	defer w.reading.Unlock()
	if w.looked.Load() > asked { // another one has begun to look meanwhile
		return nil
	}
	w.looked.Store(now())
	err, complaint := w.look(), ""
	if err != nil {
		complaint = err.Error()
	}
	if complaint == w.complaint {
		return nil
	}
	w.complaint = complaint
	return err
}

// look reads the file if there is another one, or it has changed. reading is held.
func (w *watched[T]) look() error {
	if found, err := os.Stat(w.path); err == nil && w.unchanged() && os.SameFile(found, w.info) {
		return nil
	}
	err := w.read()
	if w.optional && w.file == nil && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// unchanged reports whether the file is as it was before it was read, and still has its name. reading is held.
func (w *watched[T]) unchanged() bool {
	if w.file == nil {
		return false
	}
	var st syscall.Stat_t
	return syscall.Fstat(int(w.file.Fd()), &st) == nil && st.Nlink > 0 && stampOf(&st) == stampOf(w.info.Sys().(*syscall.Stat_t))
}

// stamp tells states of a file apart. The time of the last status change is later after writing, and after a rename
// of or over the file.
type stamp struct{ size, changed int64 }

func stampOf(st *syscall.Stat_t) stamp {
	at := st.Ctim
	return stamp{st.Size, at.Nano()}
}

// read reads the file. The error is one line. reading is held, once several goroutines know w.
func (w *watched[T]) read() error {
	f, err := os.OpenFile(w.path, w.flags, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", w.path)
	}
	var text []byte
	if err == nil {
		text, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	}
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes", w.path, maxFile)
	}
	var value *T
	if err == nil {
		value, err = w.parse(text)
	}
	if err != nil {
		f.Close()
		return err
	}
	w.value.Store(value)
	w.close()
	w.file, w.info = f, info
	return nil
}

// close closes the file. reading is held.
func (w *watched[T]) close() {
	if w.file != nil {
		w.file.Close()
		w.file = nil
	}
}
