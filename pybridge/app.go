package pybridge

// #cgo pkg-config: python3
// #cgo CFLAGS: -std=gnu11 -fno-strict-aliasing
// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	python3 "github.com/go-python/cpy3"
	"golang.org/x/sys/unix"
)

// interpreter is the Python that fapws was built for; build.sh sets it. Its
// prefix decides where the standard library is found.
var interpreter = ""

// Options says what to load.
type Options struct {
	Script string // path of the script, as the user gave it; "" when Module is given
	Module string // dotted name of a module to import
	// Import makes a module of the script, called by its stem; otherwise it is
	// run as __main__.
	Import    bool
	Object    string // "name.attribute" to serve; "" looks for PATHS, application and app
	Interface string // "paths" or "wsgi" allow nothing else; "" and "auto" do
	Factory   bool   // the object is a function that returns the one to serve

	Args []string // sys.argv[1:]
	// Globals are the names of the script's globals that Global can be asked for.
	Globals []string
	Path    []string // folders that go first on sys.path, behind the script's
	// Venv is the folder of the virtual environment whose packages count; "":
	// those of the Python that fapws was built for.
	Venv string
}

// name is what messages call what is loaded.
func (o *Options) name() string {
	if o.Script != "" {
		return filepath.Base(o.Script)
	}
	return o.Module
}

// ExitError says that the script ended the program: it raised (its traceback
// is on stderr) or called sys.exit. Code is the exit status of the process.
type ExitError struct{ Code int }

func (e *ExitError) Error() string { return fmt.Sprintf("the script ended with status %d", e.Code) }

// App is a loaded application.
type App struct {
	space   *python3.PyObject // the globals of the application
	globals map[string]Value  // a copy of those that are settings
	mounts  []Mount
	served  string
	object  string
	inline  bool
	handler *Handler // after Start
	stop    chan int // inline: ends Serve
}

// Load starts Python on the calling OS thread, which must be locked and
// becomes Python's main thread, runs the script or imports the module, and
// reads what is to be served, and its globals. Once per process.
//
// The error is an *ExitError when the script ended the program, and else one
// line for the user. Python is finalised then.
func Load(o Options) (*App, error) {
	path := ""
	if o.Script != "" {
		err := readable(o.Script)
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", o.Script, err)
		}
		if path, err = absolute(o.Script); err != nil {
			return nil, err
		}
	}
	if err := start(o); err != nil {
		return nil, err
	}
	found, err := find(o, path)
	if err != nil {
		status := int(C.fapws_finish())
		if exit := (*ExitError)(nil); errors.As(err, &exit) && exit.Code == 0 && status < 0 {
			exit.Code = 120 // as python3 when stdout cannot be flushed
		}
		return nil, err
	}
	a := &App{globals: map[string]Value{}, stop: make(chan int, 1), mounts: found.mounts,
		served: found.served, object: found.object, space: found.globals}
	a.readGlobals(found.globals, o.Globals)
	if C.fapws_use_classes(unsafe.Pointer(found.globals)) != 0 {
		markPlain(a.mounts)
	}
	C.fapws_release_gil()
	return a, nil
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
	argv0 := o.Script
	if argv0 == "" {
		argv0 = o.Module
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

// readGlobals copies those of the names that the script has set.
func (a *App) readGlobals(globals *python3.PyObject, names []string) {
	for _, name := range names {
		if o := python3.PyDict_GetItemString(globals, name); o != nil {
			a.globals[name] = valueOf(o, 0)
		}
	}
}

// Global returns the script's global name, one of Options.Globals. Any goroutine.
func (a *App) Global(name string) (Value, bool) {
	v, ok := a.globals[name]
	return v, ok
}

// Mounts returns PATHS, in its order, or the one application. Any goroutine.
func (a *App) Mounts() []Mount { return a.mounts }

// Served says what was found: "PATHS, 3 entries" or "WSGI app:application".
// Any goroutine.
func (a *App) Served() string { return a.served }

// Object says what the one application is, "flask.app.Flask" or
// "module.function"; "" with PATHS. Any goroutine.
func (a *App) Object() string { return a.object }

// Serve runs Python thread 0 on the thread of Load until Stop, and returns -1;
// or until a signal handler of the script calls sys.exit, and returns its
// status. In inline mode, where the loop runs Python, it only waits, on any
// thread.
func (a *App) Serve() int {
	if a.inline {
		return <-a.stop
	}
	return int(C.fapws_serve())
}

// Stop ends Serve and the other Python threads, and returns how many are still
// in a handler after a second. Any goroutine.
func (a *App) Stop() int {
	if a.inline {
		a.exit(-1)
		return 0
	}
	return int(C.fapws_pool_stop(1000))
}

func (a *App) exit(code int) {
	select {
	case a.stop <- code:
	default: // somebody asked before
	}
}

// Close waits for the script's own threads, runs its atexit functions and
// finalises Python. It returns the exit status: 0, or 120 if output could not
// be flushed. On the thread of Load, once.
func (a *App) Close() int {
	if a.handler != nil {
		a.handler.sight.close()
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
