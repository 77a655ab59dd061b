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

// Options determine which pages exist and which elements they may use; all fields except Files and Root may be zero.
type Options struct {
	// Files is the document root, which pages cannot leave.
	Files *static.Files

	// Root is the path of the document root, for DOCUMENT_ROOT and SCRIPT_FILENAME.
	Root string

	// Prefix is the decoded URL path that corresponds to Files, such as "/docs". Prefix does not contain the root path
	// that a proxy has removed. "" means all paths.
	Prefix string

	// Patterns contains patterns for the names of pages with elements, by default "*.shtml".
	Patterns []string `key:"patterns" is:"pattern" short:"names such as [\"*.shtml\"]"`

	// Index contains the names of index files, in order of preference. Only names that match Patterns are used.
	Index []string

	// Charset is the charset parameter of Content-Type; "" means utf-8, and "off" means no parameter.
	Charset string

	Software string // SERVER_SOFTWARE

	// AllowExec permits pages to run programs with the elements exec cmd and exec cgi.
	AllowExec bool `key:"exec"`

	// TimeFormat is the strftime format for times, unless a page changes the format with "config timefmt". "" means
	// "%A, %d-%b-%Y %H:%M:%S %Z".
	TimeFormat string `key:"timefmt"`

	// ErrorMessage is shown instead of an element that has failed, unless a page changes the message with "config
	// errmsg". "" means "[an error occurred while processing this directive]".
	ErrorMessage string `key:"errmsg"`

	// UndefinedEcho is shown instead of a variable that does not exist, unless a page changes this text with "config
	// echomsg". "" means "(none)".
	UndefinedEcho string `key:"echomsg"`

	// Depth is the maximum depth of nested includes, at most exchange.MaxDepth, which is the default.
	Depth int `key:"depth" range:"1-10"`

	// MaxOutput limits the size of a page with its includes, in bytes. 0 means 64 MiB.
	MaxOutput int64 `key:"max-output"`

	// Timeout limits the time for processing a page with its includes. 0 means 30 s.
	Timeout time.Duration

	// Log is called on any goroutine with a line about an error in a page, and the address of the client that requested
	// the page, or "".
	Log func(client, line string)
}

const (
	maxPage   = 8 << 20 // in bytes
	maxParsed = 8 << 20 // maximum memory for parsed pages, in bytes
)

type Pages struct {
	opt    Options
	cache  cache
	places *programs.Places
}

// maxPrograms limits the running commands of exec cmd; waiting commands have no limit of their own, because each
// belongs to a request.
const (
	maxPrograms = 32
	maxWaiting  = 1 << 30
)

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
	o.TimeFormat = cmp.Or(o.TimeFormat, "%A, %d-%b-%Y %H:%M:%S %Z")
	o.ErrorMessage = cmp.Or(o.ErrorMessage, "[an error occurred while processing this directive]")
	o.UndefinedEcho = cmp.Or(o.UndefinedEcho, "(none)")
	return &Pages{opt: o, cache: cache{files: map[string]*file{}}, places: programs.NewPlaces(maxPrograms, maxWaiting)}, nil
}

func (s *Pages) isPage(name string) bool { return static.FitsAny(s.opt.Patterns, name) }

