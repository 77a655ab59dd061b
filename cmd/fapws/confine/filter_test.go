package confine

import (
	"encoding/binary"
	"runtime"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
)

type call struct {
	arch   uint32
	number uintptr
	args   [6]uint32
}

func (c call) result(t *testing.T, vm *bpf.VM) unix.Errno {
	t.Helper()
	// The emulator bpf.VM reads numbers in network byte order.
	data := make([]byte, 64)
	binary.BigEndian.PutUint32(data[offNumber:], uint32(c.number))
	binary.BigEndian.PutUint32(data[offArch:], c.arch)
	for i, arg := range c.args {
		binary.BigEndian.PutUint32(data[offArgs+8*i:], arg)
	}
	n := checktest.Try(vm.Run(data)).Must(t)
	if uint32(n) == unix.SECCOMP_RET_ALLOW {
		return 0
	}
	checktest.Needf(t, uint32(n)&unix.SECCOMP_RET_ACTION_FULL == unix.SECCOMP_RET_ERRNO, "%+v: %#x", c, n)
	return unix.Errno(uint32(n) & unix.SECCOMP_RET_DATA)
}

func TestFilterDeniesDangerousSystemCalls(t *testing.T) {
	checktest.Needf(t, architecture != 0, "%s has no filter", runtime.GOARCH)
	for _, c := range []struct {
		name   string
		number uintptr
		args   [6]uint32
		want   unix.Errno
	}{
		{"read", unix.SYS_READ, [6]uint32{}, 0},
		{"ptrace", unix.SYS_PTRACE, [6]uint32{}, unix.EPERM},
		{"the last one of the list", unix.SYS_VHANGUP, [6]uint32{}, unix.EPERM},
		{"thread", unix.SYS_CLONE, [6]uint32{unix.CLONE_VM | unix.CLONE_THREAD}, 0},
		{"namespace", unix.SYS_CLONE, [6]uint32{unix.CLONE_VM | unix.CLONE_NEWUSER}, unix.EPERM},
		{"clone3", unix.SYS_CLONE3, [6]uint32{}, unix.ENOSYS},
		{"own limits", unix.SYS_PRLIMIT64, [6]uint32{0, 7}, 0},
		{"limits of others", unix.SYS_PRLIMIT64, [6]uint32{4711, 7}, unix.EPERM},
		{"own priority", unix.SYS_SETPRIORITY, [6]uint32{0, 0, 10}, 0},
		{"priority of others", unix.SYS_SETPRIORITY, [6]uint32{0, 4711, 10}, unix.EPERM},
		{"priority of a user", unix.SYS_SETPRIORITY, [6]uint32{unix.PRIO_USER, 0, 10}, unix.EPERM},
		{"scheduler of others", unix.SYS_SCHED_SETSCHEDULER, [6]uint32{4711}, unix.EPERM},
		{"shared memory", unix.SYS_SHMGET, [6]uint32{}, unix.EPERM},
		{"queue", unix.SYS_MQ_OPEN, [6]uint32{}, unix.EPERM},
		{"terminal", unix.SYS_IOCTL, [6]uint32{0, unix.TCGETS}, 0},
		{"typing", unix.SYS_IOCTL, [6]uint32{0, unix.TIOCSTI}, unix.EPERM},
		{"pasting", unix.SYS_IOCTL, [6]uint32{0, unix.TIOCLINUX}, unix.EPERM},
		{"own priority of input and output", unix.SYS_IOPRIO_SET, [6]uint32{1, 0, 3 << 13}, 0},
		{"that of others", unix.SYS_IOPRIO_SET, [6]uint32{1, 4711, 3 << 13}, unix.EPERM},
		{"a pair of unix sockets", unix.SYS_SOCKETPAIR, [6]uint32{unix.AF_UNIX, unix.SOCK_SEQPACKET}, 0},
		{"a pair of streams", unix.SYS_SOCKETPAIR, [6]uint32{unix.AF_UNIX, unix.SOCK_STREAM | unix.SOCK_CLOEXEC |
			unix.SOCK_NONBLOCK}, 0},
		{"mode", unix.SYS_FCHMOD, [6]uint32{3, 0o777}, 0},
		{"setuid", unix.SYS_FCHMOD, [6]uint32{3, 0o4755}, unix.EPERM},
		{"setgid by name", unix.SYS_FCHMODAT, [6]uint32{3, 0, 0o2755}, unix.EPERM},
		{"open", unix.SYS_OPENAT, [6]uint32{3, 0, unix.O_RDWR, 0o7777}, 0},
		{"create", unix.SYS_OPENAT, [6]uint32{3, 0, unix.O_CREAT, 0o777}, 0},
		{"create setuid", unix.SYS_OPENAT, [6]uint32{3, 0, unix.O_CREAT | unix.O_EXCL, 0o4777}, unix.EPERM},
		{"create setuid without a name", unix.SYS_OPENAT, [6]uint32{3, 0, unix.O_TMPFILE | unix.O_RDWR, 0o4777}, unix.EPERM},
		{"open a directory", unix.SYS_OPENAT, [6]uint32{3, 0, unix.O_DIRECTORY, 0o4777}, 0},
		{"openat2", unix.SYS_OPENAT2, [6]uint32{}, unix.ENOSYS},
		{"TCP", unix.SYS_SOCKET, [6]uint32{unix.AF_INET, unix.SOCK_STREAM}, 0},
		{"TCP by number", unix.SYS_SOCKET, [6]uint32{unix.AF_INET6, unix.SOCK_STREAM, unix.IPPROTO_TCP}, 0},
		{"netlink", unix.SYS_SOCKET, [6]uint32{unix.AF_NETLINK, unix.SOCK_RAW, 15}, 0},
		{"firewall", unix.SYS_SOCKET, [6]uint32{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER}, unix.EPERM},
		{"ping", unix.SYS_SOCKET, [6]uint32{unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_ICMPV6}, 0},
		{"Multipath TCP", unix.SYS_SOCKET, [6]uint32{unix.AF_INET6, unix.SOCK_STREAM, unix.IPPROTO_MPTCP}, unix.EPERM},
		{"SCTP", unix.SYS_SOCKET, [6]uint32{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP}, unix.EPERM},
		{"SCTP by its kind", unix.SYS_SOCKET, [6]uint32{unix.AF_INET6, unix.SOCK_SEQPACKET | unix.SOCK_CLOEXEC}, unix.EPERM},
		{"DCCP by its kind", unix.SYS_SOCKET, [6]uint32{unix.AF_INET, unix.SOCK_DCCP}, unix.EPERM},
		{"UDP", unix.SYS_SOCKET, [6]uint32{unix.AF_INET, unix.SOCK_DGRAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK}, 0},
		{"packets", unix.SYS_SOCKET, [6]uint32{unix.AF_PACKET, unix.SOCK_RAW}, unix.EPERM},
		{"send", unix.SYS_SENDTO, [6]uint32{3, 0, 0, unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL}, 0},
		{"send and connect", unix.SYS_SENDTO, [6]uint32{3, 0, 0, unix.MSG_FASTOPEN}, unix.EPERM},
		{"the same with sendmsg", unix.SYS_SENDMSG, [6]uint32{3, 0, unix.MSG_FASTOPEN}, unix.EPERM},
		{"the same with sendmmsg", unix.SYS_SENDMMSG, [6]uint32{3, 0, 0, unix.MSG_FASTOPEN}, unix.EPERM},
	} {
		for _, programs := range []bool{false, true} {
			vm := checktest.Try(bpf.NewVM(append(filterOf(&Rules{Programs: programs}).program,
				bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}))).Must(t)
			checktest.Equalf(t, (call{architecture, c.number, c.args}).result(t, vm), c.want, "%s", c.name)
			checktest.Equalf(t, (call{architecture ^ 1, c.number, c.args}).result(t, vm), unix.EPERM,
				"%s of another architecture", c.name)
			want := unix.EACCES
			if programs {
				want = 0
			}
			checktest.Equalf(t, (call{architecture, unix.SYS_EXECVE, [6]uint32{}}).result(t, vm), want, "execve")
		}
	}
}

