package refusal

import (
	"bytes"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

const (
	htmlType = "text/html; charset=utf-8"
	textType = "text/plain; charset=utf-8"
)

// Fill makes h the head of the response that r describes, and returns the body.
func Fill(h *exchange.Head, r *exchange.Reply) (body []byte) {
	h.Status, h.Fields, h.HasDate, h.HasServer = r.Status, r.Fields, r.Date, r.Server
	switch {
	case r.Body != nil || r.Whole:
		body, h.ContentType = r.Body, r.Type
	case r.HTML:
		body, h.ContentType = appendPage(nil, r.Status, r.Text), htmlType
	default:
		text := r.Text
		if text == "" {
			text = http1.StatusText(r.Status)
		}
		body, h.ContentType = append([]byte(text), '\n'), textType
	}
	h.Length = int64(len(body))
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
