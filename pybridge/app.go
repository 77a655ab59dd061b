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
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

// interpreter, which build.sh sets, is the path of the Python executable for which fapws was built.
var interpreter = ""

var otherPython = "build fapws with ./build.sh --python %s build"

// RunFrom must be called before the other functions of the package. If a Python process has loaded fapws as a library,
// python is the path of the Python executable, otherwise "".
func RunFrom(python string) {
	if python != "" {
		interpreter, otherPython = python, "install fapws there: %s -m pip install fapws"
	}
}

type Options struct {
	// Apps contains at least one application; the applications share an interpreter, and are loaded in the order of
	// Apps. Only the first application can be run as __main__, and sys.argv[0] is the path of the first application.
	//
	// Each application has a separate name in sys.modules, even if two scripts are called app.py.
	Apps []Application

	Args    []string
	Globals []string
	// directories to add to sys.path, after the directory of the script
	Path []string
	// Venv is the directory of a virtual environment, or "" to use the packages of the Python for which fapws was
	// built.
	Venv string
	// Loop is the type of asyncio's event loop: "asyncio", "uvloop", or "auto" to use uvloop if it can be imported. The
	// loop of the requests is also the current event loop while applications are imported.
	Loop string
	// Dev makes Django itself serve the static files of Django applications.
	Dev bool
	// Fork means that a separate process serves each request (ServeForks).
	Fork bool
	Look logfile.Look // format of reports on standard error, also during Load
	// Users implements the functions of fapws.users; the parameter action is the name of the function. Users can be
	// called on any thread that runs Python.
	Users func(action, file, name, password string) (string, error)
	// Failed, if not nil, is called with the error of Load. The call precedes the finalization of Python, which can
	// take long, because it waits until the threads of the script have ended. The Contents are empty, or contain only
	// the Globals of the first application if the PATHS of that application are wrong.
	Failed func(error, *Contents)
}

// Application names a WSGI or ASGI application, or a script with a table of handlers (PATHS). If Options.Apps contains
// the same Application twice, the Application is loaded once, and both entries have the same mounts.
type Application struct {
	Script string // path as the user wrote it; "" if Module is set
	Module string // dotted name of a module to import
	// Folder is the directory that is searched first for Module; "" means the current directory.
	Folder string
	// Import imports the script as a module, with the file name without its extension as the name of the module. If
	// Import is false, the script of the first application is run as __main__, and any other script is still imported.
	Import bool
	// object to serve, such as "name.attribute"; "" to look for PATHS, application or app
	Object string
	// Interface is "paths", "wsgi" or "asgi" to permit only that interface, or "" or "auto" to permit all interfaces.
	Interface string
	// Factory is the setting because of which the object is called, and its result is served, such as "--factory"; "" if
	// the object itself is served.
	Factory string
}

func (a *Application) name() string {
	if a.Script != "" {
		return filepath.Base(a.Script)
	}
	return a.Module
}

func (a *Application) fullName() string {
	name := cmp.Or(a.Script, a.Module)
	if a.Object != "" {
		name += ":" + a.Object
	}
	return name
}

// AppError is an error about an application, other than an ExitError.
type AppError struct {
	Index int // of the application in Options.Apps
	Err   error
}

func (e *AppError) Error() string { return e.Err.Error() }
func (e *AppError) Unwrap() error { return e.Err }

// ExitError is the error of user code that failed during loading: it raised an exception, whose traceback is on stderr,
// or called sys.exit.
type ExitError struct {
	Code int // exit status with which python3 would have ended
	// "FILE:LINE: REASON", perhaps followed by "; NEXT STEP"; "" if unknown
	Line    string
	Stopped bool // a signal handler of the application has ended the loading, which is not a failure
}

func (e *ExitError) Error() string { return fmt.Sprintf("the script exited with status %d", e.Code) }

type App struct {
	Contents
	loaded  []*Content
	mounts  []Mount // mounts of all applications; mounts[i].Index is i
	mode    poolMode
	handler *Handler // nil before Start
	stop    chan int
	loop    string // Options.Loop
}

// Load starts Python, and runs or imports each application. The current goroutine must be locked to its OS thread,
// which becomes Python's main thread. Load must be called once.
//
// If user code has failed, the error is an *ExitError. Any other error is one line of text for the user, with the name
// of the application, and an *AppError if it is about one application. Load joins the errors of several applications.
// If an application cannot be loaded, Load also finalizes Python.
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
	changeUsers = o.Users
	system.OpenPoll()
	watchGoCrash()
	if err := start(o); err != nil {
		return nil, err
	}
	a := &App{stop: make(chan int, 1), mode: threaded{}, loop: o.Loop}
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

