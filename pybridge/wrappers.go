package pybridge

import python3 "github.com/go-python/cpy3"

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
