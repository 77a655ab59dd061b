package ssi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"fapws/runtime/backend"
	"fapws/runtime/exchange"
	"fapws/runtime/source/programs"
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
	Patterns []string `key:"patterns" is:"pattern" short:"names such as [\"*.shtml\"]"`

	// Index are the names tried in order when a directory is asked for. Only
	// those that fit Patterns count.
	Index []string

	// Charset is that of Content-Type. "": utf-8; "off": none.
	Charset string

	// Software is SERVER_SOFTWARE. "": fapws.
	Software string

	// AllowExec lets pages run programs: exec cmd and exec cgi.
	AllowExec bool `key:"exec"`

	// TimeFormat is that of times, as for strftime, until config timefmt.
	// "": "%A, %d-%b-%Y %H:%M:%S %Z".
	TimeFormat string `key:"timefmt"`

	// ErrorMessage stands where an element has failed, until config errmsg.
	// "": "[an error occurred while processing this directive]".
	ErrorMessage string `key:"errmsg"`

	// UndefinedEcho stands for a variable that there is not, until config
	// echomsg. "": "(none)".
	UndefinedEcho string `key:"echomsg"`

	// Depth is how many pages may be included in each other, at most
	// exchange.MaxDepth. 0: that.
	Depth int `key:"depth" range:"1-10"`

	// MaxOutput bounds a page with all that is included, in bytes. 0: 64 MiB.
	MaxOutput int64 `key:"max-output"`

	// Timeout bounds the time a page takes with all that is included. 0: 30 s.
	Timeout time.Duration

	// Log gets a line about an error in a page, and the client that asked for it, or "", on any goroutine.
	Log func(client, line string)
}

const (
	maxPage   = 8 << 20 // bytes of the largest page that is read
	maxParsed = 8 << 20 // bytes of memory for parsed pages
)

// Pages is a backend.Responder for the pages of one document root.
type Pages struct {
	opt   Options
	cache cache
	gate  *programs.Gate // for programs that run
}

// maxPrograms bounds how many programs run for exec cmd at the same time. Any number waits: there are fewer requests.
const (
	maxPrograms = 32
	maxWaiting  = 1 << 30
)

// New checks the options. The error is one line.
func New(o Options) (*Pages, error) {
	if len(o.Patterns) == 0 {
		o.Patterns = []string{"*.shtml"}
	}
	var err error
	if o.Root, err = filepath.Abs(o.Root); err != nil {
		return nil, fmt.Errorf("SSI: %w", err)
	}
	o.Prefix = strings.TrimRight(o.Prefix, "/")
	o.Depth = cmp.Or(o.Depth, exchange.MaxDepth)
	o.MaxOutput = cmp.Or(o.MaxOutput, 64<<20)
	o.Timeout = cmp.Or(o.Timeout, 30*time.Second)
	o.Charset = cmp.Or(o.Charset, "utf-8")
	o.Software = cmp.Or(o.Software, "fapws")
	o.TimeFormat = cmp.Or(o.TimeFormat, "%A, %d-%b-%Y %H:%M:%S %Z")
	o.ErrorMessage = cmp.Or(o.ErrorMessage, "[an error occurred while processing this directive]")
	o.UndefinedEcho = cmp.Or(o.UndefinedEcho, "(none)")
	return &Pages{opt: o, cache: cache{limit: maxParsed, files: map[string]*file{}}, gate: programs.NewGate(maxPrograms, maxWaiting)}, nil
}

// isPage says whether a file of this name has elements.
func (s *Pages) isPage(name string) bool { return static.FitsAny(s.opt.Patterns, name) }

