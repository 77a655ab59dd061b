package fapwstest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// CopyOfProgram puts a copy of fapws where a test may replace it, beside a copy
// of its Python package.
func CopyOfProgram(t *testing.T) string {
	t.Helper()
	folder, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	folder += "/a copy" // the dynamic loader separates libraries at spaces
	Must(t, os.Mkdir(folder, 0o755))
	Must(t, copyProgram(Binary(t), folder))
	return folder + "/build/fapws"
}

// ReplaceProgram replaces the image of the program at by that of another one, as an installation does.
func ReplaceProgram(t *testing.T, at, with string) {
	t.Helper()
	Must(t, copyFile(Image(at), Image(with)))
}

// startsCopy is the command of a copied wheel. It has the copied package in the place of the installed one.
const startsCopy = `#!%s
import os, sys
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + "/contrib")
from fapws.__main__ import main
main()
`

// Image returns the file with the code of a program: the executable, or the library of a wheel, of which the program is the command.
func Image(program string) string {
	if !isScript(program) {
		return program // an editable installation leaves its library beside the package
	}
	for _, packages := range []string{"contrib", "lib/python3*/site-packages"} {
		found, _ := filepath.Glob(filepath.Join(filepath.Dir(program), "..", packages, "fapws/libfapws.so"))
		if len(found) == 1 {
			return found[0]
		}
	}
	return program
}

// isScript reports whether a program is text for an interpreter.
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

// IsWheel reports whether the program under test is the command of a wheel.
func IsWheel(t *testing.T) bool { return Image(Binary(t)) != Binary(t) }

// InstalledPython returns the interpreter whose packages scripts see: for a wheel, that of its virtual environment.
func InstalledPython(t *testing.T) string {
	t.Helper()
	if IsWheel(t) {
		return filepath.Dir(Binary(t)) + "/python"
	}
	return Python
}

// Maps reports whether the server has mapped the image of program, which was not replaced since.
func (s *Server) Maps(program string) bool {
	s.T.Helper()
	return strings.Contains(Read(s.T, s.Proc("maps")), " "+Image(program)+"\n")
}

// copyProgram copies a program to folder/build, and its Python package to folder/contrib, readable by every user.
func copyProgram(program, folder string) error {
	if err := os.Mkdir(folder+"/build", 0o755); err != nil {
		return err
	}
	if err := copyForAll(folder+"/contrib", os.DirFS(Repository+"/contrib")); err != nil {
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

// writeProgram puts a file in the place of another one. No child that is being forked keeps it open for writing: see Write.
func writeProgram(to string, text []byte) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(to+".new", text, 0o755); err != nil {
		return err
	}
	return os.Rename(to+".new", to)
}

// Refusing is a Command.Shell that has the system refuse system calls: "NUMBER=ERRNO", or "NUMBER:ARGUMENT=ERRNO" for those
// with that first argument.
func Refusing(t *testing.T, calls ...string) string {
	t.Helper()
	return "set -- " + Python + " " + Testdata(t, "refuse.py") + " " + strings.Join(calls, " ") + ` "$@"`
}
