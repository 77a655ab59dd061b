package system

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

// A Watched is the parsed content of a file, which is read again after a change. The file stays open, so that the event
// loop can detect a change at once: fstat(2) of an open file does not access the disk. The exported fields must be set
// before the first call. A Watched is safe for concurrent use.
type Watched[T any] struct {
	Path     string
	Flags    int  // for open(2), such as unix.O_NOFOLLOW
	Optional bool // the file may be missing when it is first read
	Parse    func(text []byte) (*T, error)

	value  atomic.Pointer[T]
	looked atomic.Int64

	reading   sync.Mutex // guards the fields below
	file      *os.File
	info      fs.FileInfo
	complaint string
}

const (
	// interval at which the server checks for a different file at the path
	lookEvery  = time.Second
	maxWatched = 16 << 20 // maximum size of a file, in bytes
)

var started = time.Now()

func now() int64 { return int64(time.Since(started)) }

// Value returns the content, without blocking: nil before the first Refresh, unless Set was called.
func (w *Watched[T]) Value() *T { return w.value.Load() }

// Set makes value the content until the file is read.
func (w *Watched[T]) Set(value *T) { w.value.Store(value) }

// Fresh reports whether the value is up to date. If Fresh returns false, Refresh must be called before the value is
// used. If the file is invalid, Fresh returns false only once a second, so the file is not read for each request. Fresh
// does not block, because it does not access the disk.
func (w *Watched[T]) Fresh() bool {
	if now()-w.looked.Load() > int64(lookEvery) || !w.reading.TryLock() {
		return false
	}
	defer w.reading.Unlock()
	return w.complaint != "" || w.unchanged()
}

// Refresh reads the file if it has changed. After an error, Refresh keeps the previous value. Refresh returns the same
// error only once. An error has one line.
func (w *Watched[T]) Refresh() error {
	asked := now()
	w.reading.Lock()
	defer w.reading.Unlock()
	if w.looked.Load() > asked { // another goroutine has checked the file meanwhile
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

// The caller must hold w.reading.
func (w *Watched[T]) look() error {
	if found, err := os.Stat(w.Path); err == nil && w.unchanged() && os.SameFile(found, w.info) {
		return nil
	}
	err := w.read()
	if w.Optional && w.file == nil && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// unchanged reports whether the open file still exists and has not changed since it was read. Writing, renaming or
// replacing a file changes its size or the time of its last status change (ctime). The caller must hold w.reading.
func (w *Watched[T]) unchanged() bool {
	if w.file == nil {
		return false
	}
	var now syscall.Stat_t
	then := w.info.Sys().(*syscall.Stat_t)
	return syscall.Fstat(int(w.file.Fd()), &now) == nil && now.Nlink > 0 && now.Size == then.Size &&
		now.Ctim == then.Ctim
}

// Read reads the file, although it need not have changed. An error has one line.
func (w *Watched[T]) Read() error {
	w.reading.Lock()
	defer w.reading.Unlock()
	return w.read()
}

// The caller must hold w.reading.
func (w *Watched[T]) read() error {
	f, err := os.OpenFile(w.Path, w.Flags, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", w.Path)
	}
	var text []byte
	if err == nil {
		text, err = io.ReadAll(io.LimitReader(f, maxWatched+1))
	}
	if err == nil && len(text) > maxWatched {
		err = fmt.Errorf("%s has more than %d bytes", w.Path, maxWatched)
	}
	var value *T
	if err == nil {
		value, err = w.Parse(text)
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

// Close closes the file. The content stays.
func (w *Watched[T]) Close() {
	w.reading.Lock()
	defer w.reading.Unlock()
	w.close()
}

// The caller must hold w.reading.
func (w *Watched[T]) close() {
	if w.file != nil {
		w.file.Close()
		w.file = nil
	}
}
