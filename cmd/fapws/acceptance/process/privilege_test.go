package process_test

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/backend/backendtest"
)

func TestUserFlagLeavesNoThreadOfRoot(t *testing.T) {
	t.Parallel()
	daemon := fapwstest.Try(user.Lookup("daemon")).Must(t)
	for _, tt := range []struct{ user, group, uid, gid, groups, names string }{
		{"daemon", "", daemon.Uid, daemon.Gid, daemon.Gid, daemon.HomeDir + " daemon daemon"},
		{"54321", "54322", "54321", "54322", "54322", "/ - -"},
	} {
		t.Run(tt.user, func(t *testing.T) {
			t.Parallel()
			folder := fapwstest.PublicFolder(t)
			script := fapwstest.Write(t, folder+"/service.py", fapwstest.Source(t, "service.py"))
			flags := []string{"--user", tt.user, "--workers", "2", "--pid", folder + "/pid", "--uds", folder + "/s",
				"--uds-permissions", "666"}
			if tt.group != "" {
				flags = append(flags, "--group", tt.group)
			}
			c := fapwstest.Command{Script: script, Flags: flags, Dir: folder}
			if os.Geteuid() != 0 {
				c.Fails(t, 2, "only root can")
				return
			}
			s := c.ForOtherUsers(t).Serve(t, fapwstest.Threads)
			want := fmt.Sprintf("(%s, %s, %s) (%s, %s, %s) [%s] %s for good",
				tt.uid, tt.uid, tt.uid, tt.gid, tt.gid, tt.gid, tt.groups, tt.names)
			s.Get("/identity", 200).Is(t, want)
			w := fapwstest.Dial(t, "unix", folder+"/s")
			w.Fetch("/identity").Is(t, want)
			family := s.Family()
			fapwstest.Equal(t, len(family), 3)
			for _, pid := range family {
				noThreadIs(t, pid, tt.uid, tt.gid)
			}

			s.Reload()
			s.Get("/identity", 200).Is(t, want)
			s.Upgrade()
			s.Get("/identity", 200).Is(t, want)
			w = fapwstest.Dial(t, "unix", folder+"/s")
			w.Fetch("/identity").Is(t, want)

			s.Stop()
			// The server's user may not remove the PID file from a directory that belongs to root, so the server
			// truncates the file.
			fapwstest.Equalf(t, fapwstest.Read(t, folder+"/pid"), "", "the pid file")
			fapwstest.Lacks(t, s.Stderr.String(), "warning")
		})
	}
}

// If the user of the server may not enter the directory in which fapws was started, --chdir can name a different
// directory.
func TestUserMayNotEnterADirectoryIsReportedAtTheStart(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("only root becomes another user; see TestUserFlagLeavesNoThreadOfRoot for what others are told")
		return
	}
	source := fapwstest.Source(t, "service.py")
	public := fapwstest.PublicFolder(t)
	private := public + "/private"
	fapwstest.Write(t, public+"/service.py", source)
	fapwstest.Write(t, private+"/service.py", source)
	fapwstest.Write(t, private+"/named.toml", "app = \"service.py\"\n")
	fapwstest.Must(t, os.Chmod(private, 0o700))
	inPrivate := func(flags, app string) fapwstest.Command {
		flags = strings.NewReplacer("PUBLIC", public, "PRIVATE", private).Replace(flags)
		return fapwstest.Command{Flags: strings.Fields("--user daemon " + flags + " " + app), Dir: private}.ForOtherUsers(t)
	}
	for _, tt := range []struct{ flags, app, hint string }{
		{"", "service.py", "start fapws in another directory, or name one with --chdir"},
		{"--chdir PRIVATE", "service.py", "name another one with --chdir"},
		{"--chdir .", "service.py", "--chdir . is relative to it: use an absolute path"},
		{"--chdir PUBLIC --config named.toml", "", "named.toml is inside: move it, or pass an absolute path to --config"},
	} {
		inPrivate(tt.flags, tt.app).Fails(t, 2, "fapws: user daemon cannot enter the directory "+private+
			": permission denied; "+tt.hint+"\n")
	}

	own := inPrivate("--chdir PUBLIC", "service.py")
	fapwstest.Must(t, os.CopyFS(private, os.DirFS(filepath.Dir(filepath.Dir(own.Program)))))
	own.Program = private + "/build/fapws"
	own.Fails(t, 2, "cannot enter the directory "+private+": permission denied; fapws is installed there")

	// The supervisor does not read a configuration file in the new directory.
	fapwstest.Write(t, public+"/fapws.toml", "not TOML")
	s := inPrivate("--chdir PUBLIC", "service.py").Serve(t, fapwstest.Mode{})
	daemon := s.Get("/identity", 200).Text
	fapwstest.Truef(t, strings.HasSuffix(daemon, "for good"), "served by %s", daemon)
	for _, replace := range []func(){s.Reload, s.Upgrade} {
		replace()
		s.Get("/identity", 200).Is(t, daemon)
	}
}

