package static

import (
	"bytes"
	"strconv"

	"fapws/runtime/exchange"
)

// fields are the request's fields that choose the response.
type fields struct {
	// Lists: several fields of one name are one list, so only their presence
	// is noted and they are searched when it comes to it (see anyField).
	acceptEncoding, ifMatch, ifNoneMatch bool

	// Fields that must come once. A second one makes it unreadable: the value
	// is empty then, which no reader of it accepts.
	ifModifiedSince, ifUnmodifiedSince, ifRange, byteRange single
}

type single struct {
	set   bool
	value []byte
}

func (s *single) add(value []byte) {
	if s.set {
		value = nil
	}
	s.set, s.value = true, value
}

func readFields(req *Request) (f fields) {
	for i := range req.Parsed.Fields {
		field := &req.Parsed.Fields[i]
		// The length and the first letter rule nearly all others out.
		name := field.Name.In(req.Head)
		switch len(name) {
		case len("range"):
			if sameName(name, "range") {
				f.byteRange.add(field.Value.In(req.Head))
			}
		case len("if-match"):
			if sameName(name, "if-match") {
				f.ifMatch = true
			} else if sameName(name, "if-range") {
				f.ifRange.add(field.Value.In(req.Head))
			}
		case len("if-none-match"):
			if sameName(name, "if-none-match") {
				f.ifNoneMatch = true
			}
		case len("accept-encoding"):
			if sameName(name, "accept-encoding") {
				f.acceptEncoding = true
			}
		case len("if-modified-since"):
			if sameName(name, "if-modified-since") {
				f.ifModifiedSince.add(field.Value.In(req.Head))
			}
		case len("if-unmodified-since"):
			if sameName(name, "if-unmodified-since") {
				f.ifUnmodifiedSince.add(field.Value.In(req.Head))
			}
		}
	}
	return f
}

// sameName compares a field name with one in lower case of the same length.
func sameName(name []byte, lower string) bool {
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// anyField tells whether ok holds for the value of one of the fields with a
// name (in lower case).
func anyField(req *Request, lower string, ok func(value []byte) bool) bool {
	for i := range req.Parsed.Fields {
		field := &req.Parsed.Fields[i]
		if int(field.Name.Len) == len(lower) && sameName(field.Name.In(req.Head), lower) && ok(field.Value.In(req.Head)) {
			return true
		}
	}
	return false
}

func isGet(req *Request) bool { return string(req.Parsed.Method.In(req.Head)) == "GET" }

func equalFold(name []byte, lower string) bool {
	return len(name) == len(lower) && sameName(name, lower)
}

// trimSpace removes optional whitespace (RFC 9110 §5.6.3).
func trimSpace(s []byte) []byte { return bytes.Trim(s, " \t") }

const plainText = "Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"

// failure is a ready-made answer.
type failure struct {
	status       int
	fields, text []byte
}

var failures = [...]failure{
	{403, []byte(plainText), []byte("403 Forbidden\n")},
	{404, []byte(plainText), []byte("404 Not Found\n")},
	{405, []byte("Allow: GET, HEAD\r\n" + plainText), []byte("405 Method Not Allowed\n")},
	{412, []byte(plainText), []byte("412 Precondition Failed\n")},
	{500, []byte(plainText), []byte("500 Internal Server Error\n")},
	{503, []byte("Retry-After: 1\r\n" + plainText), []byte("503 Service Unavailable\n")},
}

var (
	rangeText = []byte("416 Range Not Satisfiable\n")
	movedText = []byte("301 Moved Permanently\n")
)

// fail answers with one of the failures.
func (out *Response) fail(status int, head bool) {
	f := &failures[0]
	for i := range failures {
		if failures[i].status == status {
			f = &failures[i]
		}
	}
	out.text(f.status, f.fields, f.text, head)
}

// failRange answers that no range lies inside the file (RFC 9110 §15.5.17).
func (out *Response) failRange(size int64) {
	b := append(out.scratch[:0], "Content-Range: bytes */"...)
	b = strconv.AppendInt(b, size, 10)
	b = append(b, "\r\nAccept-Ranges: bytes\r\n"+plainText...)
	out.scratch = b
	out.text(416, b, rangeText, false)
}

// redirect sends the client to a directory's path with a slash.
func (out *Response) redirect(req *Request) {
	b := append(out.scratch[:0], "Location: "...)
	b = slashLocation(b, req.Prefix, req.Parsed.Path.In(req.Head), req.Parsed.Query.In(req.Head))
	b = append(b, "\r\n"+plainText...)
	out.scratch = b
	out.text(301, b, movedText, req.Parsed.Head)
}

func (out *Response) text(status int, fields, text []byte, head bool) {
	out.Head = exchange.Head{Status: status, Fields: fields, Length: int64(len(text))}
	if !head {
		out.Segments = append(out.Segments[:0], Segment{Data: text})
	}
}
