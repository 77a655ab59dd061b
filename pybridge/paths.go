package pybridge

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"fapws/runtime/http1"

	python3 "github.com/go-python/cpy3"
)

type Mount struct {
	// index among the mounts of all applications, for exchange.Request.Mount and exchange.Mount.Index
	Index  int
	Prefix string
	Name   string // name in log lines, such as "module.function"
	Kind   MountKind
	// JSON options of a Staticfile, whose files the event loop sends, or ""
	Static string
	CGI    string // JSON options of a CGIApplication, or ""
	Upload string // JSON options of a fapws.upload, or ""
	Cache  string // JSON rule of fapws.cache.cached, or ""
	Login  string // JSON arguments of fapws.Login, or ""
	Place  string // name of a fapws.WebSocket, the same in all processes, or "" (placeMounts)

	relative       bool // ASGI: scope['path'] does not begin with scope['root_path']
	entry          *python3.PyObject
	callable       *python3.PyObject
	environ, start unsafe.Pointer
}

// readPaths validates a table such as PATHS, and makes a mount for each entry. The error has a line for each wrong
// entry. The parameters where and name are the names of the script and of the table in these lines. The caller must
// hold the GIL.
func readPaths(table *python3.PyObject, where, name string) ([]Mount, error) {
	if table == nil {
		return nil, fmt.Errorf("%s has no PATHS; PATHS must be a list of (uri, callable) tuples: PATHS = "+
			"[('/hello', hello)]", where)
	}
	if !isTable(table) {
		return nil, fmt.Errorf("%s: %s is %s; it must be a list of (uri, callable) tuples", where, name, aType(table))
	}
	entries := items(table)
	if len(entries) == 0 {
		return nil, fmt.Errorf("%s: %s is empty; it needs at least one (uri, callable) tuple", where, name)
	}
	mounts := make([]Mount, 0, len(entries))
	var wrong []error
	for i, entry := range entries {
		m, err := readEntry(entry)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %s[%d], %s: %w", where, name, i, repr(entry), err))
		}
		mounts = append(mounts, m)
	}
	return mounts, errors.Join(wrong...)
}

func isTable(o *python3.PyObject) bool { return python3.PyList_Check(o) || python3.PyTuple_Check(o) }

func readEntry(entry *python3.PyObject) (m Mount, err error) {
	if !isTable(entry) {
		return m, fmt.Errorf("must be a tuple (uri, callable), not %s", aType(entry))
	}
	pair := items(entry)
	if len(pair) != 2 {
		return m, fmt.Errorf("must have 2 items (uri, callable), not %d", len(pair))
	}
	uri, callable := pair[0], pair[1]
	if !python3.PyUnicode_Check(uri) {
		return m, fmt.Errorf("the uri must be a str, not %s", aType(uri))
	}
	m.Prefix = python3.PyUnicode_AsUTF8(uri)
	if m.Prefix != "" && !strings.HasPrefix(m.Prefix, "/") {
		return m, fmt.Errorf("the uri must begin with a slash")
	}
	if !http1.IsCanonicalPrefix(m.Prefix) {
		return m, fmt.Errorf("the uri never matches, because paths are normalized first: it has empty or dot segments")
	}
	return mountOf(m.Prefix, callable, "auto")
}

func mountOf(prefix string, entry *python3.PyObject, iface string) (Mount, error) {
	entry, cache, login := unwrap(entry)
	callable, err := adaptVerbs(entry)
	if err != nil {
		return Mount{}, err
	}
	if !python3.PyCallable_Check(callable) {
		return Mount{}, fmt.Errorf("%s cannot be called", aType(callable))
	}
	m := Mount{Prefix: prefix, Name: handlerName(entry), Static: attrString(callable, "_fapws_static"),
		CGI: attrString(callable, "_fapws_cgi"), Upload: attrString(callable, "_fapws_upload"), Cache: cache,
		Login: login, entry: entry, callable: callable}
	if m.Upload != "" && cache != "" {
		return m, errors.New("an upload cannot be cached")
	}
	if m.Static != "" || m.CGI != "" || iface != "asgi" && isPlain(callable) {
		return m, nil
	}
	if attrString(callable, "_fapws_kind") == "websocket" {
		m.Kind = WebSocket
		return m, nil
	}
	return m, m.decide(iface)
}

// isPlain reports whether callable can only be a WSGI application, because it is a function, not async, with exactly
// two arguments. Bound methods are excluded, because their first argument is self.
func isPlain(callable *python3.PyObject) bool {
	if callable.HasAttrString("__self__") {
		return false
	}
	return codeNumber(callable, "co_argcount") == 2 && codeNumber(callable, "co_kwonlyargcount") == 0 &&
		codeNumber(callable, "co_flags")&(coroutine|varargs) == 0
}