func TestCheckReportsWhatTheUserOfWorkersMayNotDo(t *testing.T) {
	t.Parallel()
	folder, name, flags, closed := fapwstest.PublicFolder(t), "daemon", []string{"--user", "daemon"}, os.FileMode(0o700)
	if os.Geteuid() != 0 {
		name, flags, closed = fapwstest.Try(user.Current()).Must(t).Username, nil, 0
	}
	source := fapwstest.Source(t, "service.py")
	fapwstest.Write(t, folder+"/app.py", source)
	fapwstest.Write(t, folder+"/users", "ada:$2y$05$C/3zOX5zOX5zOX5zOX5zOeM0QbK9Qx8n5l1E0dQm9q8yYl0b0cB2W\n")
	fapwstest.Write(t, folder+"/reads.py", "open('closed/x')\n"+source)
	for _, file := range []string{"closed.py", "users-closed", "closed/x", "state-closed/login/x"} {
		path := fapwstest.Write(t, folder+"/"+file, source)
		for ; path != folder; path = filepath.Dir(path) {
			fapwstest.Must(t, os.Chmod(path, closed))
		}
		t.Cleanup(func() { os.Chmod(filepath.Dir(folder+"/"+file), 0o700) })
	}
	readable := folder + "/readable"
	fapwstest.Must(t, os.Mkdir(readable, 0o555))
	type settings struct{ toml, says string }
	all := []settings{
		{`app = "closed.py"`, "closed.py: permission denied; check owner and permissions for user "},
		{`app = "reads.py"`, "Permission denied: 'closed/x' for user "},
		{`root = "closed"`, "closed: permission denied; check owner and permissions for user "},
		{"app = 'app.py'\nx-sendfile = 'closed'", "/closed: permission denied; check owner and permissions for user "},
		{"app = 'app.py'\nlogin = 'users-closed'", "users-closed: permission denied; check owner and permissions for user "},
		{"app = 'app.py'\nauth = { realm = 'x', users = 'users-closed' }",
			"users-closed: permission denied; check owner and permissions for user "},
		{"app = 'app.py'\nlogin = 'users'\nstate-dir = 'state-closed'", "state-closed"},
		{"app = 'app.py'\nlogin = 'closed/users'", "closed/users: permission denied; check owner and permissions for user "},
		{"app = 'app.py'\naccess-log = 'closed/access'",
			"closed/access: permission denied; check owner and permissions for user "},
		{"[[host]]\napp = 'app.py'\nerror-log = 'closed/error'",
			"closed/error: permission denied; check owner and permissions for user "},
		{"app = 'app.py'\nctl-socket = 'closed/ctl'", "closed/ctl: permission denied; check owner and permissions for user "},
		{"app = 'app.py'\nctl-socket = 'readable/ctl'",
			"readable/ctl: permission denied; check owner and permissions for user "},
		{"app = 'app.py'\nctl-socket = 'app.py'", "is not a socket"},
		{"app = 'app.py'\naccess-log = 'readable'", "/readable: is a directory"},
		{"app = 'app.py'\nerror-log = 'readable'", "/readable: is a directory"},
		{"app = 'app.py'\nctl-socket = '" + folder + strings.Repeat("/x", 60) + "'", "the maximum for a socket is 107"},
		{"app = 'app.py'\npid = 'reads.py'", "/reads.py: it does not contain a process ID"},
		{"app = 'app.py'\nbind = 'unix:closed.py'", "closed.py: the file exists and is not a socket"},
		{"app = 'app.py'\nbind = ['127.0.0.1:0', 'unix:" + folder + strings.Repeat("/x", 60) + "']",
			"the maximum for a socket is 107"},
	}
	if os.Geteuid() == 0 { // the server opens these files as root, before it changes the user
		all = append(all,
			settings{"app = 'app.py'\npid = 'closed/x'", "closed/x: it does not contain a process ID"},
			settings{"app = 'app.py'\nbind = 'unix:closed/x'", "closed/x: the file exists and is not a socket"},
			settings{"app = 'app.py'\nchroot = 'closed'", "closed: permission denied; check owner and permissions for user "})
	} else {
		all = append(all,
			settings{"app = 'app.py'\npid = 'closed/x'", "closed/x: permission denied"},
			settings{"app = 'app.py'\npid = 'readable/pid'", "readable/pid: permission denied"},
			settings{"app = 'app.py'\nerror-log = 'closed/error'", "closed/error: permission denied"},
			settings{"app = 'app.py'\nbind = 'unix:closed/socket'", "closed/socket: permission denied"},
			settings{"app = 'app.py'\nbind = ['unix:a', 'unix:readable/b']", "readable/b: permission denied"},
			settings{"app = 'app.py'\nbind = 'https://127.0.0.1:0'\ntls = 'auto'\nstate-dir = 'state-closed'",
				"state-closed/tls: permission denied; it must be writable"})
	}
	for _, tt := range all {
		bind := "bind = '127.0.0.1:0'\n"
		if strings.Contains(tt.toml, "\nbind") {
			bind = ""
		}
		fapwstest.Write(t, folder+"/fapws.toml", bind+tt.toml+"\n")
		says := tt.says
		if strings.HasSuffix(says, "for user ") {
			says += name
		}
		start := fapwstest.Command{Flags: flags, Dir: folder}.ForOtherUsers(t)
		code, _, stderr := start.Run(t)
		fapwstest.Truef(t, strings.Contains(stderr, says), "%s: the start says %s", tt.toml, stderr)
		check := start
		check.Flags = append([]string{"check"}, flags...)
		if checked, _, stderr := check.Run(t); checked != code || !strings.Contains(stderr, says) {
			t.Errorf("%s: check exits with %d instead of %d, and says %s", tt.toml, checked, code, stderr)
		}
	}

	if os.Geteuid() == 0 { // the server opens this log as root, before it changes the user
		fapwstest.Write(t, folder+"/fapws.toml", "bind = '127.0.0.1:0'\napp = 'app.py'\nerror-log = 'closed/error'\n")
		fapwstest.Command{Flags: append([]string{"check"}, flags...), Dir: folder}.ForOtherUsers(t).Succeeds(t)
	}

	// The server sends its own page instead of this error page.
	fapwstest.Must(t, os.Chmod(fapwstest.Write(t, folder+"/site/x.html", "missing"), closed))
	fapwstest.Write(t, folder+"/fapws.toml", "[[host]]\nroot = 'site'\nerror-page = { 404 = '/x.html' }\n")
	code, _, stderr := fapwstest.Command{Flags: append([]string{"check", "--bind", "127.0.0.1:0"}, flags...),
		Dir: folder}.ForOtherUsers(t).Run(t)
	fapwstest.Truef(t, code == 0 && strings.Contains(stderr,
		"/x.html: permission denied; check owner and permissions for user "+name), "code %d, %s", code, stderr)

	// The user may not change this file, so the login form cannot create users.
	fapwstest.Write(t, folder+"/fapws.toml",
		"bind = '127.0.0.1:0'\napp = 'app.py'\nlogin = 'readable/users'\nstate-dir = 'state'\n")
	for _, word := range []string{"check", "run"} {
		c := fapwstest.Command{Flags: append([]string{word}, flags...), Dir: folder}.ForOtherUsers(t)
		c.Fails(t, 2, readable+"/users has no user yet, and the form of login could not make the first one: user "+name+
			" cannot write to "+readable+": permission denied")
	}
}

