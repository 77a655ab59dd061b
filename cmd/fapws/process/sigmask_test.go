//go:build cgo

package process

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
)

// If the environment variable with this name is set, the test binary is the first of two programs. This program blocks
// signals, sends them to itself, and executes the second program while they are pending.
const before = "FAPWS_TEST_BEFORE"

func TestMain(m *testing.M) {
	if os.Getenv(before) != "" {
		fmt.Println(execWithPending(syscall.SIGHUP, syscall.SIGTERM))
		os.Exit(1)
	}
	if text := os.Getenv("_FAPWS_HANDOVER"); text != "" {
		switch text {
		case "late":
			late(syscall.SIGTERM, syscall.SIGQUIT)
		case "uncaught":
			signal.Reset(syscall.SIGTERM)
			_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
			select {}
		}
		fmt.Println(SignalsArrived())
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func late(signals ...syscall.Signal) {
	for i, sig := range signals {
		if err := syscall.Kill(os.Getpid(), sig); err != nil {
			fmt.Println(err)
		}
		for len(early) <= i {
			runtime.Gosched()
		}
	}
}

func execWithPending(signals ...syscall.Signal) error {
	runtime.LockOSThread()
	var set unix.Sigset_t
	for _, sig := range signals {
		set.Val[0] |= 1 << (sig - 1)
	}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil); err != nil {
		return err
	}
	for _, sig := range signals {
		if err := unix.Tgkill(os.Getpid(), unix.Gettid(), sig); err != nil {
			return err
		}
	}
	return syscall.Exec("/proc/self/exe", os.Args[:1], []string{"_FAPWS_HANDOVER=1"})
}

// TERM may arrive while the second program is still starting. If Go does not catch TERM yet, the second program ends
// with status 0.
func TestSignalsBetweenTwoProgramsReachTheSecond(t *testing.T) {
	for variable, want := range map[string]string{
		before + "=1": "[hangup terminated]", "_FAPWS_HANDOVER=late": "[terminated quit]", "_FAPWS_HANDOVER=1": "[]",
		"_FAPWS_HANDOVER=uncaught": "",
	} {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = []string{variable}
		out, err := cmd.CombinedOutput()
		checktest.Truef(t, err == nil && strings.TrimSpace(string(out)) == want,
			"%s: %v, %s, want %s", variable, err, out, want)
	}
}
