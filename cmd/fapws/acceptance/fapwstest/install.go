package fapwstest

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"net/http/httptest"
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

// installed is a copy of the program that every user may read, because the files under test may
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
	folder := Try(os.MkdirTemp("", "fapws")).Must(t)
	t.Cleanup(func() { os.RemoveAll(folder) })
	Must(t, os.Chmod(folder, 0o755))
	return folder
}

// StartProgram starts a program that the test needs, and kills it at the end. If the test has failed, the output of the
// program is logged, unless the test reads the output itself.
func StartProgram(t *testing.T, program *exec.Cmd) {
	t.Helper()
	var said bytes.Buffer
	program.Stderr = &said
	if program.Stdout == nil {
		program.Stdout = &said
	}
	Must(t, program.Start())
	t.Cleanup(func() {
		_ = program.Process.Kill()
		_ = program.Wait()
		if t.Failed() {
			t.Logf("%s:\n%.6000s", program, said.String())
		}
	})
}

// Upstream serves handler until the end of the test.
func Upstream(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s
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
	venv := Try(filepath.Abs(Repository + "/build/today")).Must(t)
	if _, err := os.Stat(venv + "/installed.txt"); err != nil {
		Needf(t, !strings.HasPrefix(Python, "/usr/bin/"), "%v\n./build.sh today", err)
		t.Skipf("%s is not the system's: build/today has no packages for it", Python)
	}
	return venv
}

func CopyOfProgram(t *testing.T) string {
	t.Helper()
	folder := Try(filepath.EvalSymlinks(t.TempDir())).Must(t)
	folder += "/a copy" // with a space, because LD_PRELOAD is split at spaces
	Must(t, os.Mkdir(folder, 0o755))
	Must(t, copyProgram(Binary(t), folder))
	return folder + "/build/fapws"
}

func ReplaceProgram(t *testing.T, path, program string) {
	t.Helper()
	Must(t, copyFile(Image(path), Image(program)))
}

// startsCopy is the start script of a copied wheel. The script imports the copied package instead of the installed
// package.
const startsCopy = `#!%s
import os, sys
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + "/contrib")
from fapws.__main__ import main
main()
`

// Image returns the file with the machine code of a program. The file is program itself if it is an executable, or the
// shared library of the wheel if program is the wheel's start script.
func Image(program string) string {
	if !isScript(program) {
		return program
	}
	for _, packages := range []string{"contrib", "lib/python3*/site-packages"} {
		found, _ := filepath.Glob(filepath.Join(filepath.Dir(program), "..", packages, "fapws/libfapws.so"))
		if len(found) == 1 {
			return found[0]
		}
	}
	return program
}

func isScript(program string) bool {
	file, err := os.Open(program)
	if err != nil {
		return false
	}
	defer file.Close()
	mark := make([]byte, 2)
	_, err = file.Read(mark)
	return err == nil && string(mark) == "#!"
}

func IsWheel(t *testing.T) bool { return Image(Binary(t)) != Binary(t) }

// InstalledPython returns the Python interpreter that has the packages for scripts. For a wheel, this is the
// interpreter of its virtual environment.
func InstalledPython(t *testing.T) string {
	t.Helper()
	if IsWheel(t) {
		return filepath.Dir(Binary(t)) + "/python"
	}
	return Python
}

// Maps reports whether the server runs the file that is now at the path program, and not a file that was replaced.
func (s *Server) Maps(program string) bool {
	s.T.Helper()
	return strings.Contains(Read(s.T, s.Proc("maps")), " "+Image(program)+"\n")
}

// copyProgram copies the program to folder/build, readable by every user, and the package of a wheel to folder/contrib.
func copyProgram(program, folder string) error {
	if err := os.Mkdir(folder+"/build", 0o755); err != nil {
		return err
	}
	if image := Image(program); image != program {
		if err := os.CopyFS(folder+"/contrib", os.DirFS(Repository+"/contrib")); err != nil {
			return err
		}
		if err := copyFile(folder+"/contrib/fapws/libfapws.so", image); err != nil {
			return err
		}
		return writeProgram(folder+"/build/fapws", fmt.Appendf(nil, startsCopy, Python))
	}
	return copyFile(folder+"/build/fapws", program)
}

func copyFile(to, source string) error {
	text, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	return writeProgram(to, text)
}

// writeProgram creates the file so that no forked child has it open for writing (see Write).
func writeProgram(to string, text []byte) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(to+".new", text, 0o755); err != nil {
		return err
	}
	return os.Rename(to+".new", to)
}

// Refusing returns a value for Command.Shell that makes system calls of the server fail. Each element of calls is
// "NUMBER=ERRNO", or "NUMBER:ARGUMENT=ERRNO" for only those calls that have this first argument.
func Refusing(t *testing.T, calls ...string) string {
	t.Helper()
	return "set -- " + Python + " " + Testdata(t, "refuse.py") + " " + strings.Join(calls, " ") + ` "$@"`
}
