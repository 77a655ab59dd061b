package pybridge

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unsafe"

	python3 "github.com/go-python/cpy3"
)

// find loads the application o.Apps[i] from the script paths[i], with the GIL, on Python's main thread. A script with
// PATHS is run here; contrib/fapws/_load.py loads all other applications.
func (a *App) find(o Options, i int, paths []string) (f *Content, err error) {
	app := &o.Apps[i]
	f = &Content{name: app.name()}
	if len(o.Apps) > 1 {
		f.name = app.fullName()
	}
	main, path := python3.Py_None, paths[i]
	switch first := &o.Apps[0]; {
	case i == 0 && app.Script != "" && !app.Import:
		if err := runScript(path); err != nil {
			return f, err
		}
		main = mainGlobals()
		table := python3.PyDict_GetItemString(main, "PATHS")
		if (app.Interface == "paths" || (app.Interface != "wsgi" && app.Interface != "asgi" && table != nil)) &&
			!lazyViews() {
			f.globals = main
			return f, f.take(table, "PATHS", app.Interface, false)
		}
	case app.Script != "" && !first.Import && place(path) == place(paths[0]):
		main = mainGlobals() // the script has already run, for the first application
	}
	result, err := search(app, path, f.name, o.Dev, main)
	if err != nil {
		return f, err
	}
	found := items(result)
	f.globals = found[0]
	called := python3.PyUnicode_AsUTF8(found[2])
	err = f.take(found[1], called, app.Interface, o.Dev)
	if err == nil && f.Class != "" && len(o.Apps) > 1 && app.Script != "" { // several scripts can be called wsgi.py
		_, object, _ := strings.Cut(called, ":")
		f.What = fmt.Sprintf("%v %s:%s", f.Table[0].Kind, app.Script, object)
	}
	return f, err
}

// keepApart calls a function of contrib/fapws/_apart.py, which keeps the modules of several applications apart, with
// the GIL. The error tells that two applications need different modules of the same name, or different settings of
// Django.
func keepApart(function string, args ...*python3.PyObject) error {
	result, err := askPackage("_apart", function, args...)
	if err != nil || result == python3.Py_None {
		return err
	}
	defer result.DecRef()
	if line := python3.PyUnicode_AsUTF8(result); line != "" {
		return errors.New(line)
	}
	return nil
}

func beginApart(apps []Application, paths []string) error {
	list := python3.PyList_New(0)
	for i := range apps {
		app := &apps[i]
		python3.PyList_Append(list, tuple(text(app.fullName()), text(paths[i]), text(app.Module), text(app.Folder)))
	}
	return keepApart("begin", list)
}

// findApart is like find, for one of several applications.
func (a *App) findApart(o Options, i int, paths []string) (*Content, error) {
	number := python3.PyLong_FromLong(i)
	if err := keepApart("enter", number); err != nil {
		return nil, err
	}
	found, err := a.find(o, i, paths)
	if conflict := keepApart("leave", number); err == nil {
		err = conflict
	}
	return found, err
}

func mainGlobals() *python3.PyObject {
	return python3.PyModule_GetDict(python3.PyImport_AddModule("__main__"))
}

// lazyViews reports whether the script uses Django. Django imports the views of an application only at the first
// request, so package fapws must import the views during loading.
func lazyViews() bool {
	return python3.PyDict_GetItemString(python3.PyImport_GetModuleDict(), "django.core.handlers.wsgi") != nil
}

// callPackage calls a function of a module of package fapws, with the GIL, and returns a new reference to the result.
// If the function raises an exception, the result and the error are nil, and the exception is set. The error reports
// that the module cannot be imported.
func callPackage(module, function string, args ...*python3.PyObject) (*python3.PyObject, error) {
	m := python3.PyImport_ImportModule("fapws." + module)
	if m == nil {
		python3.PyErr_Print()
		return nil, errors.New("package fapws, which belongs to this executable, cannot be used")
	}
	defer m.DecRef()
	return m.CallMethodArgs(function, args...), nil
}

// askPackage is like callPackage, but the error also reports an exception, whose traceback is then on stderr.
func askPackage(module, function string, args ...*python3.PyObject) (*python3.PyObject, error) {
	result, err := callPackage(module, function, args...)
	if err == nil && result == nil {
		python3.PyErr_Print()
		err = fmt.Errorf("fapws.%s.%s failed; see the traceback above", module, function)
	}
	return result, err
}

// search calls the function load of fapws._load, and returns the resulting tuple. The tuple and the arguments live as
// long as the process.
func search(app *Application, script, name string, dev bool, main *python3.PyObject) (*python3.PyObject, error) {
	result, err := callPackage("_load", "load", text(script), text(app.Module), text(app.Folder), text(app.Object),
		text(app.Interface), text(app.Factory), text(name), flag(dev), main)
	if err != nil {
		return nil, err
	}
	if failed := ended(result, result != nil && (python3.PyUnicode_Check(result) || python3.PyTuple_Check(result)),
		name); failed != nil {
		return nil, failed
	}
	if python3.PyUnicode_Check(result) {
		defer result.DecRef()
		return nil, errors.New(python3.PyUnicode_AsUTF8(result))
	}
	return result, nil
}

