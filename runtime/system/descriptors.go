package system

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// OpenPoll makes Go's runtime open the descriptors of its event poll, which it does when it first needs them.
func OpenPoll() {
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
}

// high is the lowest number that OpenHigh gives to descriptors: above those that applications close by
// mistake, and below 64, where the kernel makes room for more.
const high = 60

// OpenHigh calls open. The descriptors that open opens get numbers from 60 on, unless the limit of open files is
// lower.
func OpenHigh(open func()) {
	var low []int
	closeLow := func() {
		for _, fd := range low {
			unix.Close(fd)
		}
		low = nil
	}
	defer closeLow()
	for last := 0; last < high-1; low = append(low, last) {
		var err error
		if last, err = unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 3); err != nil {
			closeLow()
			break
		}
	}
	open()
}

// Conn makes a connection of a socket, which belongs to it from then on, also with an error. name is for messages.
func Conn(fd int, name string) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	return net.FileConn(f)
}

// SocketpairNonblock is Socketpair, of streams that do not block.
func SocketpairNonblock() (fds [2]int, err error) {
	if fds, err = Socketpair(unix.SOCK_STREAM); err == nil {
		_ = unix.SetNonblock(fds[0], true) // both are sockets, which cannot fail to be
		_ = unix.SetNonblock(fds[1], true)
	}
	return fds, err
}

// OpenFiles returns how many descriptors this process may have open, 0 if that is not known.
func OpenFiles() uint64 {
	var limit unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	return uint64(limit.Cur)
}

// Inode returns the number of the file that a descriptor has open, 0 for none.
func Inode(fd int) uint64 {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return 0
	}
	return st.Ino
}

// Flock is flock(2), which goes on after a signal.
func Flock(fd, how int) error {
	for {
		if err := unix.Flock(fd, how); err != unix.EINTR {
			return err
		}
	}
}

// OpenAt is openat(2), which goes on after a signal. No child inherits the descriptor.
func OpenAt(dir int, name string, flags int, mode uint32) (fd int, err error) {
	for err = unix.EINTR; err == unix.EINTR; {
		fd, err = unix.Openat(dir, name, flags|unix.O_CLOEXEC, mode)
	}
	return fd, err
}

// Polls returns the open descriptors of event polls (epoll), of Go's runtime and of others.
func Polls() (fds []int) {
	each(func(fd int) {
		if name, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd)); err == nil && name == "anon_inode:[eventpoll]" {
			fds = append(fds, fd)
		}
	})
	return fds
}

// Directories returns names for the open directories, for example document roots, by which this process can open them
// again: /proc/self/fd/N. The root directory is not among them.
func Directories() (names []string) {
	var top unix.Stat_t
	_ = unix.Stat("/", &top)
	each(func(fd int) {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR && (st.Dev != top.Dev || st.Ino != top.Ino) {
			names = append(names, "/proc/self/fd/"+strconv.Itoa(fd))
		}
	})
	return names
}

// each calls f with every number that may be that of an open descriptor.
func each(f func(fd int)) {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil { // /proc is not mounted
		for fd := range 1024 {
			f(fd)
		}
	}
	for _, name := range names {
		if fd, err := strconv.Atoi(name.Name()); err == nil {
			f(fd)
		}
	}
}

// distrusted are directories that an application in a sandbox may change.
var distrusted atomic.Pointer[[]string]

// Distrust names the directories that an application in a sandbox may change, by absolute paths, instead of those before. A process
// outside of the sandbox then follows no symbolic link below them (Open, OpenRoot): the application could have made it to lead elsewhere.
// The name of a directory may be a link itself only if it ends with a slash here.
func Distrust(directories []string) { distrusted.Store(&directories) }

// border returns the outermost directory that the application may change on the way to path, and the path from there; "" without one. What is
// above of it cannot be replaced by the application.
func border(path string) (directory, rest string) {
	list := distrusted.Load()
	if list == nil {
		return "", ""
	}
	path = filepath.Clean(path)
	for _, one := range *list {
		top := strings.TrimSuffix(one, "/")
		if !strings.HasPrefix(path+"/", top+"/") {
			continue
		}
		if top == one {
			top = strings.TrimSuffix(filepath.Dir(top), "/")
		}
		if below, ok := strings.CutPrefix(path, top+"/"); ok && below != "" && (rest == "" || len(below) > len(rest)) {
			directory, rest = top+"/", below
		}
	}
	return directory, rest
}

// RealPath returns path without symbolic links; path itself if it does not exist.
func RealPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// Replaceable reports whether an application in a sandbox can put a link in the place of the file at path, or of a directory above it.
func Replaceable(path string) bool {
	directory, _ := border(path)
	return directory != ""
}

// Open opens a file or directory at an absolute path for calls that take a directory, and for /proc/self/fd. The caller closes fd.
func Open(path string) (fd int, err error) {
	directory, rest := border(path)
	if directory == "" {
		return open(unix.AT_FDCWD, path, path, 0)
	}
	if fd, err = open(unix.AT_FDCWD, directory, directory, 0); err != nil {
		return -1, err
	}
	for name := range strings.SplitSeq(rest, "/") {
		next, err := open(fd, name, path, unix.O_NOFOLLOW)
		unix.Close(fd)
		if err != nil {
			return -1, err
		}
		fd = next
	}
	return fd, nil
}

func open(at int, name, path string, flags int) (fd int, err error) {
	fd, err = OpenAt(at, name, openPath|flags, 0)
	var st unix.Stat_t
	if err == nil && flags&unix.O_NOFOLLOW != 0 {
		if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
			err = unix.ELOOP
		}
		if err != nil {
			unix.Close(fd)
		}
	}
	switch {
	case err == unix.ELOOP && flags&unix.O_NOFOLLOW != 0:
		return -1, fmt.Errorf("%s leads through a symbolic link that the application can have made; name the directory itself", path)
	case err != nil:
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// OpenRoot is os.OpenRoot.
func OpenRoot(path string) (*os.Root, error) {
	if directory, _ := border(path); directory == "" {
		return os.OpenRoot(path)
	}
	fd, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return os.OpenRoot("/proc/self/fd/" + strconv.Itoa(fd))
}

// unnamed makes a file in dir ("": the one for temporary files) and takes its name away.
func unnamed(dir string) (fd int, err error) {
	f, err := os.CreateTemp(dir, "fapws-")
	if err != nil {
		return -1, err
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return -1, err
	}
	return unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
}

// Cause returns what a call of the system has failed for, without its name, and without the path or address, which the message about it names
// itself.
func Cause(err error) error {
	var errno syscall.Errno
	var path *fs.PathError
	var address *net.OpError
	switch {
	case errors.As(err, &errno):
		return errno
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &address):
		return address.Err
	}
	return err
}
