package fapwstest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func CopyOfProgram(t *testing.T) string {
	t.Helper()
	folder, err := filepath.EvalSymlinks(t.TempDir())
	Must(t, err)
	folder += "/a copy" // with a space, because LD_PRELOAD is split at spaces
	Must(t, os.Mkdir(folder, 0o755))
	Must(t, copyProgram(Binary(t), folder))
	return folder + "/build/fapws"
}

func ReplaceProgram(t *testing.T, at, with string) {
	t.Helper()
	Must(t, copyFile(Image(at), Image(with)))
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

// copyProgram copies the program and its package to folder/build and folder/contrib, readable by every user.
func copyProgram(program, folder string) error {
	if err := os.Mkdir(folder+"/build", 0o755); err != nil {
		return err
	}
	if err := os.CopyFS(folder+"/contrib", os.DirFS(Repository+"/contrib")); err != nil {
		return err
	}
	if image := Image(program); image != program {
		if err := copyFile(folder+"/contrib/fapws/libfapws.so", image); err != nil {
			return err
		}
		return writeProgram(folder+"/build/fapws", fmt.Appendf(nil, startsCopy, Python))
	}
	return copyFile(folder+"/build/fapws", program)
}

func copyFile(to, from string) error {
	text, err := os.ReadFile(from)
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
