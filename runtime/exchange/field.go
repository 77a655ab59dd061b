package exchange

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// Field is a header field of a response.
type Field struct{ Name, Value string }

// Check returns an error, of one line, if f cannot be in a response, or only the server may set it.
func (f Field) Check() error {
	if err := CheckFieldName(f.Name); err != nil {
		return err
	}
	for _, c := range []byte(f.Value) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("the value of %s has a control character", f.Name)
		}
	}
	return nil
}

// CheckFieldName is Check for a name alone.
func CheckFieldName(name string) error {
	if name == "" {
		return errors.New("a header field needs a name")
	}
	for _, c := range []byte(name) {
		if !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) && !('0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z') {
			return fmt.Errorf("%q is not the name of a header field", name)
		}
	}
	switch strings.ToLower(name) {
	case "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "sec-websocket-accept", "sec-websocket-extensions":
		return fmt.Errorf("only the server sets %s", name)
	}
	return nil
}

// line returns f as it is in a response.
func (f Field) line() string { return f.Name + ": " + f.Value + "\r\n" }

// AppendTo appends the line of f to fields.
func (f Field) AppendTo(fields []byte) []byte { return append(fields, f.line()...) }

// FieldName returns the name of the field in a line.
func FieldName(line []byte) []byte {
	name, _, _ := bytes.Cut(line, []byte(":"))
	return name
}

// HasField reports whether one of the lines of fields has a name, in any case.
func HasField(fields, name []byte) bool {
	for line := range bytes.Lines(fields) {
		if bytes.EqualFold(FieldName(line), name) {
			return true
		}
	}
	return false
}

// FieldValue returns the value of the last field of a name, or "".
func FieldValue(fields, name []byte) (value string) {
	for line := range bytes.Lines(fields) {
		if bytes.EqualFold(FieldName(line), name) {
			value = string(bytes.TrimSpace(line[len(name)+1:]))
		}
	}
	return value
}

// WithoutField returns fields without those with a name.
func WithoutField(fields, name []byte) []byte {
	if !HasField(fields, name) {
		return fields
	}
	out := make([]byte, 0, len(fields))
	for line := range bytes.Lines(fields) {
		if !bytes.EqualFold(FieldName(line), name) {
			out = append(out, line...)
		}
	}
	return out
}
