package pybridge

import python3 "github.com/go-python/cpy3"

type Object string

// maxDepth limits the depth of nested lists, because a list can contain itself.
const maxDepth = 3

// valueOf converts o, a global of the script, to a bool, an int64 (saturated), a float64 or a string. A list or tuple
// becomes []any, and all other types become an Object. The caller must hold the GIL.
func valueOf(o *python3.PyObject, depth int) any {
	defer python3.PyErr_Clear() // a str with surrogates cannot be converted to UTF-8
	switch {
	case o.Type() == python3.Bool:
		return o.IsTrue() != 0
	case python3.PyLong_Check(o):
		n, overflow := python3.PyLong_AsLongLongAndOverflow(o)
		switch {
		case overflow > 0:
			n = 1<<63 - 1
		case overflow < 0:
			n = -1 << 63
		}
		return n
	case python3.PyFloat_Check(o):
		return python3.PyFloat_AsDouble(o)
	case python3.PyUnicode_Check(o):
		return python3.PyUnicode_AsUTF8(o)
	case isTable(o):
		list := []any{}
		if depth < maxDepth {
			for _, item := range items(o) {
				list = append(list, valueOf(item, depth+1))
			}
		}
		return list
	}
	return Object(repr(o))
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

// repr returns a value as messages show it, in one line.
func repr(o *python3.PyObject) string {
	shown, err := askPackage("_entries", "shown", o)
	if err != nil {
		return "an object"
	}
	defer shown.DecRef()
	return python3.PyUnicode_AsUTF8(shown)
}
