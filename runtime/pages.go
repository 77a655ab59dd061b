package runtime

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"fapws/runtime/filter/header"
	"fapws/runtime/http1"
	"fapws/runtime/static"
)

// Pages are what a site shows for errors that the server itself answers.
type Pages struct {
	files   *static.Files
	paths   map[int]string // of files
	targets map[int][]byte // Location fields, of redirects
}

// NewPages returns the pages for statuses from 400 to 599: an absolute path
// (decoded) names a file of files, which is sent with that status; a URL is
// where clients are sent (302). A file that is missing is replaced by the
// server's own page. The error is one line.
func NewPages(files *static.Files, pages map[int]string) (*Pages, error) {
	p := &Pages{files: files, paths: map[int]string{}, targets: map[int][]byte{}}
	for status, page := range pages {
		switch {
		case status < 400 || status > 599:
			return nil, fmt.Errorf("%d is not the status of an error (400 to 599)", status)
		case strings.HasPrefix(page, "/") && files != nil:
			p.paths[status] = page
		case strings.HasPrefix(page, "/"):
			return nil, fmt.Errorf("the page %s for %d needs a folder to be in", page, status)
		case strings.HasPrefix(page, "http://") || strings.HasPrefix(page, "https://"):
			if err := (header.Field{Name: "Location", Value: page}).Check(); err != nil {
				return nil, err
			}
			p.targets[status] = []byte("Location: " + page + "\r\n")
		default:
			return nil, fmt.Errorf("the page %q for %d is neither an absolute path nor a URL", page, status)
		}
	}
	return p, nil
}

// has says whether the site has a page for a status.
func (p *Pages) has(status int) bool {
	return p != nil && (p.paths[status] != "" || p.targets[status] != nil)
}

// page returns the path of the file for a status, "" for none.
func (p *Pages) page(status int) string {
	if p == nil {
		return ""
	}
	return p.paths[status]
}

// errorRequest asks for an error page, whatever the client has asked for.
func errorRequest(path string) static.Request {
	return static.Request{Path: []byte(path), Head: plainGet.head, Parsed: &plainGet.req}
}

// plainGet is a request without conditions, ranges and codings. It is not
// written to.
var plainGet = func() (p struct {
	head []byte
	req  http1.Request
}) {
	p.head = []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if _, err := p.req.Parse(p.head, &http1.Limits{RequestLine: 64, FieldLine: 64, Head: 128, Fields: 4}); err != nil {
		panic(err)
	}
	p.req.Fields = nil
	return p
}()

// pageFields returns the fields of an error, own, and what of a file's fields is
// true of an error page made of it: not what is about keeping, asking again and
// ranges.
func pageFields(own, file []byte) []byte {
	fields := bytes.Clone(own)
	for line := range bytes.Lines(file) {
		name := header.Name(line)
		if (bytes.EqualFold(name, contentType) || hasPrefixFold(name, "x-")) && !bytes.Contains(own, line) {
			fields = append(fields, line...)
		}
	}
	return fields
}

func hasPrefixFold(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && bytes.EqualFold(b[:len(prefix)], []byte(prefix))
}

// replaced returns a response with the page of the site in the place of r's, if it
// is in memory. missing: it is not, but has to be looked for.
func (l *loop) replaced(p *Pages, r localResponse) (_ localResponse, missing bool) {
	if r.whole || p == nil || r.status < 400 {
		return r, false
	}
	r = p.redirected(r)
	path := p.page(r.status)
	if path == "" {
		return r, false
	}
	req, res := errorRequest(path), static.Response{}
	if !p.files.Hit(l.wall(), &req, &res) {
		return r, true
	}
	defer res.Close()
	if res.Fd() >= 0 { // it is too large to be kept
		return r, true
	}
	return pageResponse(r, &res), false
}

// pageResponse puts the content of a file in the place of r's text.
func pageResponse(r localResponse, res *static.Response) localResponse {
	if res.Head.Status != 200 {
		return r
	}
	r.body, r.whole, r.kind = []byte{}, true, ""
	for i := range res.Segments {
		r.body = append(r.body, res.Segments[i].Data...)
	}
	r.fields = pageFields(r.fields, res.Head.Fields)
	return r
}

