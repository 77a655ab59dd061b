package fapwstest

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Main makes servers independent of how the tests were started: under nohup(1), servers would ignore SIGHUP, in the
// background of a script, they would ignore SIGINT, and a umask of 077 would hide files from the users of the servers.
func Main(m *testing.M) {
	if err := scalePatience(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	// Programs inherit ignored signals, but a caught signal has its default action after execve(2).
	for _, sig := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT} {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
	syscall.Umask(0o022)
	code := m.Run()
	if installed.folder != "" {
		os.RemoveAll(installed.folder)
	}
	os.Exit(code)
}

// installed is a copy of the executable and of package fapws that every user may read, because the files under test may
// be below a home directory of mode 0700.
var installed struct {
	once   sync.Once
	folder string
	err    error
	// If another user cannot start the copy, denied is the error message.
	denied []byte
}

// ForOtherUsers returns c with the copy of the executable that every user may read. If c names no directory, the
// returned Command runs in a directory that every user may enter. The test is skipped if fapws was built for a Python
// in a home directory that other users may not enter.
func (c Command) ForOtherUsers(t *testing.T) Command {
	t.Helper()
	program := Binary(t)
	installed.once.Do(func() {
		if installed.folder, installed.err = install(program); installed.err == nil && os.Geteuid() == 0 {
			installed.denied = denied(installed.folder)
		}
	})
	Must(t, installed.err)
	if installed.denied != nil && !strings.HasPrefix(Python, "/usr/bin/") {
		t.Skipf("other users may not read %s: %s", Python, installed.denied)
	}
	c.Program = filepath.Join(installed.folder, "build", "fapws")
	if c.Dir == "" {
		c.Dir = installed.folder
	}
	return c
}

func install(program string) (folder string, err error) {
	if folder, err = os.MkdirTemp("", "fapws"); err != nil {
		return "", err
	}
	if err := os.Chmod(folder, 0o755); err != nil {
		return folder, err
	}
	return folder, copyProgram(program, folder)
}

func denied(folder string) []byte {
	cmd := exec.Command(folder+"/build/fapws", "--version")
	cmd.Dir, cmd.SysProcAttr = folder, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	said, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	return append(said, err.Error()...)
}

func PublicFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "fapws")
	Must(t, err)
	t.Cleanup(func() { os.RemoveAll(folder) })
	Must(t, os.Chmod(folder, 0o755))
	return folder
}

// Python is the path of the interpreter that fapws was built for (PYTHON in the output of `build.sh env`).
var Python = cmp.Or(os.Getenv("PYTHON"), "/usr/bin/python3")

// NeedModule checks that Python finds the module. If not, the test fails with Debian's Python, because Debian has
// packages of all modules that tests need. With another Python, the test is skipped.
func NeedModule(t *testing.T, module string) {
	t.Helper()
	find := exec.Command(Python, "-c", "import importlib.util as u; raise SystemExit(not u.find_spec('"+module+"'))")
	find.Dir = "/" // a test's directory may have the name of a module
	if find.Run() == nil {
		return
	}
	Needf(t, !strings.HasPrefix(Python, "/usr/bin/"), "%s has no %s\nsudo apt-get install python3-%[2]s", Python, module)
	t.Skipf("%s has no %s", Python, module)
}

// Today returns build/today, the virtual environment with the packages of scripts/today.txt. If build/today is missing,
// the test fails with the system's Python, and is skipped with another Python.
func Today(t *testing.T) string {
	t.Helper()
	venv, err := filepath.Abs(Repository + "/build/today")
	Must(t, err)
	if _, err := os.Stat(venv + "/installed.txt"); err != nil {
		Needf(t, !strings.HasPrefix(Python, "/usr/bin/"), "%v\n./build.sh today", err)
		t.Skipf("%s is not the system's: build/today has no packages for it", Python)
	}
	return venv
}
