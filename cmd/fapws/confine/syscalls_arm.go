package confine

import "golang.org/x/sys/unix"

const architecture = unix.AUDIT_ARCH_ARM

var more = []uintptr{
	unix.SYS_CLOCK_ADJTIME64, unix.SYS_CLOCK_SETTIME64, unix.SYS_KEXEC_FILE_LOAD, unix.SYS_PCICONFIG_IOBASE,
	unix.SYS_PCICONFIG_READ, unix.SYS_PCICONFIG_WRITE, unix.SYS_USELIB,
}
