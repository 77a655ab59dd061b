package main

import (
	"path/filepath"
	"slices"

	"fapws/cmd/fapws/settings"
	"fapws/cmd/fapws/watch"
	"fapws/runtime"
)

// templates are patterns of files that frameworks read once and then keep:
// without a reload, who edits one sees nothing.
var templates = []string{"*.html", "*.htm", "*.jinja", "*.jinja2", "*.j2", "*.mako", "*.pt", "*.tpl"}

// watchFiles reloads when files of the application change, if the settings say
// so. The Watcher is nil otherwise.
func (v *overseer) watchFiles() (*watch.Watcher, error) {
	if !v.conf.Reload {
		return nil, nil
	}
	dirs := v.conf.ReloadDirs
	if len(dirs) == 0 {
		dirs = []string{applicationFolder(v.cmd.Script)}
	}
	include := v.conf.ReloadInclude
	if v.conf.Dev {
		include = slices.Concat(include, templates)
	}
	w, err := watch.Start(watch.Options{
		Dirs:    dirs,
		Include: include,
		Exclude: v.conf.ReloadExclude,
		Log:     func(line string) { v.log.log(runtime.LevelWarning, line) },
	})
	if err != nil {
		return nil, usage(err)
	}
	go func() {
		for change := range w.Changes {
			v.sup.ReloadChanged(change.String())
		}
	}()
	return w, nil
}

// applicationFolder is where the files of APP are: the folder of a script, or
// that in which modules are looked for first.
func applicationFolder(app string) string {
	if place, _ := settings.SplitApp(app); isScript(place) {
		return filepath.Dir(place)
	}
	return "."
}
