package static

import (
	"strconv"

	"fapws/runtime/exchange"
)

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
