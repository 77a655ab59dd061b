package pybridge

// #include "shim.h"
import "C"

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"fapws/runtime/system"
)

// FindPython returns the path of the Python of the virtual environment in the directory venv or, if venv is "", of the
// Python to which fapws is linked. The error, of one line, reports that venv is not a virtual environment for this
// Python. FindPython is safe for concurrent use.
func FindPython(venv string) (executable string, err error) {
	executable, _, err = findInterpreter(venv)
	return executable, err
}

// findInterpreter returns the path of the Python executable whose packages are used. The executable belongs to the
// virtual environment or, if venv is "", to the linked Python. The result home is the prefix of Python, or "" if Python
// must find the prefix.
func findInterpreter(venv string) (executable, home string, err error) {
	if venv == "" {
		return interpreter, "", nil
	}
	folder, err := filepath.Abs(venv)
	if err != nil {
		return "", "", err
	}
	text, err := os.ReadFile(filepath.Join(folder, "pyvenv.cfg"))
	if err != nil {
		return "", "", fmt.Errorf("%s is not a virtual environment: pyvenv.cfg not found; create one with "+
			"python%s -m venv %s", venv, minor(Version()), venv)
	}
	executable = venvPython(folder)
	if theirs := venvVersion(folder, string(text)); theirs != "" && minor(theirs) != minor(Version()) {
		return "", "", fmt.Errorf("virtual environment %s has Python %s, and this fapws Python %s (%s): create one "+
			"with python%s -m venv DIR, or "+otherPython,
			venv, theirs, Version(), C.GoString(C.core_library()), minor(Version()), executable)
	}
	return executable, ownHome(string(text)), nil
}

// ownHome returns the prefix of the linked Python if a different Python has created the virtual environment, otherwise
// "". The parameter cfg is the text of pyvenv.cfg. Without the prefix, the linked Python would use the standard library
// of the different Python. If the different Python is an older bugfix release, its extension modules can lack functions
// that the linked Python needs.
func ownHome(cfg string) string {
	m := regexp.MustCompile(`(?m)^\s*home\s*=\s*(.*?)\s*$`).FindStringSubmatch(cfg)
	if m == nil || interpreter == "" {
		return ""
	}
	own := filepath.Dir(interpreter)
	if system.RealPath(own) == system.RealPath(m[1]) {
		return ""
	}
	prefix := filepath.Dir(own)
	if !isFile(filepath.Join(prefix, "lib", "python"+minor(Version()), "os.py")) {
		return "" // the standard library is not below the prefix
	}
	return prefix
}

func venvPython(folder string) string {
	for _, name := range []string{"python3", "python"} {
		if exe := filepath.Join(folder, "bin", name); isFile(exe) {
			return exe
		}
	}
	return filepath.Join(folder, "bin", "python3") // need not exist, because Python uses only the directory of the path
}

// venvVersion returns the version of Python in a virtual environment, according to its pyvenv.cfg or its directories,
// or "" if the version is unknown. The version of a free-threaded Python ends with "t". Only the name of the directory
// for packages shows this "t".
func venvVersion(folder, cfg string) string {
	lib := filepath.Join(folder, "lib", "python")
	// virtualenv and uv write version_info instead of version
	line := regexp.MustCompile(`(?m)^\s*version(?:_info)?\s*=\s*(\d+\.\d+(?:\.\d+)?)`)
	if m := line.FindStringSubmatch(cfg); m != nil {
		_, plain := os.Stat(lib + minor(m[1]))
		_, free := os.Stat(lib + minor(m[1]) + "t")
		if free == nil || plain != nil && strings.HasSuffix(Version(), "t") {
			return m[1] + "t"
		}
		return m[1]
	}
	found, _ := filepath.Glob(lib + "3.*/site-packages")
	if len(found) != 1 {
		return ""
	}
	return strings.TrimPrefix(filepath.Base(filepath.Dir(found[0])), "python")
}

func minor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) == 3 && strings.HasSuffix(parts[2], "t") {
		parts[1] += "t"
	}
	return strings.Join(parts[:2], ".")
}
