package pybridge

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	python3 "github.com/go-python/cpy3"
)

// packagePlaces returns the directories where package fapws of this executable may be: where install puts it, or in the
// source tree.
func packagePlaces() []string {
	exe, err := program()
	if err != nil {
		return nil
	}
	if real, err := filepath.EvalSymlinks(exe); err == nil {
		exe = real
	}
	return []string{
		filepath.Join(exe, "../../lib/python"+minor(Version())+"/site-packages"),
		filepath.Join(exe, "../../lib/fapws"), // of a package
		filepath.Join(exe, "../../contrib"),
		filepath.Join(exe, "../../../contrib"),
		filepath.Join(exe, "../../../../contrib"), // build/matrix/3.x/fapws
		filepath.Join(exe, "../.."),               // of a library in package fapws
	}
}

// contrib returns the directory of package fapws of this executable, "" if it is not beside it.
var contrib = sync.OnceValue(func() string {
	for _, folder := range packagePlaces() {
		if isFile(filepath.Join(folder, "fapws", "__init__.py")) {
			return folder
		}
	}
	return ""
})

// checkPackage returns an error if Python finds package fapws nowhere, because the executable was copied without it.
// Scripts would run without it, and fail at their first request. Main thread, GIL held.
func checkPackage() error {
	if contrib() != "" {
		return nil
	}
	if module := python3.PyImport_ImportModule("fapws._load"); module != nil { // from PYTHONPATH
		module.DecRef()
		return nil
	}
	python3.PyErr_Clear()
	where := "beside the executable"
	if places := packagePlaces(); len(places) > 0 {
		where = "to " + places[0] + "/fapws"
	}
	return fmt.Errorf("the Python package fapws is missing: install fapws again, or copy contrib/fapws of the source %s", where)
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}
