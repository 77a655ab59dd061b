package confine

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data (seccomp(2)), for machines whose first byte of a number is the lowest.
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16
)

// deny is the result that a system call fails.
func deny(errno unix.Errno) bpf.RetConstant {
	return bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(errno)}
}

// filter is a program for seccomp: what it does not deny is allowed.
type filter struct {
	program []bpf.Instruction
}

// newFilter begins a filter. System calls in the form of another architecture (32 bits on a machine of 64) have other
// numbers and are denied.
func newFilter(arch uint32) *filter {
	return &filter{[]bpf.Instruction{
		bpf.LoadAbsolute{Off: offArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: arch, SkipTrue: 1},
		deny(unix.EPERM),
		bpf.LoadAbsolute{Off: offNumber, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: 0x40000000, SkipTrue: 1}, // x32
		deny(unix.ENOSYS),
	}}
}

func (f *filter) add(code ...bpf.Instruction) { f.program = append(f.program, code...) }

// always denies a system call.
func (f *filter) always(number uintptr, errno unix.Errno) {
	f.add(bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(number), SkipTrue: 1}, deny(errno))
}

// when denies a system call if all of conds hold. Other conditions of the same call may follow.
func (f *filter) when(number uintptr, conds ...cond) {
	var body []bpf.Instruction
	for i, c := range conds {
		left := uint8(2*(len(conds)-i) - 1) // instructions to the end of body, behind this one
		c.test.SkipTrue, c.test.SkipFalse = c.test.SkipTrue*left, c.test.SkipFalse*left
		body = append(body, bpf.LoadAbsolute{Off: offArgs + 8*c.arg, Size: 4}, c.test)
	}
	f.add(bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(number), SkipTrue: uint8(len(body) + 2)})
	f.add(body...)
	f.add(deny(unix.EPERM), bpf.LoadAbsolute{Off: offNumber, Size: 4})
}

// cond is a condition about the lower 32 bits of an argument, the upper ones of which the kernel ignores in all of these
// system calls. Its test skips to the end if the condition does not hold.
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

// install applies the filter to all threads of the process, and sets no_new_privs, which it needs. Errors are those of
// seccomp(2).
func (f *filter) install() error {
	f.add(bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW})
	raw, err := bpf.Assemble(f.program)
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
	thread, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, allThreads, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(code)
	switch {
	case errno != 0:
		return errno
	case thread != 0:
		return fmt.Errorf("thread %d has a filter of its own", thread)
	}
	return nil
}
