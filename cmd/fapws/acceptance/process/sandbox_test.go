package process_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// landlock returns the version of Landlock in this kernel, or 0 if Landlock is not available.
func landlock() int {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(version)
}

// parts of the sandbox, each with the first version of Landlock that supports it
const (
	always  = 0
	files   = 1
	lengths = 3
	ports   = 4
	scopes  = 6
)

type sandboxed struct {
	c                                fapwstest.Command
	app, data, secret, other, listed string
}

func newSandboxed(t *testing.T, m fapwstest.Mode, flags ...string) *sandboxed {
	t.Helper()
	folder := fapwstest.PublicFolder(t)
	x := &sandboxed{data: folder + "/data", secret: fapwstest.Write(t, fapwstest.PublicFolder(t)+"/secret", "secret")}
	x.app = fapwstest.Write(t, folder+"/app/app.py", fapwstest.Source(t, "attacker.py"))
	// The permissions of these paths allow access to the user of the server, but the sandbox denies access.
	for _, path := range []string{x.app, x.secret, folder + "/app", filepath.Dir(x.secret)} {
		fapwstest.Must(t, os.Chmod(path, 0o777))
	}
	for _, dir := range []string{x.data, folder + "/log"} {
		fapwstest.Must(t, os.Mkdir(dir, 0o777), os.Chmod(dir, 0o777))
	}
	for _, port := range []*string{&x.other, &x.listed} {
		_, *port, _ = net.SplitHostPort(listenOn(t, "tcp", "127.0.0.1:0").Addr().String())
	}
	x.c = fapwstest.Command{Script: x.app, Complains: true, Env: []string{"TMPDIR=/tmp"},
		Flags: append([]string{"--sandbox", "--sandbox-write", x.data,
			"--sandbox-connect", x.listed, "--access-log", folder + "/log/access"}, flags...)}
	x.c = unprivileged(t, x.c)
	return x
}

// unprivileged returns c with another user if this process is root.
func unprivileged(t *testing.T, c fapwstest.Command) fapwstest.Command {
	t.Helper()
	if os.Geteuid() != 0 {
		return c
	}
	c.Flags = append(c.Flags, "--user", "daemon")
	return c.ForOtherUsers(t)
}

