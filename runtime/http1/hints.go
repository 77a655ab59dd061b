package http1

import (
	"fmt"
	"strings"
)

// These limits apply to the early hints of a mount, and to the early hints that a handler sends for a request.
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
