package system

import (
	"os"

	"golang.org/x/sys/unix"
)

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
