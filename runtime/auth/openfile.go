package auth

import (
	"io/fs"
	"os"
	"sync"
	"syscall"

	"fapws/runtime/descriptors"
	"fapws/runtime/system"
)

// OpenFile keeps a file open that was read, so that the event loop notices at once that it has changed: fstat(2) of an
// open file asks the kernel's memory, not the disk. The zero value has no file. Its methods are safe for concurrent use.
type OpenFile struct {
	mu    sync.Mutex
	file  *os.File
	stamp stamp
}

// stamp tells states of a file apart. The time of the last status change is later after writing, and after a rename
// of or over the file.
type stamp struct {
	size, changed int64
	linked        bool // it has a name
}

func stampOf(st *syscall.Stat_t) stamp {
	at := system.StatusChange(st)
	return stamp{st.Size, at.Nano(), st.Nlink > 0}
}

// Keep makes f the file, which is closed when another one takes its place. info describes it before it was read.
func (o *OpenFile) Keep(f *os.File, info fs.FileInfo) {
	st, ok := info.Sys().(*syscall.Stat_t)
	descriptors.Keep(int(f.Fd()))
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file != nil {
		descriptors.Release(int(o.file.Fd()))
		o.file.Close()
	}
	o.file, o.stamp = f, stamp{}
	if ok {
		o.stamp = stampOf(st)
	}
}

// Unchanged reports whether the file is as it was when Keep was called, and still has its name. It does not block: while
// Keep runs, and without a file, it reports false.
func (o *OpenFile) Unchanged() bool {
	if !o.mu.TryLock() {
		return false
	}
	defer o.mu.Unlock()
	if o.file == nil {
		return false
	}
	var st syscall.Stat_t
	return syscall.Fstat(int(o.file.Fd()), &st) == nil && stampOf(&st) == o.stamp && o.stamp.linked
}

// Close closes the file.
func (o *OpenFile) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file != nil {
		descriptors.Release(int(o.file.Fd()))
		o.file.Close()
		o.file = nil
	}
}
