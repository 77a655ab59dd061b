//go:build linux && (386 || amd64)

package sandbox

import "golang.org/x/sys/unix"

// more are system calls that not all machines have.
var more = []uintptr{unix.SYS_IOPERM, unix.SYS_IOPL, unix.SYS_MODIFY_LDT, unix.SYS_USELIB}