// attacks checks that the application can do only what the sandbox allows on a kernel with version abi of Landlock.
func (x *sandboxed) attacks(t *testing.T, s *fapwstest.Server, m fapwstest.Mode, abi int) {
	t.Helper()
	siblings := strings.ReplaceAll(strings.Trim(fmt.Sprint(s.Workers()), "[]"), " ", ":")
	for _, tt := range []struct {
		since int // first version of Landlock that denies the operation; 99 means that all versions allow it
		way   string
		want  string // error if the operation is denied, or its result if it is allowed
	}{
		{files, "read," + x.secret, "EACCES"},
		{files, "list," + filepath.Dir(x.secret), "EACCES"},
		{files, "list,/root/..", "EACCES"},
		{files, "read," + filepath.Dir(x.app) + "/../log/../../" + filepath.Base(filepath.Dir(x.secret)) + "/secret",
			"EACCES"},
		{99, "read," + x.app, `\d+`},
		{99, "read,/etc/hosts", `\d+`},
		{files, "own", "EACCES"},
		{files, "write," + x.secret, "EACCES"},
		{lengths, "truncate," + x.secret, "EACCES"},
		{files, "create," + filepath.Dir(x.app) + "/new.py", "EACCES"},
		{files, "link," + filepath.Dir(x.app) + "/link", "EACCES"},
		{files, "create,/tmp/fapws-attack", "EACCES"},
		{99, "create," + x.data + "/new", "None"},
		{99, "link," + x.data + "/" + m.Name, "None"},
		{files, "list," + x.data + "/" + m.Name, "EACCES"},
		{99, "temporary", `/tmp/fapws-sandbox-\d+`},
		{99, "late", "7"},
		{99, "fork", "None"},
		{ports, "connect," + x.other, "EACCES"},
		{99, "connect," + x.listed, "None"},
		{ports, "listen," + "0", "EACCES"},
		{always, "listen-anywhere", "EACCES"},
		{always, "unix", "EPERM"},
		{99, "pair", "2"},
		{always, "privileged," + x.data + "/privileged", "EPERM"},
		{files, "environment-of", "EACCES"},
		{files, "memory-of", "EACCES"},
		{always, "multipath," + x.listed, "EPERM"},
		{always, "fastopen," + x.other, "EPERM"},
		{always, "packet", "EPERM"},
		{always, "vsock", "EPERM"},
		{always, "exec,/bin/true", "EACCES"},
		{always, "memory", "EACCES"},
		{scopes, "kill", "EPERM"},
		{scopes, "kill-pidfd", "EPERM"},
		{scopes, "kill-sibling," + siblings, "EPERM"},
		{always, "ptrace", "EPERM"},
		{always, "ptrace-sibling," + siblings, "EPERM"},
		{files, "memory-of-sibling," + siblings, "EACCES"},
		{files, "environment-of-sibling," + siblings, "EACCES"},
		{files, "descriptors-of-sibling," + siblings, "EACCES"},
		{files, "root-of-sibling," + siblings, "EACCES"},
		{files, "own-memory", "EACCES"},
		{files, "kernel-settings", "EACCES"},
		{files, "hardlink," + x.secret + "," + x.data + "/hard", "(EXDEV|EACCES)"},
		{files, "rename," + x.secret + "," + x.data + "/moved", "(EXDEV|EACCES)"},
		{files, "rename," + x.data + "/new," + filepath.Dir(x.app) + "/moved.py", "(EXDEV|EACCES)"},
		{always, "io-uring", "EPERM"},
		{always, "userfaultfd", "EPERM"},
		{always, "bpf", "EPERM"},
		{always, "pivot", "EPERM"},
		{always, "read-of", "EPERM"},
		{always, "descriptor-of", "EPERM"},
		{always, "handle", "EPERM"},
		{always, "priority-of", "EPERM"},
		{always, "scheduler-of", "EPERM"},
		{always, "shared", "EPERM"},
		{always, "netfilter", "EPERM"},
		{always, "raw", "EPERM"},
		{always, "terminal", "EPERM"},
		{99, "nice", `-?\d+`},
		{always, "limits-of", "EPERM"},
		{always, "unshare", "EPERM"},
		{always, "namespace", "EPERM"},
		{always, "mount", "EPERM"},
		{always, "keyring", "EPERM"},
		{always, "root", "EPERM"},
		{99, "status", "12"},
	} {
		if tt.since < 99 && tt.since > abi || !m.Workers() && strings.Contains(tt.way, "sibling") ||
			m.Forks() && (strings.HasPrefix(tt.way, "kill") || strings.HasSuffix(tt.way, "-of")) {
			continue
		}
		want := "refused: " + tt.want
		if tt.since == 99 {
			want = "done: " + tt.want
		}
		places := []string{"/attack"}
		if !m.Forks() {
			places = append(places, "/thread")
		}
		for _, place := range places {
			if got := s.Get(place+"?"+tt.way, 200).Text; !regexp.MustCompile("^" + want + "$").MatchString(got) {
				t.Errorf("%s %s: %q, want %q", place, tt.way, got, want)
			}
			if strings.HasPrefix(tt.way, "link,"+x.data) {
				break
			}
		}
	}
	fapwstest.Truef(t, fapwstest.Read(t, x.app) == fapwstest.Source(t, "attacker.py") || abi < files,
		"%s was changed", x.app)
}

func TestSandboxAllowsTheApplicationOnlyItsWork(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers, fapwstest.Forks},
		func(t *testing.T, m fapwstest.Mode) {
			x := newSandboxed(t, m)
			s := x.c.Serve(t, m)
			x.attacks(t, s, m, landlock())
			everyThreadIsFiltered(t, s.Family()[1:]...)
			body := strings.Repeat("x", 1<<20)
			s.Ask(fmt.Sprintf("POST /size HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
				len(body), body)).Want(t, 200).Is(t, fmt.Sprint(len(body)))
			s.GetLogs("/fails", 500, `raise ValueError\("in the sandbox"\)`)
			if said := s.Stderr.String(); landlock() >= scopes && strings.Contains(said, "cannot restrict") {
				t.Errorf("it complains about a kernel that has everything: %s", said)
			}
			if !m.Workers() {
				return
			}
			rotates(s, filepath.Dir(x.data)+"/log/access", "/pid")
			for _, replace := range []func(){s.Upgrade, s.Reload} {
				fapwstest.Write(t, x.app, fapwstest.Source(t, "attacker.py")+"\n# another version\n")
				replace()
				s.Get("/attack?own", 200)
				temporary := s.Get("/attack?temporary", 200).Text
				if landlock() >= files {
					s.Get("/attack?own", 200).Is(t, "refused: EACCES")
					fapwstest.Truef(t, strings.HasPrefix(temporary, "done: /tmp/fapws-sandbox-"), "temporary files: %s", temporary)
				}
			}
			temporary := strings.TrimPrefix(s.Get("/attack?temporary", 200).Text, "done: ")
			s.Stop()
			fapwstest.Truef(t, !fapwstest.Exists(temporary), "%s is still there", temporary)
		})
}

