package system

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// OpenPoll makes Go's runtime open the descriptors of its poller now and not at the first use.
func OpenPoll() {
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
}

// high is the lowest descriptor that OpenHigh uses. high is above the descriptors that applications close by mistake,
// and below 64, because the kernel would enlarge the process's table for higher descriptors.
const high = 60

// OpenHigh calls open. New descriptors then get numbers from 60 on, unless the limit of open files is lower.
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

// Conn returns the socket fd as a net.Conn. Conn owns fd, even if it returns an error.
func Conn(fd int, name string) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	return net.FileConn(f)
}

// SocketpairNonblock makes a pair of non-blocking stream sockets that child processes do not inherit.
func SocketpairNonblock() (fds [2]int, err error) {
	return unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
}

func OpenFiles() uint64 {
	var limit unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	return uint64(limit.Cur)
}

// Inode returns the inode number of an open file, or 0 if fd is not open.
func Inode(fd int) uint64 {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return 0
	}
	return st.Ino
}

// Polls returns the open epoll descriptors, including the epoll descriptor of Go's runtime.
func Polls() (fds []int) {
	for _, fd := range Descriptors() {
		if name, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd)); err == nil && name == "anon_inode:[eventpoll]" {
			fds = append(fds, fd)
		}
	}
	return fds
}

// Directories returns a path of the form /proc/self/fd/N for each open directory of this process, such as a document
// root. The result omits the root directory.
func Directories() (names []string) {
	var top unix.Stat_t
	_ = unix.Stat("/", &top)
	for _, fd := range Descriptors() {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR && (st.Dev != top.Dev || st.Ino != top.Ino) {
			names = append(names, "/proc/self/fd/"+strconv.Itoa(fd))
		}
	}
	return names
}

// Descriptors returns the open descriptors. Without /proc, Descriptors finds only descriptors below 1024.
func Descriptors() (fds []int) {
	list, err := os.Open("/proc/self/fd")
	if err != nil {
		for fd := range 1024 {
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
				fds = append(fds, fd)
			}
		}
		return fds
	}
	defer list.Close()
	names, _ := list.Readdirnames(-1)
	for _, name := range names {
		if fd, err := strconv.Atoi(name); err == nil && fd != int(list.Fd()) {
			fds = append(fds, fd)
		}
	}
	return fds
}

// Cause returns the cause of a failed system call. Cause removes the name of the call and the path or address from the
// error, because the messages that contain the error already name the path or address.
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
