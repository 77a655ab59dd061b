package accesslog

import (
	"bytes"

	"fapws/runtime/http1"
)

// NoteRequest remembers the request line and the fields that the line of the log has. fields are those of head.
func (r *Record) NoteRequest(head []byte, fields []http1.Field) {
	if i := bytes.IndexByte(head, '\r'); i > 0 {
		r.RequestLine = append(r.RequestLine, head[:i]...)
	}
	wanted := r.Format().Request
	if len(wanted) == 0 {
		return
	}
	for _, f := range fields {
		for i, name := range wanted {
			if int(f.Name.Len) == len(name) && bytes.EqualFold(f.Name.In(head), []byte(name)) {
				r.Request[i].Add(f.Value.In(head))
			}
		}
	}
}

// NoteResponse remembers the fields of a response that the line of the log has.
func (r *Record) NoteResponse(head []byte) {
	wanted := r.Format().Response
	if len(wanted) == 0 {
		return
	}
	for line := range bytes.Lines(head) {
		name, value, found := bytes.Cut(line, []byte(":"))
		for i := range wanted {
			if found && len(name) == len(wanted[i]) && bytes.EqualFold(name, []byte(wanted[i])) {
				r.Response[i].Add(bytes.TrimSpace(value))
			}
		}
	}
}

// Malformed remembers the bytes that a client has sent in place of a request, as Apache does: the first line up to a
// NUL and, if that might be a request line, the fields before the first malformed one. limit bounds the line, in
// bytes.
func (r *Record) Malformed(received []byte, limit int) {
	line, rest, _ := bytes.Cut(bytes.TrimLeft(received, "\r\n"), []byte("\n"))
	line, _, _ = bytes.Cut(bytes.TrimSuffix(line[:min(len(line), limit)], []byte("\r")), []byte{0})
	r.RequestLine = append(r.RequestLine, line...)
	wanted := r.Format().Request
	if len(wanted) == 0 || !isRequestLine(line) {
		return
	}
	for line := range bytes.Lines(rest) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(name) == 0 || bytes.ContainsAny(name, " \t\r") {
			return
		}
		for i := range wanted {
			if bytes.EqualFold(name, []byte(wanted[i])) {
				r.Request[i].Add(bytes.TrimSpace(value))
			}
		}
	}
}

// isRequestLine reports whether a line has a method, a target and a version.
func isRequestLine(line []byte) bool {
	first, last := bytes.IndexByte(line, ' '), bytes.LastIndexByte(line, ' ')
	if first <= 0 || last-first < 2 || !bytes.HasPrefix(line[last:], []byte(" HTTP/")) {
		return false
	}
	for _, c := range line[first+1 : last] {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	return true
}
