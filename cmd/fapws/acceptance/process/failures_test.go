package process_test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
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

func TestBodyThatDoesNotFitOnTheDiskIsRejected(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		shell func(folder string) string
		why   string
	}{
		{"a full disk", smallDisk(t, 800), "no space left on device"},
		{"a limit of file sizes", func(string) string { return "ulimit -f 1200" }, "file too large"}, // 512-byte blocks
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cmd, folder := failures(t)
			tmp := folder + "/tmp"
			fapwstest.Must(t, os.Mkdir(tmp, 0o700))
			cmd.Env = []string{"TMPDIR=" + tmp}
			cmd.Shell = c.shell(tmp)
			s := cmd.Serve(t, fapwstest.Threads)
			fits, large := strings.Repeat("f", 400_000), strings.Repeat("l", 2_000_000)
			for i := range 3 {
				s.Ask(fapwstest.Request("POST", "/body", fits)).Is(t, "400000 bytes")
				for _, text := range []string{fapwstest.Request("POST", "/body", large),
					fapwstest.Chunked("POST", "/body", large, 10_000)} {
					w := s.DialSend(text)
					a := w.Answer().Want(t, 507)
					fapwstest.Truef(t, a.Close, "507 with %q", a.Header)
					w.Closed()
				}
				fapwstest.Eventually(t, "each failure is in the log, once", func() bool {
					return strings.Count(s.Stderr.String(), "cannot store a request body in "+tmp+": "+c.why) == 2*(i+1)
				})
				s.Ask(fapwstest.Request("POST", "/body", "small")).Is(t, "5 bytes")
				s.Get("/static/one.txt", 200).Is(t, "one")
			}
		})
	}
}

// The length of a chunked body is unknown at its start, so the server checks the free space again while the body grows.
func TestChunkedBodyMayUseAQuarterOfTheFreeSpace(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	script := fapwstest.Write(t, folder+"/app.py", `
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d bytes" % len(environ["wsgi.input"].read())]
`)
	tmp := folder + "/tmp"
	fapwstest.Must(t, os.Mkdir(tmp, 0o700))
	s := fapwstest.Command{Script: script, Complains: true, Env: []string{"TMPDIR=" + tmp},
		Shell: smallDisk(t, 64<<10)(tmp)}.Serve(t, fapwstest.Threads)
	s.Ask(fapwstest.Chunked("POST", "/", strings.Repeat("f", 15<<20), 100_000)).Is(t, fmt.Sprint(15<<20, " bytes"))
	w := s.DialSend(fapwstest.Chunked("POST", "/", strings.Repeat("l", 17<<20), 100_000))
	a := w.Answer().Want(t, 507)
	fapwstest.Truef(t, a.Close, "507 with %q", a.Header)
	w.Closed()
	s.Says("sent 507: a request body of .* does not fit into a quarter of the free space of " + tmp)
	s.Ask(fapwstest.Request("POST", "/", "small")).Is(t, "5 bytes")
}

// smallDisk returns a function that returns a shell command for a directory. The command mounts a file system of size
// KiB at the directory. Only the server that the shell starts sees this file system.
func smallDisk(t *testing.T, size int) func(folder string) string {
	t.Helper()
	unshare := "unshare -m"
	if os.Geteuid() != 0 {
		unshare = "unshare -rm"
	}
	said, err := exec.Command("/bin/sh", "-c", unshare+" mount -t tmpfs none /mnt").CombinedOutput()
	fapwstest.Needf(t, err == nil, "mounting needs root, or user namespaces: %s", said)
	return func(folder string) string {
		return "exec " + unshare + " /bin/sh -c 'mount -t tmpfs -o size=" + strconv.Itoa(size) + "k none " + folder +
			` && exec "$@"' sh "$@"`
	}
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
