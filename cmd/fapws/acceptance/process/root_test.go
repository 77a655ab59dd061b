package process_test

import (
	"os"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

const refusesRoot = "fapws: refusing to run as root: " +
	"choose a user with --user NAME, or pass --allow-root (FAPWS_ALLOW_ROOT=1)\n"

// isContainer reports whether this system is a container by a sign other than its files: a virtual machine that was made from an image has those.
func isContainer() bool {
	for _, initial := range []string{"pid:[4026531836]", "user:[4026531837]", "uts:[4026531838]", "ipc:[4026531839]", "cgroup:[4026531835]"} {
		name, _, _ := strings.Cut(initial, ":")
		if is, err := os.Readlink("/proc/self/ns/" + name); err != nil || is != initial {
			return true
		}
	}
	environ, _ := os.ReadFile("/proc/1/environ")
	return strings.Contains("\x00"+string(environ), "\x00container=")
}

// TestRootIsRefused: root serves only when allowed. Other users need no permission.
func TestRootIsRefused(t *testing.T) {
	t.Parallel()
	asRoot := os.Geteuid() == 0
	for _, flags := range []string{"", "--workers 2", "--threads 0", "--group 0", "--user 0", "--user root"} {
		c := fapwstest.Command{Script: "service.py", Flags: append([]string{"--bind", "127.0.0.1:0"}, strings.Fields(flags)...), Env: []string{"FAPWS_ALLOW_ROOT=0"}}
		switch {
		case !asRoot && flags == "":
			c.Serve(t, fapwstest.Mode{}).Get("/pid", 200)
		case asRoot && !isContainer():
			code, stdout, stderr := c.Run(t)
			if code != 2 || stdout != "" || stderr != refusesRoot {
				t.Errorf("%q: code %d, %q%q", flags, code, stdout, stderr)
			}
		}
	}
	c := fapwstest.Command{Script: "service.py", Flags: []string{"--allow-root"}, Env: []string{"FAPWS_ALLOW_ROOT="}}
	s := c.Serve(t, fapwstest.Mode{})
	s.Get("/pid", 200)
	if strings.Contains(s.Stderr.String(), "running as root") {
		t.Error("a warning in spite of --allow-root")
	}
	for _, words := range []string{"check", "routes", "--help", "--version", "--print-config", "ctl status --help"} {
		c := fapwstest.Command{Flags: strings.Fields(words), Env: []string{"FAPWS_ALLOW_ROOT="}}
		if words == "check" || words == "routes" {
			c.Script = "service.py"
		}
		if code, _, stderr := c.Run(t); code != 0 || stderr != "" {
			t.Errorf("%s: code %d, %q", words, code, stderr)
		}
	}
}

// TestRootInContainer: in a container root serves with one warning, of the process that was
// started; another user serves without.
func TestRootInContainer(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: "service.py", Env: []string{"FAPWS_ALLOW_ROOT=", "container=test"}}.Serve(t, m)
		s.Get("/pid", 200)
		want := 0
		if os.Geteuid() == 0 {
			want = 1
		}
		const line = "warning running as root, because this is a container; choose another user with --user NAME, or silence this with --allow-root\n"
		if got := strings.Count(s.Stderr.String(), line); got != want {
			t.Errorf("%d warnings", got)
		}
	})
}