func threadsOf(t *testing.T, pid int) map[string]string {
	t.Helper()
	names := fapwstest.Try(filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))).Must(t)
	all := map[string]string{}
	for _, name := range names {
		if text, err := os.ReadFile(name); err == nil {
			all[name] = string(text)
		}
	}
	return all
}

func noThreadIs(t *testing.T, pid int, uid, gid string) {
	t.Helper()
	all := threadsOf(t, pid)
	fapwstest.Needf(t, len(all) != 0, "process %d has ended", pid)
	for name, text := range all {
		for line := range strings.Lines(text) {
			field, rest, _ := strings.Cut(line, ":")
			want := map[string]string{"Uid": uid, "Gid": gid}[field]
			fapwstest.Truef(t, want == "" || slices.Equal(strings.Fields(rest), slices.Repeat([]string{want}, 4)), "%s: %s",
				name, line)
			fapwstest.Truef(t, field != "Groups" || slices.Equal(strings.Fields(rest), []string{gid}), "%s: %s", name, line)
			fapwstest.Truef(t, (field != "CapEff" && field != "CapPrm") || strings.Trim(strings.TrimSpace(rest), "0") == "",
				"%s: %s", name, line)
		}
	}
}

func TestCtlOfRootAsksWhichUsersServerIsMeant(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("only root controls servers of other users")
		return
	}
	folder := fapwstest.PublicFolder(t)
	script := fapwstest.Write(t, folder+"/service.py", fapwstest.Source(t, "service.py"))
	var lines []string
	for _, flags := range [][]string{{"--workers", "1"}, {"--workers", "1", "--user", "daemon"}} {
		c := fapwstest.Command{Script: script, Flags: append([]string{"--ctl-socket", "auto"}, flags...), Dir: folder}
		s := c.ForOtherUsers(t).Serve(t, fapwstest.Mode{})
		lines = append(lines, "fapws:   --pid "+strconv.Itoa(s.Cmd.Process.Pid)+"  ")
	}
	code, _, said := fapwstest.Command{Flags: []string{"ctl", "status"}}.Run(t)
	fapwstest.Truef(t, code == 1 && strings.Contains(said, lines[0]) && strings.Contains(said, lines[1]) &&
		strings.Contains(said, "  user daemon"), "code %d, %s; want %q", code, said, lines)
}

