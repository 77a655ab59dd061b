package pybridge

import (
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNoMoreThreads: a process in which Go cannot start a thread ends with one line.
func TestNoMoreThreads(t *testing.T) {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "FAPWS_TEST_MODE=threads")
	out, _ := c.CombinedOutput()
	want := regexp.MustCompile(`^fapws: cannot start another thread: pthread_create failed: [^\n;]+; raise [^\n]+\n$`)
	if code := c.ProcessState.ExitCode(); code != 3 || !want.Match(out) {
		t.Errorf("code %d, want %s:\n%.2000s", code, want, out)
	}
}

// startThreads starts threads until the stacks of new ones do not fit into memory.
func startThreads() {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		panic(err)
	}
	size, _, _ := strings.Cut(string(text), " ")
	pages, err := strconv.ParseUint(size, 10, 64)
	if err != nil {
		panic(err)
	}
	limit := pages*uint64(os.Getpagesize()) + 64<<20
	if err := unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		panic(err)
	}
	for range 1000 {
		go func() {
			runtime.LockOSThread()
			select {}
		}()
	}
	select {}
}

// A nil pointer in Go code is a panic that can be recovered, also when C code has handlers for its signal.
func TestCrashInGoPanics(t *testing.T) {
	watchLoading("app.py")
	defer func() {
		if _, is := recover().(runtime.Error); !is {
			t.Error("no panic")
		}
	}()
	var p *int
	*p = 1
}