// Respond implements backend.Responder.
func (s *Pages) Respond(w *backend.Response, r *backend.Request) {
	switch r.Method() {
	case "GET", "HEAD", "POST":
	default:
		w.Start(exchange.Head{Status: 405, Fields: []byte("Allow: GET, HEAD, POST\r\n"), Length: -1, Instead: exchange.Refusal})
		return
	}
	path, ok := s.below(r.Path[r.Root:])
	if !ok {
		w.Refuse(404, "")
		return
	}
	f, err := s.find(path)
	if err != nil {
		status := static.StatusOf(err)
		if status >= 500 {
			s.opt.Log(r.Client(), fmt.Sprintf("SSI: %s: %v", r.Path, err))
		}
		w.Refuse(status, "")
		return
	}
	p := s.newPage(w, r, f)
	defer p.cancel()
	p.run()
}

// below returns the path below the root that a path of the site means.
func (s *Pages) below(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, s.opt.Prefix)
	return rest, ok && strings.HasPrefix(rest, "/")
}

var errTooLarge = fmt.Errorf("the page is longer than %d bytes: %w", maxPage, syscall.EFBIG)

// find returns the page for a decoded path below the root.
func (s *Pages) find(path string) (f *file, err error) {
	names := []string{""}
	if strings.HasSuffix(path, "/") {
		names = s.opt.Index
	}
	for _, name := range names {
		if !s.isPage(path + name) {
			continue
		}
		if f, err = s.load(path + name); !errors.Is(err, os.ErrNotExist) {
			return f, err
		}
	}
	return nil, os.ErrNotExist
}

// shared is the state that a page shares with the pages that it includes.
type shared struct {
	vars  *variables
	left  atomic.Int64 // bytes that may still be sent
	lines atomic.Int32 // that were logged
}

// maxLines is the maximum number of log lines of one request, and maxLine that of bytes of one.
const (
	maxLines = 20
	maxLine  = 500
)

// page is a page while it is being made.
type page struct {
	s   *Pages
	w   *backend.Response
	r   *backend.Request
	f   *file
	ctx context.Context

	*shared
	cancel context.CancelFunc

	timefmt, errmsg, echomsg string
	bytes                    bool // config sizefmt="bytes"

	// Of if: whether text is shown, whether the branch of the innermost if that
	// is true was found, and how many ifs began where nothing is shown.
	printing, found bool
	hidden          int

	rest     []node   // behind the one that is carried out
	element  *element // being carried out
	text     string   // that the last regular expression with groups was tried on
	captured []int    // where that was and its groups are in it; nil: it did not match

	buf     []byte
	stopped bool
}

// bufferSize is how much of a page is held back; a page that ends before has a
// Content-Length.
const bufferSize = 64 << 10

func (s *Pages) newPage(w *backend.Response, r *backend.Request, f *file) *page {
	p := &page{s: s, w: w, r: r, f: f, timefmt: s.opt.TimeFormat, errmsg: s.opt.ErrorMessage,
		echomsg: s.opt.UndefinedEcho, printing: true, found: true}
	p.ctx, p.cancel = context.WithTimeout(r.Context, s.opt.Timeout)
	if outer, ok := r.Value.(*shared); ok {
		p.shared = outer
		if q := r.Query(); q != "" {
			p.vars.putQuery(q)
		}
	} else {
		p.shared = &shared{vars: newVariables(r, f, &s.opt, time.Now())}
		p.left.Store(s.opt.MaxOutput)
	}
	r.Share(p.shared)
	return p
}

// run makes the page.
func (p *page) run() {
	for i, n := range p.f.doc.nodes {
		if p.stopped {
			break
		}
		p.rest, p.element = p.f.doc.nodes[i+1:], n.element
		if n.element == nil {
			p.write(n.text)
			continue
		}
		if p.ctx.Err() != nil {
			p.stop("timed out")
			break
		}
		p.carryOut(n.element)
	}
	if !p.printing && !p.stopped {
		p.log("missing endif")
	}
	p.finish()
}

// write adds to the page, where it is shown.
func (p *page) write(text string) {
	if p.stopped || !p.printing || text == "" {
		return
	}
	if p.left.Add(-int64(len(text))) < 0 {
		p.stop("the output is too large")
		return
	}
	p.buf = append(p.buf, text...)
	if len(p.buf) >= bufferSize {
		p.start(-1)
		p.send()
	}
}

