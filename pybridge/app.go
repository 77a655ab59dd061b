package pybridge

// #cgo pkg-config: python3
// #cgo CFLAGS: -std=gnu11 -fno-strict-aliasing
// /* Files above 2 GiB, and times after 2038. */
// #cgo 386 arm CFLAGS: -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64
// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// interpreter is the Python that fapws was built for; build.sh sets it. Its
// prefix decides where the standard library is found.
var interpreter = ""

// otherPython tells users how to have fapws for another Python, %s.
var otherPython = "build fapws with ./build.sh --python %s build"

// program is the file of this program, beside which package fapws lies.
var program string

// RunFrom says what file the program is. If that is a library in the process of a Python, python is the path of that, else "". It must be
// called first.
func RunFrom(file, python string) {
	program = file
	if python != "" {
		interpreter, otherPython = python, "install fapws there: %s -m pip install fapws"
	}
}

// Options are the arguments of Load.
type Options struct {
	// Apps are the applications, at least one. They share an interpreter and are loaded in this order. Only the first one may
	// be run as __main__, and it decides sys.argv[0].
	//
	// Each has its directory first on sys.path while it is loaded, and a separate name in sys.modules, even if two scripts are
	// called app.py. Two applications that import a module of the same name get the same module: if models.py lies beside each
	// of two scripts, both get the one that was imported first. Such modules belong in packages with different names, or in
	// separate servers.
	Apps []Application

	Args []string // sys.argv[1:]
	// Globals are the names of globals that Content.Settings has.
	Globals []string
	Path    []string // directories on sys.path after the script's
	// Venv is the directory of a virtual environment; "": the packages of the Python that fapws was built for.
	Venv string
	Dev  bool // for a developer: Django serves the static files of its applications itself
	Fork bool // a process for each request serves them, by ServeForks
	// Failed, if not nil, is called on the thread of Load with its error, before Python is finalized, which waits for the threads
	// of the script. Its Contents are empty, or have the globals of the first application, whose PATHS are wrong.
	Failed func(error, *Contents)
}

// Application names an application or a script with PATHS. Equal ones are loaded once and have the same mounts; several objects
// of a script or module may be served.
type Application struct {
	Script string // path of the script, as the user gave it; "" when Module is given
	Module string // dotted name of a module to import
	// Folder is the directory where Module is searched first; "": the current one.
	Folder string
	// Import imports the script as a module with its stem as name; otherwise the script is run as __main__. All applications
	// but the first are always imported.
	Import    bool
	Object    string // "name.attribute" to serve; "" looks for PATHS, application and app
	Interface string // "paths", "wsgi" and "asgi" allow nothing else; "" and "auto" do
	Factory   bool   // the object is a function that returns the one to serve
}

// name returns the name in messages of a process with one application.
func (a *Application) name() string {
	if a.Script != "" {
		return filepath.Base(a.Script)
	}
	return a.Module
}

// fullName returns the name in messages of a process with several applications.
func (a *Application) fullName() string {
	name := cmp.Or(a.Script, a.Module)
	if a.Object != "" {
		name += ":" + a.Object
	}
	return name
}

// ExitError is the error of user code that failed while it was loaded: it raised an exception, whose traceback is on stderr, or
// called sys.exit.
type ExitError struct {
	Code int    // the exit status of python3
	Line string // "FILE:LINE: REASON", perhaps with "; NEXT STEP"; "" if not known
}

// Error implements error.
func (e *ExitError) Error() string { return fmt.Sprintf("the script exited with status %d", e.Code) }

// App has the loaded applications.
type App struct {
	Contents
	loaded  []*Content // the different ones of Apps
	mounts  []Mount    // of all of them, by Mount.Index
	mode    poolMode
	handler *Handler // after Start
	stop    chan int // inline: ends Serve
}

