package refusal

import (
	"bytes"

	"fapws/runtime/http1"
	"fapws/runtime/route"
)

// Response is a response that the server makes itself. The zero value of each field but Status is ready.
type Response struct {
	Status   int
	Text     string // empty: the status's phrase
	Body     []byte // instead of a page with text
	Type     string // Content-Type of Body
	Fields   []byte // "Name: value\r\n" ...
	Whole    bool   // Body is not to be replaced by a page of the site
	HTML     bool   // the client is a browser
	Override bool   // its browser asks again and again: log lines leave it out
	Close    bool   // what follows in the connection cannot be understood
}

// A Source answers requests from memory. It is safe for concurrent use.
type Source interface {
	// Respond returns the answer to the request that d was decided about. Its slices must not be changed.
	Respond(d *route.Decision) Response
}

const (
	htmlType = "text/html; charset=utf-8"
	textType = "text/plain; charset=utf-8"
)

// Fill completes resp, which has what is known of the request, and returns the
// body.
func (r *Response) Fill(resp *http1.Response) (body []byte) {
	resp.Status, resp.Fields = r.Status, r.Fields
	switch {
	case r.Body != nil || r.Whole:
		body, resp.Type = r.Body, r.Type
	case r.HTML:
		body, resp.Type = appendPage(nil, r.Status, r.Text), htmlType
	default:
		text := r.Text
		if text == "" {
			text = http1.StatusText(r.Status)
		}
		body, resp.Type = append([]byte(text), '\n'), textType
	}
	resp.Length = int64(len(body))
	return body
}

// WantsHTML reports whether the client of a request names text/html among what it
// accepts (RFC 9110 §12.5.1). Tools and scripts of pages do not.
func WantsHTML(r *http1.Request, head []byte) bool {
	for _, f := range r.Fields {
		if f.Name.Len == 6 && bytes.EqualFold(f.Name.In(head), accept) && bytes.Contains(bytes.ToLower(f.Value.In(head)), []byte("text/html")) {
			return true
		}
	}
	return false
}

var accept = []byte("Accept")
