package plan

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
)

// readScript returns the source of the script, to be looked at before Python
// runs it.
func readScript(name string) ([]byte, error) {
	source, err := os.ReadFile(name)
	if err == nil {
		return source, nil
	}
	var errno syscall.Errno
	errors.As(err, &errno)
	if module, ok := packageOf(name); ok {
		return nil, process.ExitUsage(fmt.Errorf("%s is a package, which Python knows by its name: type fapws %s", name, module))
	}
	hint := ""
	place, object, colon := strings.Cut(name, ":")
	switch near := nearFile(name); {
	case errno != syscall.ENOENT:
	case !strings.ContainsAny(name, "/.:") && settings.UnknownWord(name, "") != "":
		return nil, process.ExitUsage(fmt.Errorf("%s is neither a command nor a file: %s", name, settings.UnknownWord(name, "")))
	case colon && object == "":
		hint = fmt.Sprintf("; name an object after %s:, or omit the colon", place)
	case colon && place == "":
		hint = "; name a script or module before " + name
	case colon:
		hint = fmt.Sprintf("; %s: must be followed by the name of an object, not %q", place, object)
	case near != "":
		hint = "; did you mean " + near + "?"
	}
	if hint == "" {
		return nil, process.ExitNotStarted("cannot read %v", err)
	}
	return nil, process.ExitNotStarted("cannot read %s: %v%s", name, process.ExitReason(err), hint)
}

// packageOf returns the arguments of fapws for the package whose directory is name: "pkg", or "-C DIR pkg".
func packageOf(name string) (args string, ok bool) {
	if !IsFile(filepath.Join(name, "__init__.py")) {
		return "", false
	}
	name = filepath.Clean(name)
	if !strings.ContainsRune(name, '/') {
		return name, true
	}
	return "-C " + filepath.Dir(name) + " " + filepath.Base(name), true
}

// nearFile returns the script in the directory of name that was probably meant by it,
// written as name is, or "".
func nearFile(name string) string {
	folder, base := filepath.Split(name)
	scripts, _ := filepath.Glob(filepath.Join(folder, "*.py"))
	for i := range scripts {
		scripts[i] = filepath.Base(scripts[i])
	}
	if near := settings.Nearest(base, scripts); near != "" {
		return folder + near
	}
	return ""
}
