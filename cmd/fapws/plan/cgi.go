package plan

import (
	"errors"
	"fmt"
	"os/exec"
	"path"
	"strings"
	"time"

	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/backend"
	"fapws/runtime/logfile"
	"fapws/runtime/sites"
	"fapws/runtime/source/programs"
)

// CGI is the key cgi: a folder, true for the programs in the root of the host, or
// a table.
type CGI struct {
	Given        bool
	Folder       settings.KeyPath `key:"folder"` // "": the root
	Interpreters Pairs            `key:"interpreters"`
	Env          Pairs            `key:"env"`
}

// FromFile implements settings.TableReader.
func (c *CGI) FromFile(v settings.TOMLValue) error {
	switch x := v.Any.(type) {
	case bool:
		c.Given = x
		return nil
	case *settings.TOMLTable:
		c.Given = true
		return table(x, c)
	}
	if c.Folder.FromFile(v) != nil {
		return errors.New("a directory, true, or a table with folder, interpreters, env")
	}
	c.Given = true
	return nil
}

// PHP is the key php: a program, or a table.
type PHP struct {
	Given       bool
	Command     string   `key:"command"`
	Args        []string `key:"args"`
	Ini         Pairs    `key:"ini"` // "name" = "value" of php.ini
	Env         Pairs    `key:"env"`
	Mode        Choice   `key:"mode"`
	Front       string   `key:"front"`
	Children    int      `key:"children"`
	MaxRequests int      `key:"max-requests"`
	Idle        Duration `key:"idle"`
}

// FromFile implements settings.TableReader.
func (p *PHP) FromFile(v settings.TOMLValue) error {
	p.Given = true
	switch x := v.Any.(type) {
	case bool:
		if p.Given = x; x {
			p.Command = programs.DefaultCommand
		}
		return nil
	case string:
		p.Command = x
	case *settings.TOMLTable:
		p.Command = programs.DefaultCommand
		if err := table(x, p); err != nil {
			return err
		}
	}
	if p.Command == "" || strings.ContainsRune(p.Command, 0) {
		return errors.New(`a program such as "php-cgi", or a table with command, args, ini, env, mode, front, children, max-requests, idle`)
	}
	if p.Children < 0 || p.Children > 1000 || p.MaxRequests < 0 {
		return errors.New("a table whose children are 1 to 1000, and max-requests above 0")
	}
	if strings.ContainsRune(p.Command, '/') {
		p.Command = v.File.Resolve(p.Command)
	}
	return nil
}

// FastCGI is the key fastcgi: an address, or a table.
type FastCGI struct {
	Address     string   `key:"address"`
	Params      Pairs    `key:"params"`
	Front       string   `key:"front"`
	Connections int      `key:"connections"`
	Idle        Duration `key:"idle"`
}

// FromFile implements settings.TableReader.
func (f *FastCGI) FromFile(v settings.TOMLValue) error {
	switch x := v.Any.(type) {
	case string:
		f.Address = x
	case *settings.TOMLTable:
		if err := table(x, f); err != nil {
			return err
		}
	}
	if f.Address == "" || f.Connections < 0 || f.Connections > 10000 {
		return errors.New(`an address such as "unix:/run/app.sock" or "127.0.0.1:9000", or a table with address, params, front, connections (1 to 10000), idle`)
	}
	return nil
}

// table decodes an inline table and returns the first mistake.
func table(t *settings.TOMLTable, to any) (err error) {
	settings.DecodeTOML(t, to, func(wrong error) {
		if err == nil {
			err = wrong
		}
	})
	return err
}

// env returns pairs as "NAME=value".
func (p Pairs) env() []string {
	var env []string
	for _, one := range p {
		env = append(env, one.Name+"="+one.Value)
	}
	return env
}

var links = map[Choice]programs.Links{"inside": programs.LinksInside, "owner": programs.LinksOwner, "no": programs.LinksNone}

