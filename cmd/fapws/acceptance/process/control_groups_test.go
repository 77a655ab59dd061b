package process_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// The server checks the limit of threads itself. Otherwise, Go's runtime would abort with a dump of all goroutines.
func TestThreadThatCannotStartLaterIsReportedInOneLine(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		dir, enter, ok := controlGroup(t, "pids", map[string]string{"pids.max": "100"})
		if !ok {
			return
		}
		s := fapwstest.Command{Script: "crashes.py", Shell: enter, Complains: true, Crashes: true}.Serve(t, m)
		w := s.Dial()
		fapwstest.Write(t, dir+"/pids.max", "1")
		w.Get("/abort")
		w.Gone()
		s.Says(`(?m)^fapws: cannot start another thread: a limit of processes is reached; .`)
		s.EndsWith(1)
	})
}

func TestLogSaysThatAControlGroupHasNoMemoryLeft(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Workers, fapwstest.Forks}, func(t *testing.T, m fapwstest.Mode) {
		_, enter, ok := controlGroup(t, "memory", map[string]string{"memory.max": "64M", "memory.swap.max": "0",
			"memory.limit_in_bytes": "64M"})
		if !ok {
			return
		}
		s := fapwstest.Command{Script: "workers.py", Shell: enter, Complains: true}.Serve(t, m)
		s.Get("/version", 200)
		w := s.Dial()
		w.Get("/grow?200000000")
		if m.Forks() {
			w.Head("GET")
			s.Says(
				`process \d+ was killed by signal 9 \(killed: the memory limit of 64 MiB was reached\) in handler grow`)
		} else {
			w.Gone()
			s.Says(`worker \d+ was killed by SIGKILL: the memory limit of 64 MiB was reached; starting a new one`)
			fapwstest.Eventually(t, "there are two workers again", func() bool { return len(s.Workers()) == 2 })
		}
		s.Get("/version", 200)
	})
}

func TestTooLowLimitOfMemoryEndsTheStartInOneLine(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers, fapwstest.Forks},
		func(t *testing.T, m fapwstest.Mode) {
			_, enter, ok := controlGroup(t, "memory",
				map[string]string{"memory.max": "8M", "memory.limit_in_bytes": "8M"})
			if !ok {
				return
			}
			code, _, stderr := fapwstest.Command{Script: "version.py", Shell: enter, Flags: m.Flags}.Run(t)
			want := regexp.MustCompile(
				`^fapws: memory limit of 8192 KiB is too low; raise it to at least 14336 KiB [^\n]+\n$`)
			if code != 3 || !want.MatchString(stderr) {
				t.Errorf("code %d, want %s:\n%.2000s", code, want, stderr)
			}
		})
}

// With so little memory, the server may hang at its start after the warning.
func TestLowLimitOfMemoryIsReportedBeforeLoading(t *testing.T) {
	t.Parallel()
	_, enter, ok := controlGroup(t, "memory", map[string]string{"memory.max": "19M", "memory.limit_in_bytes": "19M"})
	if !ok {
		return
	}
	s := fapwstest.Command{Script: "version.py", Flags: []string{"--bind", "127.0.0.1:0"}, Shell: enter,
		Complains: true}.Start(t)
	s.Stderr.Await(t, regexp.MustCompile(`^[^\n]* warning memory limit of 19 MiB: [^\n]*; raise the limit [^\n]*\n`))
	// Kill the server: with this limit, it may serve, hang or be killed by the kernel.
	_ = s.Cmd.Process.Kill()
	<-s.Exited
}

var groups atomic.Int64

// controlGroup creates a control group (cgroups(7)) of version 2 or 1, and writes those files that the version
// supports. dir is the directory of the group. enter is a command that moves the shell into the group. ok is false if
// no group can be created, which requires root on most machines.
func controlGroup(t *testing.T, controller string, files map[string]string) (dir, enter string, ok bool) {
	t.Helper()
	top := "/sys/fs/cgroup"
	if text, err := os.ReadFile(top + "/cgroup.subtree_control"); err != nil ||
		!strings.Contains(string(text), controller) {
		top += "/" + controller
	}
	dir = fmt.Sprintf("%s/fapws-test-%d-%d", top, os.Getpid(), groups.Add(1))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Logf("no control group can be made here: %v", err)
		return "", "", false
	}
	t.Cleanup(func() {
		fapwstest.Eventually(t, dir+" is empty", func() bool { return os.Remove(dir) == nil })
	})
	written := 0
	for name, text := range files {
		if _, err := os.Stat(dir + "/" + name); err != nil {
			continue
		}
		fapwstest.Must(t, os.WriteFile(dir+"/"+name, []byte(text), 0o644))
		written++
	}
	if written == 0 {
		t.Logf("%s has no limits of %s", dir, controller)
		return "", "", false
	}
	return dir, "echo $$ >" + dir + "/cgroup.procs", true
}
