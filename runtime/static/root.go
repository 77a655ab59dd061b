package static

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// freshFor is how long what was seen on disk is believed without looking
// again, in nanoseconds.
const freshFor = int64(time.Second)

// root is the document root. All access to files goes through os.Root, which
// walks a path one directory descriptor at a time and so cannot be led
// outside, however quickly somebody swaps symbolic links.
type root struct {
	path string // absolute

	mu      sync.Mutex
	dir     *os.Root
	info    fs.FileInfo // of dir
	checked int64       // when path was last seen to be dir
}

func openRoot(path string) (*root, error) {
	if path == "" {
		return nil, errors.New("static files: no directory given")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("static files: %s: %w", path, err)
	}
	dir, info, err := openDir(abs)
	if err != nil {
		var reason syscall.Errno
		if errors.As(err, &reason) {
			err = reason
		}
		return nil, fmt.Errorf("static files: cannot serve %s: %w", abs, err)
	}
	return &root{path: abs, dir: dir, info: info}, nil
}

func openDir(path string) (*os.Root, fs.FileInfo, error) {
	dir, err := os.OpenRoot(path)
	if err != nil {
		return nil, nil, err
	}
	info, err := dir.Stat(".")
	if err != nil {
		dir.Close()
		return nil, nil, err
	}
	return dir, info, nil
}

// at returns the directory that the root's path names now, give or take a
// second.
func (r *root) at(now int64) *os.Root {
	r.mu.Lock()
	defer r.mu.Unlock()
	if age := now - r.checked; age >= 0 && age < freshFor {
		return r.dir
	}
	r.checked = now
	info, err := os.Stat(r.path)
	if err != nil || os.SameFile(info, r.info) {
		return r.dir // a root that is gone, or out of reach after a chroot, stays what it was
	}
	if dir, info, err := openDir(r.path); err == nil {
		// The old one is left to its finalizer: another goroutine may be
		// about to use it.
		r.dir, r.info = dir, info
	}
	return r.dir
}

func (r *root) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dir.Close()
}

// openFile opens a file for reading, never waiting: a FIFO without a writer
// opens at once, and it is for the caller to see that it is no regular file.
func openFile(dir *os.Root, name string) (*os.File, error) {
	return dir.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
}