func everyThreadIsFiltered(t *testing.T, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		for _, text := range threadsOf(t, pid) {
			fapwstest.Has(t, text, "NoNewPrivs:\t1\n", "Seccomp:\t2\n")
		}
	}
}

func TestSandboxWithoutLandlockSaysSoInOneLine(t *testing.T) {
	t.Parallel()
	without := "this system cannot restrict files, TCP ports and signals (no Landlock; Linux 5.13 or later, started " +
		"with lsm=landlock,…)"
	x := newSandboxed(t, fapwstest.Threads)
	x.c.Shell = fapwstest.Refusing(t, "444=38", "445=38", "446=38") // the calls of Landlock: ENOSYS
	s := x.c.Serve(t, fapwstest.Threads)
	s.Says(`(?m) warning sandbox: ` + regexp.QuoteMeta(without) + `$`)
	x.attacks(t, s, fapwstest.Threads, 0)
	s.Get("/attack?read,"+x.secret, 200).Is(t, "done: 6")
	// The application asks the supervisor for certificates, because the supervisor is outside of the sandbox.
	s.DialGet("/attack?order,certificates").Gone()
	s.Says(`worker \d+ sent the message "certificates" while it was serving and was killed; starting a new one`)

	strict := x.c
	strict.Flags = append([]string{"--bind", "127.0.0.1:0", "--sandbox", "strict"}, x.c.Flags[1:]...)
	strict.Fails(t, 3, "fapws: --sandbox strict: "+without+"; use --sandbox to restrict the rest\n")
}

// The server cannot access other processes.
func TestSandboxOfRootKeepsOnlyFileCapabilities(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return
	}
	s := fapwstest.Command{Script: "attacker.py", Flags: []string{"--sandbox", "--allow-root", "--workers", "1"},
		Complains: true}.Serve(t, fapwstest.Mode{})
	const kept = 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH | 1<<unix.CAP_FOWNER |
		1<<unix.CAP_FSETID | 1<<unix.CAP_NET_BIND_SERVICE
	for _, place := range []string{"/attack", "/thread"} {
		if landlock() >= files {
			s.Get(place+"?environment-of", 200).Is(t, "refused: EACCES")
			s.Get(place+"?memory-of", 200).Is(t, "refused: EACCES")
		}
		var permitted, effective uint64
		_, err := fmt.Sscanf(s.Get(place+"?capabilities", 200).Text, "done: [%d, %d]", &permitted, &effective)
		fapwstest.Truef(t, err == nil && (permitted|effective)&^kept == 0, "%s: capabilities %#x, %#x; %v", place, permitted,
			effective, err)
	}
}

// The application replaces log files and rotated log files by links. The supervisor, which rotates logs outside of the
// sandbox, must not follow the links, either.
func TestSandboxedApplicationCannotRedirectLogsByLinks(t *testing.T) {
	t.Parallel()
	x := newSandboxed(t, fapwstest.Threads)
	log := filepath.Dir(x.data) + "/log"
	x.c.Flags = append(x.c.Flags, "--error-log", log+"/errors")
	s := x.c.Serve(t, fapwstest.Mode{})
	s.Get("/fails", 500)
	s.Control("rotate")
	for _, name := range []string{"errors", "access", "errors.rotated-0000000000000000001",
		"access.rotated-0000000000000000001"} {
		s.Get("/attack?replace,"+log+"/"+name+","+x.secret, 200).Is(t, "done: None")
	}
	s.Get("/fails", 500)
	s.Ctl("rotate")
	s.Get("/fails", 500)
	s.Ctl("rotate")
	s.Stop()
	fapwstest.Equal(t, fapwstest.TextOf(t, x.secret), "secret")
	compressed, _ := filepath.Glob(log + "/*.gz")
	for _, name := range compressed {
		out, err := exec.Command("gzip", "-dc", name).Output()
		fapwstest.Truef(t, err == nil && string(out) != "secret", "%s has another file: %v", name, err)
	}
}

