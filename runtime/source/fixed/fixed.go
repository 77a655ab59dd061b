package fixed

import (
	"fmt"

	"fapws/runtime/exchange"
	"fapws/runtime/filter/header"
)

// Fixed is a response that is always the same. It is an exchange.Source.
type Fixed struct {
	exchange.Memory
	reply exchange.Reply
}

// Options is the response of a Fixed.
type Options struct {
	Status int            // 200 to 599; 0: 200
	Body   string         // "": nothing, or the server's page where Status is an error
	Type   string         // Content-Type; "": text/plain in UTF-8
	Fields []header.Field // added to the response
}

// New returns a fixed response. The error is one line.
func New(o Options) (*Fixed, error) {
	if o.Status == 0 {
		o.Status = 200
	}
	if o.Status < 200 || o.Status > 599 {
		return nil, fmt.Errorf("%d is not the status of an answer (200 to 599)", o.Status)
	}
	if o.Type == "" {
		o.Type = "text/plain; charset=utf-8"
	}
	r := exchange.Reply{Status: o.Status, Type: o.Type, Whole: o.Body != "" || o.Status < 400}
	if o.Body != "" {
		r.Body = []byte(o.Body)
	}
	if err := (header.Field{Name: "Content-Type", Value: o.Type}).Check(); err != nil {
		return nil, err
	}
	for _, field := range o.Fields {
		if err := field.Check(); err != nil {
			return nil, err
		}
		r.Fields = field.AppendTo(r.Fields)
	}
	return &Fixed{reply: r}, nil
}

// Start implements exchange.Source.
func (f *Fixed) Start(x *exchange.Exchange) { x.Sink.Reply(f.reply) }
