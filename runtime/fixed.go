package runtime

import (
	"fmt"

	"fapws/runtime/filter/header"
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
	Status int            // 200 to 599; 0: 200
	Body   string         // "": nothing, or the server's page where Status is an error
	Type   string         // Content-Type; "": text/plain in UTF-8
	Fields []header.Field // added to the response
}

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
	if err := (header.Field{Name: "Content-Type", Value: o.Type}).Check(); err != nil {
		return nil, err
	}
	for _, field := range o.Fields {
		if err := field.Check(); err != nil {
			return nil, err
		}
		f.fields = field.AppendTo(f.fields)
	}
	return f, nil
}

// start implements source.
func (f *Fixed) start(l *loop, x *Exchange, rest []byte) (used int) {
	return l.refuse(x, rest, localResponse{status: f.status, body: f.body, kind: f.kind, fields: f.fields, whole: f.body != nil || f.status < 400})
}
