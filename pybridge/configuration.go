package pybridge

// #include "shim.h"
import "C"

import (
	python3 "github.com/go-python/cpy3"
)

// ReadGlobals starts Python, runs the Python file o.Apps[0].Script, which is a configuration and not an application, and
// ends Python again. The result is the JSON that read returns in contrib/fapws/_gunicorn.py. ReadGlobals must be called
// on the main thread, in a process that does not call Load.
func ReadGlobals(o Options) (globals string, err error) {
	if err := start(o); err != nil {
		return "", err
	}
	defer C.core_finish()
	result, err := askPackage("_gunicorn", "read", text(o.Apps[0].Script))
	if err != nil {
		return "", err
	}
	defer result.DecRef()
	return python3.PyUnicode_AsUTF8(result), nil
}
