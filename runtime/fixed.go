package runtime

import (
	"errors"
	"fmt"
	"strings"
)

// Fixed is an answer that is always the same.
type Fixed struct {
	refusalSource
	status int
	body   []byte
	kind   string
	fields []byte
}

// FixedOptions says what a Fixed answers.
type FixedOptions struct {
	Status int           // 200 to 599; 0: 200
	Body   string        // "": nothing, or the server's page where Status is an error
	Type   string        // Content-Type; "": text/plain in UTF-8
	Fields []HeaderField // added to the response
}

// HeaderField is a header field of a response.
type HeaderField struct{ Name, Value string }

// NewFixed returns a fixed answer. The error is one line.
func NewFixed(o FixedOptions) (*Fixed, error) {
	if o.Status == 0 {
		o.Status = 200
	}
	if o.Status < 200 || o.Status > 599 {
		return nil, fmt.Errorf("%d is not the status of an answer (200 to 599)", o.Status)
	}
	if o.Type == "" {
		o.Type = "text/plain; charset=utf-8"
	}
	f := &Fixed{status: o.Status, body: []byte(o.Body), kind: o.Type}
	if o.Body == "" {
		f.body = nil
	}
	if err := checkField(HeaderField{"Content-Type", o.Type}); err != nil {
		return nil, err
	}
	for _, field := range o.Fields {
		if err := checkField(field); err != nil {
			return nil, err
		}
		f.fields = append(f.fields, field.Name+": "+field.Value+"\r\n"...)
	}
	return f, nil
}

// start implements source.
func (f *Fixed) start(l *loop, x *Exchange, rest []byte) (used int) {
	return l.refuse(x, rest, localResponse{status: f.status, body: f.body, kind: f.kind, fields: f.fields, whole: f.body != nil || f.status < 400})
}

// checkField says what is wrong with a field that somebody wants in responses.
func checkField(f HeaderField) error {
	if err := checkFieldName(f.Name); err != nil {
		return err
	}
	for _, c := range []byte(f.Value) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("the value of %s has a control character", f.Name)
		}
	}
	return nil
}

func checkFieldName(name string) error {
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
		return fmt.Errorf("%s is the server's to say", name)
	}
	return nil
}
