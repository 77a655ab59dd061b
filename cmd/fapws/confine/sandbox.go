package confine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"

	"fapws/runtime/system"
)

// EnterSandbox permanently restricts all threads of this process and all future child processes. Restrictions that the
// kernel does not support are omitted (see MissingInSandbox). The text of the error has one line. After an error, the
// process must end, because parts of the sandbox may already be in force. EnterSandbox must be called only once, on any
// goroutine.
func EnterSandbox(r *Rules) error {
	if err := restrict(r); err != nil {
		return err
	}
	if err := dropCapabilities(); err != nil {
		return err
	}
	return filterSyscalls(r)
}

// MissingInSandbox describes, in one line, which restrictions the kernel does not support, or returns "" if the kernel
// supports all restrictions.
func MissingInSandbox() string { return missing(landlockABI(), hasFilters()) }

func missing(abi int, filters bool) string {
	var without []string
	if abi < abiFiles {
		without = []string{"files, TCP ports and signals (no Landlock; Linux 5.13 or later, started with " +
			"lsm=landlock,…)"}
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

// fileCapabilities is the set of capabilities that root keeps: access to files owned by other users, within the limits
// of Landlock, and low ports. Root drops all other capabilities, so that it cannot inspect other processes. CAP_PERFMON
// must be dropped, too: since Linux 6.16, it is sufficient to inspect processes.
const fileCapabilities = 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH |
	1<<unix.CAP_FOWNER | 1<<unix.CAP_FSETID | 1<<unix.CAP_NET_BIND_SERVICE

// dropCapabilities removes root's capabilities, except fileCapabilities, from all threads. Programs that the process
// starts cannot regain them because of no_new_privs.
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
	if _, _, errno := psx.Syscall3(unix.SYS_CAPSET, uintptr(unsafe.Pointer(head)), uintptr(unsafe.Pointer(data)),
		0); errno != 0 {
		return fmt.Errorf("cannot enter the sandbox: capabilities: %w", errno)
	}
	return nil
}

const (
	abiFiles = 1 // Linux 5.13
	// Linux 5.19: rules can allow renaming to a different directory, which was always denied before
	abiRefer    = 2
	abiTruncate = 3 // 6.2
	abiTCP      = 4 // 6.7
	abiIoctl    = 5 // 6.10
	abiScopes   = 6 // 6.12
)

// landlockABI returns the version of Landlock, which is below abiFiles if Landlock is unavailable or disabled.
func landlockABI() int {
	version, _ := ll.LandlockGetABIVersion()
	return version
}

const (
	fileRead  = ll.AccessFSReadFile
	fileWrite = ll.AccessFSWriteFile | ll.AccessFSTruncate
	fileExec  = ll.AccessFSExecute
	dirRead   = ll.AccessFSReadDir
	dirWrite  = ll.AccessFSMakeReg | ll.AccessFSMakeDir | ll.AccessFSMakeSym | ll.AccessFSMakeSock |
		ll.AccessFSMakeFifo | ll.AccessFSRemoveFile | ll.AccessFSRemoveDir
	everything = 1<<16 - 1
)

// restrict applies, to all threads, the Landlock rules that this version of the kernel supports.
func restrict(r *Rules) error {
	abi := landlockABI()
	if abi < abiFiles {
		return nil
	}
	write := landlock.AccessFSSet(fileRead | fileWrite | dirRead | dirWrite)
	if abi >= abiRefer {
		write |= ll.AccessFSRefer
	}
	var rules []landlock.Rule
	var wrong error
	var fds []int
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	allow := func(access landlock.AccessFSSet, paths []string) {
		for _, path := range paths {
			if abs, err := filepath.Abs(path); err == nil {
				path = abs
			}
			// do not follow symbolic links: the application may have created them, and following would grant access to
			// their targets
			fd, err := system.Open(path)
			if err != nil {
				if !errors.As(err, new(*os.PathError)) {
					wrong = err
				}
				continue
			}
			fds = append(fds, fd)
			if here := access & meaningful(fd); here != 0 {
				rules = append(rules, landlock.PathAccess(here, "/proc/self/fd/"+strconv.Itoa(fd)).IgnoreIfMissing())
			}
		}
	}
	const read, exec = fileRead | dirRead, fileRead | dirRead | fileExec
	for _, paths := range [][]string{libraries, readable, r.Read} {
		allow(read, paths)
	}
	allow(fileRead|fileWrite, devices)
	allow(write, r.Write)
	if r.executes() {
		allow(exec, loaders())
		allow(exec, r.Exec)
	}
	if r.Programs {
		allow(exec, programs)
	}
	for _, port := range r.Connect {
		rules = append(rules, landlock.ConnectTCP(port))
	}
	for _, port := range r.Bind {
		rules = append(rules, landlock.BindTCP(port))
	}
	scopes := landlock.ScopedSet(ll.ScopeSignal)
	if !r.AbstractSockets {
		scopes |= ll.ScopeAbstractUnixSocket
	}
	if wrong != nil {
		return fmt.Errorf("cannot enter the sandbox: %w", wrong)
	}
	config := landlock.Config{
		HandledAccessFS:  landlock.AccessFSSet(everything),
		HandledAccessNet: ll.AccessNetBindTCP | ll.AccessNetConnectTCP,
		Scoped:           scopes,
	}
	if err := config.BestEffort().Restrict(rules...); err != nil {
		return fmt.Errorf("cannot enter the sandbox: %w", err)
	}
	return nil
}

func meaningful(fd int) landlock.AccessFSSet {
	var st unix.Stat_t
	switch {
	case unix.Fstat(fd, &st) != nil:
		return 0
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return everything
	}
	return fileRead | fileWrite | fileExec
}
