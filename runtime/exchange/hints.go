package exchange

import (
	"fmt"
	"strings"

	"fapws/runtime/http1"
)

// These limits apply to the early hints of a mount, and to the early hints that a handler sends for a request.
const (
	maxHints     = 16
	maxHintBytes = 8 << 10
)

// newHints returns lines with a Link field for each value in links; nil for no links. An error has a single line.
func newHints(links []string) (fields []byte, err error) {
	size := 0
	for _, link := range links {
		one := http1.HeaderField{Name: "Link", Value: link}
		if err := one.Check(); err != nil {
			return nil, err
		}
		if !strings.HasPrefix(link, "<") || !strings.Contains(link, ">") {
			return nil, fmt.Errorf("%q is not a link; write <URL>; rel=preload; as=style", link)
		}
		size += len(link)
		fields = one.AppendTo(fields)
	}
	if len(links) > maxHints || size > maxHintBytes {
		return nil, fmt.Errorf("more than %d links, or more than %d bytes of them", maxHints, maxHintBytes)
	}
	return fields, nil
}

// TakesHints reports whether the client understands 103 (Early Hints, RFC 8297). Over HTTP/1.1, only a browser that
// navigates to a page gets a 103, because other clients, such as Python's http.client, treat the 103 as the final
// response.
func (r *Request) TakesHints() bool {
	switch r.Parsed.Version {
	case http1.HTTP2:
		return true
	case http1.HTTP11:
		mode, _ := http1.First(r.Head, r.Parsed.Fields, "sec-fetch-mode")
		return string(mode) == "navigate"
	}
	return false
}
