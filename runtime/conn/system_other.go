//go:build !linux

package conn

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// GiveUpAfter does nothing: the kernel's own patience holds.
func GiveUpAfter(fd int, d time.Duration) {}

// setKeepIdle does nothing: the kernel's own setting holds.
func setKeepIdle(fd, seconds int) {}

func setCongestion(fd int, name string) error { return errors.ErrUnsupported }

// dress gives a socket file its owner and mode. A file that is put in its place meanwhile gets them, too, unless it
// is a link.
func dress(path string, o ListenOptions) error {
	if o.UID >= 0 || o.GID >= 0 {
		if err := os.Lchown(path, o.UID, o.GID); err != nil {
			return fmt.Errorf("cannot change its owner: %w", err)
		}
	}
	if o.Mode >= 0 {
		if info, err := os.Lstat(path); err != nil || info.Mode().Type() != os.ModeSocket {
			return fmt.Errorf("the file was replaced by another")
		}
		if err := os.Chmod(path, os.FileMode(o.Mode)); err != nil {
			return fmt.Errorf("cannot change its permissions: %w", err)
		}
	}
	return nil
}

// acceptNonblock is as on Linux.
func acceptNonblock(fd int) (int, syscall.Sockaddr, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	connection, peer, err := syscall.Accept(fd)
	if err == nil {
		unix.CloseOnExec(connection)
		err = unix.SetNonblock(connection, true)
	}
	return connection, peer, err
}

// acknowledge does nothing: only Linux lets a server say when it acknowledges.
func acknowledge(int) {}

const (
	pollEnd  = 0 // a peer that has shut down its side is not told from one that is silent
	sendMore = 0
)

// sendCached is sendfile(2): the package unix knows how it is called.
func sendCached(to, from int, offset *int64, count int64) (int, error) {
	for {
		n, err := unix.Sendfile(to, from, offset, int(count))
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// cached reports whether a byte of a file can be read without waiting for the
// disk: that is not asked here.
func cached(from int, offset int64) bool { return false }
