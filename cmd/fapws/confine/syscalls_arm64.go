package confine

import "golang.org/x/sys/unix"

// architecture is how the kernel calls this one.
const architecture = unix.AUDIT_ARCH_AARCH64

// more are system calls for administration that not all machines have.
var more = []uintptr{unix.SYS_KEXEC_FILE_LOAD}