// Tool calls the function main of a module of package fapws, such as "_shell", and returns the exit status. The
// arguments of main are the result of entries, and texts. Tool must be called on the thread that called Load, before
// Start or after Serve.
func (a *App) Tool(module string, texts ...string) int {
	C.core_take_gil()
	defer C.core_release_gil()
	args := []*python3.PyObject{a.entries()}
	for _, one := range texts {
		args = append(args, text(one))
	}
	result, err := callPackage(module, "main", args...)
	if err != nil {
		return 1
	}
	if failed := ended(result, result == python3.Py_None, module); failed != nil {
		return failed.Code
	}
	return 0
}

// ended returns nil if ok is true, which means that user code has returned a valid value. Otherwise user code has
// failed with an exception, and ended returns an error. The parameter result is then the exception, or nil for the
// current exception.
func ended(result *python3.PyObject, ok bool, name string) *ExitError {
	if ok {
		result = nil
	}
	var status C.int
	var line *C.char
	how := C.core_script_ended(C.int(boolByte(ok)), unsafe.Pointer(result), cString(name), &status, &line)
	if how == 0 {
		return nil
	}
	return exitError(how, status, line)
}

// entries makes a list with a tuple (name, globals, mounts) for each application; mounts is a list of tuples (prefix,
// object, name). The list lives as long as the process, and the caller must hold the GIL.
func (a *App) entries() *python3.PyObject {
	apps := python3.PyList_New(0)
	for _, f := range a.loaded {
		table := python3.PyList_New(0)
		for _, m := range f.Table {
			python3.PyList_Append(table, tuple(text(m.Prefix), m.entry, text(m.Name)))
		}
		python3.PyList_Append(apps, tuple(text(f.name), f.globals, table))
	}
	return apps
}

func tuple(items ...*python3.PyObject) *python3.PyObject {
	t := python3.PyTuple_New(len(items))
	for i, item := range items {
		item.IncRef()
		python3.PyTuple_SetItem(t, i, item)
	}
	return t
}

func text(s string) *python3.PyObject { return (*python3.PyObject)(C.core_text(bytesOf(s + "\x00"))) }

func runScript(path string) error {
	var status C.int
	var line *C.char
	how := C.core_run_script(cString(path), &status, &line)
	if how == 0 {
		return nil
	}
	return exitError(how, status, line)
}

func exitError(way, status C.int, line *C.char) *ExitError {
	defer C.free(unsafe.Pointer(line))
	return &ExitError{Code: int(status), Line: C.GoString(line), Stopped: way > 0}
}

// packageVariable names the directory that contains package fapws of the source, for the development of fapws. The
// package is otherwise in the program itself.
const packageVariable = "_FAPWS_PACKAGE"

// packageFolder returns the directory that contains package fapws, or "" if the package is in the program. A program
// that go build has made alone, without the package, finds it through PYTHONPATH.
func packageFolder() (string, error) {
	folder := os.Getenv(packageVariable)
	if folder == "" && C.core_has_archive() == 0 {
		paths := filepath.SplitList(os.Getenv("PYTHONPATH"))
		if i := slices.IndexFunc(paths, hasPackage); i >= 0 {
			folder = paths[i]
		}
	}
	switch {
	case folder == "" && C.core_has_archive() == 0:
		return "", fmt.Errorf("this program was built without the Python package fapws: build it with ./build.sh build, "+
			"or set %s to the directory contrib of the source", packageVariable)
	case folder != "" && !hasPackage(folder):
		return "", fmt.Errorf("%s=%s: there is no package fapws; unset the variable", packageVariable, folder)
	case folder != "":
		return absolute(folder)
	}
	return "", nil
}

func hasPackage(folder string) bool { return isFile(filepath.Join(folder, "fapws", "__init__.py")) }

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

// Contents is the result of loading applications, which can be sent as JSON to a process that has not loaded them.
// Contents does not change, and is safe for concurrent use.
type Contents struct {
	// the applications, in the order of Options.Apps
	Apps []Content
}

type Content struct {
	Settings Globals
	// Table contains a mount for each entry of PATHS, in the same order, or one mount with the prefix "".
	Table []Mount
	// text for the log, such as "PATHS, 3 entries" or "WSGI app:application"
	What string
	// type or name of the application, such as "flask.app.Flask" or "module.function"; "" with PATHS
	Class string

	name    string
	globals *python3.PyObject
}

// Globals maps the names of globals of a script to the values that valueOf returns. In Globals that were received as
// JSON, numbers are json.Number, and an Object is a string.
type Globals map[string]any

func (s *Globals) UnmarshalJSON(text []byte) error {
	numbers := json.NewDecoder(bytes.NewReader(text))
	numbers.UseNumber()
	return numbers.Decode((*map[string]any)(s))
}