// The application replaces the directory of the logs by a link to another directory. If the directory is created
// again, the server uses it.
func TestSandboxedApplicationCannotRedirectTheLogDirectory(t *testing.T) {
	t.Parallel()
	x := newSandboxed(t, fapwstest.Threads)
	log, victim := x.data+"/log", filepath.Dir(x.secret)
	fapwstest.Must(t, os.Mkdir(log, 0o777), os.Chmod(log, 0o777))
	for _, name := range []string{"errors", "errors.rotated-0000000000000000001", "access.9.gz"} {
		fapwstest.Must(t, os.Chmod(fapwstest.Write(t, victim+"/"+name, "precious"), 0o666))
	}
	x.c.Flags = append(x.c.Flags, "--error-log", log+"/errors", "--access-log", log+"/access", "--static", "/log/="+log,
		"--log-flush", "1ms")
	s := x.c.Serve(t, fapwstest.Mode{})
	s.Get("/fails", 500)
	s.Control("rotate")
	s.Get("/attack?replace,"+log+","+victim, 200).Is(t, "done: None")
	for range 2 {
		s.Get("/fails", 500)
		s.Ctl("rotate")
		s.Signal(syscall.SIGUSR1)
	}
	s.ReloadFails("leads through a symbolic link that the application can have made")
	s.Get("/attack?list,"+victim, 200).Is(t, "refused: EACCES")
	s.Get("/attack?create,"+victim+"/new", 200).Is(t, "refused: EACCES")
	entries, _ := os.ReadDir(victim)
	fapwstest.Equal(t, len(entries), 4)
	for _, e := range entries {
		got := fapwstest.TextOf(t, victim+"/"+e.Name())
		fapwstest.Truef(t, got == "precious" || got == "secret", "%s: %q", e.Name(), got)
	}
	fapwstest.Must(t, os.Remove(log), os.Mkdir(log, 0o777), os.Chmod(log, 0o777))
	s.Signal(syscall.SIGUSR1)
	fapwstest.Eventually(t, "the logs in the new directory", func() bool {
		s.Get("/fails", 500)
		access, _ := os.ReadFile(log + "/access")
		_, err := os.Stat(log + "/errors")
		return err == nil && strings.Contains(string(access), "GET /fails")
	})
	s.Control("reload")
}

func TestSandboxSettingsThatConflictAreReportedInOneLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inside := dir + "/a/b"
	moved := func(name, path string) string {
		return fmt.Sprintf("%s (flag --%[1]s): the application can replace the directory %s; name one that "+
			"sandbox-write, logs and uploads do not allow to change", name, path)
	}
	login := func(arguments string) string {
		return fapwstest.Write(t, t.TempDir()+"/app.py",
			"import fapws\nPATHS = [('/', fapws.Login(lambda e, s: [b'x'], "+arguments+"))]\n")
	}
	users := "the users of %s: the application can replace the directory %s; name one that sandbox-write, logs and " +
		"uploads do not allow to change"
	for _, tt := range []struct{ flags, want string }{
		{"--sandbox --sandbox-write " + dir + " --login " + inside, fmt.Sprintf(users, inside, dir+"/a")},
		{"--sandbox --sandbox-write " + dir + " " + login("users="+strconv.Quote(inside)),
			fmt.Sprintf(users, inside, dir+"/a")},
		{"--sandbox --sandbox-write " + dir + " --state-dir " + dir + " " + login("users='users'"),
			moved("state-dir", dir+"/login")},
		{"--sandbox --sandbox-write " + dir + " " + login("users='users', logo="+strconv.Quote(dir+"/logo.png")),
			"login: logo: the application can replace " + dir +
				"/logo.png by a link to another file; move it out of the directories of sandbox-write, logs and uploads"},
		{"--sandbox --sandbox-write " + dir + " --pid " + inside, moved("pid", dir+"/a")},
		{"--sandbox --error-log " + dir + "/log --ctl-socket " + inside, moved("ctl-socket", dir+"/a")},
		{"--sandbox --sandbox-write " + dir + " --bind unix:" + inside, moved("bind", dir+"/a")},
		{"--sandbox --sandbox-write " + dir + " --tls auto --state-dir " + dir, moved("state-dir", dir+"/tls")},
		{"--sandbox-write /tmp", "sandbox-write (flag --sandbox-write) has no effect without sandbox; add --sandbox"},
		{"--sandbox=perhaps", "--sandbox perhaps: must be one of off, on, strict"},
		{"--sandbox --sandbox-connect 70000",
			"--sandbox-connect 70000: must be ports from 1 to 65535, or unix, separated by commas; not 70000"},
		{"--sandbox --sandbox-exec /no/such",
			"--sandbox-exec: /no/such: no such file or directory; correct the name, or create it"},
	} {
		c := fapwstest.Command{Flags: strings.Fields(tt.flags)}
		if !strings.HasSuffix(tt.flags, ".py") {
			c.Script = "attacker.py"
		}
		c.Fails(t, 2, "fapws: "+tt.want+"\n")
	}
}