func TestFilterAllowsSocketsToProcessesThatNeedThem(t *testing.T) {
	for _, tt := range []struct {
		rules          Rules
		socket, listen unix.Errno
	}{{Rules{}, unix.EPERM, unix.EACCES}, {Rules{Bind: []uint16{80}}, unix.EPERM, 0}, {Rules{Unix: true}, 0, 0}} {
		vm, err := bpf.NewVM(append(filterOf(&tt.rules).program, bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}))
		checktest.Must(t, err)
		checktest.Equalf(t, (call{architecture, unix.SYS_SOCKET, [6]uint32{unix.AF_UNIX, unix.SOCK_STREAM}}).result(t,
			vm), tt.socket, "%+v: socket", tt.rules)
		for _, kind := range []uint32{unix.SOCK_DGRAM | unix.SOCK_CLOEXEC, unix.SOCK_RAW} {
			checktest.Equalf(t, (call{architecture, unix.SYS_SOCKETPAIR, [6]uint32{unix.AF_UNIX, kind}}).result(t,
				vm), tt.socket, "%+v: a pair of kind %d", tt.rules, kind)
		}
		checktest.Equalf(t, (call{architecture, unix.SYS_LISTEN, [6]uint32{3, 5}}).result(t, vm), tt.listen,
			"%+v: listen", tt.rules)
	}
}

func TestMissingProtectionsAreNamedByKernelVersion(t *testing.T) {
	for _, c := range []struct {
		abi     int
		filters bool
		want    string
	}{
		{0, true, "files, TCP ports and signals (no Landlock; Linux 5.13 or later, started with lsm=landlock,…)"},
		{0, false, "files, TCP ports and signals (no Landlock; Linux 5.13 or later, started with lsm=landlock,…), " +
			"system calls (no seccomp filters)"},
		{3, true, "TCP ports (Linux 6.7), ioctl on devices (Linux 6.10), signals and abstract unix sockets (Linux 6.12)"},
		{5, true, "signals and abstract unix sockets (Linux 6.12)"},
		{7, true, ""},
		{7, false, "system calls (no seccomp filters)"},
	} {
		checktest.Equalf(t, missing(c.abi, c.filters), c.want, "%d, %v", c.abi, c.filters)
	}
}
