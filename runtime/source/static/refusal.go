package static

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// Answer implements exchange.Pages. It must be called on the loop.
func (p *Pages) Answer(x *exchange.Exchange, r exchange.Reply) {
	r, missing := p.replace(time.Now().UnixNano(), r)
	if !missing {
		x.SendReply(&r)
		return
	}
	r.Fields = bytes.Clone(r.Fields)
	a, found := NewAnswer(), false
	x.Beside(func() { found = p.open(&r, &a.Response) }, func(gone bool) {
		if found && !gone {
			a.Send(x, false)
			return
		}
		a.Drop()
		if !gone {
			x.SendReply(&r)
		}
	})
}

// Pages are pages for errors, in files or elsewhere. They implement exchange.Pages.
type Pages struct {
	files   *Files
	paths   map[int]string // of files
	targets map[int][]byte // Location fields, of redirects
}

// NewPages returns the pages for statuses from 400 to 599: an absolute path
// (decoded) names a file of files, which is sent with that status; a URL is
// where clients are sent (302). A file that is missing is replaced by the
// server's own page. The error is one line.
func NewPages(files *Files, pages map[int]string) (*Pages, error) {
	p := &Pages{files: files, paths: map[int]string{}, targets: map[int][]byte{}}
	for status, page := range pages {
		switch {
		case status < 400 || status > 599:
			return nil, fmt.Errorf("%d is not the status of an error (400 to 599)", status)
		case strings.HasPrefix(page, "/") && files != nil:
			p.paths[status] = page
		case strings.HasPrefix(page, "/"):
			return nil, fmt.Errorf("the page %s for %d requires a directory", page, status)
		case strings.HasPrefix(page, "http://") || strings.HasPrefix(page, "https://"):
			if err := (exchange.Field{Name: "Location", Value: page}).Check(); err != nil {
				return nil, err
			}
			p.targets[status] = []byte("Location: " + page + "\r\n")
		default:
			return nil, fmt.Errorf("the page %q for %d is neither an absolute path nor a URL", page, status)
		}
	}
	return p, nil
}

// pageRequest asks for an error page, whatever the client has asked for.
func pageRequest(path string) Request { return Request{Path: []byte(path), Parsed: &plainGet} }

// plainGet is a request without conditions, ranges and codings. It is not
// written to.
var plainGet = http1.Request{Get: true}

// pageFields returns the fields of an error, own, and the fields of a file that hold for an error page made of it:
// none about caching, validation and ranges.
func pageFields(own, file []byte) []byte {
	fields := bytes.Clone(own)
	for line := range bytes.Lines(file) {
		name := exchange.FieldName(line)
		if (bytes.EqualFold(name, contentType) || http1.HasPrefixFold(name, "x-")) && !bytes.Contains(own, line) {
			fields = append(fields, line...)
		}
	}
	return fields
}

// replace returns r with the page for its status, if that is in memory. missing: it is not, but has to be looked for, with
// open. now is as for static.Files.Hit.
func (p *Pages) replace(now int64, r exchange.Reply) (_ exchange.Reply, missing bool) {
	if r.Whole || r.Status < 400 {
		return r, false
	}
	if location := p.targets[r.Status]; location != nil {
		fields := append(location[:len(location):len(location)], r.Fields...)
		return exchange.Reply{Status: 302, Fields: fields, HTML: r.HTML, Close: r.Close, Override: r.Override}, false
	}
	path := p.paths[r.Status]
	if path == "" {
		return r, false
	}
	req, res := pageRequest(path), Response{}
	if !p.files.Hit(now, &req, &res) {
		return r, true
	}
	defer res.Close()
	if res.Fd() >= 0 { // it is too large to be kept
		return r, true
	}
	return withPage(r, &res), false
}

// open makes the page for the status of r the response res, and reports whether there is one. It may wait for the disk.
func (p *Pages) open(r *exchange.Reply, res *Response) bool {
	req := pageRequest(p.paths[r.Status])
	if p.files.Open(&req, res); res.Head.Status != 200 {
		return false
	}
	res.Head.Status, res.Head.Reason = r.Status, nil
	res.Head.Fields = pageFields(r.Fields, res.Head.Fields)
	res.Head.HasDate, res.Head.HasServer, res.Head.Close = r.Date, r.Server, r.Close
	return true
}

// withPage puts the content of a file in the place of r's text.
func withPage(r exchange.Reply, res *Response) exchange.Reply {
	if res.Head.Status != 200 {
		return r
	}
	r.Body, r.Length, r.Whole, r.Type = []byte{}, 0, true, ""
	for i := range res.Segments {
		r.Body = append(r.Body, res.Segments[i].Data...)
	}
	r.Fields = pageFields(r.Fields, res.Head.Fields)
	return r
}
