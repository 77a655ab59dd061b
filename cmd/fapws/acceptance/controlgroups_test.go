package acceptance

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
)

// A limit of processes of the control group is named like one of ulimit.
func TestLimitOfProcesses(t *testing.T) {
	inModesAndForks(t, func(t *testing.T, m mode) {
		_, enter, ok := controlGroup(t, "pids", map[string]string{"pids.max": "8"})
		if !ok {
			return
		}
		code, _, stderr := command{script: "refusedclose.py", shell: enter, flags: m.flags}.run(t)
		if want := regexp.MustCompile(`^fapws: cannot start 12 threads, only \d: [^\n]*; [^\n]+\n$`); code != 3 || !want.MatchString(stderr) {
			t.Errorf("code %d, want %s:\n%.2000s", code, want, stderr)
		}
	})
}

// A thread that cannot be started later, for which Go's runtime aborts, is such a line, too.
func TestLimitOfProcessesLater(t *testing.T) {
	inOneProcess(t, func(t *testing.T, m mode) {
		dir, enter, ok := controlGroup(t, "pids", map[string]string{"pids.max": "100"})
		if !ok {
			return
		}
		s := command{script: "crashes.py", shell: enter, complains: true, crashes: true}.serve(t, m)
		w := s.dial()
		write(t, dir+"/pids.max", "1")
		w.get("/abort")
		w.gone()
		s.says(`(?m)^fapws: cannot start another thread: a limit of processes is reached; .`)
		if code := s.ended(); code != 1 {
			t.Errorf("code %d", code)
		}
	})
}

// Where a process was killed because its control group has no memory left, the log says so.
func TestLimitOfMemory(t *testing.T) {
	inEach(t, []mode{modes[2], forks}, func(t *testing.T, m mode) {
		_, enter, ok := controlGroup(t, "memory", map[string]string{"memory.max": "64M", "memory.swap.max": "0", "memory.limit_in_bytes": "64M"})
		if !ok {
			return
		}
		s := command{script: "workers.py", shell: enter, complains: true}.serve(t, m)
		s.get("/version", 200)
		w := s.dial()
		w.get("/grow?200000000")
		if m.forks() {
			w.head("GET")
			s.says(`process \d+ was killed by signal 9 \(killed: the memory limit of 64 MiB was reached\) in handler grow`)
		} else {
			w.gone()
			s.says(`worker \d+ was killed by SIGKILL: the memory limit of 64 MiB was reached; a new one is started`)
			eventually(t, "there are two workers again", func() bool { return len(s.workers()) == 2 })
		}
		s.get("/version", 200)
	})
}

// With a limit of memory that is too low for the start, the process ends with one line.
func TestTooLowLimitOfMemory(t *testing.T) {
	inModesAndForks(t, func(t *testing.T, m mode) {
		_, enter, ok := controlGroup(t, "memory", map[string]string{"memory.max": "8M", "memory.limit_in_bytes": "8M"})
		if !ok {
			return
		}
		code, _, stderr := command{script: "version.py", shell: enter, flags: m.flags}.run(t)
		if want := regexp.MustCompile(`^fapws: memory limit of 8192 KiB is too low; raise it to at least 14336 KiB [^\n]+\n$`); code != 3 || !want.MatchString(stderr) {
			t.Errorf("code %d, want %s:\n%.2000s", code, want, stderr)
		}
	})
}

// A limit of memory with which the start may hang is named before the application is loaded.
func TestLowLimitOfMemory(t *testing.T) {
	inOneProcess(t, func(t *testing.T, m mode) {
		_, enter, ok := controlGroup(t, "memory", map[string]string{"memory.max": "19M", "memory.limit_in_bytes": "19M"})
		if !ok {
			return
		}
		s := command{script: "version.py", flags: append([]string{"--bind", "127.0.0.1:0"}, m.flags...), shell: enter, complains: true}.start(t)
		s.stderr.await(t, regexp.MustCompile(`^[^\n]* warning memory limit of 19 MiB: [^\n]*; raise the limit [^\n]*\n`))
		_ = s.cmd.Process.Kill() // it may serve, hang or be killed, as the warning says
		<-s.exited
	})
}

var groups atomic.Int64

// controlGroup makes a control group (cgroups(7)) of version 2 or 1 and writes its files, as far as the version has them. dir is
// its directory, and enter is for command.shell. ok is false where no group can be made, which takes root on most machines: the tests of the packages
// limits, memory and pool do without one.
func controlGroup(t *testing.T, controller string, files map[string]string) (dir, enter string, ok bool) {
	t.Helper()
	top := "/sys/fs/cgroup"
	if text, err := os.ReadFile(top + "/cgroup.subtree_control"); err != nil || !strings.Contains(string(text), controller) {
		top += "/" + controller
	}
	dir = fmt.Sprintf("%s/fapws-test-%d-%d", top, os.Getpid(), groups.Add(1))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Logf("no control group can be made here: %v", err)
		return "", "", false
	}
	t.Cleanup(func() {
		eventually(t, dir+" is empty", func() bool { return os.Remove(dir) == nil })
	})
	written := 0
	for name, text := range files {
		if _, err := os.Stat(dir + "/" + name); err != nil {
			continue // of the other version
		}
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		written++
	}
	if written == 0 {
		t.Logf("%s has no limits of %s", dir, controller)
		return "", "", false
	}
	return dir, "echo $$ >" + dir + "/cgroup.procs", true
}
