package plan

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/backend"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/source/programs"
	"fapws/runtime/source/static"
)

// CGI is the value of the key cgi: a directory, a table, or true for the programs in the host's root.
type CGI struct {
	Enabled  bool           `short:"true"`
	Folder   string         `key:"folder" is:"path" short:"a directory"` // empty for the root
	Commands settings.Pairs `key:"interpreters"`
	programs.CGIOptions
}

type PHP struct {
	Enabled bool     `short:"true"`
	Ini     []string `key:"ini" is:"pairs"` // "name" = "value" of php.ini
	programs.PHPOptions
}

type FastCGI struct {
	Front string `key:"front"`
	programs.FastCGIOptions
}

func (h *Host) programs() (patterns []string) {
	for _, r := range h.Routes {
		for _, k := range r.given() {
			if k.programs != nil {
				patterns = append(patterns, k.programs(r)...)
			}
		}
	}
	return patterns
}

const (
	phpPattern = "*.php"
	phpIndex   = "index.php"
)

// scripts returns the options for running scripts. The directory folder is served below the prefix of the route. If
// folder is "", the root of the host is served below "/".
func (r *Route) scripts(h *Host, folder string) (o programs.ScriptOptions, err error) {
	o = programs.ScriptOptions{Root: cmp.Or(folder, r.Root, h.Root), Base: programs.Below(r.Prefix)}
	if o.Links, err = static.ParseSymlinks(r.Symlinks); err != nil {
		return o, err
	}
	if folder == "" {
		o.Base = programs.Below("")
	}
	if o.Root == "" {
		return o, errors.New("no directory: set root for the host or this route")
	}
	if r.Match != "" {
		o.Match = []string{r.Match}
	}
	return o, nil
}

func (b *siteBuilder) forPrograms(r *Route, folder string) programs.Common {
	site := programs.SiteVariables{Software: process.Software(), DocumentRoot: cmp.Or(b.host.Root, folder)}
	return programs.Common{SiteVariables: site, Timeout: r.Timeout, Log: b.clientLog(logfile.Error)}
}

func (b *siteBuilder) cgi(r *Route) ([]exchange.Mount, error) {
	scripts, err := r.scripts(b.host, r.CGI.Folder)
	if err != nil {
		return nil, err
	}
	if r.Match != "" {
		scripts.Index = b.scriptIndex(r, "")
	}
	interpreters := map[string][]string{}
	for _, one := range r.CGI.Commands {
		interpreters["."+strings.TrimPrefix(one.Name, ".")] = strings.Fields(one.Value)
	}
	o := r.CGI.CGIOptions
	o.ScriptOptions, o.Common, o.Interpreters, o.Places = scripts, b.forPrograms(r, scripts.Root), interpreters,
		b.parts.Programs.Places
	program, err := programs.NewCGI(o)
	if err != nil {
		return nil, err
	}
	if b.parts.Logs == nil {
		if err := program.Check(); err != nil {
			b.warn(r.At.Errorf("cgi", "%v", err).Error())
		}
	}
	return b.responder(r, program), nil
}

func (b *siteBuilder) php(r *Route) ([]exchange.Mount, error) {
	scripts, err := r.scripts(b.host, "")
	if err != nil {
		return nil, err
	}
	o := r.PHP.PHPOptions
	for _, one := range r.PHP.Ini {
		o.Args = append(o.Args, "-d", one)
	}
	scripts.Index = b.scriptIndex(r, phpIndex)
	o.ScriptOptions, o.Common = scripts, b.forPrograms(r, scripts.Root)
	p, err := programs.NewPHP(o)
	if err != nil {
		return nil, err
	}
	if missing := p.Missing(); missing != "" {
		b.warn(r.At.Errorf("php", "%s", missing).Error())
	}
	b.built.closers = append(b.built.closers, func() { p.Close(phpGrace) })
	return b.behindFiles(r, p, scripts.Index), nil
}

const phpGrace = 5 * time.Second // how long a shutdown waits until PHP has finished active requests

