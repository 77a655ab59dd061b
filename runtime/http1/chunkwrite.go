package http1

import "strconv"

// AppendChunkHeader appends the line before size bytes of data in a chunked body (RFC 9112 §7.1). size must be more
// than 0, since an empty chunk would end the body.
func AppendChunkHeader(dst []byte, size int64) []byte {
	dst = strconv.AppendInt(dst, size, 16)
	return append(dst, '\r', '\n')
}
