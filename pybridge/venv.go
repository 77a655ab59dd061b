package pybridge

// #include "shim.h"
import "C"

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
)

// findInterpreter returns the Python whose packages are used, of the virtual environment or the one that fapws links, and its
// prefix: home is "" if Python finds it itself.
func findInterpreter(venv string) (executable, home string, err error) {
	if venv == "" {
		return interpreter, "", nil
	}
	folder, cfg, err := readVenv(venv)
	if err != nil {
		return "", "", err
	}
	return venvPython(folder), ownHome(cfg), nil
}

// CheckVenv returns an error of one line if a directory is not a virtual environment
// for the Python that fapws links. It is safe for concurrent use.
func CheckVenv(venv string) error {
	_, _, err := readVenv(venv)
	return err
}

// readVenv returns the absolute path and the pyvenv.cfg of a virtual environment.
func readVenv(venv string) (folder, cfg string, err error) {
	if folder, err = filepath.Abs(venv); err != nil {
		return "", "", err
	}
	text, err := os.ReadFile(filepath.Join(folder, "pyvenv.cfg"))
	if err != nil {
		return "", "", fmt.Errorf("%s is not a virtual environment: pyvenv.cfg not found; create one with python%s -m venv %s", venv, minor(Version()), venv)
	}
	if theirs := venvVersion(folder, string(text)); theirs != "" && minor(theirs) != minor(Version()) {
		return "", "", fmt.Errorf("virtual environment %s has Python %s, and this fapws Python %s (%s): create one with python%s -m venv DIR, or "+otherPython,
			venv, theirs, Version(), C.GoString(C.core_library()), minor(Version()), venvPython(folder))
	}
	return folder, string(text), nil
}

var venvHomeLine = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?m)^\s*home\s*=\s*(.*?)\s*$`) })

// ownHome returns the prefix of the Python that fapws links if the environment
// was made by another one. Python would take that one's standard library, whose
// extension modules may not fit: another bugfix release has other functions in it.
func ownHome(cfg string) string {
	m := venvHomeLine().FindStringSubmatch(cfg)
	if m == nil || interpreter == "" {
		return ""
	}
	own := filepath.Dir(interpreter)
	if realPath(own) == realPath(m[1]) {
		return ""
	}
	prefix := filepath.Dir(own)
	if !isFile(filepath.Join(prefix, "lib", "python"+minor(Version()), "os.py")) {
		return "" // its standard library is elsewhere
	}
	return prefix
}

// realPath follows the links of path, if it exists.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

func venvPython(folder string) string {
	for _, name := range []string{"python3", "python"} {
		if exe := filepath.Join(folder, "bin", name); isFile(exe) {
			return exe
		}
	}
	return filepath.Join(folder, "bin", "python3") // Python only uses its directory
}

// virtualenv and uv write version_info.
var venvVersionLine = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?m)^\s*version(?:_info)?\s*=\s*(\d+\.\d+(?:\.\d+)?)`)
})

// venvVersion returns the version of the environment's Python by its pyvenv.cfg or its directories, or "".
func venvVersion(folder, cfg string) string {
	if m := venvVersionLine().FindStringSubmatch(cfg); m != nil {
		return m[1] + venvFlavour(folder, minor(m[1]))
	}
	found, _ := filepath.Glob(filepath.Join(folder, "lib", "python3.*", "site-packages"))
	if len(found) != 1 {
		return ""
	}
	return strings.TrimPrefix(filepath.Base(filepath.Dir(found[0])), "python")
}

// venvFlavour returns "t" if an environment is for a free-threaded Python, whose version is the same. Only the directory of its
// packages tells.
func venvFlavour(folder, minor string) string {
	packages := filepath.Join(folder, "lib", "python"+minor)
	_, plain := os.Stat(packages)
	_, free := os.Stat(packages + "t")
	if free == nil || plain != nil && strings.HasSuffix(Version(), "t") {
		return "t"
	}
	return ""
}

// minor is "3.11" for "3.11.2", and "3.14t" for "3.14.0t".
func minor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) == 3 && strings.HasSuffix(parts[2], "t") {
		parts[1] += "t"
	}
	return strings.Join(parts[:2], ".")
}
