//go:build !amd64 && !arm64

package static

import "golang.org/x/sys/unix"

// fstat is fstat(2), which has several forms where a word has 32 bits.
func fstat(fd int, stat *unix.Stat_t) bool { return unix.Fstat(fd, stat) == nil }
