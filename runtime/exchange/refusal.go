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
