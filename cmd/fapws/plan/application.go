package plan

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
	"fapws/runtime/source/app"
	"fapws/runtime/system"
)

type SiteApplication struct {
	// the argument APP as on the command line; if APP is a script, its absolute path
	Name string
	At   settings.TOMLValue
}

func (a *SiteApplication) FromFile(v settings.TOMLValue) error {
	name, ok := v.Any.(string)
	if !ok || name == "" || strings.ContainsRune(name, 0) {
		return errors.New(`an application, such as "app.py" or "package.module:app"`)
	}
	place, object := settings.SplitApp(name)
	if strings.ContainsRune(place, '/') || strings.HasSuffix(place, ".py") {
		name = v.File.ResolveApp(place)
		if object != "" {
			name += ":" + object
		}
	}
	a.Name, a.At = name, v
	return nil
}

// Folder returns the directory that is searched for modules first: that of the setting chdir or of the configuration
// file, or "" if no configuration file names the application.
func (a *SiteApplication) Folder() string {
	if a.At.File == nil {
		return ""
	}
	return a.At.File.AppDir
}

func (a *SiteApplication) dir() string {
	if place, _ := settings.SplitApp(a.Name); isScript(place) {
		return filepath.Dir(place)
	}
	return cmp.Or(a.Folder(), ".")
}

type Application struct {
	pybridge.Application
	Source []byte
}

// findApplication resolves the argument APP. A name that ends in .py, contains a slash, or is an existing file is the
// path of a script. Every other name is a module. The directory folder is searched for the module first.
//
// factory is the setting because of which the object is a factory, or "".
func findApplication(word settings.Word, name, folder, factory string, conf settings.Config) (a Application, err error) {
	place, object := settings.SplitApp(name)
	a.Object, a.Interface, a.Factory, a.Import = object, conf.Interface, factory, true
	if what := settings.ForeignFile(word, place); what != "" {
		return a, process.ExitUsage(fmt.Errorf("%s is %s", place, what))
	}
	if isScript(place) {
		if ok, err := a.findInArchive(place); ok {
			return a, err
		}
		a.Script = place
		a.Source, err = readScript(place)
		// A script without PATHS must be imported, not run, because it may end with a call of app.run().
		a.Import = !a.HasPATHS()
		return a, err
	}
	a.Module = place
	a.Folder = folder
	a.Source = moduleSource(place, folder, conf.PythonPath)
	return a, nil
}

func isScript(place string) bool {
	if strings.HasSuffix(place, ".py") || !settings.IsDotted(place) {
		return true
	}
	st, err := os.Stat(place)
	if err != nil {
		return false
	}
	return !st.IsDir() || len(moduleSource(place, "", nil)) == 0 && !settings.IsFile(filepath.Join(place, "__init__.py"))
}

// isFolder reports whether name, from the command line, is a directory of files to serve. The result is false for a
// Python package, and for a directory next to a script with the same name.
func isFolder(name string) bool {
	st, err := os.Stat(name)
	if err != nil || !st.IsDir() {
		return false
	}
	if _, err := os.Stat(filepath.Join(name, "__init__.py")); err == nil {
		return false
	}
	_, err = os.Stat(name + ".py")
	return err != nil || strings.ContainsRune(name, '/')
}

// moduleSource returns the source of a module. It searches the directory first ("" means the current directory), and
// then the directories names. If only Python can find the module, the result is nil.
func moduleSource(name, first string, names []string) []byte {
	path := strings.ReplaceAll(name, ".", "/")
	for _, folder := range append([]string{first}, names...) {
		for _, file := range []string{path + "/__init__.py", path + ".py"} {
			if source, err := os.ReadFile(filepath.Join(folder, file)); err == nil {
				return source
			}
		}
	}
	return nil
}

// HasPATHS reports whether the application is the global variable PATHS of the script or module. This is the case if
// the source contains the name PATHS, APP names no object in the script or module, and the settings select neither a
// factory nor one of the interfaces WSGI and ASGI.
func (a *Application) HasPATHS() bool {
	return a.Object == "" && a.Factory == "" && a.Interface != "wsgi" && a.Interface != "asgi" && settings.HasWord(a.Source,
		"PATHS")
}

func readScript(name string) ([]byte, error) {
	source, err := os.ReadFile(name)
	if err == nil {
		return source, nil
	}
	errno, _ := errors.AsType[syscall.Errno](err)
	if module, ok := packageOf(name); ok {
		return nil, process.ExitUsage(fmt.Errorf("%s is a package, which Python knows by its name: type fapws %s", name,
			module))
	}
	hint := ""
	place, object, colon := strings.Cut(name, ":")
	target, _ := os.Readlink(name)
	switch near := nearFile(name); {
	case errno != syscall.ENOENT:
	case !strings.ContainsAny(name, "/.:") && settings.UnknownWord(name, "") != "":
		return nil, process.ExitUsage(fmt.Errorf("%s is neither a command nor a file: %s", name,
			settings.UnknownWord(name, "")))
	case strings.Contains(name, "://"):
		return nil, process.ExitUsage(fmt.Errorf("%s is an address, not an application: to listen on it, use --bind; to "+
			"forward requests to it, use proxy in fapws.toml, see fapws help site", name))
	case colon && place != "" && settings.IsDotted(object): // SplitApp has cut another object from the end
		hint = fmt.Sprintf("; name one object: %s:%s", place, object)
	case colon && object == "":
		hint = fmt.Sprintf("; name an object after %s:, or omit the colon", place)
	case colon && place == "":
		hint = "; name a script or module before " + name
	case colon:
		hint = fmt.Sprintf("; %s: must be followed by the name of an object, not %q", place, object)
	case target != "":
		hint = fmt.Sprintf("; it is a link to %s, which does not exist", target)
	case near != "":
		hint = "; did you mean " + near + "?"
	}
	if hint == "" {
		return nil, process.ExitNotStarted("cannot read %v", err)
	}
	return nil, process.ExitNotStarted("cannot read %s: %v%s", name, system.Cause(err), hint)
}

// packageOf returns the arguments that make fapws serve a Python package, "pkg" or "-C DIR pkg".
func packageOf(name string) (args string, ok bool) {
	if !settings.IsFile(filepath.Join(name, "__init__.py")) {
		return "", false
	}
	name = filepath.Clean(name)
	if !strings.ContainsRune(name, '/') {
		return name, true
	}
	return "-C " + filepath.Dir(name) + " " + filepath.Base(name), true
}

func nearFile(name string) string {
	folder, base := filepath.Split(name)
	scripts, _ := filepath.Glob(filepath.Join(folder, "*.py"))
	for i := range scripts {
		scripts[i] = filepath.Base(scripts[i])
	}
	if script := base + ".py"; slices.Contains(scripts, script) {
		return folder + script
	}
	if near := settings.Nearest(base, scripts); near != "" {
		return folder + near
	}
	return ""
}

var _ app.Interpreter = (*pybridge.Handler)(nil)
