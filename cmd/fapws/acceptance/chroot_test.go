package acceptance

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
)

// TestChroot: with --chroot the application is loaded outside, as the user and
// never as root, and then there is nothing but the folder for every worker, also
// for one that comes later. Who is not root is refused.
func TestChroot(t *testing.T) {
	daemon, err := user.Lookup("daemon")
	if err != nil {
		t.Fatal(err)
	}
	inModes(t, func(t *testing.T, m mode) {
		folder := publicFolder(t)
		source, err := os.ReadFile(testdata(t, "chroot.py"))
		if err != nil {
			t.Fatal(err)
		}
		script := write(t, folder+"/site/app.py", string(source))
		write(t, folder+"/site/beside.txt", "beside")
		c := command{script: script, flags: []string{"--user", "daemon", "--chroot", folder, "--access-log", folder + "/log/access", "--pid", folder + "/pid"},
			env: []string{"TZ=", "PYTHONNOUSERSITE=1"}}
		if err := os.MkdirAll(folder+"/log", 0o777); err != nil {
			t.Fatal(err)
		}
		if os.Geteuid() != 0 {
			c.flags = []string{"--chroot", folder}
			code, _, stderr := c.run(t)
			if code != 2 || !strings.HasPrefix(stderr, "fapws: --chroot "+folder+" needs root, or the capability CAP_SYS_CHROOT") || strings.Count(stderr, "\n") != 1 {
				t.Errorf("code %d, %q", code, stderr)
			}
			return
		}
		if err := os.Chmod(folder+"/log", 0o777); err != nil {
			t.Fatal(err)
		}
		c.complains = true
		s := c.forOtherUsers(t).serve(t, m)
		top := strings.Split(strings.Trim(folder, "/"), "/")[0]
		names := "dev log pid site tmp"
		if top != "tmp" {
			names = strings.Join([]string{"dev log pid site", top}, " ")
		}
		want := fmt.Sprintf("%s | beside | %s | closed closed closed", names, daemon.Uid)
		check := func() {
			t.Helper()
			s.get("/seen", 200).is(t, want)
			s.get("/late", 200).is(t, "{&quot;n&quot;: &quot;1.10&quot;} 36 1 0")
			s.get("/forks", 200).is(t, "7")
		}
		check()
		for _, pid := range s.family()[1:] {
			noThreadIs(t, pid, daemon.Uid, daemon.Gid)
			if root, err := os.Readlink(fmt.Sprintf("/proc/%d/root", pid)); err != nil || root != folder {
				t.Errorf("process %d is in %s, %v", pid, root, err)
			}
		}
		onlyMainMay(t, s.cmd.Process.Pid, daemon.Uid)

		// A large body is stored, and a traceback shows its lines.
		w := s.dial()
		body := strings.Repeat("x", 1<<20)
		w.send(fmt.Sprintf("POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		w.answer().is(t, fmt.Sprint(len(body)))
		s.get("/fails", 500)
		s.says(`raise ValueError\("in the root directory"\)`)

		// The log is opened again by the path that it has outside.
		s.rotates(folder+"/log/access", "/seen")

		s.signal(syscall.SIGHUP)
		s.says("reloaded")
		check()
		s.signal(syscall.SIGUSR2)
		s.says("upgraded")
		check()
		s.signal(syscall.SIGHUP)
		s.says("(?s)reloaded.*reloaded")
		check()
	})
}

// rotates renames the access log, and looks whether after USR1 a request is in a new one.
func (s *server) rotates(log, target string) {
	s.t.Helper()
	eventually(s.t, "the log has something", func() bool { st, err := os.Stat(log); return err == nil && st.Size() > 0 })
	if err := os.Rename(log, log+".old"); err != nil {
		s.t.Fatal(err)
	}
	s.signal(syscall.SIGUSR1)
	eventually(s.t, "a new log", func() bool { _, err := os.Stat(log); return err == nil })
	eventually(s.t, "a request in the new log", func() bool {
		s.get(target, 200)
		text, err := os.ReadFile(log)
		return err == nil && strings.Contains(string(text), "GET "+target+" ")
	})
}

// onlyMainMay looks at a supervisor: its threads are nobody but the user, and the
// main one alone has kept the right to chroot.
func onlyMainMay(t *testing.T, pid int, uid string) {
	t.Helper()
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/status", pid, thread.Name()))
		if err != nil {
			continue // it has ended
		}
		capabilities := "0000000000000000"
		if thread.Name() == fmt.Sprint(pid) {
			capabilities = "0000000000040000"
		}
		for _, want := range []string{"\nUid:" + strings.Repeat("\t"+uid, 4) + "\n", "\nCapPrm:\t" + capabilities, "\nCapEff:\t0000000000000000"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("thread %s of the supervisor lacks %q:\n%s", thread.Name(), want, text)
			}
		}
	}
}

