package logs

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"fapws/runtime/loglevel"
	"fapws/runtime/system"
)

// Give makes log files, which root can, those of the user that writes to them,
// as nginx does. To rotate them that user must be allowed to write to their
// folder, too.
func Give(names []string, to *syscall.Credential, log *Logger) {
	for _, name := range names {
		if name == "-" || name == off {
			continue
		}
		if err := giveLog(name, to); err != nil {
			log.Log(loglevel.Warning, fmt.Sprintf("cannot give the log %s to user %d: %v", name, to.Uid, err))
		}
	}
}

// giveLog makes a file that is missing in a folder of the user as that user. It does nothing else in a directory that
// is not root's alone: a user that can rename files there could have root give away others. Nor does it when the file
// is not root's.
func giveLog(name string, to *syscall.Credential) error {
	if os.Geteuid() != 0 {
		return nil
	}
	name, err := filepath.Abs(name)
	if err != nil {
		return err
	}
	dir, err := system.Open(filepath.Dir(name))
	if err != nil {
		return nil // opening the log reports it
	}
	defer unix.Close(dir)
	var st unix.Stat_t
	if err := unix.Fstat(dir, &st); err != nil {
		return err
	}
	if st.Uid == to.Uid {
		return makeAs(dir, filepath.Base(name), to)
	}
	if st.Uid != 0 || st.Mode&0o022 != 0 {
		return nil
	}
	const flags = unix.O_WRONLY | unix.O_APPEND | unix.O_CREAT | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	fd, err := unix.Openat(dir, filepath.Base(name), flags, 0o640)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1 || st.Uid != 0 {
		return err
	}
	return unix.Fchown(fd, int(to.Uid), int(to.Gid))
}
