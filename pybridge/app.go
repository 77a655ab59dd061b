package pybridge

// #cgo pkg-config: python3
// #cgo CFLAGS: -std=gnu11 -fno-strict-aliasing
// #include <stdlib.h>
// #include "shim.h"
// #include "shim_process.h"
import "C"

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"fapws/runtime/descriptors"
)

// interpreter is the Python that fapws was built for; build.sh sets it. Its
// prefix decides where the standard library is found.
var interpreter = ""

// Options says what to load.
type Options struct {
	// Apps are the applications, at least one. They live in one interpreter and
	// are loaded in this order. The first is the one that the process is about:
	// only it may be run as __main__, and it gives sys.argv[0].
	//
	// Each has its own folder first on sys.path while it is loaded, and a name of
	// its own in sys.modules also when two scripts are called app.py. What two
	// applications import under one name is one module, though: a models.py beside
	// each of two scripts is found once, for who imports it first. Such siblings
	// belong into packages with different names, or into servers of their own.
	Apps []Application

	Args []string // sys.argv[1:]
	// Globals are the names of the script's globals that Global can be asked for.
	Globals []string
	Path    []string // folders that go first on sys.path, behind the script's
	// Venv is the folder of the virtual environment whose packages count; "":
	// those of the Python that fapws was built for.
	Venv string
	// Failed, if not nil, is called with the error of Load before Python is finalised,
	// which waits for the threads of the script. On the thread of Load.
	Failed func(error)
}

// Application names one WSGI application or script with PATHS. Two that are equal
// are loaded once, and have the same mounts; of one script or module, several
// objects may be served.
type Application struct {
	Script string // path of the script, as the user gave it; "" when Module is given
	Module string // dotted name of a module to import
	// Folder is where Module is looked for first; "": the current one.
	Folder string
	// Import makes a module of the script, called by its stem; otherwise it is
	// run as __main__. Other applications than the first are always imported.
	Import    bool
	Object    string // "name.attribute" to serve; "" looks for PATHS, application and app
	Interface string // "paths", "wsgi" and "asgi" allow nothing else; "" and "auto" do
	Factory   bool   // the object is a function that returns the one to serve
}

// name is what messages call an application when there is no other.
func (a *Application) name() string {
	if a.Script != "" {
		return filepath.Base(a.Script)
	}
	return a.Module
}

// fullName is what messages call it when there are others.
func (a *Application) fullName() string {
	name := a.Module
	if a.Script != "" {
		name = a.Script
	}
	if a.Object != "" {
		name += ":" + a.Object
	}
	return name
}

// ExitError says that code of the user failed while it was loaded: it raised (its
// traceback is on stderr) or called sys.exit.
type ExitError struct {
	Code int    // the exit status of python3
	Line string // "FILE:LINE: REASON", perhaps with "; NEXT STEP"; "" where that is not known
}

// Error implements error.
func (e *ExitError) Error() string { return fmt.Sprintf("the script ended with status %d", e.Code) }

// App is the loaded applications.
type App struct {
	Contents
	loaded  []*loadResult // by the index of Options.Apps
	mounts  []Mount       // of all of them, by Mount.Index
	mode    poolMode
	handler *Handler // after Start
	stop    chan int // inline: ends Serve
}

// Load starts Python on the calling OS thread, which must be locked and
// becomes Python's main thread, runs the script or imports the module of each
// application, and reads what is to be served, and its globals. Once per process.
//
// The error is an *ExitError when a script ended the program, and else one line
// for the user, which names the application. Python is finalised then.
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
	descriptors.OpenPoll()
	watchGoCrash()
	descriptors.KeepAll()
	C.fapws_descriptors((*C.uint64_t)(descriptors.Table()), descriptors.Max)
	if err := start(o); err != nil {
		return nil, err
	}
	a := &App{stop: make(chan int, 1), mode: threaded{}}
	if err := a.load(o, paths); err != nil {
		if o.Failed != nil {
			o.Failed(err)
		}
		C.fapws_finish()
		return nil, err
	}
	C.fapws_crash_watch(nil)
	C.fapws_release_gil()
	return a, nil
}

// load fills a.loaded and a.mounts; paths are the absolute ones of the scripts.
// Main thread, GIL held.
func (a *App) load(o Options, paths []string) error {
	known := map[Application]*loadResult{}
	seen := map[string]int{}
	for i, app := range o.Apps {
		if app.Script != "" {
			app.Script = place(paths[i]) // two hosts may write it in two ways
		}
		found := known[app]
		if found == nil {
			watchLoading(o.Apps[i].fullName())
			var err error
			if found, err = a.find(o, i, paths); err != nil {
				return err
			}
			found.finish(o.Globals, len(a.mounts))
			placeMounts(found.mounts, o.Apps[i].fullName(), seen)
			a.mounts = append(a.mounts, found.mounts...)
			known[app] = found
		}
		a.loaded = append(a.loaded, found)
		a.Apps = append(a.Apps, Content{Settings: found.settings, Table: found.mounts, What: found.served, Class: found.object})
	}
	return nil
}

