package http1

import (
	"slices"

	"fapws/runtime/http1"
	"fapws/runtime/protocol/http"
)

var (
	crlf          = []byte("\r\n")
	lastChunk     = []byte("0\r\n\r\n")
	crlfLastChunk = []byte("\r\n0\r\n\r\n")
)

// appendChunk appends to dst the bytes that go before size bytes of the body of r.
func appendChunk(dst []byte, r *http.Response, size int64) []byte {
	if r.Framing != http1.Chunked || size == 0 {
		return dst
	}
	before := len(dst)
	dst = http1.AppendChunkHeader(dst, size)
	r.Framed += int64(len(dst) - before)
	return dst
}

// chunkTail returns the bytes that go behind size bytes of the body of r, which end it, with trailers, if they are the last ones. They must not
// be changed.
func chunkTail(r *http.Response, size int64, last bool, trailers []byte) (tail []byte) {
	switch {
	case r.Framing != http1.Chunked:
		return nil
	case last && size > 0:
		tail = crlfLastChunk
	case last:
		tail = lastChunk
	case size > 0:
		tail = crlf
	}
	if last && len(trailers) > 0 {
		tail = slices.Concat(tail[:len(tail)-len(crlf)], trailers, crlf)
	}
	r.Framed += int64(len(tail))
	return tail
}
