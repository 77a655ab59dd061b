//go:build !linux

package conn

import (
	"errors"
	"fmt"
	"os"
	"time"
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
