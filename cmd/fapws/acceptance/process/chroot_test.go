package process_test

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// The server loads the application as the user of --user and never as root.
func TestChrootLoadsOutsideAndServesInside(t *testing.T) {
	t.Parallel()
	daemon := fapwstest.Try(user.Lookup("daemon")).Must(t)
	folder := fapwstest.PublicFolder(t)
	script := fapwstest.Write(t, folder+"/site/app.py", fapwstest.Source(t, "chroot.py"))
	fapwstest.Write(t, folder+"/site/beside.txt", "beside")
	c := fapwstest.Command{Script: script, Flags: []string{"--user", "daemon", "--chroot", folder, "--access-log",
		folder + "/log/access", "--pid", folder + "/pid"}, Env: []string{"TZ=", "PYTHONNOUSERSITE=1"}}
	fapwstest.Must(t, os.MkdirAll(folder+"/log", 0o777))
	if os.Geteuid() != 0 {
		c.Flags = []string{"--chroot", folder}
		c.Fails(t, 2, "fapws: --chroot "+folder+": requires root or CAP_SYS_CHROOT")
		return
	}
	fapwstest.Must(t, os.Chmod(folder+"/log", 0o777))
	c.Complains = true
	s := c.ForOtherUsers(t).Serve(t, fapwstest.Workers)
	top := strings.Split(strings.Trim(folder, "/"), "/")[0]
	want := fmt.Sprintf("dev log pid site %s | beside | %s | closed closed closed", top, daemon.Uid)
	check := func() {
		t.Helper()
		s.Get("/seen", 200).Is(t, want)
		s.Get("/late", 200).Is(t, "{&quot;n&quot;: &quot;1.10&quot;} 36 1 0")
		s.Get("/forks", 200).Is(t, "7")
	}
	check()
	for _, pid := range s.Family()[1:] {
		noThreadIs(t, pid, daemon.Uid, daemon.Gid)
		root, err := os.Readlink(fmt.Sprintf("/proc/%d/root", pid))
		fapwstest.Truef(t, err == nil && root == folder, "process %d is in %s, %v", pid, root, err)
	}
	onlyMainMay(t, s.Cmd.Process.Pid, daemon.Uid)

	w := s.Dial()
	body := strings.Repeat("x", 1<<20)
	w.Send(fmt.Sprintf("POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	w.Answer().Is(t, fmt.Sprint(len(body)))
	s.GetLogs("/fails", 500, `raise ValueError\("in the root directory"\)`)

	rotates(s, folder+"/log/access", "/seen")

	for _, replace := range []func(){s.Upgrade, s.Reload} {
		replace()
		check()
	}
	fapwstest.Lacks(t, s.Stderr.String(), "refused to close")
}

func TestChrootedApplicationThatWakesLoadsOutside(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("chroot requires root")
	}
	folder := fapwstest.PublicFolder(t)
	script := fapwstest.Write(t, folder+"/site/app.py",
		"import os\nPATHS = [('/', lambda environ, start_response: str(os.path.exists('/root')))]\n")
	s := fapwstest.Command{Script: script, Flags: []string{"--user", "daemon", "--chroot", folder, "--idle-stop",
		"50ms"}}.ForOtherUsers(t).Serve(t, fapwstest.Threads)
	for range 2 {
		sleeps(s)
		s.Get("/", 200).Is(t, "False")
	}
}

func rotates(s *fapwstest.Server, log, target string) {
	s.T.Helper()
	fapwstest.Eventually(s.T, "the log has something", func() bool { return fapwstest.TextOf(s.T, log) != "" })
	fapwstest.Must(s.T, os.Rename(log, log+".old"))
	s.Signal(syscall.SIGUSR1)
	fapwstest.Eventually(s.T, "a new log", func() bool { return fapwstest.Exists(log) })
	fapwstest.Eventually(s.T, "a request in the new log", func() bool {
		s.Get(target, 200)
		return strings.Contains(fapwstest.TextOf(s.T, log), "GET "+target+" ")
	})
}

// onlyMainMay checks that all threads of a supervisor run as the user, and that only the main thread has
// CAP_SYS_CHROOT.
func onlyMainMay(t *testing.T, pid int, uid string) {
	t.Helper()
	for name, text := range threadsOf(t, pid) {
		capabilities := "0000000000000000"
		if strings.HasSuffix(name, fmt.Sprintf("/%d/status", pid)) {
			capabilities = "0000000000040000"
		}
		fapwstest.Has(t, text, "\nUid:"+strings.Repeat("\t"+uid, 4)+"\n", "\nCapPrm:\t"+capabilities,
			"\nCapEff:\t0000000000000000")
	}
}

func TestChrootThatCanBeLeftIsRejectedInOneLine(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		fapwstest.Command{Script: "chroot.py", Flags: []string{"--chroot", "/tmp"}}.Fails(t, 2,
			"fapws: --chroot /tmp: requires root or CAP_SYS_CHROOT\n")
		return
	}
	folder := fapwstest.PublicFolder(t)
	outside := fapwstest.PublicFolder(t)
	fapwstest.Must(t, os.Chmod(outside, 0o777))
	script := fapwstest.Write(t, outside+"/chroot.py", fapwstest.Source(t, "chroot.py"))
	for _, tt := range []struct {
		flags, args string
		code        int
		want        string
	}{
		{"--chroot " + folder, "", 2, "--chroot " + folder + ": root can escape a chroot; add --user NAME\n"},
		{"--user daemon --chroot /no/such", "", 2,
			"--chroot /no/such: no such file or directory; correct the name, or create it\n"},
		{"--user daemon --chroot " + script, "", 2, "--chroot " + script + ": not a directory\n"},
		{"--user daemon --chroot /", "", 2, "--chroot /: this is already the root directory\n"},
		{"--user daemon --chroot " + folder + " --access-log " + outside + "/log", "", 3,
			"--chroot " + folder + ": the file " + outside +
				"/log is open for writing and outside the chroot, so it could not be reopened\n"},
		{"--user daemon --chroot " + folder, "door", 3, "--chroot " + folder +
			": the directory /usr is open and outside the chroot, which would allow an escape\n"},
	} {
		c := fapwstest.Command{Script: script,
			Flags: append([]string{"--bind", "127.0.0.1:0", "--graceful-timeout", "1"}, strings.Fields(tt.flags)...),
			Args:  strings.Fields(tt.args)}
		c.ForOtherUsers(t).Fails(t, tt.code, "fapws: "+tt.want)
	}
}