// Load starts Python on the calling OS thread, which must be locked and becomes Python's main thread, and runs or imports each
// application. It must be called once.
//
// The error is an *ExitError if user code failed, else one line for the user with the application. Python is finalized then.
func Load(o Options) (*App, error) {
	paths := make([]string, len(o.Apps))
	for i, app := range o.Apps {
		if app.Script == "" {
			continue
		}
		err := readable(app.Script)
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", app.Script, err)
		}
		if paths[i], err = absolute(app.Script); err != nil {
			return nil, err
		}
	}
	system.OpenPoll()
	watchGoCrash()
	if err := start(o); err != nil {
		return nil, err
	}
	a := &App{stop: make(chan int, 1), mode: threaded{}}
	if err := a.load(o, paths); err != nil {
		if o.Failed != nil {
			o.Failed(err, &a.Contents)
		}
		C.core_finish()
		return nil, err
	}
	C.core_crash_watch(nil)
	C.core_release_gil()
	return a, nil
}

// load fills a.loaded and a.mounts; paths are the absolute paths of the scripts. Main thread, GIL held.
func (a *App) load(o Options, paths []string) error {
	if err := checkPackage(); err != nil {
		return err
	}
	if o.Fork {
		if _, err := callPackage("_exits", "watch"); err != nil {
			return err
		}
	}
	known := map[Application]*Content{}
	seen := map[string]int{}
	for i, app := range o.Apps {
		if app.Script != "" {
			app.Script = place(paths[i]) // two hosts may have different paths of the same script
		}
		found := known[app]
		if found == nil {
			watchLoading(o.Apps[i].fullName())
			var err error
			if found, err = a.find(o, i, paths); err != nil {
				if i == 0 && found.globals != nil {
					found.readSettings(o.Globals)
					a.Apps = append(a.Apps, Content{Settings: found.Settings})
				}
				return err
			}
			found.finish(o.Globals, len(a.mounts))
			placeMounts(found.Table, o.Apps[i].fullName(), seen)
			a.mounts = append(a.mounts, found.Table...)
			known[app] = found
			a.loaded = append(a.loaded, found)
		}
		a.Apps = append(a.Apps, *found)
	}
	return nil
}

// readable returns an error if a script cannot be read.
func readable(path string) error {
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		var st os.FileInfo
		if st, err = f.Stat(); err == nil && st.IsDir() {
			return unix.EISDIR
		}
	}
	return errors.Unwrap(err)
}

// absolute returns the path that Python stores in __file__: unlike filepath.Abs it keeps "..", which after a symbolic link is not
// the directory before it, and does not use $PWD.
func absolute(path string) (string, error) {
	if filepath.IsAbs(path) {
		return path, nil
	}
	folder, err := unix.Getwd()
	return strings.TrimSuffix(folder, "/") + "/" + path, err
}

// place follows the links of path's directory.
func place(path string) string {
	return filepath.Join(system.RealPath(filepath.Dir(path)), filepath.Base(path))
}

func start(o Options) error {
	arena := &cArena{}
	defer arena.free()
	folders := make([]string, len(o.Path))
	for i, folder := range o.Path {
		var err error
		if folders[i], err = absolute(folder); err != nil {
			return err
		}
	}
	executable, home, err := findInterpreter(o.Venv)
	if err != nil {
		return err
	}
	args := C.core_start_options{
		script:     arena.str(cmp.Or(o.Apps[0].Script, o.Apps[0].Module)),
		executable: arena.str(executable),
		home:       arena.str(home),
		contrib:    arena.str(contrib()),
		argc:       C.int(len(o.Args)),
		argv:       arena.strs(o.Args),
		folders:    C.int(len(folders)),
		path:       arena.strs(folders),
	}
	keepZone()
	var why *C.char
	if C.live_start_python(&args, &why) != 0 {
		return fmt.Errorf("cannot start Python %s: %s", Version(), C.GoString(why))
	}
	return nil
}

// Serve runs Python thread 0 on the thread of Load until Stop, and returns -1, or until a signal handler of the script calls
// sys.exit, and returns its status. In inline mode, where the event loop runs Python, it only waits, on any thread.
func (a *App) Serve() int {
	return a.mode.serve(a)
}

// Stop ends Serve and the other Python threads, and returns the number of threads that still run after a second. It is safe for
// concurrent use.
func (a *App) Stop() int {
	return a.mode.stop(a)
}

func (a *App) exit(code int) {
	select {
	case a.stop <- code:
	default: // there is a code already
	}
}

