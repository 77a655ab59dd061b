package static

import (
	"container/list"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// A directory is the descriptor of a document root. It is opened when it is used, and then stays open as long as few
// directories were used later, because a server may have more roots than the process may have open files. A directory
// that stays open can be used after its path was removed, or became unreachable in a chroot.
type directory struct {
	path string

	// The fields below are guarded by unused.Mutex.
	fd     int // -1 if the directory is closed
	users  int
	place  *list.Element // in unused.list; nil if the directory is closed or used
	closed bool          // the directory must not stay open after its last use
}

// unused contains the open directories that nobody uses, the latest first.
var unused struct {
	sync.Mutex
	list list.List
}

// maxUnused limits the number of open directories that nobody uses to a part of the process's limit of open files.
// Connections and the files of requests need most of the other descriptors.
var maxUnused = sync.OnceValue(func() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 64
	}
	return int(min(limit.Cur/16, 1<<20))
})

// use opens the directory if necessary. If the error is nil, the caller must call done when it no longer needs fd.
func (d *directory) use() (fd int, err error) {
	unused.Lock()
	defer unused.Unlock()
	if d.fd < 0 {
		if d.fd, err = system.OpenDirectory(d.path); err != nil {
			d.fd = -1
			return -1, err
		}
	}
	if d.place != nil {
		unused.list.Remove(d.place)
		d.place = nil
	}
	d.users++
	return d.fd, nil
}

func (d *directory) done() {
	unused.Lock()
	defer unused.Unlock()
	if d.users--; d.users > 0 {
		return
	}
	d.place = unused.list.PushFront(d)
	if d.closed {
		d.drop()
	}
	for unused.list.Len() > maxUnused() {
		unused.list.Back().Value.(*directory).drop()
	}
}

// drop closes an open directory that nobody uses. The caller must hold unused.Mutex.
func (d *directory) drop() {
	unused.list.Remove(d.place)
	unix.Close(d.fd)
	d.fd, d.place = -1, nil
}

// close closes the directory now or after its last use.
func (d *directory) close() {
	unused.Lock()
	defer unused.Unlock()
	if d.closed = true; d.place != nil {
		d.drop()
	}
}