// The log is rotated by size, by ctl and by other programs, although workers cannot access its path.
func TestErrorLogOutsideTheChrootIsRotated(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("as another user it is refused: TestChrootThatCanBeLeftIsRejectedInOneLine")
		return
	}
	outside, inside := fapwstest.PublicFolder(t), fapwstest.PublicFolder(t)
	daemon := fapwstest.Try(user.Lookup("daemon")).Must(t)
	uid, _ := strconv.Atoi(daemon.Uid)
	fapwstest.Must(t, os.Chown(outside, uid, -1))
	source := fapwstest.Source(t, "logs.py")
	fapwstest.Must(t, os.MkdirAll(inside+outside, 0o777), os.Chmod(inside+outside, 0o777))
	name, socket := outside+"/error_log", outside+"/ctl"
	s := fapwstest.Command{Script: fapwstest.Write(t, outside+"/app.py", source),
		Flags: []string{"--user", "daemon", "--chroot", inside, "--workers", "2",
			"--error-log", name, "--log-max-size", "20K", "--log-keep", "1000", "--ctl-socket",
			socket}}.ForOtherUsers(t).
		Serve(t, fapwstest.Mode{})
	said := 0
	says := func(text string) {
		t.Helper()
		s.Get("/many?20,said"+text, 200)
		said += 20
	}
	follows := func(text string) {
		t.Helper()
		for _, pid := range s.Family()[1:] {
			fapwstest.Eventually(t, text+": a worker follows", func() bool {
				link, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/2", pid))
				here, err := os.Stat(fmt.Sprintf("/proc/%d/fd/2", pid))
				there, too := os.Stat(name)
				return strings.HasSuffix(link, "/error_log") && err == nil && too == nil && os.SameFile(here, there)
			})
		}
	}
	n := 0
	fapwstest.Eventually(t, "two rotated files", func() bool {
		if n%10 == 0 {
			time.Sleep(20 * time.Millisecond)
		}
		says(fmt.Sprintf("size%03d", n))
		n++
		archives, _ := filepath.Glob(name + ".*.gz")
		return len(archives) >= 2
	})
	follows("size")
	says("before")
	rotate := fapwstest.Command{Flags: []string{"ctl", "--socket", socket, "rotate"}}
	rotate.Succeeds(t)
	follows("ctl")
	says("between")
	fapwstest.Must(t, os.Rename(name, name+".old"))
	s.Signal(syscall.SIGUSR1)
	fapwstest.Eventually(t, "the next file", func() bool { return fapwstest.Exists(name) })
	follows("USR1")
	says("later")
	s.Signal(syscall.SIGHUP)
	fapwstest.FileSays(t, name, "reloaded")
	says("again")
	rotate.Succeeds(t)
	says("last")
	compressed(t, name)
	all := append(logLines(t, name), strings.Split(fapwstest.TextOf(t, name+".old"), "\n")...)
	hasEachOnce(t, all, `^(said\w+ \d{6}) of `, said)
	left, _ := filepath.Glob(inside + outside + "/*")
	fapwstest.Truef(t, len(left) == 0, "in the new root there is %s", left)
}

func TestLoginFilesMustBeInsideTheChroot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return
	}
	folder := fapwstest.PublicFolder(t)
	script := fapwstest.Write(t, folder+"/app.py", "import fapws\nPATHS = [('/', fapws.Login(lambda e, s: '', '"+folder+
		"/users'))]\n")
	fapwstest.Write(t, folder+"/users", "ada:$2y$05$C/3zOX5zOX5zOX5zOX5zOeM0QbK9Qx8n5l1E0dQm9q8yYl0b0cB2W\n")
	state := fapwstest.PublicFolder(t)
	fapwstest.Must(t, os.Chmod(state, 0o777))
	c := fapwstest.Command{Script: script, Flags: []string{"--user", "daemon", "--chroot", folder, "--state-dir", state,
		"--bind", "127.0.0.1:0"}, Env: []string{"PYTHONNOUSERSITE=1"}}
	c.ForOtherUsers(t).Fails(t, 3, "--chroot "+folder+": login needs the directory "+state+"/login, which is outside")
}