const refusesRoot = "fapws: refusing to run as root: " +
	"choose a user with --user NAME, or pass --allow-root (FAPWS_ALLOW_ROOT=1)\n"

// isContainer reports whether this system is a container. Marker files of containers are no proof, because a virtual
// machine made from a container image contains them, too.
func isContainer() bool {
	for _, initial := range []string{"pid:[4026531836]", "user:[4026531837]", "uts:[4026531838]", "ipc:[4026531839]",
		"cgroup:[4026531835]"} {
		name, _, _ := strings.Cut(initial, ":")
		if is, err := os.Readlink("/proc/self/ns/" + name); err != nil || is != initial {
			return true
		}
	}
	environ, _ := os.ReadFile("/proc/1/environ")
	return strings.Contains("\x00"+string(environ), "\x00container=")
}

func TestRootIsRejectedUnlessAllowed(t *testing.T) {
	t.Parallel()
	asRoot := os.Geteuid() == 0
	for _, flags := range []string{"", "--workers 2", "--threads 0", "--group 0", "--user 0", "--user root"} {
		c := fapwstest.Command{Script: "service.py", Flags: append([]string{"--bind", "127.0.0.1:0"},
			strings.Fields(flags)...), Env: []string{"FAPWS_ALLOW_ROOT=0"}}
		switch {
		case !asRoot && flags == "":
			c.Serve(t, fapwstest.Mode{}).Get("/pid", 200)
		case asRoot && !isContainer():
			c.Fails(t, 2, refusesRoot)
			c.Flags = append([]string{"check"}, c.Flags...)
			code, stdout, stderr := c.Run(t)
			fapwstest.Truef(t, code == 0 && strings.Contains(stdout, "usable, with 1 warning") &&
				strings.Contains(stderr, "refusing to run as root"), "check: code %d, %q, %q", code, stdout, stderr)
		}
	}
	c := fapwstest.Command{Script: "service.py", Flags: []string{"--allow-root"}, Env: []string{"FAPWS_ALLOW_ROOT="}}
	s := c.Serve(t, fapwstest.Mode{})
	s.Get("/pid", 200)
	fapwstest.Lacks(t, s.Stderr.String(), "running as root")
	for _, words := range []string{"check --bind 127.0.0.1:0", "routes", "--help", "--version", "--print-config",
		"ctl status --help"} {
		c := fapwstest.Command{Flags: strings.Fields(words), Env: []string{"FAPWS_ALLOW_ROOT="}}
		if strings.HasPrefix(words, "check") || words == "routes" {
			c.Script = "service.py"
		}
		code, _, stderr := c.Run(t)
		warned := asRoot && !isContainer() && strings.HasPrefix(words, "check")
		fapwstest.Truef(t, code == 0 && (stderr != "") == warned, "%s: code %d, %q", words, code, stderr)
	}
}

