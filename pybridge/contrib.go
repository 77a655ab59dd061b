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

// Contents is the result of loading, without the interpreter: another process may have loaded the applications and sent it as
// JSON. It does not change and is safe for concurrent use.
type Contents struct {
	Apps []Content // by the index of Options.Apps
}

// Content is the result of loading one application.
type Content struct {
	Settings map[string]Value // globals that Options.Globals names
	Table    []Mount          // its PATHS, in their order, or one mount with the prefix ""
	What     string           // see Contents.Served
	Class    string           // see Contents.Object
}

// Global returns the global name, one of Options.Globals, of application i: an
// index of Options.Apps, as for the methods below.
func (c *Contents) Global(i int, name string) (Value, bool) {
	v, ok := c.Apps[i].Settings[name]
	return v, ok
}

// Mounts returns the mounts of application i: its PATHS, in their order, or one with the prefix "". Their Index is for
// sites.Mount.Index.
func (c *Contents) Mounts(i int) []Mount { return c.Apps[i].Table }

// Served describes application i: "PATHS, 3 entries" or
// "WSGI app:application".
func (c *Contents) Served(i int) string { return c.Apps[i].What }

// Object returns the type of application i, "flask.app.Flask" or "module.function"; "" with PATHS.
func (c *Contents) Object(i int) string { return c.Apps[i].Class }
