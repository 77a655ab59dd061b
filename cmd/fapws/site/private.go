package site

import (
	"path/filepath"
	"strings"

	"fapws/cmd/fapws/settings"
)

// private are the files that nobody means to publish, wherever they are: the
// configuration file, the scripts of applications, and files of passwords.
// Absolute paths without links.
func (c *Config) private() (files []string) {
	note := func(path string) {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			if real, err = filepath.Abs(real); err == nil {
				files = append(files, real)
			}
		}
	}
	if t := c.At.Table; t != nil {
		note(filepath.Join(t.File.Dir, filepath.Base(t.File.Name)))
	}
	for _, app := range c.Apps() {
		place, _ := settings.SplitApp(app.Name)
		note(place)
		module := filepath.Join(app.Folder(), strings.ReplaceAll(place, ".", "/"))
		note(module + ".py")
		note(filepath.Join(module, "__init__.py"))
	}
	auth := func(r *Rules) {
		if r.Auth != nil {
			note(string(r.Auth.Users))
		}
	}
	for i := range c.Hosts {
		h := &c.Hosts[i]
		auth(&h.Rules)
		for k := range h.Routes {
			auth(&h.Routes[k].Rules)
		}
	}
	return files
}

// privateIn are the names of the private files in folder or below, as patterns
// of path.Match: who serves his working directory does not serve these. Beside
// the script of an application are others that it imports.
func (b *builder) privateIn(folder string) (patterns []string) {
	real, err := filepath.EvalSymlinks(folder)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return nil // there is no such folder, as will be said
	}
	for _, file := range b.private {
		switch {
		case !strings.HasPrefix(file, strings.TrimSuffix(real, "/")+"/"):
		case strings.HasSuffix(file, ".py"):
			patterns = append(patterns, "*.py", "*.pyc")
		default:
			patterns = append(patterns, literally.Replace(filepath.Base(file)))
		}
	}
	return patterns
}

var literally = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)
