package static

import (
	"bytes"
	"strconv"
	"strings"

	"fapws/runtime/exchange"
	"fapws/runtime/filter/header"
	"fapws/runtime/http1"
)

// reply returns the error that res is, as an answer to req.
func (res *Response) reply(req *Request) exchange.Reply {
	r := exchange.Reply{Status: res.Head.Status, HTML: wantsHTML(req)}
	if !r.HTML {
		r.Text = strconv.Itoa(r.Status) + " " + http1.StatusText(r.Status)
		if len(res.Segments) == 1 {
			r.Text = strings.TrimSuffix(string(res.Segments[0].Data), "\n")
		}
	}
	for line := range bytes.Lines(res.Head.Fields) {
		if !bytes.EqualFold(header.Name(line), contentType) {
			r.Fields = append(r.Fields, line...)
		}
	}
	return r
}

// wantsHTML reports whether the client names text/html among the types that it accepts.
func wantsHTML(req *Request) bool {
	return anyField(req, "accept", func(value []byte) bool {
		return bytes.Contains(bytes.ToLower(value), []byte("text/html"))
	})
}

var contentType = []byte("Content-Type")
