package system

import "golang.org/x/sys/unix"

// Socket makes a stream socket of a family (unix.AF_INET …) that blocks and that no child inherits.
func Socket(family int) (fd int, err error) {
	return unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
}

// Socketpair makes two connected unix sockets of a kind (unix.SOCK_STREAM …) that block and that no child inherits.
func Socketpair(kind int) (fds [2]int, err error) {
	return unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
}

// Replace makes the descriptor to another one of the same file as from, in one step. Children inherit it.
func Replace(to, from int) error { return unix.Dup3(from, to, 0) }

// ReplaceClosing is Replace. Children do not inherit the descriptor.
func ReplaceClosing(to, from int) error { return unix.Dup3(from, to, unix.O_CLOEXEC) }

// openPath opens a file for its place only.
const openPath = unix.O_PATH

// UnnamedFile makes a file without a name in dir, for reading and writing, that no child inherits.
func UnnamedFile(dir string) (fd int, err error) {
	fd, err = unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil { // some file systems (overlay, NFS) know no O_TMPFILE
		return unnamed(dir)
	}
	return fd, nil
}

// MemoryFile makes a file without a name, in memory, that no child inherits (memfd_create(2)). The name is for /proc.
func MemoryFile(name string) (fd int, err error) { return unix.MemfdCreate(name, unix.MFD_CLOEXEC) }

// ReceiveClosing is a flag of recvmsg(2): children do not inherit what comes by SCM_RIGHTS.
const ReceiveClosing = unix.MSG_CMSG_CLOEXEC

// AwaitExit waits until a child has ended, and leaves it as it is: its number stays its own until it is waited for.
func AwaitExit(pid int) {
	for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}

// ThreadID returns the kernel's number of the calling thread.
func ThreadID() int { return unix.Gettid() }

// FreeSpace returns how many bytes an unprivileged process can write to the file system of a path. ok is false if the system does
// not say.
func FreeSpace(path string) (free int64, ok bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil || st.Blocks == 0 {
		return 0, false
	}
	return int64(st.Bavail) * int64(st.Bsize), true
}
