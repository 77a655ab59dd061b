package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"fapws/cmd/fapws/configfile"
	"fapws/cmd/fapws/exit"
	"fapws/cmd/fapws/settings"
	"fapws/cmd/fapws/site"
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
		dirs = v.plan.Folders()
	}
	include := v.conf.ReloadInclude
	if v.plan.File != nil {
		include = slices.Concat(include, []string{v.plan.Path})
	}
	if v.conf.Dev {
		include = slices.Concat(include, templates)
	}
	w, err := watch.Start(watch.Options{
		Dirs:    dirs,
		Include: include,
		Exclude: v.conf.ReloadExclude,
		Log:     func(line string) { v.log.Log(runtime.LevelWarning, line) },
	})
	if err != nil {
		return nil, exit.Usage(err)
	}
	go func() {
		for change := range w.Changes {
			v.sup.ReloadChanged(change.String())
		}
	}()
	return w, nil
}

// sayKept tells of settings whose new value in the configuration file a reload
// does not bring about, because the supervisor has them; again only when they
// have changed again.
func (v *overseer) sayKept() {
	if v.plan.File == nil {
		return
	}
	set, err := settings.New(settings.Table(settings.ThisMachine()), v.plan.Command.Flags, os.LookupEnv)
	if err != nil {
		return // the workers, which read the same, have said so
	}
	file, err := configfile.Read(v.plan.Path)
	if err != nil || set.ReadFile(file, site.Keys()) != nil {
		return // as well; or this user may not read it
	}
	kept := strings.Join(v.plan.Settings.Kept(set), ", ")
	if kept != "" && kept != v.kept {
		v.log.Log(runtime.LevelWarning, fmt.Sprintf("%s: new values of %s take a restart", v.plan.File.Name, kept))
	}
	v.kept = kept
}
