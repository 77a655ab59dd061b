package http1

import "strconv"

// What a chunked body has beside sizes and data (RFC 9112 §7.1).
const (
	ChunkEnd  = "\r\n"      // behind the data of a chunk
	LastChunk = "0\r\n\r\n" // behind the last chunk: no trailers
)

// MaxChunkHeader is the most that AppendChunkHeader appends, in bytes.
const MaxChunkHeader = 18

// AppendChunkHeader appends what goes before size bytes of data. size must be
// more than 0, since an empty chunk would end the body.
func AppendChunkHeader(dst []byte, size int64) []byte {
	dst = strconv.AppendInt(dst, size, 16)
	return append(dst, '\r', '\n')
}

// AppendChunk appends data as a chunk, or nothing if data is empty.
func AppendChunk(dst, data []byte) []byte {
	if len(data) == 0 {
		return dst
	}
	dst = AppendChunkHeader(dst, int64(len(data)))
	dst = append(dst, data...)
	return append(dst, ChunkEnd...)
}
