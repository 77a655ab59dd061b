package plan

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"fapws/cmd/fapws/settings"
	"fapws/runtime/sites"
	"fapws/runtime/source/static"
)

// SiteApplication names a Python application: a script, a module, or an object in
// one of them.
type SiteApplication struct {
	Name string             // as APP on the command line; the path of a script is absolute
	At   settings.TOMLValue // where the file says so
}

// FromFile implements settings.TableReader.
func (a *SiteApplication) FromFile(v settings.TOMLValue) error {
	name, ok := v.Any.(string)
	if !ok || name == "" || strings.ContainsRune(name, 0) {
		return errors.New(`an application, such as "app.py" or "package.module:app"`)
	}
	place, object := settings.SplitApp(name)
	if strings.ContainsRune(place, '/') || strings.HasSuffix(place, ".py") {
		name = v.File.Resolve(place)
		if object != "" {
			name += ":" + object
		}
	}
	a.Name, a.At = name, v
	return nil
}

// Folder is a further directory for modules: that of the file. "" for an application that no file names.
func (a *SiteApplication) Folder() string {
	if a.At.File == nil {
		return ""
	}
	return a.At.File.Dir
}

// app mounts a Python application. A route to the one that the host has anyway
// leaves it where it is, so that its rules are for a part of it; the paths of
// another one are below that of the route.
func (b *builder) app(h *Host, r *Route) []sites.Mount {
	mounts, most, err := b.parts.App(r.App.Name, Mounting{b.add, b.login})
	if err != nil {
		b.wrong(err)
		return nil
	}
	if r.MaxBodySize == 0 {
		r.MaxBodySize = Size(most)
	}
	table := make([]sites.Mount, len(mounts))
	for i, m := range mounts {
		m.Match = string(r.Match)
		switch {
		case r.App.Name == h.App.Name:
			m.Within = string(r.Prefix)
		case m.Prefix == "" || m.Prefix == "/":
			m.Prefix = string(r.Prefix)
		default:
			m.Prefix = strings.TrimRight(string(r.Prefix), "/") + m.Prefix
		}
		table[i] = m
	}
	if r.Prefix != "" { // this route is the one that fits
		none, _ := static.NewFixed(static.FixedOptions{Status: 404}) // nothing in it can be wrong
		table = append(table, sites.Mount{Prefix: string(r.Prefix), Match: string(r.Match), Source: none})
	}
	return table
}

// IsFolder reports whether name, APP as typed, is a folder of files to be served: one
// that is not a package of Python, and has no script beside it that Python would
// import by this name.
func IsFolder(name string) bool {
	st, err := os.Stat(name)
	if err != nil || !st.IsDir() {
		return false
	}
	if _, err := os.Stat(filepath.Join(name, "__init__.py")); err == nil {
		return false
	}
	_, err = os.Stat(name + ".py")
	return err != nil || strings.ContainsRune(name, '/')
}