// start sends the head. The dependencies of a page of more than bufferSize are known of its beginning only: elements behind that may depend on
// anything.
func (p *page) start(length int64) {
	contentType := "text/html"
	if p.s.opt.Charset != "off" {
		contentType += "; charset=" + p.s.opt.Charset
	}
	fields := "Content-Type: " + contentType + "\r\n"
	vary := p.vars.varies()
	if slices.ContainsFunc(p.rest, func(n node) bool { return n.element != nil }) {
		vary = "*"
	}
	if vary != "" {
		fields += "Vary: " + vary + "\r\n"
	}
	p.w.Start(exchange.Head{Status: 200, Fields: []byte(fields), Length: length})
}

func (p *page) send() {
	if _, err := p.w.Write(p.buf); err != nil {
		p.stopped = true
	}
	p.buf = p.buf[:0]
}

// stop ends the page here.
func (p *page) stop(why string) {
	if p.stopped {
		return
	}
	p.stopped = true
	if p.r.Context.Err() == nil { // else the client has disconnected
		p.log(why)
	}
	p.buf = append(p.buf, p.errmsg...)
}

// finish sends the rest. A page that has begun and cannot be completed is broken off, so that its client notices.
func (p *page) finish() {
	broken := p.stopped && p.w.Started()
	p.start(int64(len(p.buf)))
	p.send()
	if broken {
		p.w.Fail()
	}
}

// log writes an error about the page.
func (p *page) log(format string, args ...any) {
	switch n := p.lines.Add(1); {
	case n > maxLines:
		return
	case n == maxLines:
		format, args = "more errors of this request are not shown", nil
	}
	where := p.s.opt.Root + p.f.name
	if p.element != nil {
		where = fmt.Sprintf("%s:%d", where, p.element.line)
	}
	text := fmt.Sprintf(format, args...)
	if len(text) > maxLine {
		text = text[:maxLine] + "..."
	}
	p.s.opt.Log(p.r.Client(), "SSI: "+where+": "+text) // which escapes control characters
}

// fail writes the error message in the place of the element, and a line to the
// log.
func (p *page) fail(format string, args ...any) {
	p.log(format, args...)
	p.write(p.errmsg)
}

// match compares a text with a regular expression. One with groups leaves them to $0 ... $9, also when it does not match.
func (p *page) match(re *regexp.Regexp, text string) bool {
	if re.NumSubexp() == 0 {
		return re.MatchString(text)
	}
	p.text, p.captured = text, re.FindStringSubmatchIndex(text)
	return p.captured != nil
}

// capture returns $n. There is none for a group that was not needed.
func (p *page) capture(n int) (string, bool) {
	if 2*n >= len(p.captured) || p.captured[2*n] < 0 {
		return "", false
	}
	return p.text[p.captured[2*n]:p.captured[2*n+1]], true
}

// variable returns the value of a variable, or of $0 ... $9.
func (p *page) variable(name string) (string, bool) {
	if len(name) == 1 && isDigit(name[0]) {
		return p.capture(int(name[0] - '0'))
	}
	return p.vars.get(name)
}

// substitute replaces $name and ${name} in a value. \$ is a dollar sign;
// other backslashes stay.
func (p *page) substitute(s string) string {
	size := 0
	return reference().ReplaceAllStringFunc(s, func(text string) string {
		name := text[1:]
		switch braced := strings.HasPrefix(name, "{"); {
		case name == "$": // with a backslash
			return name
		case braced && !strings.HasSuffix(name, "}"):
			p.log("a } is missing in %q", s)
			return ""
		case braced:
			name = name[1 : len(name)-1]
		}
		if size > maxVariables {
			return ""
		}
		value, _ := p.variable(name)
		size += len(value)
		return value
	})
}

// reference is one to a variable, or a dollar sign that is none. One without its brace reaches to the end.
var reference = pattern(`\\\$|\$(?:\w+|\{[^}]+\}|\{[^}]*$)`)
