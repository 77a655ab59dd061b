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

// watched contains the parsed content of a file, and reads the file again after a change. The file stays open, so that
// the event loop can detect a change at once: fstat(2) of an open file does not access the disk. watched is safe for
// concurrent use.
type watched[T any] struct {
	path     string
	flags    int
	optional bool // the file may be missing when it is first read
	parse    func(text []byte) (*T, error)
	value    atomic.Pointer[T]
	looked   atomic.Int64

	reading   sync.Mutex // guards the fields below
	file      *os.File
	info      fs.FileInfo
	complaint string
}

const (
	// interval at which the server checks for a different file at the path
	lookEvery = time.Second
	maxFile   = 16 << 20 // maximum size of a file, in bytes
)

var started = time.Now()

func now() int64 { return int64(time.Since(started)) }

// Fresh reports whether the value is up to date. If Fresh returns false, Refresh must be called before the value is
// used. If the file is invalid, Fresh returns false only once a second, so the file is not read for each request. Fresh
// does not block, because it does not access the disk.
func (w *watched[T]) Fresh() bool {
	if now()-w.looked.Load() > int64(lookEvery) || !w.reading.TryLock() {
		return false
	}
	defer w.reading.Unlock()
	return w.complaint != "" || w.unchanged()
}

// refresh reads the file if it has changed. After an error, refresh keeps the previous value. refresh returns the same
// error only once.
func (w *watched[T]) refresh() error {
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

// unchanged reports whether the open file still exists and has not changed since it was read. Writing, renaming or
// replacing a file changes its size or the time of its last status change (ctime). The caller must hold w.reading.
func (w *watched[T]) unchanged() bool {
	if w.file == nil {
		return false
	}
	var now syscall.Stat_t
	then := w.info.Sys().(*syscall.Stat_t)
	return syscall.Fstat(int(w.file.Fd()), &now) == nil && now.Nlink > 0 && now.Size == then.Size &&
		now.Ctim == then.Ctim
}

// readAgain reads the file, although it need not have changed. An error has one line. readAgain is safe for concurrent use.
func (w *watched[T]) readAgain() error {
	w.reading.Lock()
	defer w.reading.Unlock()
	return w.read()
}

// read reads the file. An error has one line. The caller must hold w.reading if other goroutines can access w.
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

// The caller must hold w.reading.
func (w *watched[T]) close() {
	if w.file != nil {
		w.file.Close()
		w.file = nil
	}
}
