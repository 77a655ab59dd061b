package http1

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Edit sets, adds and removes header fields of responses, and is safe for concurrent use.
type Edit struct {
	names   [][]byte
	fields  []byte
	private bool
}

// Private is an Edit that keeps a response out of shared caches (RFC 9111 §5.2.2.7). Its directive joins those of
// Cache-Control in one field, without public and s-maxage. It does not change a response with no-store.
var Private = &Edit{private: true}

// NewEdit returns an Edit, or nil if there is nothing to change. The fields in set replace existing fields with the
// same names. The fields in add are added to the existing fields. Fields whose names are in remove are removed. The
// text of an error is a single line.
func NewEdit(set, add []HeaderField, remove []string) (*Edit, error) {
	if len(set)+len(add)+len(remove) == 0 {
		return nil, nil
	}
	e := new(Edit)
	for _, name := range remove {
		if err := CheckFieldName(name); err != nil {
			return nil, err
		}
		e.names = append(e.names, []byte(name))
	}
	for i, f := range slices.Concat(set, add) {
		if err := f.Check(); err != nil {
			return nil, err
		}
		if i < len(set) {
			e.names = append(e.names, []byte(f.Name))
		}
		e.fields = f.AppendTo(e.fields)
	}
	return e, nil
}

// Edits are the changes that apply to a response. The edits of the site come first, then the edits of the mount.
type Edits []*Edit

// Apply changes the fields of r. It stores the new fields in buf and returns buf, so that the next call can reuse the
// memory.
func (edits Edits) Apply(buf []byte, r *ResponseHead) []byte {
	buf = AppendFields(buf[:0], r.Fields, edits.replace)
	for i, e := range edits {
		buf = AppendFields(buf, e.fields, edits[i+1:].replace)
	}
	if slices.ContainsFunc(edits, func(e *Edit) bool { return e.private }) {
		buf = makePrivate(buf)
	}
	if edits.replace(contentType) {
		r.Type = ""
	}
	r.HasDate = r.HasDate || edits.replace(date)
	r.HasServer = r.HasServer || edits.replace(server)
	r.Fields = buf[:len(buf):len(buf)]
	return buf
}

func makePrivate(fields []byte) []byte {
	n := len(fields)
	out := AppendFields(fields, fields, func(name []byte) bool { return bytes.EqualFold(name, cacheControl) })
	out = append(out, "Cache-Control: private"...)
	for line := range bytes.Lines(fields) {
		if name := FieldName(line); bytes.EqualFold(name, cacheControl) {
			for directive := range members(bytes.TrimSpace(line[len(name)+1:])) {
				switch {
				case EqualFold(directive, "no-store"):
					return fields
				case len(directive) > 0 && !EqualFold(directive, "private") && !EqualFold(directive, "public") &&
					!HasPrefixFold(directive, "s-maxage="):
					out = append(append(out, ", "...), directive...)
				}
			}
		}
	}
	return append(append(fields[:0], out[n:]...), "\r\n"...)
}

func (edits Edits) replace(name []byte) bool {
	return slices.ContainsFunc(edits, func(e *Edit) bool {
		return slices.ContainsFunc(e.names, func(n []byte) bool { return bytes.EqualFold(n, name) })
	})
}

// Without returns a copy of the edits that does not change fields with these names.
func (edits Edits) Without(names ...string) (unwanted Edits) {
	none := &Edit{}
	for _, name := range names {
		none.names = append(none.names, []byte(name))
	}
	kept := Edits{none}
	for _, e := range edits {
		unwanted = append(unwanted, &Edit{slices.DeleteFunc(slices.Clone(e.names), kept.replace),
			AppendFields(nil, e.fields, kept.replace), e.private})
	}
	return unwanted
}

// MergeFields merges fields, which are from the source of a response, with extra fields, which a handler set before it
// forwarded the request to that source. If both contain a name, the field of the source is used, with two exceptions:
// Cache-Control is taken from the extra fields, and Vary and Set-Cookie are taken from both.
func MergeFields(fields, extra []byte) []byte {
	out := AppendFields(make([]byte, 0, len(fields)+len(extra)), fields, func(name []byte) bool {
		return bytes.EqualFold(name, cacheControl) && HasField(extra, name)
	})
	return AppendFields(out, extra, func(name []byte) bool {
		both := bytes.EqualFold(name, cacheControl) || bytes.EqualFold(name, vary) || bytes.EqualFold(name, setCookie)
		return !both && HasField(fields, name)
	})
}

var (
	cacheControl, vary, setCookie = []byte("Cache-Control"), []byte("Vary"), []byte("Set-Cookie")
	contentType, date, server     = []byte("Content-Type"), []byte("Date"), []byte("Server")
)

type HeaderField struct{ Name, Value string }

// Check returns a one-line error if f is invalid, or if f is a field that only the server may set.
func (f HeaderField) Check() error {
	if err := CheckFieldName(f.Name); err != nil {
		return err
	}
	if !all([]byte(f.Value), isValue) {
		return fmt.Errorf("the value of %s has a control character", f.Name)
	}
	return nil
}

func CheckFieldName(name string) error {
	if name == "" {
		return errors.New("a header field needs a name")
	}
	if !all([]byte(name), isToken) {
		return fmt.Errorf("%q is not the name of a header field", name)
	}
	switch strings.ToLower(name) {
	case "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "sec-websocket-accept",
		"sec-websocket-extensions":
		return fmt.Errorf("only the server sets %s", name)
	}
	return nil
}

func (f HeaderField) AppendTo(fields []byte) []byte {
	return append(append(append(append(fields, f.Name...), ": "...), f.Value...), "\r\n"...)
}

func FieldName(line []byte) []byte {
	name, _, _ := bytes.Cut(line, []byte(":"))
	return name
}

// AppendFields appends the lines of fields to dst. It omits a line if the function drop returns true for its name.
func AppendFields(dst, fields []byte, drop func(name []byte) bool) []byte {
	for line := range bytes.Lines(fields) {
		if !drop(FieldName(line)) {
			dst = append(dst, line...)
		}
	}
	return dst
}

// HasField reports whether fields contains a field with this name, in any case.
func HasField(fields, name []byte) bool {
	for line := range bytes.Lines(fields) {
		if bytes.EqualFold(FieldName(line), name) {
			return true
		}
	}
	return false
}

// FieldValue returns the value of the last field with this name, or "".
func FieldValue(fields, name []byte) (value string) {
	for line := range bytes.Lines(fields) {
		if bytes.EqualFold(FieldName(line), name) {
			value = string(bytes.TrimSpace(line[len(name)+1:]))
		}
	}
	return value
}

func WithoutField(fields, name []byte) []byte {
	return AppendFields(nil, fields, func(n []byte) bool { return bytes.EqualFold(n, name) })
}

// UpstreamCookie is the prefix of the names of cookies that record which upstream serves a client. Caches do not store
// these cookies.
const UpstreamCookie = "fapws-upstream-"