// TestChrootRefused: what would leave a way out of the root directory is said in one line.
func TestChrootRefused(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		code, _, stderr := command{script: "chroot.py", flags: []string{"--chroot", "/tmp"}}.run(t)
		if code != 2 || stderr != "fapws: --chroot /tmp needs root, or the capability CAP_SYS_CHROOT\n" {
			t.Errorf("code %d, %q", code, stderr)
		}
		return
	}
	folder := publicFolder(t)
	outside := publicFolder(t)
	if err := os.Chmod(outside, 0o777); err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(testdata(t, "chroot.py"))
	if err != nil {
		t.Fatal(err)
	}
	script := write(t, outside+"/chroot.py", string(source))
	for _, tt := range []struct {
		flags, args string
		code        int
		want        string
	}{
		{"--chroot " + folder, "", 2, "--chroot " + folder + ": root finds the way out; name who shall serve there with --user\n"},
		{"--user daemon --chroot /no/such", "", 2, "--chroot /no/such: no such file or directory\n"},
		{"--user daemon --chroot " + script, "", 2, "--chroot " + script + ": not a directory\n"},
		{"--user daemon --chroot /", "", 2, "--chroot /: this is the root directory already\n"},
		{"--user daemon --chroot " + folder + " --access-log " + outside + "/log", "", 3,
			"the file " + outside + "/log is written and not below --chroot " + folder + ": it could not be opened again\n"},
		{"--user daemon --chroot " + folder, "door", 3, "the folder /usr is open and not below --chroot " + folder + ": it would be a way out\n"},
	} {
		c := command{script: script, flags: append([]string{"--bind", "127.0.0.1:0"}, strings.Fields(tt.flags)...), args: strings.Fields(tt.args)}
		code, _, stderr := c.forOtherUsers(t).run(t)
		if code != tt.code || !strings.HasPrefix(stderr, "fapws: "+tt.want) {
			t.Errorf("%s %s: code %d, %q", tt.flags, tt.args, code, stderr)
		}
	}
}

// TestEnvironmentsBesideEachOther: development, acceptance and production beside each other, each
// with a configuration of its own that names folder and user.
func TestEnvironmentsBesideEachOther(t *testing.T) {
	t.Parallel()
	var servers []*server
	users := []string{"daemon", "bin", "nobody"}
	for i, name := range []string{"dev", "acc", "prod"} {
		folder := publicFolder(t)
		write(t, folder+"/root/page.html", "the page of "+name)
		source, err := os.ReadFile(testdata(t, "service.py"))
		if err != nil {
			t.Fatal(err)
		}
		write(t, folder+"/app/service.py", string(source)) // outside
		config := write(t, folder+"/fapws.toml", "user = \""+users[i]+"\"\nchroot = \"root\"\napp = \"app/service.py\"\n"+
			"[[host]]\nname = \"files.lan\"\nroot = \"root\"\n")
		c := command{flags: []string{"-c", config}, dir: folder}
		if os.Geteuid() != 0 {
			if code, _, stderr := c.run(t); code != 2 || !strings.Contains(stderr, "only root can") {
				t.Errorf("code %d, %q", code, stderr)
			}
			continue
		}
		servers = append(servers, c.forOtherUsers(t).serve(t, mode{}))
	}
	for i, s := range servers {
		id, err := user.Lookup(users[i])
		if err != nil {
			t.Fatal(err)
		}
		if got := s.get("/identity", 200).body; !strings.HasPrefix(got, "("+id.Uid+", "+id.Uid+", "+id.Uid+")") || !strings.HasSuffix(got, "for good") {
			t.Errorf("%s is %s", users[i], got)
		}
		s.ask("GET /page.html HTTP/1.1\r\nHost: files.lan\r\nConnection: close\r\n\r\n").want(t, 200).
			is(t, "the page of "+[]string{"dev", "acc", "prod"}[i])
	}
}