var changeUsers func(action, file, name, password string) (string, error)

// The result is the text that changeUsers returns, or the text of its error. C must free the result. *failed becomes 0
// if there is no error, the errno of the error if it has one, and otherwise -1. C calls live_change_users without the
// GIL, because computing hashes takes long.
//
//export live_change_users
func live_change_users(action, file, name, password *C.char, failed *C.int) *C.char {
	text, err := changeUsers(C.GoString(action), C.GoString(file), C.GoString(name), C.GoString(password))
	*failed = 0
	if err != nil {
		*failed, text = -1, err.Error()
		if number := syscall.Errno(0); errors.As(err, &number) {
			*failed = C.int(number)
		}
	}
	return C.CString(text)
}

// load loads the applications, with the GIL, on Python's main thread.
func (a *App) load(o Options, paths []string) error {
	if o.Look == logfile.Object {
		if _, err := callPackage("_objects", "install"); err != nil {
			return err
		}
	}
	if o.Fork {
		if _, err := callPackage("_exits", "watch"); err != nil {
			return err
		}
	}
	find, several := a.find, len(o.Apps) > 1
	if several {
		find = a.findApart
		if err := beginApart(o.Apps, paths); err != nil {
			return err
		}
	}
	known := map[Application]*Content{}
	seen := map[string]int{}
	var wrong []error
	for i, app := range o.Apps {
		if app.Script != "" {
			app.Script = place(paths[i]) // the same script can have two paths, for example through a symbolic link
		}
		found := known[app]
		if found == nil {
			watchLoading(o.Apps[i].fullName())
			var err error
			if found, err = find(o, i, paths); err != nil {
				if i == 0 && found.globals != nil {
					found.readSettings(o.Globals)
					a.Apps = append(a.Apps, Content{Settings: found.Settings})
				}
				wrong = append(wrong, ofApp(i, err)...)
				if isExit(err) {
					break
				}
				continue
			}
			if len(wrong) > 0 {
				continue // look for mistakes in further applications only
			}
			if err := found.finish(o.Globals, len(a.mounts)); err != nil {
				return err
			}
			placeMounts(found.Table, o.Apps[i].fullName(), seen)
			a.mounts = append(a.mounts, found.Table...)
			known[app] = found
			a.loaded = append(a.loaded, found)
		}
		a.Apps = append(a.Apps, *found)
	}
	if several && len(wrong) == 0 {
		return keepApart("late")
	}
	if len(wrong) == 1 {
		return wrong[0]
	}
	return errors.Join(wrong...)
}

func isExit(err error) bool {
	_, exit := errors.AsType[*ExitError](err)
	return exit
}

// ofApp returns each error about the application Options.Apps[i] as an *AppError.
func ofApp(i int, err error) (wrong []error) {
	if isExit(err) {
		return []error{err}
	}
	list := []error{err}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		list = several.Unwrap()
	}
	for _, one := range list {
		wrong = append(wrong, &AppError{i, one})
	}
	return wrong
}

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

// absolute returns the path that Python stores in __file__. Unlike filepath.Abs, absolute does not use $PWD, and does
// not remove "..": if d is a symbolic link, "d/.." is the parent of the directory to which d leads.
func absolute(path string) (string, error) {
	if filepath.IsAbs(path) {
		return path, nil
	}
	folder, err := unix.Getwd()
	return strings.TrimSuffix(folder, "/") + "/" + path, err
}

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
	if err := checkLibrary(Version()); err != nil {
		return err
	}
	executable, home, err := findInterpreter(o.Venv)
	if err != nil {
		return err
	}
	folder, err := packageFolder()
	if err != nil {
		return err
	}
	args := C.core_start_options{
		script:     arena.str(cmp.Or(o.Apps[0].Script, o.Apps[0].Module)),
		executable: arena.str(executable),
		home:       arena.str(home),
		source:     arena.str(folder),
		argc:       C.int(len(o.Args)),
		argv:       arena.strs(o.Args),
		folders:    C.int(len(folders)),
		path:       arena.strs(folders),
		loop:       arena.str(o.Loop),
		bundle:     arena.str(bundle.Folder),
	}
	keepZone()
	look.Store(int32(o.Look))
	C.core_set_look(C.int(o.Look))
	var why *C.char
	if C.live_start_python(&args, &why) != 0 {
		hint := ""
		if name := os.Getenv("PYTHONHOME"); name != "" {
			hint = "; PYTHONHOME names the directory of another Python, " + name + ": unset it"
		}
		return fmt.Errorf("cannot start Python %s: %s%s", Version(), C.GoString(why), hint)
	}
	return nil
}

