package watch

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// AlwaysInclude and AlwaysExclude are the patterns that count in addition to those of Options.
var (
	AlwaysInclude = []string{"*.py"}
	AlwaysExclude = []string{".*", "*~", "__pycache__", "node_modules"}
)

// patterns decides which files count. A pattern without a slash is compared
// with base names; one with a slash with the whole path, or if it does not
// begin with a slash, with the path from the working directory and from the
// watched folder. The wildcards are those of path/filepath.Match.
type patterns struct {
	include, exclude []string
	files            []string // absolute paths
	cwd              string
}

func newPatterns(o *Options, cwd string) (patterns, error) {
	p := patterns{cwd: cwd}
	for _, name := range o.Files {
		if !filepath.IsAbs(name) {
			name = filepath.Join(cwd, name)
		}
		p.files = append(p.files, filepath.Clean(name))
	}
	for _, list := range []struct {
		to           *[]string
		always, more []string
	}{{&p.include, AlwaysInclude, o.Include}, {&p.exclude, AlwaysExclude, o.Exclude}} {
		*list.to = append(*list.to, list.always...)
		for _, one := range list.more {
			if _, err := filepath.Match(one, ""); err != nil {
				return p, fmt.Errorf("the pattern %q is invalid: %w", one, err)
			}
			if strings.Contains(one, "/") {
				one = filepath.Clean(one)
			}
			*list.to = append(*list.to, one)
		}
	}
	return p, nil
}

// file reports whether a file counts. One that is named without wildcards counts
// whatever is excluded.
func (p *patterns) file(root, path string) bool {
	if slices.Contains(p.files, path) {
		return true
	}
	included := false
	for _, one := range p.include {
		if !p.match(one, root, path) {
			continue
		}
		if !wild(one) {
			return true
		}
		included = true
	}
	return included && !p.excluded(root, path)
}

// excluded reports whether a file or folder does not count.
func (p *patterns) excluded(root, path string) bool {
	for _, one := range p.exclude {
		if p.match(one, root, path) {
			return true
		}
	}
	return false
}

func (p *patterns) match(pattern, root, path string) bool {
	if !strings.Contains(pattern, "/") {
		ok, _ := filepath.Match(pattern, filepath.Base(path))
		return ok
	}
	if filepath.IsAbs(pattern) {
		ok, _ := filepath.Match(pattern, path)
		return ok
	}
	for _, from := range []string{root, p.cwd} {
		if rest, below := strings.CutPrefix(path, strings.TrimSuffix(from, "/")+"/"); below {
			if ok, _ := filepath.Match(pattern, rest); ok {
				return true
			}
		}
	}
	return false
}

// named returns the absolute paths of the files that are named, Options.Files or patterns with a slash
// and without wildcards: they are watched wherever they are.
func (p *patterns) named() (paths []string) {
	paths = append(paths, p.files...)
	for _, one := range p.include {
		if wild(one) || !strings.Contains(one, "/") {
			continue
		}
		if !filepath.IsAbs(one) {
			one = filepath.Join(p.cwd, one)
		}
		paths = append(paths, one)
	}
	return paths
}

func wild(pattern string) bool { return strings.ContainsAny(pattern, `*?[\`) }
