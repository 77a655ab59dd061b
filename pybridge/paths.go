package pybridge

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
	wantsDict      bool // environ must be a plain dict
	entry          *python3.PyObject
	callable       *python3.PyObject
	environ, start unsafe.Pointer
}

// take makes the mounts of f from served, which is PATHS or a single application, with the GIL
// (contrib/fapws/_entries.py). The error has a line for each wrong entry.
func (f *Content) take(served *python3.PyObject, name, iface string, dev bool) error {
	short := name[strings.LastIndexByte(name, ':')+1:]
	switch {
	case served == nil:
		return fmt.Errorf("%s has no PATHS; PATHS must be a list of (uri, callable) tuples: PATHS = "+
			"[('/hello', hello)]", f.name)
	case short == "PATHS" || isTable(served):
		return f.takeTable(served, short)
	}
	found, err := askPackage("_entries", "application", served, text(iface), flag(dev))
	if err != nil {
		return err
	}
	m, err := mountOf(found)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", f.name, short, err)
	}
	f.Class, m.Name = m.Name, name
	f.Table, f.What = []Mount{m}, m.Kind.String()+" "+name
	return nil
}

func (f *Content) takeTable(table *python3.PyObject, name string) error {
	found, err := askPackage("_entries", "table", table)
	if err != nil {
		return err
	}
	if python3.PyUnicode_Check(found) {
		return fmt.Errorf("%s: %s %s", f.name, name, python3.PyUnicode_AsUTF8(found))
	}
	var wrong []error
	entries := items(table)
	for i, entry := range items(found) {
		m, err := mountOf(entry)
		if err == nil && !http1.IsCanonicalPrefix(m.Prefix) {
			err = errors.New("the uri never matches, because paths are normalized first: it has empty or dot segments")
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %s[%d], %s: %w", f.name, name, i, repr(entries[i]), err))
		}
		f.Table = append(f.Table, m)
	}
	f.What = "PATHS, 1 entry"
	if n := len(f.Table); n != 1 {
		f.What = fmt.Sprintf("PATHS, %d entries", n)
	}
	return errors.Join(wrong...)
}

// mountOf returns the mount for an entry that contrib/fapws/_entries.py has described, or why the entry is wrong.
func mountOf(found *python3.PyObject) (m Mount, err error) {
	if python3.PyUnicode_Check(found) {
		return m, errors.New(python3.PyUnicode_AsUTF8(found))
	}
	var kind string
	texts := [...]*string{&m.Prefix, &m.Name, &kind, &m.Static, &m.CGI, &m.Upload, &m.Cache, &m.Login}
	all := items(found)
	for i, text := range texts {
		*text = python3.PyUnicode_AsUTF8(all[i])
	}
	all = all[len(texts):]
	m.Kind = kindNames[kind]
	m.relative, m.wantsDict = all[0] == python3.Py_True, all[1] == python3.Py_True
	m.entry, m.callable = all[2], all[3]
	return m, nil
}

func isTable(o *python3.PyObject) bool { return python3.PyList_Check(o) || python3.PyTuple_Check(o) }

func flag(b bool) *python3.PyObject { return python3.PyBool_FromLong(int(boolByte(b))) }

// readSettings copies those globals of the script that are in names to f.Settings, with the GIL.
func (f *Content) readSettings(names []string) {
	f.Settings = Globals{}
	for _, name := range names {
		if o := python3.PyDict_GetItemString(f.globals, name); o != nil {
			f.Settings[name] = valueOf(o, 0)
		}
	}
}

// finish sets the Index of the mounts, starting with index, calls readSettings, and finds the classes Environ and
// Start_response of the script, with the GIL.
func (f *Content) finish(names []string, index int) error {
	f.readSettings(names)
	found, err := askPackage("_entries", "classes", f.globals, flag(f.Class == ""))
	if err != nil {
		return err
	}
	environ, start := classOf(items(found)[0]), classOf(items(found)[1])
	for i := range f.Table {
		m := &f.Table[i]
		m.Index, m.start = index+i, start
		if !m.wantsDict {
			m.environ = environ
		}
	}
	return nil
}

func classOf(o *python3.PyObject) unsafe.Pointer {
	if o == python3.Py_None {
		return nil
	}
	return unsafe.Pointer(o)
}
