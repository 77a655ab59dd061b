package logfile

import (
	"bytes"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"fapws/runtime/http1"
)

// AccessLog is an access log. Several may share a file, which stays the caller's to close. Its methods may be called from
// any goroutine.
type AccessLog struct {
	File   *File
	Format *Format // says which parts of a request have to be remembered
}

// Append adds a line. It never waits for the disk and does not allocate: when the
// disk does not keep up, lines are dropped, counted and reported.
func (l *AccessLog) Append(e *Entry) {
	if dst, ok := l.File.Begin(); ok {
		l.File.End(l.Format.appendLine(dst, e))
	}
}

// timestamp keeps the text of the last second that was asked for. It is safe for concurrent use.
type timestamp struct{ last atomic.Pointer[second] }

type second struct {
	unix int64
	text string
}

func (s *timestamp) of(t time.Time) string {
	last := s.last.Load()
	if last == nil || last.unix != t.Unix() {
		last = &second{t.Unix(), t.Format("[02/Jan/2006:15:04:05 -0700]")}
		s.last.Store(last)
	}
	return last.text
}

const hex = "0123456789abcdef"

// appendEscaped appends text of a client so that it can neither end a quoted field nor a line, nor reach a terminal:
// as Apache does it, \" \\ \n and the like, and \xhh for all bytes but printable ASCII.
func appendEscaped(dst, s []byte) []byte {
	plain := 0 // s[plain:i] needs no escape
	for i, c := range s {
		if c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[plain:i]...)
		plain = i + 1
		if named := strings.IndexByte("\"\\\b\n\r\t\v", c); named >= 0 {
			dst = append(dst, '\\', `"\bnrtv`[named])
		} else {
			dst = append(dst, '\\', 'x', hex[c>>4], hex[c&15])
		}
	}
	return append(dst, s[plain:]...)
}

// appendJSON appends s as a string of JSON (RFC 8259 §7). Bytes that are no UTF-8
// become U+FFFD.
func appendJSON(dst, s []byte) []byte {
	dst = append(dst, '"')
	for len(s) > 0 {
		r, n := utf8.DecodeRune(s)
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', s[0])
		case unicode.IsControl(r): // those of C1 speak to terminals, too
			dst = append(dst, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			dst = utf8.AppendRune(dst, r)
		}
		s = s[n:]
	}
	return append(dst, '"')
}

// Record holds a request until its line is written.
type Record struct {
	Entry
	Log    *AccessLog // that gets the line; nil: none does
	Client string     // human-readable, for debugging; may be empty
}

// noFormat is the format of a Record without a Log.
var noFormat = new(Format)

// Format returns the format of the line. One that is written nowhere has an empty format.
func (r *Record) Format() *Format {
	if r.Log == nil {
		return noFormat
	}
	return r.Log.Format
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
func (s *State) Record(log *AccessLog) *Record {
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

// Entry is one answered request. Its slices are read during Append only.
type Entry struct {
	Addr, Port           string // of the client; empty (a unix socket) is "-"
	PeerAddr             string // of the other end of the connection: a proxy, or the client
	LocalAddr, LocalPort string // that the connection came to
	Site                 string // canonical name of the host that answers; empty: LocalAddr
	Scheme               string // empty: http
	User                 string // the logged-in user; empty: none
	RequestLine          []byte // as received, without CRLF; empty: none came
	Handler              string // the kind of source that answered; empty is "-"
	File                 []byte // path that files were asked for; empty is "-"

	Time     time.Time     // when the request arrived; written in its own zone, the same for all entries
	Duration time.Duration // from arrival to the last byte handed to the kernel

	Status    int   // of the response, or StatusGone
	BytesSent int64 // bytes of the body, without framing
	WireIn    int64 // bytes of the request with its head
	WireOut   int64 // bytes of the response with its head and framing
	Earlier   int   // requests before on the connection
	Aborted   bool  // the client left before the end
	KeepAlive bool  // the connection goes on

	// Request and Response are the header fields that the Format asks for, in the
	// order of Format.Request and Format.Response.
	Request, Response []Value
}

// Value is the value of a header field, or none. It can be used again.
type Value struct {
	Text  []byte
	There bool
}

// Add sets the value or, when the field comes once more, adds to it
// (RFC 9110 §5.3).
func (v *Value) Add(text []byte) {
	if v.There {
		v.Text = append(v.Text, ", "...)
	}
	v.Text, v.There = append(v.Text, text...), true
}

// Begin makes e an entry without anything for a Log of format f. It keeps the
// memory of its slices.
func (e *Entry) Begin(f *Format) {
	*e = Entry{
		RequestLine: e.RequestLine[:0],
		File:        e.File[:0],
		Request:     cleared(e.Request, len(f.Request)),
		Response:    cleared(e.Response, len(f.Response)),
	}
}

func cleared(values []Value, n int) []Value {
	values = slices.Grow(values[:0], n)[:n]
	for i := range values {
		values[i].Text, values[i].There = values[i].Text[:0], false
	}
	return values
}

// StatusGone is the status in logs of a request whose client left before it was answered, as nginx has it.
const StatusGone = 499

// End writes the line of r, which is complete, if there is a log.
func (r *Record) End() {
	if r.Log != nil {
		r.Log.Append(&r.Entry)
	}
}

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
		collect(r.Request, wanted, f.Name.In(head), f.Value.In(head))
	}
}

// NoteResponse remembers the fields of a response that the line of the log has.
func (r *Record) NoteResponse(head []byte) {
	_, fields, _ := bytes.Cut(head, []byte("\n"))
	collectLines(r.Response, r.Format().Response, fields)
}

// Malformed remembers the bytes that a client has sent in place of a request, as Apache does: the first line up to a
// NUL and, if that might be a request line, the fields before the first malformed one. limit bounds the line, in
// bytes.
func (r *Record) Malformed(received []byte, limit int) {
	line, rest, _ := bytes.Cut(bytes.TrimLeft(received, "\r\n"), []byte("\n"))
	line, _, _ = bytes.Cut(bytes.TrimSuffix(line[:min(len(line), limit)], []byte("\r")), []byte{0})
	r.RequestLine = append(r.RequestLine, line...)
	if isRequestLine(line) {
		collectLines(r.Request, r.Format().Request, rest)
	}
}

// collectLines is collect for the lines of fields, up to the first that is malformed.
func collectLines(values []Value, wanted []string, lines []byte) {
	if len(wanted) == 0 {
		return
	}
	for line := range bytes.Lines(lines) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(name) == 0 || bytes.ContainsAny(name, " \t\r") {
			return
		}
		collect(values, wanted, name, bytes.TrimSpace(value))
	}
}

// collect adds the value of a field to that of the wanted one with its name, if there is one.
func collect(values []Value, wanted []string, name, value []byte) {
	for i := range wanted {
		if len(name) == len(wanted[i]) && bytes.EqualFold(name, []byte(wanted[i])) {
			values[i].Add(value)
		}
	}
}

// isRequestLine reports whether a line has a method, a target and a version.
func isRequestLine(line []byte) bool {
	parts := split(line)
	target := parts[targetPart]
	return len(parts[methodPart]) > 0 && len(target) > 0 && bytes.HasPrefix(parts[versionPart], []byte("HTTP/")) &&
		!bytes.ContainsFunc(target, func(c rune) bool { return c <= ' ' || c == 0x7f })
}
