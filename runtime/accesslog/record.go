package accesslog

import "slices"

// Record holds a request until its line is written.
type Record struct {
	Entry
	Log    *Log   // that gets the line; nil: none does
	Client string // human-readable, for debugging; may be empty
}

// noFormat is the format of a Record without a Log.
var noFormat = new(Format)

// Format returns the format of the line. One that is written nowhere has an empty format.
func (r *Record) Format() *Format {
	if r.Log == nil {
		return noFormat
	}
	return r.Log.Format()
}

// State is a Record that goes to another process, for JSON. It has at most 48 KiB there.
type State struct {
	Entry             Entry
	Request, Response []string // the names of the fields in Entry
	Client            string
}

const (
	mostRequestLine = 8 << 10  // bytes of a request line in a State
	mostFields      = 32 << 10 // bytes of its header fields
)

// State returns the Record for another process. Long header fields are left out, so that it fits into a message.
func (r *Record) State() *State {
	s := &State{Entry: r.Entry, Request: r.Format().Request, Response: r.Format().Response, Client: r.Client}
	s.Entry.RequestLine = s.Entry.RequestLine[:min(len(s.Entry.RequestLine), mostRequestLine)]
	size := 0
	for _, values := range [...][]Value{s.Entry.Request, s.Entry.Response} {
		for _, v := range values {
			size += len(v.Text)
		}
	}
	if size > mostFields {
		s.Request, s.Response, s.Entry.Request, s.Entry.Response = nil, nil, nil, nil
	}
	return s
}

// Record returns the Record for a log of this process, or for none. Header fields that the log of the other process did not have are empty.
func (s *State) Record(log *Log) *Record {
	r := &Record{Entry: s.Entry, Log: log, Client: s.Client}
	format := r.Format()
	if !slices.Equal(format.Request, s.Request) {
		r.Request = make([]Value, len(format.Request))
	}
	if !slices.Equal(format.Response, s.Response) {
		r.Response = make([]Value, len(format.Response))
	}
	return r
}
