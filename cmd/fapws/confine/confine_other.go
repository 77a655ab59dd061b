//go:build !linux

package confine

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Assume makes this process the identity for good, and proves that it cannot become root again. After an error the
// process must end, since it may be half of each. A process that is the identity already stays as it is. Only Linux can
// keep the right to chroot.
func (id *Identity) Assume(chroot bool) error {
	if chroot {
		return fmt.Errorf("cannot keep the right to chroot: %w", errors.ErrUnsupported)
	}
	if os.Geteuid() == 0 {
		if err := id.become(); err != nil {
			return err
		}
	}
	if os.Getuid() != id.UID || os.Geteuid() != id.UID || os.Getgid() != id.GID || os.Getegid() != id.GID {
		return fmt.Errorf("giving up root for %s failed", id)
	}
	if id.UID != 0 && syscall.Setuid(0) == nil {
		return fmt.Errorf("giving up root for %s failed: the process can become root again", id)
	}
	return nil
}

// PassChroot returns an error: only Linux can keep the right to chroot.
func PassChroot() error {
	return fmt.Errorf("cannot keep the right to chroot: %w", errors.ErrUnsupported)
}

// MayChroot reports whether the calling thread may use chroot(2), or let its children.
func MayChroot() bool { return os.Geteuid() == 0 }

// Borrow returns an error: only on Linux can a single thread be another user. So Enter and MayRead know nothing.
func (id *Identity) Borrow() (restore func(), err error) { return nil, errors.ErrUnsupported }

// EnterSandbox does nothing: only Linux has what it needs.
func EnterSandbox(*Rules) error { return nil }

// MissingInSandbox says that nothing is restricted.
func MissingInSandbox() string { return "files, TCP ports, signals and system calls (not Linux)" }

// divide does nothing: it is about folios of Linux.
func divide(start, end uintptr) {}
