//go:build !linux

package static

import "golang.org/x/sys/unix"

// statOnly opens a file for its description. Elsewhere than on Linux that needs the right to read it, and fails for a
// symbolic link.
const statOnly = unix.O_RDONLY | unix.O_NONBLOCK