// fastcgi adds mounts for a FastCGI server. If the key match is set, requests for the matching programs in the root are
// passed to that server. Otherwise all requests are passed to that server.
func (b *siteBuilder) fastcgi(r *Route) ([]exchange.Mount, error) {
	o := r.FastCGI.FastCGIOptions
	scripts := programs.ScriptOptions{Root: r.Root}
	if r.Match != "" {
		var err error
		if scripts, err = r.scripts(b.host, ""); err != nil {
			return nil, err
		}
		usual := ""
		if static.FitsAny(scripts.Match, phpIndex) {
			usual = phpIndex
		}
		scripts.Index = b.scriptIndex(r, usual)
		if o.Scripts, err = programs.NewScripts(scripts); err == nil && r.FastCGI.Front != "" {
			var front programs.Script
			if front, err = o.Scripts.Find(r.FastCGI.Front); err != nil {
				err = fmt.Errorf("front %q: %w", r.FastCGI.Front, err)
			}
			o.Fallback = &front
		}
		if err != nil {
			return nil, err
		}
	}
	o.Common = b.forPrograms(r, scripts.Root)
	f, err := programs.NewFastCGI(o)
	if err != nil {
		return nil, err
	}
	b.built.closers = append(b.built.closers, f.Close)
	return b.behindFiles(r, f, scripts.Index), nil
}

func (b *siteBuilder) scriptIndex(r *Route, name string) (index []string) {
	for _, one := range r.Index {
		if static.FitsAny([]string{cmp.Or(r.Match, phpPattern)}, one) {
			index = append(index, one)
		}
	}
	if len(index) == 0 && name != "" {
		index = []string{name}
	}
	return index
}

// behindFiles adds mounts that pass matching scripts to a responder. If the route has a pattern, behindFiles also adds
// the responder to b.behind, for paths without a file in the host's root.
func (b *siteBuilder) behindFiles(r *Route, to backend.Responder, index []string) []exchange.Mount {
	mounts := b.responder(r, to)
	if r.Match != "" {
		behind := mounts[0]
		behind.Match = ""
		b.index = append(b.index, index...)
		b.behind = append(b.behind, b.rules(r, []exchange.Mount{behind})...)
	}
	return mounts
}

// Programs contains the CGI programs that Python code names with CGIApplication, in PATHS or as the result of a
// handler.
type Programs struct {
	Places *programs.Places
	Sends  backend.Sends
	// the function writes to an error log (LogFiles.Client)
	Log func(number int, level logfile.Level, client, line string)

	mu  sync.Mutex
	all map[namedProgram]*programs.CGI
}

// namedProgram identifies a program by the options of its handler and the error log of its host.
type namedProgram struct {
	options string
	log     int
}

// maxPrograms limits the number of program files that stay open. If an application names more programs, which is
// unusual, the excess files are opened again for each request.
const maxPrograms = 64

// open opens the program that a CGIApplication names. The text of the error is one line. open is safe for concurrent
// use.
func (p *Programs) open(n namedProgram) (*programs.CGI, error) {
	o, err := programs.ParseCGIOptions(n.options)
	if err != nil {
		return nil, err
	}
	o.Software = process.Software()
	o.Places = p.Places
	o.Log = func(client, line string) { p.Log(n.log, logfile.Error, client, line) }
	return programs.NewCGI(o)
}

// mounted returns a Responder for a program in PATHS. The text of the error is one line. If warn is not nil, mounted
// passes to it the error of a program that cannot run.
func (p *Programs) mounted(options string, warn func(error)) (backend.Responder, error) {
	program, err := p.open(namedProgram{options: options})
	if err == nil && warn != nil {
		if wrong := program.Check(); wrong != nil {
			warn(wrong)
		}
	}
	return backend.Func(func(w *backend.ResponseWriter, r *backend.Request) {
		r.Options = options
		p.Respond(w, r)
	}), err
}

func (p *Programs) Respond(w *backend.ResponseWriter, r *backend.Request) {
	n := namedProgram{r.Options, r.ErrorLog}
	p.mu.Lock()
	program := p.all[n]
	p.mu.Unlock()
	if program == nil {
		var err error
		if program, err = p.open(n); err != nil {
			p.Log(r.ErrorLog, logfile.Error, r.Client(), fmt.Sprintf("a handler returned a program that cannot run: %v", err))
			w.Refuse(500, "")
			return
		}
		p.mu.Lock()
		if p.all == nil || len(p.all) >= maxPrograms {
			p.all = map[namedProgram]*programs.CGI{}
		}
		p.all[n] = program
		p.mu.Unlock()
	}
	program.Respond(w, r)
}

func (p *Programs) Handler() exchange.Handler {
	const most = 1024 // maximum number of concurrent requests, most of which wait
	pool := backend.New(most, func(line string) { p.Log(0, logfile.Error, "", line) })
	pool.Sends = p.Sends
	return pool.Handler(p)
}
