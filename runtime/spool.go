package runtime

import (
	"os"

	"golang.org/x/sys/unix"
)

// openSpool makes a file without a name in dir and returns its descriptor.
func openSpool(dir string) (int, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return fd, nil
	}
	// Some file systems (overlay, NFS) know no O_TMPFILE.
	f, err := os.CreateTemp(dir, "fapws-body-")
	if err != nil {
		return -1, err
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return -1, err
	}
	return unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
}

// writeAll writes to a regular file. The loop calls it: this goes to the
// kernel's page cache, so that it takes about as long as a copy.
func writeAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}
