package pybridge

// #include "shim.h"
import "C"

import (
	"errors"

	python3 "github.com/go-python/cpy3"
)

// Paths returns the absolute paths of directories and archives from which Python and the applications may read files after
// loading: the search path of modules, and where modules were found. It must be called on the thread of Load.
func (a *App) Paths() ([]string, error) {
	C.fapws_take_gil()
	defer C.fapws_release_gil()
	result, err := callPackage("_sandbox", "paths")
	if err != nil {
		return nil, err
	}
	if result == nil {
		python3.PyErr_Print()
		return nil, errors.New("cannot find the directories of the application")
	}
	defer result.DecRef()
	var paths []string
	for _, one := range items(result) {
		if path := python3.PyUnicode_AsUTF8(one); path != "" {
			paths = append(paths, path)
		} else {
			python3.PyErr_Clear() // not UTF-8
		}
	}
	return paths, nil
}