// decide sets the kind and the callable of m (contrib/fapws/_kinds.py), or returns an error if the callable does not
// take the arguments of its kind (contrib/fapws/_arguments.py).
func (m *Mount) decide(iface string) error {
	found, err := inspect(m.entry, "_kinds", "kind_of", m.callable, text(iface))
	if err != nil {
		return err
	}
	pair := items(found)
	m.callable = pair[1]
	switch python3.PyUnicode_AsUTF8(pair[0]) {
	case "asgi":
		m.Kind = ASGI
		below, _ := callPackage("_kinds", "relative", m.callable)
		m.relative = below == python3.Py_True
		python3.PyErr_Clear()
	case "handler":
		m.Kind = AsyncHandler
	default:
		if flags := codeNumber(m.callable, "co_flags"); flags >= 0 && flags&coroutine != 0 {
			return errors.New("it is async and takes neither (scope, receive, send) nor (environ, start_response)")
		}
	}
	args := []*python3.PyObject{m.callable}
	for _, name := range kinds[m.Kind].arguments {
		argument := text(name)
		defer argument.DecRef()
		args = append(args, argument)
	}
	problem, err := inspect(m.entry, "_arguments", "misfit", args...)
	if err != nil {
		return err
	}
	defer problem.DecRef()
	if said := python3.PyUnicode_AsUTF8(problem); said != "" {
		return errors.New(said)
	}
	return nil
}

// inspect calls a function that inspects entry. If the function raises an exception, for example from a property or a
// metaclass of entry, inspect returns an error.
func inspect(entry *python3.PyObject, module, function string, args ...*python3.PyObject) (*python3.PyObject, error) {
	result, err := callPackage(module, function, args...)
	if err == nil && result == nil {
		python3.PyErr_Print()
		err = fmt.Errorf("cannot inspect %s", aType(entry))
	}
	return result, err
}

const varargs = 0x4

const coroutine = 0x280

func codeNumber(function *python3.PyObject, name string) int {
	n := -1
	if code := function.GetAttrString("__code__"); code != nil {
		defer code.DecRef()
		if number := code.GetAttrString(name); number != nil {
			defer number.DecRef()
			n = python3.PyLong_AsLong(number)
		}
	}
	python3.PyErr_Clear()
	return n
}

// adaptVerbs makes an application from a class or an object with methods such as get and post
// (contrib/fapws/_verbs.py), and returns all other entries unchanged.
func adaptVerbs(entry *python3.PyObject) (*python3.PyObject, error) {
	if !python3.PyType_Check(entry) && python3.PyCallable_Check(entry) {
		return entry, nil
	}
	adapted, err := inspect(entry, "_verbs", "adapt", entry)
	switch {
	case err != nil:
		return nil, err
	case adapted == python3.Py_None:
		return entry, nil
	case python3.PyUnicode_Check(adapted):
		return nil, errors.New(python3.PyUnicode_AsUTF8(adapted))
	}
	return adapted, nil // this reference is never released
}

func handlerName(callable *python3.PyObject) string {
	name := attrString(callable, "__qualname__")
	from := callable
	if name == "" {
		from = callable.Type()
		defer from.DecRef()
		name = attrString(from, "__qualname__")
	}
	if module := attrString(from, "__module__"); module != "" && module != "__main__" {
		name = module + "." + name
	}
	return name
}

// readSettings copies those globals of the script that are in names to f.Settings, with the GIL.
func (f *Content) readSettings(names []string) {
	f.Settings = Settings{}
	for _, name := range names {
		if o := python3.PyDict_GetItemString(f.globals, name); o != nil {
			f.Settings[name] = valueOf(o, 0)
		}
	}
}

// finish sets the Index of the mounts, starting with index, calls readSettings, and finds the classes Environ and
// Start_response of the script, with the GIL.
func (f *Content) finish(names []string, index int) {
	f.readSettings(names)
	environ := unsafe.Pointer(C.live_environ_class(unsafe.Pointer(f.globals)))
	if environ == nil && f.Class == "" {
		environ = f.environAskedFor()
	}
	start := C.live_start_class(unsafe.Pointer(f.globals))
	for i := range f.Table {
		m := &f.Table[i]
		m.Index, m.start = index+i, start
		if environ != nil && (m.Static != "" || isSimple(m.entry) || !wantsDict(m.entry)) {
			m.environ = environ
		}
	}
}

// environAskedFor returns the class fapws.Environ if the script uses the additional keys of this class without
// importing it, otherwise nil (contrib/fapws/_asked.py).
func (f *Content) environAskedFor() unsafe.Pointer {
	class, _ := callPackage("_asked", "environ_for", f.globals)
	switch {
	case class == nil: // an attribute of a module has raised an exception
		python3.PyErr_Clear()
		return nil
	case class == python3.Py_None:
		class.DecRef()
		return nil
	}
	return unsafe.Pointer(class) // this reference is never released
}

// isSimple reports whether entry is a class or a function without a closure. Such an entry cannot wrap an application.
func isSimple(entry *python3.PyObject) bool {
	if python3.PyType_Check(entry) {
		return true
	}
	if typeName(entry) != "function" {
		return false
	}
	closure := entry.GetAttrString("__closure__")
	if closure == nil {
		python3.PyErr_Clear()
		return false
	}
	defer closure.DecRef()
	return closure == python3.Py_None
}

// wantsDict reports whether an application needs a plain dict as environ, even if its script has a class Environ
// (contrib/fapws/_framework.py).
func wantsDict(entry *python3.PyObject) bool {
	answer, _ := callPackage("_framework", "wants_dict", entry)
	if answer == nil { // a property of the object has raised an exception
		python3.PyErr_Clear()
		return false
	}
	defer answer.DecRef()
	return answer == python3.Py_True
}
