//go:build cgo

package sigmask

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// before is the variable that makes the test binary a program that ends with a signal on its way to the next one.
const before = "FAPWS_TEST_BEFORE"

func TestMain(m *testing.M) {
	if os.Getenv(before) != "" {
		fmt.Println(execWithPending(syscall.SIGHUP))
		os.Exit(1)
	}
	if os.Getenv("FAPWS_HANDOVER") != "" {
		fmt.Println(Arrived())
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// execWithPending replaces the program while a signal waits, which Go would end it for.
func execWithPending(sig syscall.Signal) error {
	runtime.LockOSThread()
	var set unix.Sigset_t
	set.Val[0] = 1 << (sig - 1)
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil); err != nil {
		return err
	}
	if err := unix.Tgkill(os.Getpid(), unix.Gettid(), sig); err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", os.Args[:1], []string{"FAPWS_HANDOVER=1"})
}

// TestArrived: a signal that comes between two programs is known to the second, which it would end.
func TestArrived(t *testing.T) {
	for variable, want := range map[string]string{before: "[hangup]", "FAPWS_HANDOVER": "[]"} {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = []string{variable + "=1"}
		out, err := cmd.CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != want {
			t.Errorf("%s: %v, %s, want %s", variable, err, out, want)
		}
	}
}
