package http1

import (
	"fapws/runtime/filter/header"
	"fapws/runtime/http1"
)

// Heads makes the heads of all responses of an event loop.
type Heads struct {
	// Fields is memory for callers that put the fields of a response together. It is free again when Append returns.
	Fields []byte

	template *http1.Template
	edited   []byte // memory for fields that rules have changed
}

// Init makes h ready. server is the value of the field Server, and unix the time in seconds since 1970.
func (h *Heads) Init(server string, unix int64) { h.template = http1.NewTemplate(server, unix) }

// SetTime sets the time of the field Date, in seconds since 1970.
func (h *Heads) SetTime(unix int64) { h.template.SetTime(unix) }

// Append appends the head of r, which edits change, to dst.
func (h *Heads) Append(dst []byte, edits header.Edits, r *http1.Response) []byte {
	if len(edits) > 0 {
		h.edited = edits.Apply(h.edited, r)
	}
	return h.template.AppendHead(dst, r)
}