// readable says what is wrong with a script before Python starts.
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

// absolute is filepath.Abs as Python does it for __file__: it keeps "..", which
// behind a symbolic link does not mean what the text says, and asks the kernel
// for the folder, not $PWD.
func absolute(path string) (string, error) {
	if filepath.IsAbs(path) {
		return path, nil
	}
	folder, err := unix.Getwd()
	return strings.TrimSuffix(folder, "/") + "/" + path, err
}

// place is path with the links of its folder followed: one for each file.
func place(path string) string {
	if folder, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(folder, filepath.Base(path))
	}
	return path
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
	argv0 := o.Apps[0].Script
	if argv0 == "" {
		argv0 = o.Apps[0].Module
	}
	args := C.fapws_start_options{
		script:     arena.str(argv0),
		executable: arena.str(executable),
		home:       arena.str(home),
		contrib:    arena.str(findContrib()),
		argc:       C.int(len(o.Args)),
		argv:       arena.strs(o.Args),
		folders:    C.int(len(folders)),
		path:       arena.strs(folders),
	}
	var why *C.char
	if C.fapws_start(&args, &why) != 0 {
		return fmt.Errorf("cannot start Python %s: %s", Version(), C.GoString(why))
	}
	return nil
}

// Serve runs Python thread 0 on the thread of Load until Stop, and returns -1;
// or until a signal handler of the script calls sys.exit, and returns its
// status. In inline mode, where the loop runs Python, it only waits, on any
// thread.
func (a *App) Serve() int {
	return a.mode.serve(a)
}

// Stop ends Serve and the other Python threads, and returns how many are still
// in a handler after a second. Any goroutine.
func (a *App) Stop() int {
	return a.mode.stop(a)
}

func (a *App) exit(code int) {
	select {
	case a.stop <- code:
	default: // a code is there already
	}
}

// Close waits for the script's own threads, runs its atexit functions and
// finalises Python. It returns the exit status: 0, or 120 if output could not
// be flushed. On the thread of Load, once.
func (a *App) Close() int {
	if a.handler != nil {
		a.handler.gilCalls.Close()
	}
	C.fapws_take_gil()
	if C.fapws_finish() < 0 {
		return 120
	}
	return 0
}

// RunAtexit runs the atexit functions from any thread, for when the one of
// Load is stuck in a handler. It may block for as long as they do.
func (a *App) RunAtexit() { C.fapws_run_atexit() }

// Version is Python's version, such as "3.11.2".
func Version() string { return C.GoString(C.fapws_python_version()) }

// findContrib returns the folder of package fapws that belongs to this binary:
// beside the source tree's build folder, or where install puts it.
func findContrib() string {
	exe, err := os.Executable()
	if err != nil {
		return ""
	}
	if real, err := filepath.EvalSymlinks(exe); err == nil {
		exe = real
	}
	for _, folder := range []string{
		filepath.Join(exe, "../../lib/python"+minor(Version())+"/site-packages"),
		filepath.Join(exe, "../../contrib"),
		filepath.Join(exe, "../../../contrib"),
		filepath.Join(exe, "../../../../contrib"), // build/matrix/3.x/fapws
	} {
		if isFile(filepath.Join(folder, "fapws", "__init__.py")) {
			return folder
		}
	}
	return ""
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

// cArena holds C strings for the length of a call.
type cArena struct{ all []unsafe.Pointer }

// str returns s as a C string, nil for "".
func (a *cArena) str(s string) *C.char {
	if s == "" {
		return nil
	}
	p := C.CString(s)
	a.all = append(a.all, unsafe.Pointer(p))
	return p
}

func (a *cArena) strs(list []string) **C.char {
	size := C.size_t(len(list)+1) * C.size_t(unsafe.Sizeof(uintptr(0)))
	p := C.calloc(1, size)
	a.all = append(a.all, p)
	out := unsafe.Slice((**C.char)(p), len(list)+1)
	for i, s := range list {
		c := C.CString(s)
		a.all = append(a.all, unsafe.Pointer(c))
		out[i] = c
	}
	return (**C.char)(p)
}

func (a *cArena) free() {
	for _, p := range a.all {
		C.free(p)
	}
}
