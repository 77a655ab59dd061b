package http1

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// These limits apply to the early hints of a mount, and to the early hints for a request from a handler or an upstream.
const (
	maxHints     = 16
	maxHintBytes = 8 << 10
)

// HintFields returns lines with a Link field for each value in links; nil for no links. An error has a single line.
func HintFields(links []string) (fields []byte, err error) {
	size := 0
	for _, link := range links {
		one := HeaderField{Name: "Link", Value: link}
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

// hintNames are the fields that browsers use in a 103 response: links, and the policies that apply to loading them
// (HTML, "process early hint headers").
var hintNames = []string{"link", "content-security-policy", "cross-origin-embedder-policy", "referrer-policy"}

// Interim selects the fields of the 1xx responses to one request. The zero value is ready for use.
type Interim struct{ links, size int }

// Select returns the fields of a 1xx response from an upstream that the client may get, and reports whether the
// response is worth sending. Fields that exceed the limits of early hints are omitted.
func (i *Interim) Select(status int, fields []byte) (selected []byte, send bool) {
	early := status == http.StatusEarlyHints
	for line := range bytes.Lines(fields) {
		name := FieldName(line)
		link := EqualFold(name, "link")
		known := slices.ContainsFunc(hintNames, func(hint string) bool { return EqualFold(name, hint) })
		if early && !known || EqualFold(name, "set-cookie") || link && i.links == maxHints ||
			len(line) > maxHintBytes-i.size {
			continue
		}
		if link {
			i.links++
		}
		i.size += len(line)
		selected = append(selected, line...)
	}
	return selected, !early || len(selected) > 0
}
