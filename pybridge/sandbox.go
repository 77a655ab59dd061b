package pybridge

// #include "shim.h"
import "C"

import (
	"fmt"

	python3 "github.com/go-python/cpy3"
)

// Paths returns the absolute paths of directories and archives from which Python and the applications may read files after
// loading: the search path of modules, and where modules were found. It must be called on the thread of Load.
func (a *App) Paths() ([]string, error) {
	C.core_take_gil()
	defer C.core_release_gil()
	return packageTexts("_sandbox", "paths")
}

// Targets returns the paths of the applications that can be requested without further knowledge. It must be called on the
// thread of Load.
func (a *App) Targets() ([]string, error) {
	C.core_take_gil()
	defer C.core_release_gil()
	apps := a.entries()
	defer apps.DecRef()
	return packageTexts("_rehearsal", "targets", apps)
}

// packageTexts calls a function of a module of package fapws that returns a list of str. GIL held.
func packageTexts(module, function string, args ...*python3.PyObject) ([]string, error) {
	result, err := callPackage(module, function, args...)
	if err != nil {
		return nil, err
	}
	if result == nil {
		python3.PyErr_Print()
		return nil, fmt.Errorf("fapws.%s.%s failed; see the traceback above", module, function)
	}
	defer result.DecRef()
	var list []string
	for _, one := range items(result) {
		if text := python3.PyUnicode_AsUTF8(one); text != "" {
			list = append(list, text)
		} else {
			python3.PyErr_Clear() // not UTF-8
		}
	}
	return list, nil
}
