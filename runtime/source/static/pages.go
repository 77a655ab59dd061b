package static

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// Answer responds to x with the site's error page for the status of r, or with r itself if there is no such page, and
// is called on the event loop.
func (p *Pages) Answer(x *exchange.Exchange, r exchange.Reply) {
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
	a.request = Request{Path: []byte(path), Parsed: &plainGet}
	if p.files.Hit(p.files.clock(), &a.request, a) {
		a.sendFor(x, &r)
		return
	}
	r.Fields = bytes.Clone(r.Fields)
	x.Offload(func() { p.files.Open(&a.request, a) }, func(gone bool) {
		if gone {
			a.drop()
		} else {
			a.sendFor(x, &r)
		}
	})
}

var plainGet = http1.Request{Get: true}

func (a *Response) sendFor(x *exchange.Exchange, r *exchange.Reply) {
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

type Pages struct {
	files   *Files
	paths   map[int]string
	targets map[int][]byte
}

// NewPages returns error pages for statuses from 400 to 599. If the value for a status is a URL, the client is
// redirected (302). If it is an absolute decoded path, the file at this path in files is sent with the status. If the
// file is missing, the server's own page is sent.
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
