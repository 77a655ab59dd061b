package plan

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/route"
	"fapws/runtime/source/ssi"
	"fapws/runtime/source/static"
)

// Files contains the keys about serving files, at the top of the configuration file, in hosts and in routes.
type Files = static.Options

func (b *siteBuilder) files(r *Route) ([]exchange.Mount, error) { return b.folder(r, false), nil }

// folder adds a mount that serves the files in a directory. If fall is true, the next mount handles requests for
// missing files. A separate mount serves file names that match a pattern in programs.
func (b *siteBuilder) folder(r *Route, fall bool, programs ...string) []exchange.Mount {
	o := options(r.Files, r.Folder)
	o.Fall, o.Routed, o.Programs = fall, b.routed, b.hidden
	if len(programs) > 0 {
		o.Programs = route.NewPatterns(slices.Concat(b.programs, programs))
	}
	f := b.open(r, o)
	if f == nil {
		return nil
	}
	return r.mounts(exchange.Mount{Source: static.NewSource(f, fall)})
}

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
		b.recordMisuse(r.At, key, one.Err)
	}
	b.opened = append(b.opened, opened{r.At, b.at, o})
	if f != nil {
		b.built.closers = append(b.built.closers, func() { _ = f.Close() })
	}
	return f
}

type opened struct {
	at, host *settings.TOMLTable // table of the route, and of its host
	static.Options
}

// checkFallbacks finds keys without an effect: the key spa if no directory contains its file, and the keys spa and
// mime-types if no directory is served.
func (b *builder) checkFallbacks() {
	roots, found := map[string][]string{}, map[string]bool{}
	for _, one := range b.opened {
		roots[one.SPA] = append(roots[one.SPA], one.Root)
		found[one.SPA] = found[one.SPA] || settings.IsFile(filepath.Join(one.Root, one.SPA))
	}
	for _, one := range b.opened {
		if one.SPA != "" && !found[one.SPA] && len(b.errs) == 0 {
			b.at = one.host
			b.recordMisuse(one.at, "spa", fmt.Errorf("file %q not found in %s", one.SPA, strings.Join(slices.Compact(roots[one.SPA]), ", ")))
		}
	}
	if len(b.opened) > 0 {
		return
	}
	if spa := b.conf.SPA; spa != "" {
		b.recordMisuse(b.plan.Site.At, "spa", errors.New("no directory is served; name one as APP, or with --static PREFIX=DIR"))
	}
	if name := b.conf.MimeTypes; name != "" {
		if _, err := os.Stat(name); err != nil {
			b.recordMisuse(b.plan.Site.At, "mime-types", fmt.Errorf("cannot read %s: %w", name, errors.Unwrap(err)))
		}
	}
}

// withPages adds a mount for the files in a directory that also contains SSI pages, which a separate mount serves.
func (b *siteBuilder) withPages(r *Route, pages *SSI, fall bool) []exchange.Mount {
	names := pages.names()
	for _, name := range names {
		if strings.ContainsRune(name, '/') {
			continue
		}
		if index := strings.Replace(name, "*", "index", 1); !slices.Contains(r.Index, index) {
			r.Index = append(slices.Clone(r.Index), index)
		}
	}
	return b.folder(r, fall, names...)
}

func options(o Files, root string) Files {
	o.Root, o.MaxAge = root, -1
	if o.CacheBytes == 0 {
		// In the configuration, 0 stands for no cache. In static.Options, 0 stands for the default.
		o.CacheBytes = -1
	}
	return o
}

func (b *siteBuilder) errorPages() func(*exchange.Exchange, exchange.Reply) {
	h := b.host
	if len(h.ErrorPages) == 0 {
		return nil
	}
	programs := b.programs
	if h.SSI.Enabled {
		programs = slices.Concat(programs, h.SSI.names())
	}
	pages := map[int]string{}
	for _, key := range slices.Sorted(maps.Keys(h.ErrorPages)) {
		page := h.ErrorPages[key]
		status, err := strconv.Atoi(key)
		if err != nil {
			b.wrong(h.At.Errorf("error-page", "%q is not the status of an error (400 to 599)", key))
			continue
		}
		pages[status] = page
		if h.Root != "" && strings.HasPrefix(page, "/") {
			// without the page, the server sends its default page
			name := filepath.Join(h.Root, page)
			err := unix.Faccessat(unix.AT_FDCWD, name, unix.R_OK, unix.AT_EACCESS)
			if st, e := os.Stat(name); e == nil && st.IsDir() {
				err = unix.EISDIR
			}
			if err != nil {
				b.warn(h.At.Errorf("error-page", "%d: %w", status, &os.PathError{Op: "open", Path: name, Err: err}).Error())
			}
		}
		if strings.HasPrefix(page, "/") && static.FitsAny(programs, page) {
			b.wrong(h.At.Errorf("error-page",
				"%d: %s is a script or SSI page and would be sent unprocessed; an error page must be a static file",
				status, page))
		}
	}
	var files *static.Files
	if h.Root != "" {
		o := options(h.Files, h.Root)
		o.Index, o.SPA, o.Listing, o.Compress = nil, "", false, false // an error page is a single file
		if files = b.open(&Route{At: h.At}, o); files == nil {
			return nil
		}
	}
	made, err := static.NewErrorPages(files, pages)
	if err != nil {
		b.wrong(h.At.Errorf("error-page", "%v", err))
	}
	return made.Answer
}

type SSI struct {
	Enabled bool `short:"true"`
	ssi.Options
}

func (s *SSI) names() []string {
	if len(s.Patterns) == 0 {
		return []string{"*.shtml"}
	}
	return s.Patterns
}

// If the key files is set, its directory contains the pages, and the mounts also serve all files in this directory that
// are not pages. Otherwise the pages are in the root.
func (b *siteBuilder) ssi(r *Route) ([]exchange.Mount, error) {
	if r.Match != "" {
		if len(r.SSI.Patterns) > 0 {
			b.wrong(r.At.Errorf("match", "the names of pages are those of ssi already"))
			return nil, nil
		}
		r.SSI.Patterns = []string{r.Match}
	}
	if r.Folder != "" {
		whole := *r
		whole.Match = ""
		return append(b.pages(r, r.Folder, r.Prefix), b.withPages(&whole, &r.SSI, false)...), nil
	}
	root := cmp.Or(r.Root, b.host.Root)
	if root == "" {
		return nil, errors.New("no directory: set files or root for this route, or root for the host")
	}
	return b.pages(r, root, ""), nil
}

func (b *siteBuilder) pages(r *Route, folder, base string) []exchange.Mount {
	o := options(r.Files, folder)
	o.CacheBytes = -1 // do not cache files, because parsed pages are cached
	f := b.open(r, o)
	if f == nil {
		return nil
	}
	page := r.SSI.Options
	page.Files, page.Root, page.Prefix, page.Charset = f, folder, base, r.Charset
	page.Software, page.Timeout, page.Log = process.Software(), r.Timeout, b.clientLog(logfile.Error)
	pages, err := ssi.New(page)
	if err != nil {
		b.wrong(r.At.Errorf("ssi", "%v", err))
		return nil
	}
	mount := b.responder(r, pages)[0]
	var mounts []exchange.Mount
	for _, name := range r.SSI.names() {
		mount.Match = name
		mounts = append(mounts, mount)
	}
	return mounts
}
