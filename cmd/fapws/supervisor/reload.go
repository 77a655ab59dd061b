package supervisor

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/cmd/fapws/watch"
	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

// templates are patterns of files that frameworks read once and then keep:
// without a reload, an edit of one shows no effect.
var templates = []string{"*.html", "*.htm", "*.jinja", "*.jinja2", "*.j2", "*.mako", "*.pt", "*.tpl"}

// watchFiles reloads when files of the application change, if the settings say
// so. The Watcher is nil otherwise.
func (p *supervisor) watchFiles() (*watch.Watcher, error) {
	if !p.conf.Reload {
		return nil, nil
	}
	dirs := p.conf.ReloadDirs
	if len(dirs) == 0 {
		dirs = p.plan.Folders()
	}
	include := p.conf.ReloadInclude
	if p.plan.File != nil {
		include = slices.Concat(include, []string{p.plan.Path})
	}
	if p.conf.Dev {
		include = slices.Concat(include, templates)
	}
	w, err := watch.Start(watch.Options{
		Dirs:    dirs,
		Include: include,
		Exclude: p.conf.ReloadExclude,
		Log:     func(line string) { p.log.Log(logfile.Warning, line) },
	})
	if err != nil {
		return nil, process.ExitUsage(err)
	}
	go func() {
		for change := range w.Changes {
			p.pool.ReloadChanged(change.String())
		}
	}()
	return w, nil
}

// logKept tells of settings whose new value in the configuration file a reload
// does not bring about, because the supervisor has them; again only when they
// have changed again.
func (p *supervisor) logKept() {
	if p.plan.File == nil {
		return
	}
	set, err := settings.New(settings.Table(settings.ThisMachine()), p.plan.Command.Flags, os.LookupEnv)
	if err != nil {
		return // the workers, which read the same file, have reported it
	}
	file, err := settings.ReadFile(p.plan.Path)
	if err != nil || set.ReadFile(file, plan.FileKeys()) != nil {
		return // as well; or this user may not read it
	}
	if conf, err := set.Config(); err == nil { // the workers may change other directories from now on
		now := p.conf
		now.SandboxWrite = slices.Concat(now.SandboxWrite, conf.SandboxWrite)
		system.Distrust(p.plan.Changeable(&now))
	}
	kept := strings.Join(p.plan.Settings.Kept(set), ", ")
	if kept != "" && kept != p.kept {
		p.log.Log(logfile.Warning, fmt.Sprintf("%s: changes of %s take effect after a restart", p.plan.File.Name, kept))
	}
	p.kept = kept
}