// programs returns the patterns of files that are run in the root of the host.
func (h *Host) programs() (patterns []string) {
	for i := range h.Routes {
		r := &h.Routes[i]
		switch {
		case r.Match != "" && (r.CGI.Given || r.FastCGI.Address != "" || r.PHP.Given):
			patterns = append(patterns, string(r.Match))
		case r.PHP.Given:
			patterns = append(patterns, phpPattern)
		case r.SSI.Given && r.Folder == "" && r.Match != "":
			patterns = append(patterns, string(r.Match))
		case r.SSI.Given && r.Folder == "":
			patterns = append(patterns, r.SSI.names()...)
		}
	}
	return patterns
}

const (
	phpPattern = "*.php"
	phpIndex   = "index.php"
)

func patternFits(p Pattern, name string) bool {
	ok, _ := path.Match(string(p), name)
	return ok
}

// scripts says which files are programs: those of folder, which stands for the
// prefix of the route, or if it is "" those of the root, where paths begin.
func (b *builder) scripts(h *Host, r *Route, key string, folder settings.KeyPath) (o programs.ScriptOptions, ok bool) {
	o = programs.ScriptOptions{Root: string(folder), Links: links[r.Symlinks], Base: programs.Below(string(r.Prefix))}
	if folder == "" {
		o.Base = programs.Below("")
		if o.Root = string(r.Root); o.Root == "" {
			o.Root = string(h.Root)
		}
	}
	if o.Root == "" {
		b.wrong(r.At.Errorf(key, "no directory: set root for the host or this route"))
		return o, false
	}
	if r.Match != "" {
		o.Match = []string{string(r.Match)}
	}
	return o, true
}

func (b *builder) ofSite(root string) programs.Site {
	return programs.Site{Software: process.Software(), DocumentRoot: root}
}

func (r *Route) patience() time.Duration { return max(0, time.Duration(r.Timeout)) }

// cgi mounts programs.
func (b *builder) cgi(h *Host, r *Route) []sites.Mount {
	scripts, ok := b.scripts(h, r, "cgi", r.CGI.Folder)
	if !ok {
		return nil
	}
	for _, name := range r.Index {
		if len(scripts.Match) > 0 && patternFits(r.Match, name) {
			scripts.Index = append(scripts.Index, name)
		}
	}
	interpreters := map[string][]string{}
	for _, one := range r.CGI.Interpreters {
		command := strings.Fields(one.Value)
		if len(command) > 0 {
			program, err := exec.LookPath(command[0])
			if err != nil {
				b.wrong(r.At.Errorf("cgi", "interpreter of %s: program %s not found", one.Name, command[0]))
				return nil
			}
			command[0] = program
		}
		interpreters["."+strings.TrimPrefix(one.Name, ".")] = command
	}
	program, err := programs.NewCGI(programs.CGIOptions{
		ScriptOptions: scripts,
		Site:          b.ofSite(documentRoot(h, scripts.Root)),
		Interpreters:  interpreters,
		Env:           r.CGI.Env.env(),
		Timeout:       r.patience(),
		Gate:          b.parts.Programs.Gate,
		Log:           b.clientLog(logfile.Error),
	})
	if err == nil && b.parts.Logs == nil {
		err = program.Check()
	}
	if err != nil {
		b.wrong(r.At.Errorf("cgi", "%v", err))
		return nil
	}
	return b.responder(r, program)
}

// documentRoot is DOCUMENT_ROOT for programs of a folder.
func documentRoot(h *Host, folder string) string {
	if h.Root != "" {
		return string(h.Root)
	}
	return folder
}

