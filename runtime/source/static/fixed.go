package static

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/route"
)

type Fixed struct {
	exchange.Memory
	reply exchange.Reply
}

type FixedOptions struct {
	Status int // 200 to 599; 0 means 200
	// If Body is empty, an error response contains the server's error page, and any other response has no body.
	Body   string
	Type   string // Content-Type; empty for text/plain in UTF-8
	Fields []http1.HeaderField
}

func NewFixed(o FixedOptions) (*Fixed, error) {
	o.Status = cmp.Or(o.Status, 200)
	if o.Status < 200 || o.Status > 599 {
		return nil, fmt.Errorf("%d is not the status of an answer (200 to 599)", o.Status)
	}
	o.Type = cmp.Or(o.Type, "text/plain; charset=utf-8")
	r := exchange.Reply{Status: o.Status, Type: o.Type, Whole: o.Body != "" || o.Status < 400}
	if o.Body != "" {
		r.Body = []byte(o.Body)
	}
	if err := (http1.HeaderField{Name: "Content-Type", Value: o.Type}).Check(); err != nil {
		return nil, err
	}
	for _, field := range o.Fields {
		if err := field.Check(); err != nil {
			return nil, err
		}
		r.Fields = field.AppendTo(r.Fields)
	}
	return &Fixed{reply: r}, nil
}

func (f *Fixed) Start(x *exchange.Exchange) { x.Sink.Reply(f.reply) }

type Redirect struct {
	exchange.Memory
	status    int
	target    route.Template
	fragment  string
	keepQuery bool
}

// NewRedirect returns a redirect to target with the status 301, 302, 303, 307 or 308; 0 means 302. target is a URL or
// an absolute path, percent-encoded. The target may contain ${path} (of the request, percent-encoded), ${rest} or $1
// (the path after the mount's prefix), ${query} (without "?"; a "?" before an empty query is removed), ${host} (without
// port), ${scheme}, and $$ for a dollar sign. If target contains no "?", the query of the request is appended; a "?" at
// the end prevents this. The error is one line.
func NewRedirect(target string, status int) (*Redirect, error) {
	switch status {
	case 0:
		status = 302
	case 301, 302, 303, 307, 308:
	default:
		return nil, fmt.Errorf("%d is not a redirect status (301, 302, 303, 307, 308)", status)
	}
	target, fragment, found := strings.Cut(target, "#")
	if found {
		fragment = "#" + fragment
	}
	keepQuery := !strings.Contains(target, "?")
	if bare, ok := strings.CutSuffix(target, "?"); ok && !strings.Contains(bare, "?") {
		target = bare
	}
	t, err := route.ParseTemplate(target, route.VarPath, route.VarRest, route.VarQuery, route.VarHost, route.VarScheme)
	if err != nil {
		return nil, err
	}
	if ok, _ := regexp.MatchString(`^(/|\$\{path\}|([A-Za-z][A-Za-z0-9+.-]*|\$\{scheme\})://.)`, target); !ok {
		return nil, fmt.Errorf("%q is neither a URL nor an absolute path", target)
	}
	if _, err := route.ParseTemplate(fragment); err != nil {
		return nil, err
	}
	return &Redirect{status: status, target: t, fragment: fragment, keepQuery: keepQuery}, nil
}

func (to *Redirect) Start(x *exchange.Exchange) {
	r := x.Req
	v := route.ValuesOf(route.Input{Head: r.Head, Parsed: r.Parsed, Client: r.Peer}, r.Path, r.Root, r.Prefix)
	field := to.target.Append([]byte("Location: "), &v)
	if query := v.Query(); to.keepQuery && len(query) > 0 {
		field = route.AppendURL(append(field, '?'), query)
	}
	field = append(append(field, to.fragment...), '\r', '\n')
	x.Sink.Reply(exchange.Reply{Status: to.status, Fields: field})
}

// Answer responds to x with the site's error page for the status of r, or with r itself if the site has no page for
// this status. Answer must be called on the event loop.
func (p *ErrorPages) Answer(x *exchange.Exchange, r exchange.Reply) {
	location, path := p.targets[r.Status], p.paths[r.Status]
	switch {
	case r.Whole || location == nil && path == "":
		x.SendReply(&r)
		return
	case location != nil:
		x.SendReply(&exchange.Reply{Status: 302, Fields: slices.Concat(location, r.Fields), Close: r.Close,
			Override: r.Override})
		return
	}
	a := newResponse()
	a.request = FileRequest{Path: []byte(path), Parsed: &plainGet}
	if p.files.Hit(p.files.clock(), &a.request, a) {
		a.sendFor(x, &r)
		return
	}
	r.Fields = bytes.Clone(r.Fields)
	a.offload(x, func() { p.files.Open(&a.request, a) }, func() { a.sendFor(x, &r) })
}

var plainGet = http1.Request{Get: true}

func (a *FileResponse) sendFor(x *exchange.Exchange, r *exchange.Reply) {
	h := &a.Head
	if h.Status != 200 {
		a.drop()
		x.SendReply(r)
		return
	}
	h.Status, h.Fields = r.Status, pageFields(r.Fields, h.Fields)
	h.HasDate, h.HasServer, h.Close = r.Date, r.Server, r.Close
	a.send(x, false)
}

// pageFields returns own, the header fields of an error response, with the Content-Type and X- fields of the error
// page's file added. The file's fields for caching, validation and ranges do not apply to an error.
func pageFields(own, file []byte) []byte {
	fields := bytes.Clone(own)
	for line := range bytes.Lines(file) {
		name := http1.FieldName(line)
		if (bytes.EqualFold(name, contentType) || http1.HasPrefixFold(name, "x-")) && !bytes.Contains(own, line) {
			fields = append(fields, line...)
		}
	}
	return fields
}

type ErrorPages struct {
	files   *Files
	paths   map[int]string
	targets map[int][]byte
}

// NewErrorPages returns error pages for statuses from 400 to 599. If the value for a status is a URL, the client is
// redirected (302). If it is an absolute decoded path, the file at this path in files is sent with the status. If the
// file is missing, the server's own page is sent.
func NewErrorPages(files *Files, pages map[int]string) (*ErrorPages, error) {
	p := &ErrorPages{files: files, paths: map[int]string{}, targets: map[int][]byte{}}
	for status, page := range pages {
		switch {
		case status < 400 || status > 599:
			return nil, fmt.Errorf("%d is not the status of an error (400 to 599)", status)
		case strings.HasPrefix(page, "/") && files != nil:
			p.paths[status] = page
		case strings.HasPrefix(page, "/"):
			return nil, fmt.Errorf("the page %s for %d requires a directory", page, status)
		case strings.HasPrefix(page, "http://") || strings.HasPrefix(page, "https://"):
			if err := (http1.HeaderField{Name: "Location", Value: page}).Check(); err != nil {
				return nil, err
			}
			p.targets[status] = []byte("Location: " + page + "\r\n")
		default:
			return nil, fmt.Errorf("the page %q for %d is neither an absolute path nor a URL", page, status)
		}
	}
	return p, nil
}
