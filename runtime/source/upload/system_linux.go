package upload

import (
	"os"

	"golang.org/x/sys/unix"
)

// renameNew gives a file of a directory another name there. The error is EEXIST where that name exists.
func renameNew(dir int, from, to string) error {
	err := unix.Renameat2(dir, from, dir, to, unix.RENAME_NOREPLACE)
	if err == unix.EINVAL || err == unix.ENOSYS { // not on this file system
		return renameByLink(dir, from, to)
	}
	return err
}

// space returns how many bytes an unprivileged process can write to the file system of f. ok is false if the system does not say.
func space(f *os.File) (free int64, ok bool) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil || st.Blocks == 0 {
		return 0, false
	}
	return int64(st.Bavail) * int64(st.Bsize), true
}
