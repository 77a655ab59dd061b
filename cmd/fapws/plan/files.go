package plan

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/sites"
	"fapws/runtime/source/ssi"
	"fapws/runtime/source/static"
)

// Files are the keys about how files are served: of the top of the file (where most are settings), of a host, of a
// route. A missing key is as on the level above.
type Files struct {
	Index     []string         `key:"index"`
	Autoindex *bool            `key:"autoindex"`
	SPA       string           `key:"spa"`
	MimeTypes settings.KeyPath `key:"mime-types"`
	Types     Pairs            `key:"types"` // by extension, without its dot
	Charset   string           `key:"charset"`
	Compress  *bool            `key:"compress"`
	Expires   []string         `key:"expires"`
	Symlinks  Choice           `key:"symlinks"`
	DotFiles  *bool            `key:"dotfiles"`
	Expose    []string         `key:"expose"`
	CacheMax  Size             `key:"cache-files-max"`
}

// inherit takes the settings for defaults.
func (f *Files) inherit(conf *settings.Config) {
	settings.InheritTable(f, &Files{
		Index:     slices.Clone(conf.Index),
		Autoindex: &conf.Autoindex,
		SPA:       conf.SPA,
		MimeTypes: settings.KeyPath(conf.MimeTypes),
		Charset:   conf.Charset,
		Compress:  &conf.Compress,
		Expires:   conf.Expires,
		Symlinks:  Choice(conf.Symlinks),
		DotFiles:  &conf.DotFiles,
		Expose:    conf.Expose,
		CacheMax:  Size(conf.CacheFilesMax),
	})
}

// files mounts a folder.
func (b *builder) files(h *Host, r *Route) []sites.Mount { return b.folder(r, false) }

// folder mounts a directory; with fall, the next mount answers for missing files, and another one for files with the
// names of programs.
func (b *builder) folder(r *Route, fall bool, programs ...string) []sites.Mount {
	o := r.Files.options(string(r.Folder))
	o.Fall, o.Routed, o.Programs = fall, b.routed, slices.Concat(b.hidden, programs)
	f := b.open(r, o)
	if f == nil {
		return nil
	}
	return []sites.Mount{{Prefix: string(r.Prefix), Match: string(r.Match), Source: static.NewSource(f, fall)}}
}

// open opens the folder of a route. nil: something is wrong, and noted.
func (b *builder) open(r *Route, o static.Options) *static.Files {
	o.Private = b.built.Private
	f, wrong := static.NewChecked(o)
	for _, one := range wrong {
		key := strings.ReplaceAll(one.Option, "_", "-")
		switch {
		case key != "root" || r.At.Set(key):
		case r.At.Set("files"):
			key = "files"
		case r.At == b.plan.Site.At && r.Prefix != "":
			key = "static"
		}
		b.misused(r.At, key, one.Err)
	}
	b.noteFallback(r, &o)
	if f != nil {
		b.built.closers = append(b.built.closers, func() { _ = f.Close() })
	}
	return f
}

// spaUse says which directories of a site have the file that spa names.
type spaUse struct {
	at    settings.Position // the first one without it
	roots []string          // those without it
	found bool              // one has it
}

// noteFallback notes whether the folder of a route has its file for single-page
// applications.
func (b *builder) noteFallback(r *Route, o *static.Options) {
	b.folders++
	if o.SPA == "" {
		return
	}
	use := b.spas[o.SPA]
	if st, err := os.Stat(filepath.Join(o.Root, o.SPA)); err == nil && st.Mode().IsRegular() {
		use.found = true
	} else if use.roots = append(use.roots, o.Root); len(use.roots) == 1 {
		use.at = r.At
	}
	if b.spas == nil {
		b.spas = map[string]spaUse{}
	}
	b.spas[o.SPA] = use
}

// checkFallbacks finds settings about files that nothing can use: a spa that no folder
// has, and a spa or mime-types without any folder.
func (b *builder) checkFallbacks() {
	for name, use := range b.spas {
		if !use.found && len(b.errs) == 0 {
			b.misused(use.at, "spa", fmt.Errorf("file %q not found in %s", name, strings.Join(use.roots, ", ")))
		}
	}
	if b.folders > 0 {
		return
	}
	if spa := b.conf.SPA; spa != "" {
		b.misused(b.plan.Site.At, "spa", errors.New("no directory is served; name one as APP, or with --static PREFIX=DIR"))
	}
	if name := b.conf.MimeTypes; name != "" {
		if _, err := os.Stat(name); err != nil {
			b.misused(b.plan.Site.At, "mime-types", fmt.Errorf("cannot read %s: %w", name, errors.Unwrap(err)))
		}
	}
}

// withPages mounts a folder whose pages with elements are answered elsewhere.
func (b *builder) withPages(r *Route, pages *SSI, fall bool) []sites.Mount {
	names := pages.names()
	for _, name := range names {
		if index := strings.Replace(name, "*", "index", 1); !slices.Contains(r.Index, index) {
			r.Index = append(slices.Clone(r.Index), index)
		}
	}
	return b.folder(r, fall, names...)
}

