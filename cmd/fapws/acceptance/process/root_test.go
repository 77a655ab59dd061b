package process_test

import (
	"net"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/backend/backendtest"
)

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
		}
	}
	c := fapwstest.Command{Script: "service.py", Flags: []string{"--allow-root"}, Env: []string{"FAPWS_ALLOW_ROOT="}}
	s := c.Serve(t, fapwstest.Mode{})
	s.Get("/pid", 200)
	fapwstest.Lacks(t, s.Stderr.String(), "running as root")
	for _, words := range []string{"check", "routes", "--help", "--version", "--print-config", "ctl status --help"} {
		c := fapwstest.Command{Flags: strings.Fields(words), Env: []string{"FAPWS_ALLOW_ROOT="}}
		if words == "check" || words == "routes" {
			c.Script = "service.py"
		}
		code, _, stderr := c.Run(t)
		fapwstest.Truef(t, code == 0 && stderr == "", "%s: code %d, %q", words, code, stderr)
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
	nobody, err := user.Lookup("nobody")
	fapwstest.Must(t, err)
	folder := fapwstest.PublicFolder(t)
	source := fapwstest.Source(t, "service.py")
	fapwstest.Must(t, os.Mkdir(folder+"/log", 0o755))
	log := folder + "/log/access"
	address := lowPort(t)
	source += "PATHS.insert(0, ('/fails', lambda environ, start_response: 1 / 0))\n"
	c := fapwstest.Command{Script: fapwstest.Write(t, folder+"/service.py", source), Dir: folder,
		Env: []string{"FAPWS_ALLOW_ROOT=0"},
		Flags: []string{"--user", "nobody", "--bind", address, "--access-log", log, "--error-log",
			folder + "/log/error"}}
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
	w := fapwstest.Dial(t, "tcp", address)
	got := string(w.Fetch("/identity").Text)
	fapwstest.Truef(t, strings.HasSuffix(got, "for good"), "identity: %s", got)
	rotates(s, log, "/identity")
	fapwstest.Must(t, os.Rename(folder+"/log/error", folder+"/log/old"))
	s.Signal(syscall.SIGUSR1)
	fapwstest.Eventually(t, "an error in the new log", func() bool {
		s.Get("/fails", 500)
		text, err := os.ReadFile(folder + "/log/error")
		return err == nil && strings.Contains(string(text), "ZeroDivisionError")
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
