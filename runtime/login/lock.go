package login

import (
	"os"

	"golang.org/x/sys/unix"
)

// exclusively runs f while no other process does the same in the directory.
func exclusively(dir string, f func() error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Flock(int(d.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		return err
	}
	return f()
}
