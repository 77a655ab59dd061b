package plan

import (
	"errors"
	"path"
	"strings"

	"fapws/cmd/fapws/settings"
	"fapws/runtime/exchange"
	"fapws/runtime/logfile"
	"fapws/runtime/sites"
	"fapws/runtime/source/ssi"
)

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
		Software:      b.parts.Software,
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
