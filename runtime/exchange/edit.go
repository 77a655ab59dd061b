package exchange

import (
	"bytes"
	"strings"

	"fapws/runtime/http1"
)

// Edit is a change of the fields of responses.
type Edit struct {
	names  [][]byte // of fields that are removed or replaced
	fields []byte   // that are added
	kind   bool     // fields has Content-Type
	date   bool     // Date is among names
	server bool     // Server is among names
}

// NewEdit returns an Edit that removes the fields with some names, sets others, which replace those of the same name, and adds
// others beside those of the same name. It is nil if that is nothing. The error is one line.
func NewEdit(set, add []Field, remove []string) (*Edit, error) {
	if len(set)+len(add)+len(remove) == 0 {
		return nil, nil
	}
	e := new(Edit)
	for _, name := range remove {
		if err := CheckFieldName(name); err != nil {
			return nil, err
		}
		e.replace(name)
	}
	for _, f := range set {
		if err := f.Check(); err != nil {
			return nil, err
		}
		e.replace(f.Name)
		e.fields = f.AppendTo(e.fields)
	}
	for _, f := range add {
		if err := f.Check(); err != nil {
			return nil, err
		}
		e.fields = f.AppendTo(e.fields)
	}
	return e, nil
}

func (e *Edit) replace(name string) {
	e.names = append(e.names, []byte(name))
	e.kind = e.kind || strings.EqualFold(name, "Content-Type")
	e.date = e.date || strings.EqualFold(name, "Date")
	e.server = e.server || strings.EqualFold(name, "Server")
}

// Edits are made one after the other: those of a site before those of a mount.
type Edits []*Edit

// Apply changes the fields of a response. buf is memory for the new ones; it is returned for the next response.
func (all Edits) Apply(buf []byte, r *http1.Response) []byte {
	if len(all) == 0 {
		return buf
	}
	buf = buf[:0]
	for line := range bytes.Lines(r.Fields) {
		if !all.replace(FieldName(line)) {
			buf = append(buf, line...)
		}
	}
	for i, e := range all {
		for line := range bytes.Lines(e.fields) {
			if !all[i+1:].replace(FieldName(line)) {
				buf = append(buf, line...)
			}
		}
		if e.kind {
			r.Type = ""
		}
		r.HasDate = r.HasDate || e.date
		r.HasServer = r.HasServer || e.server
	}
	r.Fields = buf[:len(buf):len(buf)]
	return buf
}

// replace reports whether one of them removes or replaces a field.
func (all Edits) replace(name []byte) bool {
	for _, e := range all {
		for _, n := range e.names {
			if bytes.EqualFold(n, name) {
				return true
			}
		}
	}
	return false
}

// WithoutField returns edits that leave fields with these names as they are.
func (all Edits) Without(names ...string) (out Edits) {
	none := &Edit{}
	for _, name := range names {
		none.replace(name)
	}
	kept := Edits{none}
	for _, e := range all {
		o := &Edit{}
		for _, name := range e.names {
			if !kept.replace(name) {
				o.replace(string(name))
			}
		}
		for line := range bytes.Lines(e.fields) {
			if !kept.replace(FieldName(line)) {
				o.fields = append(o.fields, line...)
			}
		}
		out = append(out, o)
	}
	return out
}

// MergeFields returns the fields of a response followed by more, the fields of the handler that has handed the request
// over. Of a field that both have the one of the response counts, but more says which caches may keep the response, and both
// may set cookies.
func MergeFields(fields, more []byte) []byte {
	out := make([]byte, 0, len(fields)+len(more))
	for line := range bytes.Lines(fields) {
		if name := FieldName(line); !bytes.EqualFold(name, cacheControl) || !HasField(more, name) {
			out = append(out, line...)
		}
	}
	for line := range bytes.Lines(more) {
		name := FieldName(line)
		if bytes.EqualFold(name, cacheControl) || bytes.EqualFold(name, vary) || bytes.EqualFold(name, setCookie) || !HasField(fields, name) {
			out = append(out, line...)
		}
	}
	return out
}

var cacheControl, vary, setCookie = []byte("Cache-Control"), []byte("Vary"), []byte("Set-Cookie")
