package refusal

import (
	"bytes"

	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/source/static"
)

const (
	htmlType = "text/html; charset=utf-8"
	textType = "text/plain; charset=utf-8"
)

// Answer answers x with r, or with the page for its status. p may be nil: there are no pages. It must be called on the loop.
func (p *Pages) Answer(x *exchange.Exchange, r exchange.Reply) {
	r, missing := p.replace(x.Server.Wall(), r)
	if !missing {
		send(x, &r)
		return
	}
	r.Fields = bytes.Clone(r.Fields)
	a, found := static.NewAnswer(), false
	x.Server.Beside(func() { found = p.open(&r, &a.Response) }, func(gone bool) {
		if found && !gone {
			a.SendWhole(x)
			return
		}
		a.Drop()
		if !gone {
			send(x, &r)
		}
	})
}

// send sends r as it is.
func send(x *exchange.Exchange, r *exchange.Reply) {
	p := exchange.Part{First: true, Last: true, File: -1}
	p.Body = fill(&p.Head, r)
	x.Sink.Send(&p)
}

// fill makes h the head of the response that r describes, and returns the body.
func fill(h *exchange.Head, r *exchange.Reply) (body []byte) {
	h.Status, h.Fields, h.HasDate, h.HasServer = r.Status, r.Fields, r.Date, r.Server
	h.Close = r.Close
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

// WantsHTML reports whether the client of a request names text/html among the types that it accepts (RFC 9110
// §12.5.1). Tools and scripts of pages do not.
func WantsHTML(r *http1.Request, head []byte) bool {
	for _, f := range r.Fields {
		if f.Name.Len == 6 && bytes.EqualFold(f.Name.In(head), accept) && bytes.Contains(bytes.ToLower(f.Value.In(head)), []byte("text/html")) {
			return true
		}
	}
	return false
}

var accept = []byte("Accept")
