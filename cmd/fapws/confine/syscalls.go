package confine

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// administration lists system calls that web applications do not need: system calls for root, debuggers and container
// engines, and system calls in which many vulnerabilities were found.
var administration = []uintptr{
	unix.SYS_ACCT, unix.SYS_ADD_KEY, unix.SYS_ADJTIMEX, unix.SYS_BPF, unix.SYS_CHROOT, unix.SYS_CLOCK_ADJTIME,
	unix.SYS_CLOCK_SETTIME, unix.SYS_DELETE_MODULE, unix.SYS_FANOTIFY_INIT, unix.SYS_FINIT_MODULE, unix.SYS_FSCONFIG,
	unix.SYS_FSMOUNT, unix.SYS_FSOPEN, unix.SYS_FSPICK, unix.SYS_INIT_MODULE, unix.SYS_IO_URING_ENTER,
	unix.SYS_IO_URING_REGISTER, unix.SYS_IO_URING_SETUP, unix.SYS_KCMP, unix.SYS_KEXEC_LOAD, unix.SYS_KEYCTL,
	unix.SYS_LOOKUP_DCOOKIE, unix.SYS_MOUNT, unix.SYS_MOUNT_SETATTR, unix.SYS_MOVE_MOUNT, unix.SYS_NAME_TO_HANDLE_AT,
	unix.SYS_NFSSERVCTL, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_OPEN_TREE, unix.SYS_OPEN_TREE_ATTR, unix.SYS_PERF_EVENT_OPEN,
	unix.SYS_PIDFD_GETFD, unix.SYS_PIVOT_ROOT, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PTRACE,
	unix.SYS_QUOTACTL, unix.SYS_QUOTACTL_FD, unix.SYS_REBOOT, unix.SYS_REQUEST_KEY, unix.SYS_SETDOMAINNAME,
	unix.SYS_SETHOSTNAME, unix.SYS_SETNS, unix.SYS_SETTIMEOFDAY, unix.SYS_SWAPOFF, unix.SYS_SWAPON, unix.SYS_SYSLOG,
	unix.SYS_UMOUNT2, unix.SYS_UNSHARE, unix.SYS_USERFAULTFD, unix.SYS_VHANGUP,
}

// The list shared contains system calls for shared memory, semaphores and queues. Landlock does not restrict these
// system calls, although they affect all processes with the same user.
var shared = []uintptr{
	unix.SYS_MQ_OPEN, unix.SYS_MQ_UNLINK, unix.SYS_MSGCTL, unix.SYS_MSGGET, unix.SYS_MSGRCV, unix.SYS_MSGSND,
	unix.SYS_SEMCTL, unix.SYS_SEMGET, unix.SYS_SHMAT, unix.SYS_SHMCTL, unix.SYS_SHMGET,
}

const newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// The filter denies system calls in the numbering of a different architecture, such as 32-bit system calls on a 64-bit
// machine, because all rules use this machine's numbers.
func filterOf(r *Rules) *filter {
	f := &filter{[]bpf.Instruction{
		bpf.LoadAbsolute{Off: offArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: architecture, SkipTrue: 1},
		deny(unix.EPERM),
		bpf.LoadAbsolute{Off: offNumber, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: 0x40000000, SkipTrue: 1}, // allow no x32 calls
		deny(unix.ENOSYS),
	}}
	for _, number := range slices.Concat(administration, shared, more) {
		f.when(number)
	}
	if !r.executes() { // Landlock does not prevent a process from executing a file in memory.
		f.deny(unix.SYS_EXECVE, unix.EACCES)
		f.deny(unix.SYS_EXECVEAT, unix.EACCES)
	}
	// the flags of clone3 are in memory, which a filter cannot read; after ENOSYS, the C library calls clone instead
	f.deny(unix.SYS_CLONE3, unix.ENOSYS)
	f.when(unix.SYS_CLONE, hasAny(0, newNamespaces))
	for _, call := range ofProcesses {
		for arg := range call.own {
			f.when(call.number, differs(arg, 0))
		}
	}
	f.when(unix.SYS_IOPRIO_SET, differs(1, 0))
	f.when(unix.SYS_IOCTL, equals(1, unix.TIOCSTI))
	f.when(unix.SYS_IOCTL, equals(1, unix.TIOCLINUX))
	privilegedFiles(f)
	sockets(f, r)
	return f
}

// ofProcesses lists system calls that change the limits or the priority of a process. The field own is the number of
// leading arguments that must be 0, so that the process can change only itself.
var ofProcesses = []struct {
	number uintptr
	own    uint32
}{
	{unix.SYS_PRLIMIT64, 1}, {unix.SYS_SETPRIORITY, 2}, {unix.SYS_SCHED_SETATTR, 1}, {unix.SYS_SCHED_SETPARAM, 1},
	{unix.SYS_SCHED_SETSCHEDULER, 1},
}

// modeCall is a system call with the index of its argument for a file mode.
type modeCall struct {
	number uintptr
	mode   uint32
}

// modeCalls lists system calls that always set a file mode. openCalls lists system calls that set the mode only if the
// argument before the mode requests it.
var (
	modeCalls = []modeCall{{unix.SYS_FCHMOD, 1}, {unix.SYS_FCHMODAT, 2}, {unix.SYS_FCHMODAT2, 2}, {unix.SYS_MKNODAT, 2}}
	openCalls = []modeCall{{unix.SYS_OPENAT, 3}}
)

