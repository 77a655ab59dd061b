package acceptance

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const refusesRoot = "fapws: refusing to run as root, because every mistake of the application would be one of root: " +
	"choose a user with --user NAME, or pass --allow-root (FAPWS_ALLOW_ROOT=1)\n"

// normalSystem runs a command where the files are missing by which container engines mark
// what they start. $0 becomes its root directory.
const normalSystem = `#!/bin/sh
exec unshare -m sh -c '
mount -t tmpfs none "$0"
for d in /*; do
	if test -L "$d"; then cp -a "$d" "$0"; elif test -d "$d"; then mkdir "$0$d" && mount --rbind "$d" "$0$d"; fi
done
exec chroot "$0" "$@"' %s %s "$@"
`

// onNormalSystem returns a program that runs fapws as on a system that is not a container,
// or "" if nothing can be hidden here: in a container that may not mount, or whose kernel tells.
func onNormalSystem(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	program := func(name, runs string) string {
		path := write(t, filepath.Join(t.TempDir(), name), fmt.Sprintf(normalSystem, root, runs))
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const looks = `for f in /.dockerenv /run/.containerenv /run/systemd/container; do test ! -e $f || exit 1; done
test "$(readlink /proc/self/ns/pid)$(readlink /proc/self/ns/user)" = "pid:[4026531836]user:[4026531837]"`
	look := exec.Command(program("look", "sh"), "-c", looks)
	look.Env = cleanEnviron()
	if out, err := look.CombinedOutput(); err != nil || os.Getenv("container") != "" {
		t.Logf("only the container's side is tried here: %v %s", err, out)
		return ""
	}
	return program("fapws", binary(t))
}

// TestRootIsRefused: root serves only when allowed. Other users need no permission.
func TestRootIsRefused(t *testing.T) {
	t.Parallel()
	asRoot := os.Geteuid() == 0
	program := ""
	if asRoot {
		program = onNormalSystem(t)
	}
	for _, flags := range []string{"", "--workers 2", "--threads 0", "--group 0", "--user 0", "--user root"} {
		c := command{script: "service.py", flags: append([]string{"--bind", "127.0.0.1:0"}, strings.Fields(flags)...), env: []string{"FAPWS_ALLOW_ROOT=0"}, program: program}
		switch {
		case !asRoot && flags == "":
			c.serve(t, mode{}).get("/pid", 200)
		case asRoot && program != "":
			code, stdout, stderr := c.run(t)
			if code != 2 || stdout != "" || stderr != refusesRoot {
				t.Errorf("%q: code %d, %q%q", flags, code, stdout, stderr)
			}
		}
	}
	c := command{script: "service.py", flags: []string{"--allow-root"}, env: []string{"FAPWS_ALLOW_ROOT="}, program: program}
	s := c.serve(t, mode{})
	s.get("/pid", 200)
	if strings.Contains(s.stderr.String(), "running as root") {
		t.Error("a warning in spite of --allow-root")
	}
	for _, words := range []string{"check", "routes", "--help", "--version", "--print-config", "ctl status --help"} {
		c := command{flags: strings.Fields(words), env: []string{"FAPWS_ALLOW_ROOT="}, program: program}
		if words == "check" || words == "routes" {
			c.script = "service.py"
		}
		if code, _, stderr := c.run(t); code != 0 || stderr != "" {
			t.Errorf("%s: code %d, %q", words, code, stderr)
		}
	}
}

// TestRootInContainer: in a container root serves with one warning, of the process that was
// started; another user serves without.
func TestRootInContainer(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := command{script: "service.py", env: []string{"FAPWS_ALLOW_ROOT=", "container=test"}}.serve(t, m)
		s.get("/pid", 200)
		want := 0
		if os.Geteuid() == 0 {
			want = 1
		}
		const line = "warning running as root, because this is a container; choose another user with --user NAME, or silence this with --allow-root\n"
		if got := strings.Count(s.stderr.String(), line); got != want {
			t.Errorf("%d warnings", got)
		}
	})
}

// TestRootIsGivenUp: root binds a low port, and then every thread of every
// process is nobody for good, with nobody's groups. Logs rotate all the same. Who is
// not root is told so.
func TestRootIsGivenUp(t *testing.T) {
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	addresses := map[string]string{"threads": "127.0.15.1:80", "inline": "127.0.15.2:80", "workers": "127.0.15.3:80"}
	inModes(t, func(t *testing.T, m mode) {
		folder := publicFolder(t)
		source, err := os.ReadFile(testdata(t, "service.py"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(folder+"/log", 0o755); err != nil {
			t.Fatal(err)
		}
		log := folder + "/log/access"
		source = append(source, "PATHS.insert(0, ('/fails', lambda environ, start_response: 1 / 0))\n"...)
		c := command{script: write(t, folder+"/service.py", string(source)), dir: folder, env: []string{"FAPWS_ALLOW_ROOT=0"},
			flags: []string{"--user", "nobody", "--bind", addresses[m.name], "--access-log", log, "--error-log", folder + "/log/error"}}
		if os.Geteuid() != 0 {
			c.flags[1] = "root"
			code, _, stderr := c.run(t)
			if code != 2 || !strings.Contains(stderr, "cannot become root:") || strings.Count(stderr, "\n") != 1 {
				t.Errorf("code %d, %q", code, stderr)
			}
			c.flags = []string{"--user", strconv.Itoa(os.Geteuid())} // who it is already
			c.serve(t, m).get("/identity", 200)
			return
		}
		uid, _ := strconv.Atoi(nobody.Uid)
		gid, _ := strconv.Atoi(nobody.Gid)
		if err := os.Chown(folder+"/log", uid, gid); err != nil {
			t.Fatal(err)
		}
		s := c.forOtherUsers(t).serve(t, m)
		w := dial(t, "tcp", addresses[m.name])
		w.get("/identity")
		if got := string(w.answer().body); !strings.HasSuffix(got, "for good") {
			t.Errorf("identity: %s", got)
		}
		s.rotates(log, "/identity")
		if err := os.Rename(folder+"/log/error", folder+"/log/old"); err != nil {
			t.Fatal(err)
		}
		s.signal(syscall.SIGUSR1)
		eventually(t, "an error in the new log", func() bool {
			s.get("/fails", 500)
			text, err := os.ReadFile(folder + "/log/error")
			return err == nil && strings.Contains(string(text), "ZeroDivisionError")
		})
		family := s.family()
		if want := 2; len(family) != want && !(m.workers() && len(family) == want+1) {
			t.Errorf("processes %v", family)
		}
		for _, pid := range family {
			noThreadIs(t, pid, nobody.Uid, nobody.Gid)
		}
	})
}