func (s *Pages) Respond(w *backend.ResponseWriter, r *backend.Request) {
	if !slices.Contains([]string{"GET", "HEAD", "POST"}, r.Method()) {
		w.Add("Allow: GET, HEAD, POST\r\n")
		w.Refuse(405, "")
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

func (s *Pages) below(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, s.opt.Prefix)
	return rest, ok && strings.HasPrefix(rest, "/")
}

var errTooLarge = fmt.Errorf("the page is longer than %d bytes: %w", maxPage, syscall.EFBIG)

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

// shared is the state of a page and of the pages that it includes.
type shared struct {
	vars  *variables
	left  atomic.Int64 // number of bytes that may still be sent (Options.MaxOutput)
	lines atomic.Int32
}

// maxLines limits the number of log lines for a request, and maxLine limits the length of each line in bytes.
const (
	maxLines = 20
	maxLine  = 500
)

type page struct {
	s   *Pages
	w   *backend.ResponseWriter
	r   *backend.Request
	f   *file
	ctx context.Context

	*shared
	cancel context.CancelFunc

	timefmt, errmsg, echomsg string
	bytes                    bool

	// State of if elements: printing is true while text is shown; found is true if a branch of the innermost if was
	// true; hidden counts the enclosing if elements that began in hidden text.
	printing, found bool
	hidden          int

	rest    []node // nodes after the current node
	element *element
	// text that was last compared with a regular expression with groups
	text string
	// positions of that match and its groups in the string text; nil if there was no match
	captured []int

	buf     []byte
	stopped bool
}

// bufferSize is the size of the output buffer, in bytes; a response has a Content-Length if the whole page fits into
// this buffer.
const bufferSize = 64 << 10

func (s *Pages) newPage(w *backend.ResponseWriter, r *backend.Request, f *file) *page {
	p := &page{s: s, w: w, r: r, f: f, timefmt: s.opt.TimeFormat, errmsg: s.opt.ErrorMessage,
		echomsg: s.opt.UndefinedEcho, printing: true, found: true}
	p.ctx, p.cancel = context.WithTimeout(r.Context, s.opt.Timeout)
	if r.Origin != nil {
		p.shared, _ = r.Origin.Value.(*shared) // nil if no page includes this page
	}
	if p.shared == nil {
		p.shared = &shared{vars: newVariables(r, f, &s.opt, time.Now())}
		p.left.Store(s.opt.MaxOutput)
	} else if q := r.Query(); q != "" {
		p.vars.putQuery(q)
	}
	r.Share(p.shared)
	return p
}

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

// If elements are still to be executed, the page may depend on any request field, so start adds "Vary: *".
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

func (p *page) stop(reason string) {
	if p.stopped {
		return
	}
	p.stopped = true
	if p.r.Context.Err() == nil { // the client has not disconnected
		p.log(reason)
	}
	p.buf = append(p.buf, p.errmsg...)
}

// If an incomplete page was already partly sent, finish aborts the response, so that the client notices.
func (p *page) finish() {
	broken := p.stopped && p.w.Started()
	p.start(int64(len(p.buf)))
	p.send()
	if broken {
		p.w.Fail()
	}
}

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
	p.s.opt.Log(p.r.Client(), "SSI: "+where+": "+text) // Log escapes control characters
}

func (p *page) fail(format string, args ...any) {
	p.log(format, args...)
	p.write(p.errmsg)
}

// match compares text with a regular expression. If the expression has groups, match also sets $0 to $9, or clears them
// if the text does not match.
func (p *page) match(re *regexp.Regexp, text string) bool {
	if re.NumSubexp() == 0 {
		return re.MatchString(text)
	}
	p.text, p.captured = text, re.FindStringSubmatchIndex(text)
	return p.captured != nil
}

// capture returns group n of the last match, or false if the match does not include this group.
func (p *page) capture(n int) (string, bool) {
	if 2*n >= len(p.captured) || p.captured[2*n] < 0 {
		return "", false
	}
	return p.text[p.captured[2*n]:p.captured[2*n+1]], true
}

func (p *page) variable(name string) (string, bool) {
	if len(name) == 1 && isDigit(name[0]) {
		return p.capture(int(name[0] - '0'))
	}
	return p.vars.get(name)
}

// substitute replaces $name and ${name} in a value by the value of the variable, and \$ by a dollar sign, but keeps
// other backslashes.
func (p *page) substitute(s string) string {
	size := 0
	return reference().ReplaceAllStringFunc(s, func(text string) string {
		name := text[1:]
		switch braced := strings.HasPrefix(name, "{"); {
		case name == "$": // after a backslash
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

// A reference without a closing brace extends to the end of the value.
var reference = pattern(`\\\$|\$(?:\w+|\{[^}]+\}|\{[^}]*$)`)
