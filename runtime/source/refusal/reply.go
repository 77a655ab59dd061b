package refusal

import (
	"bytes"
	"fmt"
	"time"

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

// PageWait is how long a browser waits for a page before it gets Starting. Most applications load in less.
const PageWait = time.Second

// Starting is the answer to a browser while the application of its site loads, which it has done for so long: a page that asks
// again after a second. It needs no JavaScript and nothing from anywhere.
func Starting(since time.Duration) exchange.Reply {
	seconds := "1 second"
	if n := int(since.Seconds()); n > 1 {
		seconds = fmt.Sprintf("%d seconds", n)
	}
	page := `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">` +
		`<meta http-equiv="refresh" content="1"><title>Starting</title><style>` + pageStyle + `progress{width:100%}</style></head>` +
		`<body><h1>Starting</h1><progress aria-label="starting"></progress><p>This site has been starting for ` + seconds +
		`. It opens here by itself as soon as it is ready.</p></body></html>` + "\n"
	return exchange.Reply{Status: 503, Body: []byte(page), Type: htmlType, Fields: startingFields, Whole: true, Override: true}
}

var startingFields = []byte("Retry-After: 1\r\nCache-Control: no-store\r\n")
