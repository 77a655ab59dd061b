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

func failures(t *testing.T, flags ...string) (c fapwstest.Command, folder string) {
	t.Helper()
	folder = t.TempDir()
	fapwstest.Write(t, folder+"/site/one.txt", "one")
	return fapwstest.Command{Script: "failures.py", Args: []string{folder}, Flags: flags, Complains: true}, folder
}

func TestMissingProcIsReported(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		c, _ := failures(t, m.Flags...)
		c.Shell = smallDisk(t, 4)("/proc")
		c.Fails(t, 3, "fapws: /proc is missing")
	})
}

// If a file reaches the limit, the kernel sends SIGXFSZ. The server ignores this signal, as python3 does.
func TestFileSizeLimitIsAnOSErrorForHandlers(t *testing.T) {
	t.Parallel()
	c, _ := failures(t)
	c.Shell = "ulimit -f 100"
	s := c.Serve(t, fapwstest.Threads)
	s.GetLogs("/too-large-file", 500, `OSError: \[Errno 27\] File too large`)
	s.Get("/", 200).Is(t, "quick")
}

func TestMemoryErrorFailsOneRequest(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		c, _ := failures(t)
		s := c.Serve(t, m)
		for range 5 {
			s.GetLogs("/memory", 500, `MemoryError`)
			w := s.Dial()
			a := w.Fetch("/memory-later")
			fapwstest.Truef(t, a.Err != nil && a.Text == "begun", "in the middle: %q, %v", a.Text, a.Err)
			w.Gone()
			s.Get("/", 200).Is(t, "quick")
		}
	})
}

// tightLine matches the message about a limit that prevents the start: the message has the limit, its value, and
// advice.
const tightLine = `^fapws: [^\n]*%s[^\n]*; [^\n]+\n$`

// Without the checks of fapws, Go's runtime would write a dump of all threads, and Python a traceback.
func TestTightLimitsEitherServeOrEndTheStartInOneLine(t *testing.T) {
	t.Parallel()
	var users atomic.Int64
	// any means that the result depends on the machine and on Python: the server starts, or exits with a message about
	// the limit.
	const any = "any"
	for _, tt := range []struct {
		limit, says string
	}{
		{"-v 200000", `address space limit of 200000 KiB is too low \(ulimit -v\)`},
		{"-v 1500000", `address space limit of 1500000 KiB`},
		{"-v 1600000", any}, {"-v 1750000", any}, {"-v 1900000", any},
		{"-v 4000000", ""},
		{"-d 100000", `data limit of 100000 KiB is too low \(ulimit -d\)`},
		{"-d 220000", any}, {"-d 280000", any},
		{"-d 1000000", ""},
		{"-s 100", `stack limit of 100 KiB is too low \(ulimit -s\)`},
		{"-s 256", ""}, {"-s unlimited", ""},
		{"-s 1000000000", `stack limit of 1000000000 KiB is too high \(ulimit -s\)`},
		{"-n 6", `limit of 6 open files is too low \(ulimit -n\)`},
		{"-n 16", `limit of 16 open files`},
		{"-n 40", ""},
		{"-f 0", ""},
		{"-u 1", `cannot start 12 threads, only 0: `},
		{"-u 12", `cannot start 12 threads, only [01]?[0-9]: `},
	} {
		t.Run(tt.limit, func(t *testing.T) {
			fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers, fapwstest.Forks},
				func(t *testing.T, m fapwstest.Mode) {
					c := fapwstest.Command{Script: "hello.py", Shell: "ulimit " + tt.limit}.ForOtherUsers(t)
					if n, is := strings.CutPrefix(tt.limit, "-u "); is {
						c.Shell = "{ ulimit -u " + n + " 2>/dev/null || ulimit -p " + n + "; }" // -u: bash, -p: dash
					}
					if strings.HasPrefix(tt.limit, "-u") && os.Geteuid() == 0 { // the limit does not apply to root
						c.Script = fapwstest.Write(t, fapwstest.PublicFolder(t)+"/app.py", fapwstest.Source(t, c.Script))
						// The limit counts the processes of all modes, so each mode gets its own user.
						c.Shell += fmt.Sprintf(` && set -- setpriv --reuid %d --clear-groups "$@"`, 54300+users.Add(1))
					}
					c.Complains = true
					c.Flags = append([]string{"--bind", "127.0.0.1:0"}, m.Flags...)
					s := c.Start(t)
					if tt.says == "" || tt.says == any && s.Stderr.Find(fapwstest.BannerURL) != nil {
						s.Address = s.Stderr.Await(t, fapwstest.BannerURL)[1]
						for range 5 {
							s.Get("/hello", 200)
						}
						s.Stop()
						return
					}
					want := regexp.MustCompile(strings.ReplaceAll(tightLine, "%s", strings.TrimPrefix(tt.says, any)))
					if code := s.Ended(); code != 3 || !want.MatchString(s.Stderr.String()) {
						t.Errorf("code %d, want %s:\n%.2000s", code, want, s.Stderr.String())
					}
				})
		})
	}
}

// Old versions of Docker reject the system call clone3. A C library that starts threads by another system call needs no
// message.
func TestContainerThatRejectsClone3IsReported(t *testing.T) {
	t.Parallel()
	c := fapwstest.Command{Flags: []string{"--version"}, Shell: fapwstest.Refusing(t, "435=1")} // EPERM
	switch code, stdout, stderr := c.Run(t); {
	case code == 3 && strings.Contains(stderr, "refuses clone3") && strings.HasSuffix(stderr, "seccomp=unconfined\n"):
		fapwstest.OneLine(t, stderr, "fapws: cannot start threads")
	case code != 0 || !strings.HasPrefix(stdout, "fapws "):
		t.Errorf("code %d\n%s%s", code, stdout, stderr)
	}
	c.Shell = fapwstest.Refusing(t, "435=38") // ENOSYS, as before Linux 5.3
	c.Succeeds(t)
}

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
		w := s.DialGet("/grow?200000000")
		if m.Forks() {
			w.Head("GET")
			s.Says(`process \d+ was killed by signal 9 \(killed: the memory limit of 64 MiB was reached\) in handler grow`)
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
			_, enter, ok := controlGroup(t, "memory", map[string]string{"memory.max": "8M", "memory.limit_in_bytes": "8M"})
			if !ok {
				return
			}
			code, _, stderr := fapwstest.Command{Script: "version.py", Shell: enter, Flags: m.Flags}.Run(t)
			want := regexp.MustCompile(`^fapws: memory limit of 8192 KiB is too low; raise it to at least 14336 KiB [^\n]+\n$`)
			fapwstest.Truef(t, code == 3 && want.MatchString(stderr), "code %d, want %s:\n%.2000s", code, want, stderr)
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
	t.Cleanup(func() { fapwstest.Eventually(t, dir+" is empty", func() bool { return os.Remove(dir) == nil }) })
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
