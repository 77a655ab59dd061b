package pybridge

import (
	"strings"

	python3 "github.com/go-python/cpy3"
)

// Kind is the kind of a script's global, as far as settings need it.
type Kind uint8

// The kinds. A bool is Bool, never Int.
const (
	Other Kind = iota
	Int
	Float
	Str
	Bool
	List // list or tuple
)

// Value is a copy of a global of the script.
type Value struct {
	Kind     Kind
	Int      int64 // for Int, and 0 or 1 for Bool; saturated if it does not fit
	Float    float64
	Str      string // for Str; for other kinds its repr()
	List     []Value
	TypeName string // "int", "str", ...
}

// maxDepth limits nested lists: settings need one level, and a list may contain itself.
const maxDepth = 3

// valueOf copies o. Main thread, GIL held.
func valueOf(o *python3.PyObject, depth int) Value {
	v := Value{TypeName: typeName(o), Str: repr(o)}
	switch {
	case o.Type() == python3.Bool:
		v.Kind, v.Int = Bool, int64(o.IsTrue())
	case python3.PyLong_Check(o):
		v.Kind = Int
		n, overflow := python3.PyLong_AsLongLongAndOverflow(o)
		switch {
		case overflow > 0:
			n = 1<<63 - 1
		case overflow < 0:
			n = -1 << 63
		}
		v.Int = n
	case python3.PyFloat_Check(o):
		v.Kind, v.Float = Float, python3.PyFloat_AsDouble(o)
	case python3.PyUnicode_Check(o):
		v.Kind, v.Str = Str, python3.PyUnicode_AsUTF8(o)
	case python3.PyList_Check(o), python3.PyTuple_Check(o):
		v.Kind = List
		if depth < maxDepth {
			for _, item := range items(o) {
				v.List = append(v.List, valueOf(item, depth+1))
			}
		}
	}
	python3.PyErr_Clear() // a str with surrogates has no UTF-8
	return v
}

// items returns borrowed references to the items of a list or tuple.
func items(o *python3.PyObject) []*python3.PyObject {
	var all []*python3.PyObject
	if python3.PyList_Check(o) {
		for i := range python3.PyList_Size(o) {
			all = append(all, python3.PyList_GetItem(o, i))
		}
		return all
	}
	for i := range python3.PyTuple_Size(o) {
		all = append(all, python3.PyTuple_GetItem(o, i))
	}
	return all
}

func typeName(o *python3.PyObject) string {
	t := o.Type()
	defer t.DecRef()
	return attrString(t, "__name__")
}

// aType names o's type in a sentence: "a str", "an int".
func aType(o *python3.PyObject) string {
	name := typeName(o)
	if name != "" && strings.ContainsRune("aeiouAEIOU", rune(name[0])) {
		return "an " + name
	}
	return "a " + name
}

// attrString returns attribute name of o if it is a str, else "".
func attrString(o *python3.PyObject, name string) string {
	a := o.GetAttrString(name)
	if a == nil {
		python3.PyErr_Clear()
		return ""
	}
	defer a.DecRef()
	if !python3.PyUnicode_Check(a) {
		return ""
	}
	return python3.PyUnicode_AsUTF8(a)
}

// repr returns repr(o) on one line, shortened for a log line.
func repr(o *python3.PyObject) string {
	const most = 120
	r := o.Repr()
	if r == nil {
		python3.PyErr_Clear()
		return "<" + typeName(o) + ">"
	}
	defer r.DecRef()
	text := strings.ReplaceAll(python3.PyUnicode_AsUTF8(r), "\n", " ")
	python3.PyErr_Clear()
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "..."
	}
	return text
}

// wrappers are what the objects of package fapws that an entry of PATHS is wrapped in tell the server, in JSON; "": nothing.
type wrappers struct{ cache, login string }

// unwrap returns the object that fapws.cache.cached and fapws.Login have wrapped, in any order; any other entry
// unchanged.
func unwrap(entry *python3.PyObject) (*python3.PyObject, wrappers) {
	var w wrappers
	for {
		inner, said := unwrapOne(entry, "_fapws_cache")
		if inner != nil {
			entry, w.cache = inner, said
			continue
		}
		if inner, said = unwrapOne(entry, "_fapws_login"); inner == nil {
			return entry, w
		}
		entry, w.login = inner, said
	}
}

// unwrapOne returns the object in a wrapper with an attribute, and its value; nil if entry is not one.
func unwrapOne(entry *python3.PyObject, name string) (inner *python3.PyObject, said string) {
	value := entry.GetAttrString(name)
	if value == nil {
		python3.PyErr_Clear()
		return nil, ""
	}
	defer value.DecRef()
	inner = entry.GetAttrString("__wrapped__") // lives as long as the process, as entry does
	if inner == nil || !python3.PyUnicode_Check(value) {
		python3.PyErr_Clear()
		return nil, ""
	}
	return inner, python3.PyUnicode_AsUTF8(value)
}
