package exchange

import "fapws/runtime/http1"

// TakesHints reports whether the client understands 103 (Early Hints, RFC 8297). Over HTTP/1.1, only a browser that
// navigates to a page does: other clients, such as Python's http.client, take a 103 for the final response.
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
