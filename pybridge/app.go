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
	Script string   // path of the script, as the user gave it
	Args   []string // sys.argv[1:]
	// Globals are the names of the script's globals that Global can be asked for.
	Globals []string
	// Executable, when set, is the interpreter whose prefix and virtual
	// environment count; else VIRTUAL_ENV decides, then the one built for.
	Executable string
}

// ExitError says that the script ended the program: it raised (its traceback
// is on stderr) or called sys.exit. Code is the exit status of the process.
type ExitError struct{ Code int }

func (e *ExitError) Error() string { return fmt.Sprintf("the script ended with status %d", e.Code) }

// App is a loaded script.
type App struct {
	globals map[string]Value
	mounts  []Mount
	inline  bool
	handler *Handler // after Start
	stop    chan int // inline: ends Serve
}

// Load starts Python on the calling OS thread, which must be locked and
// becomes Python's main thread, runs the script as __main__ and reads its
// PATHS and globals. Once per process.
//
// The error is an *ExitError when the script ended the program, and else one
// line for the user. Python is finalised then.
func Load(o Options) (*App, error) {
	if err := readable(o.Script); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", o.Script, err)
	}
	path, err := absolute(o.Script)
	if err != nil {
		return nil, err
	}
	if err := start(o); err != nil {
		return nil, err
	}
	if code, ok := runScript(path); !ok {
		if status := int(C.fapws_finish()); code == 0 && status < 0 {
			code = 120 // as python3 when stdout cannot be flushed
		}
		return nil, &ExitError{code}
	}
	a := &App{globals: map[string]Value{}, stop: make(chan int, 1)}
	globals := python3.PyModule_GetDict(python3.PyImport_AddModule("__main__"))
	a.readGlobals(globals, o.Globals)
	if a.mounts, err = readPaths(globals, o.Script); err != nil {
		C.fapws_finish()
		return nil, err
	}
	C.fapws_use_classes()
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
	args := C.fapws_start_options{
		script:     arena.str(o.Script),
		executable: arena.str(findInterpreter(o.Executable)),
		contrib:    arena.str(findContrib()),
		argc:       C.int(len(o.Args)),
		argv:       arena.strs(o.Args),
	}
	var why *C.char
	if C.fapws_start(&args, &why) != 0 {
		return fmt.Errorf("cannot start Python %s: %s", Version(), C.GoString(why))
	}
	return nil
}

func runScript(path string) (code int, ok bool) {
	arena := &cArena{}
	defer arena.free()
	var status C.int
	r := C.fapws_run_script(arena.str(path), &status)
	return int(status), r == 0
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

// Mounts returns PATHS, in its order. Any goroutine.
func (a *App) Mounts() []Mount { return a.mounts }

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

// findInterpreter decides which Python's prefix and packages are used: the
// active virtual environment's, or those of the Python that fapws links.
func findInterpreter(given string) string {
	if given != "" {
		return given
	}
	if venv := os.Getenv("VIRTUAL_ENV"); venv != "" {
		if exe := filepath.Join(venv, "bin", "python3"); isFile(exe) {
			return exe
		}
	}
	return interpreter
}

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
	minor := strings.Join(strings.SplitN(Version(), ".", 3)[:2], ".")
	for _, folder := range []string{
		filepath.Join(exe, "../../lib/python"+minor+"/site-packages"),
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
