package exchange

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"time"

	"fapws/runtime/http1"
)

// TextType is the Content-Type of a text, htmlType that of a page.
const (
	TextType = "text/plain; charset=utf-8"
	htmlType = "text/html; charset=utf-8"
)

// Pages are the pages of a site for errors that the server itself answers.
type Pages interface {
	// Answer answers x with r, or with the page for its status.
	Answer(x *Exchange, r Reply)
}

// SendReply answers x with r as it is.
func (x *Exchange) SendReply(r *Reply) {
	p := Part{First: true, Last: true, File: -1}
	p.Body = fillHead(&p.Head, r)
	x.Sink.Send(&p)
}

// fillHead makes h the head of the response that r describes, and returns the body.
func fillHead(h *Head, r *Reply) (body []byte) {
	h.Status, h.Fields, h.HasDate, h.HasServer = r.Status, r.Fields, r.Date, r.Server
	h.Close = r.Close
	switch {
	case r.Body != nil || r.Whole || r.Length > 0:
		body, h.Type = r.Body, r.Type
	case r.HTML:
		body, h.Type = statusPage(r.Status, r.Text), htmlType
	default:
		text := cmp.Or(r.Text, http1.StatusText(r.Status))
		body, h.Type = append([]byte(text), '\n'), TextType
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

// pageWait is how long a browser waits for a page before it gets Starting. Most applications load in less.
const pageWait = time.Second

// Starting is the answer to a browser while the application of its site loads, which it has done for so long: a page that asks
// again after a second. It needs no JavaScript and nothing from anywhere.
func Starting(since time.Duration) Reply {
	seconds := "1 second"
	if n := int(since.Seconds()); n > 1 {
		seconds = fmt.Sprintf("%d seconds", n)
	}
	page := htmlPage("Starting", `<progress aria-label="starting"></progress><p>This site has been starting for `+seconds+
		`. It opens here by itself as soon as it is ready.</p>`, `<meta http-equiv="refresh" content="1"><style>progress{width:100%}</style>`)
	return Reply{Status: 503, Body: page, Type: htmlType, Fields: startingFields, Whole: true, Override: true}
}

var startingFields = []byte("Retry-After: 1\r\nCache-Control: no-store\r\n")

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
