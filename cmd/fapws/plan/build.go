package plan

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"

	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
	"fapws/runtime/backend"
	"fapws/runtime/logfile"
	"fapws/runtime/login"
	"fapws/runtime/sites"
	"fapws/runtime/source/programs"
	"fapws/runtime/source/static"
	"fapws/runtime/source/upload"
)

// Parts are the input of the sites of a serving process, in addition to its settings.
type Parts struct {
	Contents *pybridge.Contents // the loaded applications; nil without any
	Pending  bool               // the applications are not loaded yet: requests for them wait
	Asleep   bool               // they are loaded when a request needs them
	Loader   *programs.Loader   // its children run their handlers; nil: this process does
	Programs *Programs

	Token     func(token string) ([]byte, error) // see SiteParts
	Authority []byte                             // certificate of the machine's own authority, PEM; nil without one
	Logs      *LogFiles
	Log       func(logfile.Level, string)
	Run       string            // see SiteParts
	Stops     *atomic.Bool      // see SiteParts
	Status    backend.Responder // the status page; nil: there is none

	Uploads *upload.Group // see SiteParts
}

// Build makes the sites of a process that serves with the settings conf. The error is an
// *process.ExitError.
func (p *Plan) Build(conf *settings.Config, parts Parts) (*Built, error) {
	built, err := p.build(conf, parts)
	if err != nil {
		return nil, process.ExitFrom(err)
	}
	return built, nil
}

// Check looks for mistakes in the sites that Build would make of contents; nil: of all except the
// applications. The error is an *process.ExitError or has mistakes in the file.
func (p *Plan) Check(conf *settings.Config, contents *pybridge.Contents, log func(logfile.Level, string)) error {
	built, err := p.build(conf, Parts{Contents: contents, Programs: &Programs{}, Log: log})
	if err != nil {
		return err
	}
	built.Close()
	return nil
}

// build is Build, and without parts.Logs Check.
func (p *Plan) build(conf *settings.Config, parts Parts) (*Built, error) {
	names, contents := p.Site.Apps(), parts.Contents
	private := p.private(conf, contents)
	logClient := func(level logfile.Level, client, line string) {
		if files := parts.Logs; files != nil {
			files.Client(0, level, client, line)
		}
	}
	out := SiteParts{
		Private: private,
		Conf:    conf,
		Source:  p.Settings.Source,
		List:    p.Settings.Source("autoindex").Level == settings.FromDefault,
		App: func(name string, to Mounting) (table []sites.Mount, most int64, err error) {
			switch {
			case parts.Pending:
				return []sites.Mount{{Pending: true}}, 0, nil
			case contents == nil:
				return nil, 0, nil // only mistakes are looked for
			}
			i := slices.IndexFunc(names, func(a SiteApplication) bool { return a.Name == name })
			if i < 0 {
				return nil, 0, fmt.Errorf("%s was not loaded", name)
			}
			script := name
			if len(names) == 1 {
				script = p.Command.ScriptName()
			}
			if i > 0 && contents.Object(i) == "" { // of the first one it is a setting, for all
				if most, err = p.Settings.BodyLimit(script, globalOf(contents, i)); err != nil {
					return nil, 0, process.ExitUsage(err)
				}
			}
			m := mounter{script: script, threads: conf.Threads, loader: parts.Loader, programs: parts.Programs, private: private, chroot: conf.Chroot, uploads: parts.Uploads, log: logClient, to: to, check: parts.Logs == nil}
			table, err = m.table(contents.Mounts(i))
			return table, most, err
		},
		Log:     parts.Log,
		Pending: parts.Pending && !parts.Asleep,

		StateDir: p.stateDir,
		Run:      parts.Run,
		Stops:    parts.Stops,

		Authority: parts.Authority,
		Token:     parts.Token,
		Check:     parts.Logs == nil,
		Software:  process.Software(),
		Programs:  parts.Programs.Gate,
		Status:    parts.Status,
		Uploads:   parts.Uploads,
	}
	if files := parts.Logs; files != nil {
		out.Logs = files
		out.LogClient = logClient
	}
	return p.Site.Build(out)
}

// private returns the files that no document root serves; contents may be nil.
func (p *Plan) private(conf *settings.Config, contents *pybridge.Contents) *static.Private {
	more := p.users(contents)
	for _, name := range []string{login.KeyFile, login.EndedFile, login.CodeFile} {
		more = append(more, filepath.Join(p.stateDir, LoginDir, name))
	}
	return p.Site.Private(conf, more...)
}
