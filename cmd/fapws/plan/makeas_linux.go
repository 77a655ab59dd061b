package plan

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// makeAs makes a missing file with the rights of a user. It must be called on a locked
// thread, which is root again afterwards.
func makeAs(dir int, name string, as *syscall.Credential) error {
	uid, gid := os.Geteuid(), os.Getegid()
	if err := unix.Setfsgid(int(as.Gid)); err != nil {
		return err
	}
	defer unix.Setfsgid(gid)
	if err := unix.Setfsuid(int(as.Uid)); err != nil {
		return err
	}
	defer unix.Setfsuid(uid)
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o640)
	if err == nil {
		unix.Close(fd)
	}
	return nil // opening the log will report the error
}
