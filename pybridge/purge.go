package pybridge

import python3 "github.com/go-python/cpy3"

// unwrapCached returns the object that fapws.cache.cached has wrapped, with its rule in JSON; any other entry unchanged, with "".
func unwrapCached(entry *python3.PyObject) (*python3.PyObject, string) {
	rule := entry.GetAttrString("_fapws_cache")
	if rule == nil {
		python3.PyErr_Clear()
		return entry, ""
	}
	defer rule.DecRef()
	inner := entry.GetAttrString("__wrapped__") // lives as long as the process, as entry does
	if inner == nil || !python3.PyUnicode_Check(rule) {
		python3.PyErr_Clear()
		return entry, ""
	}
	return inner, python3.PyUnicode_AsUTF8(rule)
}
