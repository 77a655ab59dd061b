package confine

import (
	"fmt"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// EnterSandbox restricts this process, with all of its threads and the processes that they start, for good. What the kernel cannot
// restrict stays as it is: see Missing. The error is one line; the process must end then, since parts of the sandbox may
// be in force. It must be called once, on any goroutine.
func EnterSandbox(r *Rules) error {
	if err := restrict(r); err != nil {
		return err
	}
	if err := dropCapabilities(); err != nil {
		return err
	}
	return filterSyscalls(r)
}

// MissingInSandbox returns what Enter cannot restrict in this kernel, in words for one line, or "".
func MissingInSandbox() string { return missing(landlockABI(), hasFilters()) }

func missing(abi int, filters bool) string {
	var without []string
	if abi < abiFiles {
		without = []string{"files, TCP ports and signals (no Landlock; Linux 5.13 or later, started with lsm=landlock,…)"}
	} else if abi < abiScopes {
		for _, part := range []struct {
			since int
			what  string
		}{
			{abiTruncate, "truncating files (Linux 6.2)"},
			{abiTCP, "TCP ports (Linux 6.7)"},
			{abiIoctl, "ioctl on devices (Linux 6.10)"},
			{abiScopes, "signals and abstract unix sockets (Linux 6.12)"},
		} {
			if abi < part.since {
				without = append(without, part.what)
			}
		}
	}
	if !filters {
		without = append(without, "system calls (no seccomp filters)")
	}
	return strings.Join(without, ", ")
}

// fileCapabilities are those that root keeps: files of other users, as far as Landlock allows them, and low ports. Without the
// others root cannot look into other processes, either, for which CAP_PERFMON is enough since Linux 6.16.
const fileCapabilities = 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH | 1<<unix.CAP_FOWNER | 1<<unix.CAP_FSETID |
	1<<unix.CAP_NET_BIND_SERVICE

// dropCapabilities takes from all threads what only root may do, apart from fileCapabilities. Programs get no more than that,
// by no_new_privs.
func dropCapabilities() error {
	head := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := new([2]unix.CapUserData)
	if err := unix.Capget(head, &data[0]); err != nil {
		return fmt.Errorf("cannot enter the sandbox: capabilities: %w", err)
	}
	drops := false
	for i, kept := range [2]uint32{fileCapabilities, 0} {
		drops = drops || data[i].Permitted&^kept != 0
		data[i].Permitted &= kept
		data[i].Effective &= kept
		data[i].Inheritable &= kept
	}
	if !drops {
		return nil
	}
	var pinned runtime.Pinner
	defer pinned.Unpin()
	pinned.Pin(head)
	pinned.Pin(data)
	if _, _, errno := psx.Syscall3(unix.SYS_CAPSET, uintptr(unsafe.Pointer(head)), uintptr(unsafe.Pointer(data)), 0); errno != 0 {
		return fmt.Errorf("cannot enter the sandbox: capabilities: %w", errno)
	}
	return nil
}