// pageJob is for a response whose page is not in memory.
func (l *loop) pageJob(x *Exchange, r localResponse) *fileJob {
	x.status = r.status
	r.fields = bytes.Clone(r.fields)
	return &fileJob{
		resp:  l.responseTo(x),
		page:  &r,
		rules: x.rules,
	}
}

// openPage makes the page for j.page the answer, or what takes its place. It
// may wait for the disk.
func (j *fileJob) openPage() {
	var pages *Pages
	if j.rules != nil {
		pages = j.rules.pages
	}
	if path := pages.page(j.page.status); path != "" && !j.page.whole {
		req := errorRequest(path)
		pages.files.Open(&req, &j.res)
		if j.res.Head.Status == 200 {
			j.res.Head.Status, j.res.Head.Reason = j.page.status, nil
			j.res.Head.Fields = pageFields(j.page.fields, j.res.Head.Fields)
			fill(&j.resp, &j.res.Head)
			return
		}
		j.res.Close()
	}
	body := j.page.fill(&j.resp)
	if j.resp.Type != "" { // where others look for it
		j.resp.Fields = fmt.Appendf(bytes.Clone(j.resp.Fields), "Content-Type: %s\r\n", j.resp.Type)
		j.resp.Type = ""
	}
	j.res.Segments = append(j.res.Segments[:0], static.Segment{Data: body})
}

// judge makes what files have answered the answer, or the page of the site when
// that is an error.
func (j *fileJob) judge() {
	if j.res.Head.Status < 400 {
		fill(&j.resp, &j.res.Head)
		return
	}
	r := failure(&j.res, j.req.Parsed, j.req.Head)
	j.res.Close()
	if j.rules != nil && j.rules.pages != nil {
		r = j.rules.pages.redirected(r)
	}
	j.page = &r
	j.openPage()
}

// failure is the error that files have answered a request with.
func failure(res *static.Response, req *http1.Request, head []byte) localResponse {
	r := localResponse{status: res.Head.Status, html: wantsHTML(req, head)}
	if !r.html {
		r.text = strconv.Itoa(r.status) + " " + http1.StatusText(r.status)
		if len(res.Segments) == 1 {
			r.text = strings.TrimSuffix(string(res.Segments[0].Data), "\n")
		}
	}
	for line := range bytes.Lines(res.Head.Fields) {
		if !bytes.EqualFold(header.Name(line), contentType) {
			r.fields = append(r.fields, line...)
		}
	}
	return r
}

// redirected returns a redirect in the place of r, if the site wants that.
func (p *Pages) redirected(r localResponse) localResponse {
	if location := p.targets[r.status]; location != nil && !r.whole {
		return localResponse{status: 302, fields: append(location[:len(location):len(location)], r.fields...), html: r.html, close: r.close, override: r.override}
	}
	return r
}

// ownPage appends the server's page in HTML for a status.
func ownPage(dst []byte, status int, text string) []byte {
	phrase := http1.StatusText(status)
	dst = append(dst, `<!doctype html><html lang="en"><head><meta charset="utf-8">`+
		`<meta name="viewport" content="width=device-width"><title>`...)
	dst = fmt.Appendf(dst, "%d %s", status, phrase)
	dst = append(dst, `</title><style>:root{color-scheme:light dark}body{font:1.1em/1.5 system-ui,sans-serif;`+
		`max-width:36em;margin:20vh auto;padding:0 1em}h1{font-size:1.6em}</style></head><body>`...)
	dst = fmt.Appendf(dst, "<h1>%d %s</h1>", status, phrase)
	if text != "" && text != phrase {
		dst = append(dst, "<p>"...)
		dst = appendEscaped(dst, text)
		dst = append(dst, "</p>"...)
	}
	return append(dst, "</body></html>\n"...)
}

func appendEscaped(dst []byte, text string) []byte {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '<':
			dst = append(dst, "&lt;"...)
		case '>':
			dst = append(dst, "&gt;"...)
		case '&':
			dst = append(dst, "&amp;"...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
