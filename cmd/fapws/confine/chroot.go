package confine

// #include "chroot.h"
import "C"

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ChrootVariable is the environment variable that contains the root directory for a worker. A worker with this variable
// is started with the capability CAP_SYS_CHROOT.
const ChrootVariable = C.FAPWS_WORKER_ROOT

// EnterChroot makes root the root directory of this process. EnterChroot returns an error if an open descriptor leads
// out of the directory, or if a file that is open for writing could not be reopened inside the directory. The text of
// the error has one line. EnterChroot may be called only once, on any goroutine.
func EnterChroot(root string) error {
	if err := nothingLeadsOut(root); err != nil {
		return err
	}
	if here, err := os.Getwd(); err != nil || !below(root, here) {
		if err := os.Chdir(root); err != nil {
			return err
		}
	}
	if errno := C.fapws_chroot_enter(); errno != 0 {
		return fmt.Errorf("--chroot %s: %w", root, syscall.Errno(errno))
	}
	return nil
}

// nothingLeadsOut returns an error if this process has an open directory outside of root, because an attacker could
// leave root through the directory. It also returns an error if a file outside of root, such as a log, is open for
// writing, because this process could not reopen the file after the chroot.
func nothingLeadsOut(root string) error {
	const folder = "/proc/self/fd"
	open, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range open {
		fd, _ := strconv.Atoi(entry.Name())
		path, err := os.Readlink(filepath.Join(folder, entry.Name()))
		if err != nil || fd <= 2 || !filepath.IsAbs(path) || below(root, path) {
			// the descriptor was closed meanwhile, or was inherited from the process that started the server
			continue
		}
		var st unix.Stat_t
		if unix.Fstat(fd, &st) != nil || st.Nlink == 0 {
			continue
		}
		switch flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); {
		case st.Mode&unix.S_IFMT == unix.S_IFDIR:
			return fmt.Errorf("--chroot %s: the directory %s is open and outside the chroot, which would "+
				"allow an escape", root, path)
		case st.Mode&unix.S_IFMT == unix.S_IFREG && flags&unix.O_ACCMODE != unix.O_RDONLY:
			return fmt.Errorf("--chroot %s: the file %s is open for writing and outside the chroot, so it could not "+
				"be reopened", root, path)
		}
	}
	return nil
}

func below(root, path string) bool {
	return path == root || strings.HasPrefix(path, strings.TrimSuffix(root, "/")+"/")
}
