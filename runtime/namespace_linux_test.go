package runtime

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inOwnNetwork reports whether the test may do what needs privileges over its
// network. If not, it has run in a process that may, in a separate network.
func inOwnNetwork(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() == 0 {
		if os.Getenv("FAPWS_TEST_NETWORK") != "" {
			loopbackUp(t)
		}
		return true
	}
	cmd := exec.Command("/proc/self/exe", "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "FAPWS_TEST_NETWORK=own")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}},
	}
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("in a network of its own, which needs user namespaces: %v\n%s", err, said)
	}
	return false
}

// loopbackUp lets 127.0.0.1 be reached in a new network.
func loopbackUp(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		t.Fatal(err)
	}
}