// Close runs the queued jobs of inline mode, waits for threads of the script, runs its atexit functions and finalizes Python. It returns
// the exit status: 0, or 120 if output could not be flushed. It must be called once, on the thread of Load.
func (a *App) Close() int {
	if a.handler != nil {
		a.handler.gilCalls.Close()
	}
	a.mode.finish()
	C.core_take_gil()
	if C.core_finish() < 0 {
		return 120
	}
	return 0
}

// RunAtexit runs the atexit functions if the thread of Load is stuck in a handler. It may be called on any thread, and blocks as
// long as they do.
func (a *App) RunAtexit() { C.core_run_atexit() }

// Executing returns the place of the code that Python's main thread executes, "FILE:LINE FUNCTION", or "". It waits for the GIL, and may
// be called on any goroutine while Load runs.
func Executing() string {
	place := C.core_executing()
	defer C.free(unsafe.Pointer(place))
	return C.GoString(place)
}

// Version is Python's version, such as "3.11.2", or "3.14.0t" of a free-threaded Python.
func Version() string { return C.GoString(C.core_python_version()) }

// cArena has C strings in structs of C, for the duration of a call.
type cArena struct{ runtime.Pinner }

// str returns s as a C string, nil for "".
func (a *cArena) str(s string) *C.char {
	p := cString(s)
	if p != nil {
		a.Pin(p)
	}
	return p
}

func (a *cArena) strs(list []string) **C.char {
	all := make([]*C.char, len(list)+1)
	for i, s := range list {
		all[i] = bytesOf(s + "\x00")
		a.Pin(all[i])
	}
	a.Pin(&all[0])
	return &all[0]
}

func (a *cArena) free() { a.Unpin() }

// cString returns s as a C string, nil for "", for a call that does not keep it.
func cString(s string) *C.char {
	if s == "" {
		return nil
	}
	return bytesOf(s + "\x00")
}

// bytesOf returns the address of a text, for a call that does not keep it.
func bytesOf(text string) *C.char { return (*C.char)(unsafe.Pointer(unsafe.StringData(text))) }

// CheckVenv returns an error of one line if a directory is not a virtual environment
// for the Python that fapws links. It is safe for concurrent use.
func CheckVenv(venv string) error {
	_, _, err := findInterpreter(venv)
	return err
}

// findInterpreter returns the Python whose packages are used, of the virtual environment or the one that fapws links, and its
// prefix: home is "" if Python finds it itself.
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
		return "", "", fmt.Errorf("%s is not a virtual environment: pyvenv.cfg not found; create one with python%s -m venv %s", venv, minor(Version()), venv)
	}
	executable = venvPython(folder)
	if theirs := venvVersion(folder, string(text)); theirs != "" && minor(theirs) != minor(Version()) {
		return "", "", fmt.Errorf("virtual environment %s has Python %s, and this fapws Python %s (%s): create one with python%s -m venv DIR, or "+otherPython,
			venv, theirs, Version(), C.GoString(C.core_library()), minor(Version()), executable)
	}
	return executable, ownHome(string(text)), nil
}

// ownHome returns the prefix of the Python that fapws links if the environment
// was made by another one. Python would take that one's standard library, whose
// extension modules may not fit: another bugfix release has other functions in it.
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
		return "" // its standard library is elsewhere
	}
	return prefix
}

func venvPython(folder string) string {
	for _, name := range []string{"python3", "python"} {
		if exe := filepath.Join(folder, "bin", name); isFile(exe) {
			return exe
		}
	}
	return filepath.Join(folder, "bin", "python3") // Python only uses its directory
}

// venvVersion returns the version of the environment's Python by its pyvenv.cfg or its directories, or "". A free-threaded Python has the
// same version, to which "t" is appended here; only the directory of its packages tells.
func venvVersion(folder, cfg string) string {
	lib := filepath.Join(folder, "lib", "python")
	line := regexp.MustCompile(`(?m)^\s*version(?:_info)?\s*=\s*(\d+\.\d+(?:\.\d+)?)`) // virtualenv and uv write version_info
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

// minor is "3.11" for "3.11.2", and "3.14t" for "3.14.0t".
func minor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) == 3 && strings.HasSuffix(parts[2], "t") {
		parts[1] += "t"
	}
	return strings.Join(parts[:2], ".")
}
