package static

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"strings"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

const (
	htmlType = "text/html; charset=utf-8"
	textType = "text/plain; charset=utf-8"
)

// Answer answers x with r, or with the page for its status. p may be nil: there are no pages. It must be called on the loop.
func (p *Pages) Answer(x *exchange.Exchange, r exchange.Reply) {
	r, missing := p.replace(time.Now().UnixNano(), r)
	if !missing {
		sendReply(x, &r)
		return
	}
	r.Fields = bytes.Clone(r.Fields)
	a, found := NewAnswer(), false
	x.Server.Beside(func() { found = p.open(&r, &a.Response) }, func(gone bool) {
		if found && !gone {
			a.Send(x, false)
			return
		}
		a.Drop()
		if !gone {
			sendReply(x, &r)
		}
	})
}

// sendReply sends r as it is.
func sendReply(x *exchange.Exchange, r *exchange.Reply) {
	p := exchange.Part{First: true, Last: true, File: -1}
	p.Body = fillHead(&p.Head, r)
	x.Sink.Send(&p)
}

// fillHead makes h the head of the response that r describes, and returns the body.
func fillHead(h *exchange.Head, r *exchange.Reply) (body []byte) {
	h.Status, h.Fields, h.HasDate, h.HasServer = r.Status, r.Fields, r.Date, r.Server
	h.Close = r.Close
	switch {
	case r.Body != nil || r.Whole || r.Length > 0:
		body, h.Type = r.Body, r.Type
	case r.HTML:
		body, h.Type = statusPage(r.Status, r.Text), htmlType
	default:
		text := cmp.Or(r.Text, http1.StatusText(r.Status))
		body, h.Type = append([]byte(text), '\n'), textType
	}
	h.Length = max(int64(len(body)), r.Length)
	return body
}

// WantsHTML reports whether the client of a request names text/html among the types that it accepts (RFC 9110
// §12.5.1). Tools and scripts of pages do not.
func WantsHTML(r *http1.Request, head []byte) bool {
	for value := range http1.Values(head, r.Fields, "accept") {
		if bytes.Contains(bytes.ToLower(value), []byte("text/html")) {
			return true
		}
	}
	return false
}

// PageWait is how long a browser waits for a page before it gets Starting. Most applications load in less.
const PageWait = time.Second

// Starting is the answer to a browser while the application of its site loads, which it has done for so long: a page that asks
// again after a second. It needs no JavaScript and nothing from anywhere.
func Starting(since time.Duration) exchange.Reply {
	seconds := "1 second"
	if n := int(since.Seconds()); n > 1 {
		seconds = fmt.Sprintf("%d seconds", n)
	}
	page := htmlPage("Starting", `<progress aria-label="starting"></progress><p>This site has been starting for `+seconds+
		`. It opens here by itself as soon as it is ready.</p>`, `<meta http-equiv="refresh" content="1"><style>progress{width:100%}</style>`)
	return exchange.Reply{Status: 503, Body: page, Type: htmlType, Fields: startingFields, Whole: true, Override: true}
}

var startingFields = []byte("Retry-After: 1\r\nCache-Control: no-store\r\n")

// Pages are the pages of a site for errors that the server itself answers.
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
	if r.Whole || p == nil || r.Status < 400 {
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

// htmlPage returns a page of the server, with its title as a heading. head is for the element of that name.
func htmlPage(title, body, head string) []byte {
	return []byte(`<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>` + title +
		`</title><style>:root{color-scheme:light dark}body{font:1.1em/1.5 system-ui,sans-serif;max-width:36em;margin:20vh auto;padding:0 1em}` +
		`h1{font-size:1.6em}</style>` + head + `</head><body><h1>` + title + "</h1>" + body + "</body></html>\n")
}

// statusPage returns the server's page in HTML for a status.
func statusPage(status int, text string) []byte {
	phrase, body := http1.StatusText(status), ""
	if text != "" && text != phrase {
		body = "<p>" + html.EscapeString(text) + "</p>"
	}
	return htmlPage(fmt.Sprintf("%d %s", status, phrase), body, "")
}
