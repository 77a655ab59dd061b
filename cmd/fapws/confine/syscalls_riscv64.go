package confine

import "golang.org/x/sys/unix"

const architecture = unix.AUDIT_ARCH_RISCV64

var more = []uintptr{unix.SYS_KEXEC_FILE_LOAD}
