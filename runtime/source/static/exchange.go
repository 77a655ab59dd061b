package static

import (
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// Request is the part of a request that Files needs. Its slices are read during Hit or Open only; a Response never
// refers to them. (Callers of Open on another goroutine than the loop give it copies.)
type Request struct {
	Path   []byte         // PATH_INFO below the mount, percent-decoded: empty or beginning with "/"
	Prefix string         // decoded path that is before the one in Head, seen from outside; "" or "/a/b"
	Head   []byte         // request line and fields as received
	Parsed *http1.Request // spans into Head: method, raw path, query, fields
}

// Segment is a piece of a body: bytes in memory, or a range of the response's
// file (Response.Fd) when Data is nil.
type Segment struct {
	Data   []byte // lives as long as the Response is not closed
	Offset int64  // first byte in the file
	Count  int64  // bytes of the file; 0 when Data is set
}

// Response is filled by Hit or Open. Its zero value is ready; Close makes it
// ready again and keeps its buffers, so that a loop which uses one Response
// over and over allocates nothing.
type Response struct {
	// Head is complete but for Date, Server and framing. Length is that of the body of a GET, also for HEAD, and -1
	// for 304, which has none.
	Head exchange.Head

	// Segments are the body, in order; none for HEAD and 304. When the file
	// turns out to be shorter than promised (it was truncated meanwhile), the
	// connection has to be closed: Length cannot be kept any more.
	Segments []Segment

	// Index, when not empty, says of a 404 that the folder asked for has a
	// program for its index, and is its name.
	Index string

	// Warm says that the file was read within the last two seconds and is not
	// large: sendfile(2) finds it in memory and does not wait for the disk.
	Warm bool

	file    *openFile
	scratch []byte // memory of this response: fields, error text, part heads
}

// Fd returns the descriptor of the response's file, whose position is to be
// left alone as others use it too, or -1 when the body is in memory. It stays open until
// Close.
func (r *Response) Fd() int {
	if r.file == nil {
		return -1
	}
	return r.file.fd
}

// Close lets go of the file, if there is one. The bytes of Head and Segments must
// not be used any more.
func (r *Response) Close() {
	if r.file != nil {
		r.file.release()
	}
	clear(r.Segments)
	*r = Response{Segments: r.Segments[:0], scratch: r.scratch[:0]}
}
