package header

import "bytes"

// Merge returns the fields of a response followed by more, the fields of the handler that has handed the request
// over. Of a field that both have the one of the response counts, but more says which caches may keep the response, and both
// may set cookies.
func Merge(fields, more []byte) []byte {
	out := make([]byte, 0, len(fields)+len(more))
	for line := range bytes.Lines(fields) {
		if name := Name(line); !bytes.EqualFold(name, cacheControl) || !Has(more, name) {
			out = append(out, line...)
		}
	}
	for line := range bytes.Lines(more) {
		name := Name(line)
		if bytes.EqualFold(name, cacheControl) || bytes.EqualFold(name, vary) || bytes.EqualFold(name, setCookie) || !Has(fields, name) {
			out = append(out, line...)
		}
	}
	return out
}

var cacheControl, vary, setCookie = []byte("Cache-Control"), []byte("Vary"), []byte("Set-Cookie")