// options are those of package static.
func (f *Files) options(root string) static.Options {
	o := static.Options{
		Root:      root,
		Index:     f.Index,
		Listing:   *f.Autoindex,
		SPA:       f.SPA,
		MaxAge:    -1,
		Expires:   f.Expires,
		Symlinks:  string(f.Symlinks),
		MimeTypes: string(f.MimeTypes),
		Charset:   f.Charset,
		Compress:  *f.Compress,
		Types:     map[string]string{},
		DotFiles:  *f.DotFiles,
		Expose:    f.Expose,

		CacheBytes: int(min(f.CacheMax, math.MaxInt)),
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = -1 // none, as the configuration asks
	}
	for _, t := range f.Types {
		o.Types[strings.TrimPrefix(t.Name, ".")] = t.Value
	}
	return o
}

// SSI is the key ssi: true for pages called *.shtml, other names, or a table.
type SSI struct {
	Given     bool
	Patterns  []string `key:"patterns"` // empty: *.shtml
	Exec      bool     `key:"exec"`
	TimeFmt   string   `key:"timefmt"`
	ErrMsg    string   `key:"errmsg"`
	EchoMsg   string   `key:"echomsg"`
	Depth     int      `key:"depth"`
	MaxOutput Size     `key:"max-output"`
}

// FromFile implements settings.TableReader.
func (s *SSI) FromFile(v settings.TOMLValue) error {
	s.Given = true
	switch x := v.Any.(type) {
	case bool:
		s.Given = x
		return nil
	case *settings.TOMLTable:
		if err := table(x, s); err != nil {
			return err
		}
	default:
		list, err := v.Strings()
		if err != nil {
			return errors.New(`true, names such as ["*.shtml"], or a table with patterns, exec, timefmt, errmsg, echomsg, depth, max-output`)
		}
		s.Patterns = list
	}
	if s.Depth < 0 || s.Depth > exchange.MaxDepth {
		return errors.New("a table whose depth is 1 to 10")
	}
	for _, p := range s.Patterns {
		if !isPattern(p) {
			return errors.New(`a list of file names such as ["*.shtml"]`)
		}
	}
	return nil
}

func isPattern(s string) bool {
	_, err := path.Match(s, "")
	return s != "" && err == nil && !strings.ContainsRune(s, '/')
}

// names are the patterns of pages.
func (s *SSI) names() []string {
	if len(s.Patterns) == 0 {
		return []string{"*.shtml"}
	}
	return s.Patterns
}

// ssi mounts pages: those of the folder that the route is for, whose other files
// are served too, or those below a root, where paths begin.
func (b *builder) ssi(h *Host, r *Route) []sites.Mount {
	if r.Match != "" {
		if len(r.SSI.Patterns) > 0 {
			b.wrong(r.At.Errorf("match", "the names of pages are those of ssi already"))
			return nil
		}
		r.SSI.Patterns = []string{string(r.Match)}
	}
	if r.Folder != "" {
		whole := *r
		whole.Match = ""
		return append(b.pages(r, string(r.Folder), string(r.Prefix)), b.withPages(&whole, &r.SSI, false)...)
	}
	root := r.Root
	if root == "" {
		root = h.Root
	}
	if root == "" {
		b.wrong(r.At.Errorf("ssi", "no directory: set files or root for this route, or root for the host"))
		return nil
	}
	return b.pages(r, string(root), "")
}

// hostPages mounts the pages of a host's root.
func (b *builder) hostPages(h *Host, rest *Route) []sites.Mount {
	if h.Root == "" {
		b.wrong(h.At.Errorf("ssi", "no directory: set root for the host"))
		return nil
	}
	r := *rest
	r.SSI = h.SSI
	return b.pages(&r, string(h.Root), "")
}

// pages mounts the pages of a folder, which stands for the paths below base.
func (b *builder) pages(r *Route, folder, base string) []sites.Mount {
	o := r.Files.options(folder)
	o.CacheBytes = -1 // the pages are kept as they were understood
	f := b.open(r, o)
	if f == nil {
		return nil
	}
	pages, err := ssi.New(ssi.Options{
		Files:         f,
		Root:          folder,
		Prefix:        base,
		Patterns:      r.SSI.Patterns,
		Charset:       r.Charset,
		Software:      process.Software(),
		AllowExec:     r.SSI.Exec,
		TimeFormat:    r.SSI.TimeFmt,
		ErrorMessage:  r.SSI.ErrMsg,
		UndefinedEcho: r.SSI.EchoMsg,
		Depth:         r.SSI.Depth,
		MaxOutput:     int64(r.SSI.MaxOutput),
		Timeout:       r.patience(),
		Log:           b.clientLog(logfile.Error),
	})
	if err != nil {
		b.wrong(r.At.Errorf("ssi", "%v", err))
		return nil
	}
	mount := b.responder(r, pages)[0]
	var mounts []sites.Mount
	for _, name := range r.SSI.names() {
		mount.Match = name
		mounts = append(mounts, mount)
	}
	return mounts
}
