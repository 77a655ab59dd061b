package confine

import "golang.org/x/sys/unix"

const architecture = unix.AUDIT_ARCH_I386

var more = []uintptr{
	unix.SYS_CLOCK_ADJTIME64, unix.SYS_CLOCK_SETTIME64, unix.SYS_IOPERM, unix.SYS_IOPL, unix.SYS_MODIFY_LDT,
	unix.SYS_STIME, unix.SYS_UMOUNT, unix.SYS_USELIB, unix.SYS_VM86, unix.SYS_VM86OLD,
}
