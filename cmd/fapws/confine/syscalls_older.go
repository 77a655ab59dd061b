//go:build 386 || amd64 || arm

package confine

import "golang.org/x/sys/unix"

// olderModeCalls and olderOpenCalls extend modeCalls and openCalls by system calls that newer architectures do not
// have.
var (
	olderModeCalls = []modeCall{{unix.SYS_CHMOD, 1}, {unix.SYS_CREAT, 1}, {unix.SYS_MKNOD, 1}}
	olderOpenCalls = []modeCall{{unix.SYS_OPEN, 2}}
)
