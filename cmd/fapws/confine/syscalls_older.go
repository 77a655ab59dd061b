//go:build 386 || amd64 || arm

package confine

import "golang.org/x/sys/unix"

// System calls that later architectures do without: see modeCalls.
var (
	olderModeCalls = []modeCall{{unix.SYS_CHMOD, 1}, {unix.SYS_CREAT, 1}, {unix.SYS_MKNOD, 1}}
	olderOpenCalls = []modeCall{{unix.SYS_OPEN, 2}}
)
