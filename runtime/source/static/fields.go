package static

import "bytes"

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