// privilegedFiles makes the filter deny the creation of set-user-ID and set-group-ID files, because users outside the
// sandbox could run such files with the rights of the application.
func privilegedFiles(f *filter) {
	const bits, creates = unix.S_ISUID | unix.S_ISGID, unix.O_CREAT | unix.O_TMPFILE&^unix.O_DIRECTORY
	for _, c := range append(modeCalls, olderModeCalls...) {
		f.when(c.number, hasAny(c.mode, bits))
	}
	for _, c := range append(openCalls, olderOpenCalls...) {
		f.when(c.number, hasAny(c.mode-1, creates), hasAny(c.mode, bits))
	}
	// the mode of openat2 is in memory, which a filter cannot read; after ENOSYS, callers use openat instead
	f.deny(unix.SYS_OPENAT2, unix.ENOSYS)
}

// sockets makes the filter deny kinds of sockets that no web application needs, and ways to connect over TCP that
// Landlock does not restrict.
func sockets(f *filter, r *Rules) {
	if !r.Unix {
		f.when(unix.SYS_SOCKET, equals(0, unix.AF_UNIX))
		// A datagram socket from socketpair can send to any unix socket.
		f.when(unix.SYS_SOCKETPAIR, hasAny(1, unix.SOCK_DGRAM))
		// listen(2) binds a socket that has no address to a random port, which is not allowed here
		if len(r.Bind) == 0 {
			f.deny(unix.SYS_LISTEN, unix.EACCES)
		}
	}
	f.when(unix.SYS_SOCKET, differs(0, unix.AF_UNIX), differs(0, unix.AF_INET), differs(0, unix.AF_INET6),
		differs(0, unix.AF_NETLINK))
	for _, family := range []uint32{unix.AF_INET, unix.AF_INET6} { // deny Multipath TCP, SCTP and similar protocols
		f.when(unix.SYS_SOCKET, equals(0, family), differs(2, 0), differs(2, unix.IPPROTO_TCP),
			differs(2, unix.IPPROTO_UDP), differs(2, unix.IPPROTO_ICMP), differs(2, unix.IPPROTO_ICMPV6))
		// This rule denies SOCK_SEQPACKET (SCTP) and SOCK_DCCP even if the protocol is 0, because both contain the bit
		// SOCK_RDM.
		f.when(unix.SYS_SOCKET, equals(0, family), hasAny(1, unix.SOCK_RDM))
	}
	f.when(unix.SYS_SOCKET, equals(0, unix.AF_NETLINK), differs(2, unix.NETLINK_ROUTE),
		differs(2, unix.NETLINK_KOBJECT_UEVENT))
	f.when(unix.SYS_SENDTO, hasAny(3, unix.MSG_FASTOPEN))
	f.when(unix.SYS_SENDMSG, hasAny(2, unix.MSG_FASTOPEN))
	f.when(unix.SYS_SENDMMSG, hasAny(3, unix.MSG_FASTOPEN))
}

func filterSyscalls(r *Rules) error {
	if !hasFilters() {
		return nil
	}
	err := filterOf(r).install()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot enter the sandbox: seccomp: %w", err)
	}
	return nil
}

func hasFilters() bool {
	action := uint32(unix.SECCOMP_RET_ERRNO)
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&action)))
	return architecture != 0 && errno == 0
}

// The constants are offsets in struct seccomp_data (seccomp(2)). The offset of an argument is also the offset of its
// lower 32 bits, because the supported processors are little-endian.
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16
)

func deny(errno unix.Errno) bpf.RetConstant {
	return bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(errno)}
}

// A filter is a list of rules that deny system calls; system calls that match no rule are allowed.
type filter struct {
	program []bpf.Instruction
}

// The method when adds a rule that denies a system call with EPERM if all conditions in conds are true. when can be
// called several times for the same system call.
func (f *filter) when(number uintptr, conds ...cond) { f.deny(number, unix.EPERM, conds...) }

func (f *filter) deny(number uintptr, errno unix.Errno, conds ...cond) {
	var body []bpf.Instruction
	for i, c := range conds {
		left := uint8(2*(len(conds)-i) - 1) // number of instructions in body that follow this test
		c.test.SkipTrue, c.test.SkipFalse = c.test.SkipTrue*left, c.test.SkipFalse*left
		body = append(body, bpf.LoadAbsolute{Off: offArgs + 8*c.arg, Size: 4}, c.test)
	}
	f.program = append(f.program, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(number), SkipTrue: uint8(len(body) + 2)})
	f.program = append(f.program, body...)
	f.program = append(f.program, deny(errno), bpf.LoadAbsolute{Off: offNumber, Size: 4})
}

// A cond is a condition for the lower 32 bits of a system call's argument. In all system calls that use a cond, the
// kernel ignores the upper bits.
type cond struct {
	arg  uint32
	test bpf.JumpIf
}

func equals(arg, value uint32) cond {
	return cond{arg, bpf.JumpIf{Cond: bpf.JumpEqual, Val: value, SkipFalse: 1}}
}

func differs(arg, value uint32) cond {
	return cond{arg, bpf.JumpIf{Cond: bpf.JumpEqual, Val: value, SkipTrue: 1}}
}

func hasAny(arg, bits uint32) cond {
	return cond{arg, bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: bits, SkipFalse: 1}}
}

// install applies the filter to all threads of the process, and sets no_new_privs, which seccomp requires. The error is
// the error from seccomp(2).
func (f *filter) install() error {
	raw, err := bpf.Assemble(append(f.program, bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}))
	if err != nil {
		return err
	}
	code := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		code[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	const allThreads = unix.SECCOMP_FILTER_FLAG_TSYNC
	thread, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, allThreads,
		uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(code)
	switch {
	case errno != 0:
		return errno
	case thread != 0:
		return fmt.Errorf("thread %d has a filter of its own", thread)
	}
	return nil
}
