package ssi

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"path/filepath"
	"strings"

	"fapws/runtime/exchange"
	"fapws/runtime/route"
	"fapws/runtime/source/programs"
)

// If an argument cannot be included, the next onerror argument is used instead. Arguments named virtual before this
// onerror argument are ignored.
func (p *page) include(e *element) {
	failed := false
	for a := range p.arguments(e) {
		target := p.substitute(unescapeHTML(a.value))
		var err error
		switch {
		case a.name == "file":
			if target, err = p.fileTarget(target); err == nil {
				err = p.insert(target)
			}
		case (a.name == "onerror") == failed:
			err = p.insert(p.target(target))
		default:
			continue
		}
		if p.stopped {
			return
		}
		if err == nil {
			failed = false
			continue
		}
		p.log("cannot include %s %q: %v", a.name, a.value, err)
		if failed {
			break
		}
		failed = true
	}
	if failed {
		p.write(p.errmsg)
	}
}

func (p *page) insert(target string) error {
	status, body, err := p.get(target)
	if err != nil {
		return err
	}
	if status < 200 || status >= 300 {
		return fmt.Errorf("the answer has the status %d", status)
	}
	p.write(string(body))
	return nil
}

func (p *page) get(target string) (status int, body []byte, err error) {
	if p.r.Depth() >= p.s.opt.Depth {
		return 0, nil, exchange.ErrTooDeep
	}
	status, header, body, err := p.r.Sub(p.ctx, target)
	p.vars.dependOn(header["Vary"])
	return status, body, err
}

func (p *page) reachable(target string) bool {
	status, _, err := p.get(p.target(target))
	return err == nil && status < 400
}

func (p *page) target(s string) string {
	s, _, _ = strings.Cut(s, "#")
	s, query, asked := strings.Cut(s, "?")
	if strings.HasPrefix(s, "/") {
		s = (&url.URL{Path: p.r.Path[:p.r.Root]}).EscapedPath() + s
	} else {
		s = escapeURL(directory(p.r.Path)) + s
	}
	s = string(route.AppendURL(nil, []byte(withoutDots(s))))
	if asked {
		s += "?" + string(route.AppendURL(nil, []byte(query)))
	}
	return s
}

func directory(path string) string { return path[:strings.LastIndexByte(path, '/')+1] }

// withoutDots resolves "." and ".." segments of a path. The result does not lead above the root. If the last segment is
// "." or "..", the result ends with a slash.
func withoutDots(s string) string {
	clean := path.Clean("/" + s)
	if clean != "/" && (strings.HasSuffix(s, "/") || strings.HasSuffix(s, "/.") || strings.HasSuffix(s, "/..")) {
		clean += "/"
	}
	return clean
}

var errOutside = errors.New("the file must be in the directory of the page or under it")

// below resolves a name relative to the page's directory, or returns an error if the name leads outside that directory.
func below(base, name string) (string, error) {
	if !filepath.IsLocal(name) {
		return "", errOutside
	}
	return directory(base) + path.Clean(name), nil
}

// fileTarget returns the URL path of a file to include, which must exist.
func (p *page) fileTarget(name string) (string, error) {
	onDisk, err := below(p.f.name, name)
	if err != nil {
		return "", err
	}
	if _, err := p.stat(onDisk); err != nil {
		return "", err
	}
	return escapeURL(directory(p.r.Path) + path.Clean(name)), nil
}

// stat returns information about a file at a decoded path below the document root.
func (p *page) stat(name string) (fs.FileInfo, error) {
	f, info, err := p.s.opt.Files.OpenPath(name)
	if err != nil {
		return nil, err
	}
	f.Close()
	return info, nil
}

func (p *page) each(e *element, f func(kind, value string) error) {
	for a := range p.arguments(e) {
		err := f(a.name, unescapeHTML(a.value))
		if p.stopped {
			return
		}
		if err != nil {
			p.fail("%s %s %q: %v", e.name, a.name, a.value, err)
			return
		}
	}
}

func (p *page) eachFile(e *element, f func(fs.FileInfo)) {
	p.each(e, func(kind, value string) (err error) {
		var name string
		if value = p.substitute(value); kind == "file" {
			name, err = below(p.f.name, value)
		} else {
			name, err = p.pathBelow(p.target(value))
		}
		var info fs.FileInfo
		if err == nil {
			info, err = p.stat(name)
		}
		if err == nil {
			f(info)
		}
		return err
	})
}

func (p *page) pathBelow(target string) (string, error) {
	encoded, _, _ := strings.Cut(target, "?")
	decoded, err := url.PathUnescape(encoded)
	if err != nil {
		return "", err
	}
	site, ok := strings.CutPrefix(decoded, p.r.Path[:p.r.Root])
	if ok {
		if name, ok := p.s.below(site); ok {
			return name, nil
		}
	}
	return "", errors.New("it is not under the directory of these pages")
}

const maxCommandOutput = 8 << 20 // in bytes

func (p *page) exec(e *element) {
	if !p.s.opt.AllowExec {
		p.fail("exec is not allowed")
		return
	}
	p.each(e, func(kind, value string) error {
		if kind == "cmd" {
			return p.command(value)
		}
		return p.insert(p.cgiTarget(p.substitute(value)))
	})
}

// cgiTarget returns the URL that includes the output of a program, with the query of the page.
func (p *page) cgiTarget(name string) string {
	path, _, _ := strings.Cut(p.target(name), "?")
	if q := p.r.Query(); q != "" {
		path += "?" + q
	}
	return path
}

// command runs a shell command in the page's directory. Values from clients must not become part of the command, so the
// command gets the variables as its environment, and the groups of the last matched pattern as its arguments. As in
// mod_include, \$ is a dollar sign for the shell. The standard error of the command is logged, and its child processes
// are ended when the command ends.
func (p *page) command(line string) error {
	if err := p.s.places.Enter(p.ctx, p.r.Account()); err != nil {
		return err
	}
	defer p.s.places.Leave(p.r.Account())
	dir := filepath.Join(p.s.opt.Root, directory(p.f.name))
	argv := []string{"/bin/sh", "-c", strings.ReplaceAll(line, `\$`, "$")}
	for n := range len(p.captured) / 2 {
		group, _ := p.capture(n)
		argv = append(argv, group)
	}
	text, err := programs.Output(p.ctx, argv, p.environment(), dir, maxCommandOutput, func(line string) {
		p.log("exec: %s", line)
	})
	p.write(string(text))
	return err
}

func (p *page) environment() []string {
	env := programs.Environment()
	p.vars.each(func(name, value string) {
		if !strings.ContainsAny(name, "=\x00") && !strings.Contains(value, "\x00") && name != "PATH" {
			env = append(env, name+"="+value)
		}
	})
	return env
}