// php mounts PHP scripts.
func (b *builder) php(h *Host, r *Route) []sites.Mount {
	scripts, ok := b.scripts(h, r, "php", "")
	if !ok {
		return nil
	}
	args := r.PHP.Args
	for _, one := range r.PHP.Ini {
		args = append(args, "-d", one.Name+"="+one.Value)
	}
	scripts.Index = b.scriptIndex(r, phpPattern, phpIndex)
	p, err := programs.NewPHP(programs.PHPOptions{
		Command:       r.PHP.Command,
		Args:          args,
		ScriptOptions: scripts,
		Site:          b.ofSite(documentRoot(h, scripts.Root)),
		Front:         r.PHP.Front,
		EachOne:       r.PHP.Mode == "cgi",
		Children:      r.PHP.Children,
		MaxRequests:   r.PHP.MaxRequests,
		Idle:          time.Duration(r.PHP.Idle),
		Timeout:       r.patience(),
		Env:           r.PHP.Env.env(),
		Log:           b.clientLog(logfile.Error),
	})
	if err != nil {
		b.wrong(r.At.Errorf("php", "%v", err))
		return nil
	}
	switch missing := p.Missing(); {
	case missing == "":
	case b.parts.Logs == nil:
		b.wrong(r.At.Errorf("php", "%s", missing))
	default:
		b.parts.Log(logfile.Warning, fmt.Sprintf("%s (%s)", missing, r.At.Key("php")))
	}
	b.built.closers = append(b.built.closers, func() { p.Close(phpGrace) })
	return b.behindFiles(r, p, scripts.Index)
}

// phpGrace is for requests that are under way when the server has ended.
const phpGrace = 5 * time.Second

// fastcgi mounts an application that speaks FastCGI: for the programs that match
// has, below the root, or without match for all paths.
func (b *builder) fastcgi(h *Host, r *Route) []sites.Mount {
	o := programs.FastCGIOptions{
		Address:     r.FastCGI.Address,
		Params:      r.FastCGI.Params.env(),
		Connections: r.FastCGI.Connections,
		Idle:        time.Duration(r.FastCGI.Idle),
		Timeout:     r.patience(),
		Log:         b.clientLog(logfile.Error),
	}
	root := string(r.Root)
	var index []string
	if r.Match != "" {
		scripts, ok := b.scripts(h, r, "fastcgi", "")
		if !ok {
			return nil
		}
		usual := ""
		if patternFits(r.Match, phpIndex) {
			usual = phpIndex
		}
		index = b.scriptIndex(r, string(r.Match), usual)
		scripts.Index = index
		root = scripts.Root
		var err error
		if o.Scripts, err = programs.NewScripts(scripts); err == nil && r.FastCGI.Front != "" {
			var front programs.Script
			if front, err = o.Scripts.Find(r.FastCGI.Front); err != nil {
				err = fmt.Errorf("front %q: %w", r.FastCGI.Front, err)
			}
			o.Fallback = &front
		}
		if err != nil {
			b.wrong(r.At.Errorf("fastcgi", "%v", err))
			return nil
		}
	}
	o.Site = b.ofSite(documentRoot(h, root))
	f, err := programs.NewFastCGI(o)
	if err != nil {
		b.wrong(r.At.Errorf("fastcgi", "%v", err))
		return nil
	}
	b.built.closers = append(b.built.closers, f.Close)
	if r.Match == "" {
		return b.responder(r, f)
	}
	return b.behindFiles(r, f, index)
}

// scriptIndex returns the index names that are scripts, one by default.
func (b *builder) scriptIndex(r *Route, pattern, name string) (index []string) {
	if r.Match != "" {
		pattern = string(r.Match)
	}
	for _, one := range r.Index {
		if patternFits(Pattern(pattern), one) {
			index = append(index, one)
		}
	}
	if len(index) == 0 && name != "" {
		index = []string{name}
	}
	return index
}

// behindFiles mounts a responder for the scripts that match has, and notes it for paths for which the files of the
// host's root have nothing: directories with an index of its own, and pages of a front controller.
func (b *builder) behindFiles(r *Route, to backend.Responder, index []string) []sites.Mount {
	mounts := b.responder(r, to)
	if r.Match != "" {
		behind := mounts[0]
		behind.Match = ""
		b.index = append(b.index, index...)
		b.behind = append(b.behind, b.rules(r, []sites.Mount{behind})...)
	}
	return mounts
}
