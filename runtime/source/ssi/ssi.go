package ssi

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"fapws/runtime/backend"
	"fapws/runtime/exchange"
	"fapws/runtime/source/static"
)

// Options say which pages exist and what they may do. The zero value of every field but Files and Root works.
type Options struct {
	// Files is the document root, which pages are read from and confined to.
	Files *static.Files

	// Root is the path of Files, for DOCUMENT_ROOT and SCRIPT_FILENAME.
	Root string

	// Prefix is the decoded path, below a root path, that Files is for: "/docs".
	// "": all.
	Prefix string

	// Patterns are the names of pages with elements: "*.shtml". None: that one.
	// Other files do not exist here.
	Patterns []string

	// Index are the names tried in order when a directory is asked for. Only
	// those that fit Patterns count.
	Index []string

	// Charset is that of Content-Type. "": utf-8; "off": none.
	Charset string

	// Software is SERVER_SOFTWARE. "": fapws.
	Software string

	// AllowExec lets pages run programs: exec cmd and exec cgi.
	AllowExec bool

	// TimeFormat is that of times, as for strftime, until config timefmt.
	// "": "%A, %d-%b-%Y %H:%M:%S %Z".
	TimeFormat string

	// ErrorMessage stands where an element has failed, until config errmsg.
	// "": "[an error occurred while processing this directive]".
	ErrorMessage string

	// UndefinedEcho stands for a variable that there is not, until config
	// echomsg. "": "(none)".
	UndefinedEcho string

	// Depth is how many pages may be included in each other, at most
	// exchange.MaxDepth. 0: that.
	Depth int

	// MaxOutput bounds a page with all that is included, in bytes. 0: 64 MiB.
	MaxOutput int64

	// Timeout bounds the time a page takes with all that is included. 0: 30 s.
	Timeout time.Duration

	// CacheBytes bounds the memory for parsed pages. 0: 8 MiB; below zero: no
	// cache.
	CacheBytes int

	// Log gets a line about an error in a page, and the client that asked for it, or "", on any goroutine.
	Log func(client, line string)
}

// maxPage is the size of the largest page that is read, in bytes.
const maxPage = 8 << 20

// Pages is a backend.Responder for the pages of one document root.
type Pages struct {
	opt   Options
	cache cache
	slots chan struct{} // of programs that run
}

// maxPrograms bounds how many programs run for exec cmd at the same time.
const maxPrograms = 32

// New checks the options. The error is one line.
func New(o Options) (*Pages, error) {
	if o.Files == nil {
		return nil, errors.New("SSI: no directory given")
	}
	if len(o.Patterns) == 0 {
		o.Patterns = []string{"*.shtml"}
	}
	for _, p := range o.Patterns {
		if _, err := path.Match(p, ""); err != nil || strings.Contains(p, "/") {
			return nil, fmt.Errorf("SSI: %q is not a pattern of file names", p)
		}
	}
	if o.Depth < 0 || o.Depth > exchange.MaxDepth {
		return nil, fmt.Errorf("SSI: depth must be 1 to %[2]d, not %[1]d", o.Depth, exchange.MaxDepth)
	}
	if strings.ContainsAny(o.Charset, "\r\n\x00;\" ") {
		return nil, fmt.Errorf("SSI: %q is not a charset", o.Charset)
	}
	var err error
	if o.Root, err = filepath.Abs(o.Root); err != nil {
		return nil, fmt.Errorf("SSI: %w", err)
	}
	o.Prefix = strings.TrimRight(o.Prefix, "/")
	set(&o.Depth, exchange.MaxDepth)
	set(&o.MaxOutput, 64<<20)
	set(&o.Timeout, 30*time.Second)
	set(&o.CacheBytes, 8<<20)
	set(&o.Charset, "utf-8")
	set(&o.Software, "fapws")
	set(&o.TimeFormat, "%A, %d-%b-%Y %H:%M:%S %Z")
	set(&o.ErrorMessage, "[an error occurred while processing this directive]")
	set(&o.UndefinedEcho, "(none)")
	if o.Log == nil {
		o.Log = func(_, _ string) {}
	}
	return &Pages{opt: o, cache: cache{limit: o.CacheBytes}, slots: make(chan struct{}, maxPrograms)}, nil
}

// set gives an option that is not set its value.
func set[T comparable](option *T, value T) {
	var unset T
	if *option == unset {
		*option = value
	}
}

// IsPage says whether a file of this name has elements.
func (s *Pages) IsPage(name string) bool {
	name = name[strings.LastIndexByte(name, '/')+1:]
	for _, p := range s.opt.Patterns {
		if ok, _ := path.Match(p, name); ok {
			return true
		}
	}
	return false
}

// Respond implements backend.Responder.
func (s *Pages) Respond(w *backend.Response, r *backend.Request) {
	switch r.Method() {
	case "GET", "HEAD", "POST":
	default:
		w.Start(exchange.Head{Status: 405, Fields: []byte("Allow: GET, HEAD, POST\r\nContent-Type: text/plain; charset=utf-8\r\n"), Length: -1})
		w.Write([]byte("405 Method Not Allowed\n"))
		return
	}
	path, ok := s.below(r.Path[r.Root:])
	if !ok {
		w.Refuse(404, "")
		return
	}
	f, err := s.find(path)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	p := s.newPage(w, r, f)
	defer p.close()
	p.run()
}

// below returns the path below the root that a path of the site means.
func (s *Pages) below(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, s.opt.Prefix)
	return rest, ok && strings.HasPrefix(rest, "/")
}

// refuse answers that there is no page.
func (s *Pages) refuse(w *backend.Response, r *backend.Request, err error) {
	status := static.StatusOf(err)
	if errors.Is(err, errTooLarge) {
		status = 500
	}
	if status >= 500 {
		s.opt.Log(r.Client(), fmt.Sprintf("SSI: %s: %v", r.Path, err))
	}
	w.Refuse(status, "")
}

var errTooLarge = fmt.Errorf("the page is longer than %d bytes", maxPage)

// find returns the page for a decoded path below the root.
func (s *Pages) find(path string) (*file, error) {
	if !strings.HasSuffix(path, "/") {
		if !s.IsPage(path) {
			return nil, os.ErrNotExist
		}
		return s.load(path)
	}
	for _, index := range s.opt.Index {
		if !s.IsPage(index) {
			continue
		}
		f, err := s.load(path + index)
		if err == nil || !errors.Is(err, os.ErrNotExist) {
			return f, err
		}
	}
	return nil, os.ErrNotExist
}
