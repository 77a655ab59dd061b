package acceptance

import (
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const refusesRoot = "fapws: serving as root gives every mistake of the application the whole machine: " +
	"name who shall serve with --user NAME, or allow it with --allow-root or FAPWS_ALLOW_ROOT=1\n"

// TestP15RootIsRefused: root serves only when it is said that this is meant. Who
// is not root needs to say nothing.
func TestP15RootIsRefused(t *testing.T) {
	t.Parallel()
	asRoot := os.Geteuid() == 0
	for _, flags := range []string{"", "--workers 2", "--threads 0", "--group 0", "--user 0", "--user root"} {
		c := command{script: "service.py", flags: append([]string{"--bind", "127.0.0.1:0"}, strings.Fields(flags)...), env: []string{"FAPWS_ALLOW_ROOT=0"}}
		if !asRoot {
			if flags == "" {
				c.serve(t, mode{}).get("/pid", 200)
			}
			continue
		}
		code, stdout, stderr := c.run(t)
		if code != 2 || stdout != "" || stderr != refusesRoot {
			t.Errorf("%q: code %d, %q%q", flags, code, stdout, stderr)
		}
	}
	c := command{script: "service.py", flags: []string{"--allow-root"}, env: []string{"FAPWS_ALLOW_ROOT="}}
	c.serve(t, mode{}).get("/pid", 200)
	for _, words := range []string{"check", "routes", "--help", "--version", "--print-config", "ctl status --help"} {
		c := command{flags: strings.Fields(words), env: []string{"FAPWS_ALLOW_ROOT="}}
		if words == "check" || words == "routes" {
			c.script = "service.py"
		}
		if code, _, stderr := c.run(t); code != 0 || stderr != "" {
			t.Errorf("%s: code %d, %q", words, code, stderr)
		}
	}
}

// TestP15RootIsGivenUp: root binds a low port, and then every thread of every
// process is nobody for good, with nobody's groups. Logs rotate all the same. Who is
// not root is told so.
func TestP15RootIsGivenUp(t *testing.T) {
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
