package confine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Enter returns an error that names the first directory on the way to folder, an
// absolute path, that the identity may not enter (path_resolution(7)). It asks the
// kernel, which also knows access control lists. Other errors are left to the use
// of the folder: nil also means that the answer is unknown, and a process that is
// not root gets no other. The caller must have locked its goroutine to its thread.
func (id *Identity) Enter(folder string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	restore, err := id.borrow()
	if err != nil {
		return nil
	}
	defer restore()
	way := "/"
	for name := range strings.SplitSeq(filepath.Clean(folder), "/") {
		way = filepath.Join(way, name)
		var st unix.Stat_t
		if err := unix.Stat(way+"/.", &st); errors.Is(err, unix.EACCES) {
			return fmt.Errorf("user %s cannot enter the directory %s: permission denied", id.username(), way)
		}
	}
	return nil
}

// MayRead reports whether the identity may read a file. It asks the kernel, as Enter does; the answer is true where that
// cannot be asked, or the file does not exist.
func (id *Identity) MayRead(name string) bool {
	if os.Geteuid() != 0 {
		return true
	}
	restore, err := id.borrow()
	if err != nil {
		return true
	}
	defer restore()
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
	}
	return !errors.Is(err, unix.EACCES)
}

// borrow gives the calling thread the groups and the file system identity
// (setfsuid(2)) of id until restore is called. Other threads keep theirs: these are
// the system calls themselves, not those of package syscall, which change all
// threads.
func (id *Identity) borrow() (restore func(), err error) {
	groups, err := unix.Getgroups()
	if err != nil {
		return nil, err
	}
	if err := unix.Setgroups(id.Groups); err != nil {
		return nil, err
	}
	gid, _ := unix.SetfsgidRetGid(id.GID)
	uid, _ := unix.SetfsuidRetUid(id.UID)
	return func() {
		_ = unix.Setfsuid(uid)
		_ = unix.Setfsgid(gid)
		_ = unix.Setgroups(groups) // as it was before, and as root may
	}, nil
}
