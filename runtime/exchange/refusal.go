package exchange

import (
	"cmp"
	"fmt"
	"time"

	"fapws/runtime/http1"
)

const (
	TextType = "text/plain; charset=utf-8"
	htmlType = "text/html; charset=utf-8"
)

// SendReply answers x with r as it is, without an error page of the site.
func (x *Exchange) SendReply(r *Reply) {
	p := Part{First: true, End: Complete}
	p.Body = fillHead(&p.Head, r, x.html, x.Prefix)
	x.Sink.Send(&p)
}

// fillHead sets the head h for r and returns the body, in HTML if html is true. A proxy has removed prefix from the
// path.
func fillHead(h *Head, r *Reply, html bool, prefix string) (body []byte) {
	h.Status, h.Fields, h.HasDate, h.HasServer = r.Status, r.Fields, r.Date, r.Server
	h.Close = r.Close
	switch {
	case r.Body != nil || r.Whole || r.Length > 0:
		body, h.Type = r.Body, r.Type
	case html:
		body, h.Type = http1.StatusPage(r.Status, r.Text, prefix), htmlType
	default:
		text := cmp.Or(r.Text, http1.StatusText(r.Status))
		body, h.Type = append([]byte(text), '\n'), TextType
	}
	h.Length = max(int64(len(body)), r.Length)
	return body
}

// pageWait is how long a browser's request waits for a loading application before it gets the page from Starting.
const pageWait = time.Second

// Starting returns a page that reloads itself after a second. The application has been loading for the duration since.
func Starting(since time.Duration) Reply {
	seconds := "1 second"
	if n := int(since.Seconds()); n > 1 {
		seconds = fmt.Sprintf("%d seconds", n)
	}
	page := http1.Page("Starting", `<progress aria-label="starting"></progress><p>This site has been starting for `+
		seconds+
		`. It opens here by itself as soon as it is ready.</p>`,
		`<meta http-equiv="refresh" content="1"><style>progress{width:100%}</style>`)
	return Reply{Status: 503, Body: page, Type: htmlType, Fields: startingFields, Whole: true, Override: true}
}

var startingFields = []byte("Retry-After: 1\r\nCache-Control: no-store\r\n")

// An Override replaces the responses of an application that cannot serve. Caches must not store it (no-store).
type Override struct {
	Status int
	Page   []byte // an HTML document, for requests whose Accept field names text/html
	Text   []byte // plain text, for all other requests
	Local  bool   // only requests for http1.LocalHost are overridden
}

// Override answers requests with o from now on; nil ends the override.
func (s *Server) Override(o *Override) { s.override = o }

// If the override is for the host of q, overridden answers x, an exchange of q, and returns true.
func (s *Server) overridden(x *Exchange, q *request) bool {
	o := s.override
	if o.Local && (!http1.LocalHost(string(q.parsed.Host.In(q.Head))) || q.parsed.Authority.Len != 0) {
		return false
	}
	s.note(x)
	r := Reply{Status: o.Status, Body: o.Text, Type: TextType, Fields: []byte("Cache-Control: no-store\r\n"), Whole: true}
	if q.parsed.HTML {
		r.Body, r.Type, r.Override = o.Page, htmlType, true
	}
	x.Refuse(r)
	return true
}