// TestErrorLogOutsideChroot: an error log that workers cannot see is rotated all the same, by its
// size, by ctl and by others, and they follow; workers that come later, too. No line is lost.
func TestErrorLogOutsideChroot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("as another user it is refused: TestChrootRefused")
		return
	}
	outside, inside := publicFolder(t), publicFolder(t)
	daemon, err := user.Lookup("daemon")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(daemon.Uid)
	if err := os.Chown(outside, uid, -1); err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(testdata(t, "logs.py"))
	if err != nil {
		t.Fatal(err)
	}
	// In the new root there is a folder of this name, too, and no log in it.
	if err := os.MkdirAll(inside+outside, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(inside+outside, 0o777); err != nil {
		t.Fatal(err)
	}
	name, socket := outside+"/error_log", outside+"/ctl"
	s := command{script: write(t, outside+"/app.py", string(source)), flags: []string{"--user", "daemon", "--chroot", inside, "--workers", "2",
		"--error-log", name, "--log-max-size", "20K", "--log-keep", "1000", "--ctl-socket", socket}}.forOtherUsers(t).serve(t, mode{})
	var want []string
	says := func(text string) {
		t.Helper()
		s.get("/many?20,"+text, 200)
		for n := range 20 {
			want = append(want, fmt.Sprintf("%s %06d of ", text, n))
		}
	}
	follows := func(text string) {
		t.Helper()
		for _, pid := range s.family()[1:] {
			eventually(t, text+": a worker follows", func() bool {
				link, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/2", pid))
				here, err := os.Stat(fmt.Sprintf("/proc/%d/fd/2", pid))
				there, too := os.Stat(name)
				return strings.HasSuffix(link, "/error_log") && err == nil && too == nil && os.SameFile(here, there)
			})
		}
	}
	archives := func() int {
		old, _ := filepath.Glob(name + ".*.gz")
		return len(old)
	}
	n := 0
	eventually(t, "two rotated files", func() bool {
		if n%10 == 0 { // the workers may not have heard of the last time yet
			time.Sleep(20 * time.Millisecond)
		}
		says(fmt.Sprintf("size%03d", n))
		n++
		return archives() >= 2
	})
	follows("size")
	says("before")
	if code, _, stderr := (command{flags: []string{"ctl", "--socket", socket, "rotate"}}).run(t); code != 0 {
		t.Fatal(stderr)
	}
	follows("ctl")
	says("between")
	if err := os.Rename(name, name+".old"); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGUSR1)
	eventually(t, "the next file", func() bool { _, err := os.Stat(name); return err == nil })
	follows("USR1")
	says("later")
	s.signal(syscall.SIGHUP)
	fileSays(t, name, "reloaded")
	says("again")
	if code, _, stderr := (command{flags: []string{"ctl", "--socket", socket, "rotate"}}).run(t); code != 0 {
		t.Fatal(stderr)
	}
	says("last")
	eventually(t, "all is compressed", func() bool {
		left, _ := filepath.Glob(name + ".rotated-*")
		return len(left) == 0
	})
	all := strings.Join(logLines(t, name), "\n") + "\n" + textOf(t, name+".old")
	for _, line := range want {
		if n := strings.Count(all, line); n != 1 {
			t.Fatalf("%q is there %d times", line, n)
		}
	}
	if left, _ := filepath.Glob(inside + outside + "/*"); len(left) > 0 {
		t.Errorf("in the new root there is %s", left)
	}
}