func TestCheckOfTheSandboxNamesEachDenial(t *testing.T) {
	t.Parallel()
	x := newSandboxed(t, fapwstest.Threads)
	dir := filepath.Dir(x.secret)
	c := fapwstest.Command{Script: "rehearsed.py", Flags: []string{"check", "--sandbox", "--bind", "127.0.0.1:0"},
		Args: []string{x.secret, x.other, dir}, Env: []string{"TMPDIR=" + x.data}}
	code, stdout, stderr := c.Run(t)
	script, source := fapwstest.Testdata(t, "rehearsed.py"), fapwstest.Source(t, "rehearsed.py")
	for _, tt := range []struct {
		since              int
		path, call, denied string
	}{
		{files, "/read was answered", "open(SECRET)", "cannot read " + x.secret + "; --sandbox-read " + x.secret},
		{files, "/write was answered with status 500", `open(FOLDER + "/new"`, "cannot change " + dir +
			"; --sandbox-write " + dir},
		{files, "/database was answered with status 500", "sqlite3.connect(", "cannot change " + dir +
			"; --sandbox-write " + dir},
		{always, "/run was answered with status 500", `["/bin/true"]`, "cannot run /bin/true; --sandbox-exec /bin/true"},
		{ports, "/connect was answered with status 500", "create_connection(", "cannot connect to 127.0.0.1 port " +
			x.other + "; --sandbox-connect " + x.other},
		{ports, "/listen was answered with status 500", "bind(", "cannot listen on port " + x.other +
			"; --sandbox-bind " + x.other},
		{always, "/unix was answered with status 500", "AF_UNIX", "cannot make unix sockets; --sandbox-connect unix"},
		{always, "/fine was answered", "", ""},
	} {
		want := "\nGET " + tt.path + "\n"
		if tt.denied != "" {
			before, _, _ := strings.Cut(source, tt.call)
			want += fmt.Sprintf("  %s:%d: %s allows it\n", script, 1+strings.Count(before, "\n"), tt.denied)
		}
		fapwstest.Truef(t, tt.since > landlock() || strings.Contains(stdout, want), "%q is missing", want)
	}
	fapwstest.Truef(t, code == 1 && strings.Contains(stdout, "rehearsed.py is fine: 8 paths"), "code %d", code)
	if t.Failed() {
		t.Logf("%s\n%s", stdout, stderr)
	}
	left, _ := os.ReadDir(x.data)
	fapwstest.Truef(t, len(left) == 0, "it has left %v", left)
	hello := fapwstest.Write(t, t.TempDir()+"/hello.py", "async def app(scope, receive, send):\n"+
		"    await send({'type': 'http.response.start', 'status': 204})\n    await send({'type': 'http.response.body'})\n")
	code, stdout, _ = (fapwstest.Command{Script: hello, Flags: []string{"check", "--sandbox", "--lifespan", "off", "--bind", "127.0.0.1:0"}}).Run(t)
	fapwstest.Truef(t, code == 0 && strings.HasSuffix(stdout, "\nGET / was answered\n"), "code %d: %s", code, stdout)
	// The application relies on its user, and the stream of events never ends.
	folder := t.TempDir()
	fapwstest.Write(t, folder+"/users", "ann:{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=\n")
	fapwstest.Write(t, folder+"/app.py", `
import time
def user(environ, start_response):
    return environ["REMOTE_USER"].encode()
def events(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    while True:
        yield b"data: 1\n\n"
        time.sleep(0.05)
PATHS = [("/user", user), ("/events", events)]
`)
	file := fapwstest.Write(t, folder+"/fapws.toml", "app = \"app.py\"\nauth = { realm = \"x\", users = \"users\" }\nbind = \"127.0.0.1:0\"\n")
	code, stdout, stderr = (fapwstest.Command{Flags: []string{"check", "--sandbox", "-c", file}}).Run(t)
	fapwstest.Truef(t, code == 0 && strings.HasSuffix(stdout, "\nGET /user was answered\nGET /events was answered\n"),
		"code %d: %s%s", code, stdout, stderr)
	killed := fapwstest.Write(t, t.TempDir()+"/killed.py",
		"import os\ndef application(environ, start_response):\n    os.kill(os.getpid(), 9)\n")
	code, _, stderr = (fapwstest.Command{Script: killed, Flags: []string{"check", "--sandbox", "--bind", "127.0.0.1:0"}}).Run(t)
	fapwstest.Truef(t, code == 3 && strings.HasSuffix(stderr,
		"fapws: the process in the sandbox failed: signal: killed\n"), "code %d: %s", code, stderr)
}
