package pybridge

import (
	"fmt"
	"path/filepath"
	"strings"

	python3 "github.com/go-python/cpy3"
)

// StaticOptions is what a Staticfile in PATHS asks for; Go serves it.
type StaticOptions struct {
	Root     string   `json:"root"`
	Index    []string `json:"index"`
	Listing  bool     `json:"listing"`
	MaxAge   int      `json:"max_age"` // seconds, -1: no Cache-Control
	DotFiles bool     `json:"dotfiles"`
}

// Mount is one entry of PATHS.
type Mount struct {
	Prefix string
	Name   string         // "module.function", for log lines
	Static *StaticOptions // nil: callable is called

	callable *python3.PyObject
}

// readPaths checks PATHS of the script and copies it. Errors are one line and
// name the entry. Main thread, GIL held.
func readPaths(globals *python3.PyObject, script string) ([]Mount, error) {
	script = filepath.Base(script)
	table := python3.PyDict_GetItemString(globals, "PATHS")
	if table == nil {
		return nil, fmt.Errorf("%s has no PATHS; it is a list of (uri, callable) tuples: PATHS = [('/hello', hello)]", script)
	}
	if !python3.PyList_Check(table) && !python3.PyTuple_Check(table) {
		return nil, fmt.Errorf("%s: PATHS is %s; it must be a list of (uri, callable) tuples", script, aType(table))
	}
	entries := items(table)
	if len(entries) == 0 {
		return nil, fmt.Errorf("%s: PATHS is empty; it needs at least one (uri, callable) tuple", script)
	}
	mounts := make([]Mount, 0, len(entries))
	for i, entry := range entries {
		m, err := readEntry(entry)
		if err != nil {
			return nil, fmt.Errorf("%s: PATHS[%d], %s: %w", script, i, repr(entry), err)
		}
		mounts = append(mounts, m)
	}
	return mounts, nil
}

func readEntry(entry *python3.PyObject) (m Mount, err error) {
	if !python3.PyTuple_Check(entry) && !python3.PyList_Check(entry) {
		return m, fmt.Errorf("it must be a tuple (uri, callable), not %s", aType(entry))
	}
	pair := items(entry)
	if len(pair) != 2 {
		return m, fmt.Errorf("it must have 2 items (uri, callable), not %d", len(pair))
	}
	uri, callable := pair[0], pair[1]
	if !python3.PyUnicode_Check(uri) {
		return m, fmt.Errorf("the uri must be a str, not %s", aType(uri))
	}
	m.Prefix = python3.PyUnicode_AsUTF8(uri)
	if m.Prefix != "" && !strings.HasPrefix(m.Prefix, "/") {
		return m, fmt.Errorf("the uri must begin with a slash")
	}
	if !python3.PyCallable_Check(callable) {
		return m, fmt.Errorf("%s cannot be called", aType(callable))
	}
	m.Name = handlerName(callable)
	m.Static = readStatic(callable)
	m.callable = callable
	return m, nil
}

// readStatic returns the options that a Staticfile carries, nil for any other
// callable. A subclass with a __call__ of its own carries none.
func readStatic(callable *python3.PyObject) *StaticOptions {
	options := callable.GetAttrString("_fapws_static")
	if options == nil {
		python3.PyErr_Clear()
		return nil
	}
	defer options.DecRef()
	if !python3.PyDict_Check(options) {
		return nil
	}
	get := func(key string) Value {
		o := python3.PyDict_GetItemString(options, key)
		if o == nil {
			return Value{}
		}
		return valueOf(o, 0)
	}
	s := &StaticOptions{Root: get("root").Str, MaxAge: -1, Listing: get("listing").Int == 1, DotFiles: get("dotfiles").Int == 1}
	if age := get("max_age"); age.Kind == Int {
		s.MaxAge = int(age.Int)
	}
	for _, name := range get("index").List {
		s.Index = append(s.Index, name.Str)
	}
	return s
}

// handlerName says what log lines call a handler: "app.hello".
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