func TestRootInAContainerServesWithOneWarning(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: "service.py", Env: []string{"FAPWS_ALLOW_ROOT=", "container=test"}}.Serve(t, m)
		s.Get("/pid", 200)
		want := 0
		if os.Geteuid() == 0 {
			want = 1
		}
		const line = "warning running as root, because this is a container; choose another user with --user NAME, or " +
			"silence this with --allow-root\n"
		fapwstest.Equal(t, strings.Count(s.Stderr.String(), line), want)
	})
}

func TestRootIsGivenUpAfterBindingALowPort(t *testing.T) {
	t.Parallel()
	nobody := fapwstest.Try(user.Lookup("nobody")).Must(t)
	folder := fapwstest.PublicFolder(t)
	source := fapwstest.Source(t, "service.py")
	fapwstest.Must(t, os.Mkdir(folder+"/log", 0o755))
	log := folder + "/log/access"
	address := lowPort(t)
	source += "PATHS.insert(0, ('/fails', lambda environ, start_response: 1 / 0))\n"
	c := fapwstest.Command{Script: fapwstest.Write(t, folder+"/service.py", source), Dir: folder,
		Env:   []string{"FAPWS_ALLOW_ROOT=0"},
		Flags: []string{"--user", "nobody", "--bind", address, "--access-log", log, "--error-log", folder + "/log/error"}}
	if os.Geteuid() != 0 {
		c.Flags[1] = "root"
		c.Fails(t, 2, "cannot become root:")
		c.Flags = []string{"--user", strconv.Itoa(os.Geteuid())}
		c.Serve(t, fapwstest.Workers).Get("/identity", 200)
		return
	}
	uid, _ := strconv.Atoi(nobody.Uid)
	gid, _ := strconv.Atoi(nobody.Gid)
	fapwstest.Must(t, os.Chown(folder+"/log", uid, gid))
	s := c.ForOtherUsers(t).Serve(t, fapwstest.Workers)
	got := string(fapwstest.Dial(t, "tcp", address).Fetch("/identity").Text)
	fapwstest.Truef(t, strings.HasSuffix(got, "for good"), "identity: %s", got)
	rotates(s, log, "/identity")
	fapwstest.Must(t, os.Rename(folder+"/log/error", folder+"/log/old"))
	s.Signal(syscall.SIGUSR1)
	fapwstest.Eventually(t, "an error in the new log", func() bool {
		s.Get("/fails", 500)
		return strings.Contains(fapwstest.TextOf(t, folder+"/log/error"), "ZeroDivisionError")
	})
	family := s.Family()
	fapwstest.Equal(t, len(family), 3)
	for _, pid := range family {
		noThreadIs(t, pid, nobody.Uid, nobody.Gid)
	}
}

func lowPort(t *testing.T) string {
	t.Helper()
	host, _, err := net.SplitHostPort(backendtest.Unused(t))
	fapwstest.Must(t, err)
	return net.JoinHostPort(host, "80")
}