// IsAsync reports whether a mount needs the asyncio thread. IsAsync is safe for concurrent use.
func (a *App) IsAsync() bool {
	return slices.ContainsFunc(a.mounts, func(m Mount) bool { return kinds[m.Kind].mode != nil })
}

// Startup starts the asyncio thread, if a mount needs it, and the lifespans of ASGI applications. Startup waits without
// a limit until the lifespans have started. The parameter lifespan is "on", "off", or "auto" to detect whether an ASGI
// application supports lifespans. Startup must be called once, on the thread of Load, before the first Submit.
//
// The error is one line for the user; a traceback on stderr can precede the line.
func (a *App) Startup(lifespan string) error {
	if !a.IsAsync() {
		return nil
	}
	var apps []unsafe.Pointer
	for _, m := range a.mounts {
		if app := unsafe.Pointer(m.callable); kinds[m.Kind].lifespan && !slices.Contains(apps, app) {
			apps = append(apps, app)
		}
	}
	C.core_take_gil()
	wrong := C.asgi_thread_start(cString(a.loop), cString(lifespan), unsafe.SliceData(apps), C.int(len(apps)))
	C.core_release_gil()
	if wrong == nil {
		return nil
	}
	defer C.free(unsafe.Pointer(wrong))
	return errors.New(C.GoString(wrong))
}

// Serve runs handlers on the thread of Load. Serve returns -1 after Stop, or an exit status after a signal handler of
// the script has called sys.exit. In inline mode, where the event loop runs handlers, Serve only waits, and can be
// called on any thread.
func (a *App) Serve() int { return a.mode.serve(a) }

// Stop makes Serve and all threads that run handlers end, and returns the number of threads that still run after a
// second, or five seconds after one of them began its last job, or after the time limit. Stop is safe for concurrent use.
func (a *App) Stop(limit time.Duration) int {
	return a.mode.stop(a, int(max(limit, time.Second).Milliseconds()))
}

func (a *App) exit(code int) {
	select {
	case a.stop <- code:
	default:
	}
}

// Shutdown makes the asyncio thread end. The thread cancels its tasks after the duration grace, and then shuts down the
// lifespans of the applications. Shutdown reports whether the thread has ended. Shutdown can be called on any
// goroutine, after the last Submit.
func (a *App) Shutdown(grace time.Duration) bool {
	return C.asgi_thread_stop(C.int(max(grace, 0).Milliseconds())) != 0
}

// Close runs the queued jobs of inline mode, waits until the threads of the script have ended, runs the atexit
// functions, and finalizes Python. Close returns an exit status: 0, or 120 if output could not be flushed. Close must
// be called once, on the thread of Load.
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

// RunAtexit runs the atexit functions on the current thread, for use when the thread of Load is stuck in a handler.
func (a *App) RunAtexit() { C.core_run_atexit() }

// Executing returns the line of code that Python's main thread currently executes, in the form "FILE:LINE FUNCTION", or
// "" if the line is unknown. Executing waits for the GIL, and can be called on any goroutine while Load runs.
func Executing() string {
	place := C.core_executing()
	defer C.free(unsafe.Pointer(place))
	return C.GoString(place)
}

// TakeException returns the exception that prevented the start and is not in the log yet, which only format Object leaves
// to the caller, or no exception. TakeException must be called on the goroutine that has called Load or Start.
func TakeException() logfile.Exception {
	take := func(i C.int) string {
		text := C.core_take_held(i)
		defer C.free(unsafe.Pointer(text))
		return C.GoString(text)
	}
	return logfile.Exception{Type: take(0), Message: take(1), Traceback: take(2)}
}

// Version is Python's version, such as "3.11.2", or "3.14.0t" of a free-threaded Python.
func Version() string { return C.GoString(C.core_python_version()) }

// checkLibrary returns an error if a library of this version does not fit the headers of the build. The structures of
// Python differ between minor versions, so Python would crash.
func checkLibrary(version string) error {
	built := C.GoString(C.core_headers_version())
	if strings.HasPrefix(version, built+".") {
		return nil
	}
	return fmt.Errorf("cannot start Python %s: this fapws was built for Python %s; install libpython%[2]s, or correct "+
		"LD_LIBRARY_PATH", version, built)
}

type cArena struct{ runtime.Pinner }

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

// cString returns s as a C string, or nil if s is "", for a call of a C function that does not keep the pointer.
func cString(s string) *C.char {
	if s == "" {
		return nil
	}
	return bytesOf(s + "\x00")
}

// bytesOf returns the address of the bytes of a string, for a call of a C function that does not keep the pointer.
func bytesOf(text string) *C.char { return (*C.char)(unsafe.Pointer(unsafe.StringData(text))) }
