package fapwstest

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Python is the path of the interpreter that fapws was built for (PYTHON in the output of `build.sh env`).
var Python = cmp.Or(os.Getenv("PYTHON"), "/usr/bin/python3")

// NeedModule checks that Python can import the module. If not, the test fails with Debian's Python, because Debian has
// packages of all modules that tests need. With another Python, the test is skipped.
func NeedModule(t *testing.T, module string) {
	t.Helper()
	ask := exec.Command(Python, "-c", "import "+module)
	ask.Dir = "/" // a test's directory may have the name of a module
	said, err := ask.CombinedOutput()
	if err == nil {
		return
	}
	if strings.HasPrefix(Python, "/usr/bin/") {
		t.Fatalf("%s\nsudo apt-get install python3-%s", said, module)
	}
	t.Skipf("%s has no %s", Python, module)
}

// Today returns build/today, the virtual environment with the packages of scripts/today.txt. If build/today is missing,
// the test fails with the system's Python, and is skipped with another Python.
func Today(t *testing.T) string {
	t.Helper()
	venv, err := filepath.Abs(Repository + "/build/today")
	Must(t, err)
	if _, err := os.Stat(venv + "/installed.txt"); err != nil {
		if strings.HasPrefix(Python, "/usr/bin/") {
			t.Fatalf("%v\n./build.sh today", err)
		}
		t.Skipf("%s is not the system's: build/today has no packages for it", Python)
	}
	return venv
}
