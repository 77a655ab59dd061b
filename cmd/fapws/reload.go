package main

import (
	"path/filepath"

	"fapws/cmd/fapws/settings"
	"fapws/cmd/fapws/watch"
	"fapws/runtime"
)

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
	w, err := watch.Start(watch.Options{
		Dirs:    dirs,
		Include: v.conf.ReloadInclude,
		Exclude: v.conf.ReloadExclude,
		Log:     func(line string) { v.log.log(runtime.LevelWarning, line) },
	})
	if err != nil {
		return nil, usage(err)
	}
	go func() {
		for change := range w.Changes {
			v.sup.Reload(change.String())
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
