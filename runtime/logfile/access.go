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

// An AccessLog formats entries and appends the lines to a File. Several access logs may share a File. The caller must
// close the File. An AccessLog is safe for concurrent use.
type AccessLog struct {
	File   *File
	Format *Format
}

// Append adds a line for an entry. Append never waits for the disk: if the disk is too slow, lines are dropped, counted
// and reported.
func (l *AccessLog) Append(e *Entry) {
	l.File.Append(func(dst []byte) []byte { return l.Format.appendLine(dst, e) })
}

// A timestamp caches a formatted time for one second, and is safe for concurrent use.
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

// appendEscaped escapes text from a client, so that the text cannot end a quoted field or a line, or send control
// sequences to a terminal. Like Apache, appendEscaped writes escapes such as \" \\ and \n, and \xhh for every other
// byte that is not printable ASCII.
func appendEscaped(dst, s []byte) []byte {
	plain := 0
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

// IsControl reports whether r may affect a terminal or a log viewer: a control character, a line end, or a character
// that changes the text direction.
func IsControl(r rune) bool {
	return unicode.IsControl(r) || r > unicode.MaxASCII && unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp)
}

// appendJSON appends s as a JSON string (RFC 8259 §7), with U+FFFD for bytes that are not UTF-8.
func appendJSON(dst, s []byte) []byte {
	dst = append(dst, '"')
	for len(s) > 0 {
		r, n := utf8.DecodeRune(s)
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', s[0])
		case IsControl(r):
			dst = append(dst, '\\', 'u', hex[r>>12], hex[r>>8&15], hex[r>>4&15], hex[r&15])
		default:
			dst = utf8.AppendRune(dst, r)
		}
		s = s[n:]
	}
	return append(dst, '"')
}

type Record struct {
	Entry
	Log    *AccessLog // the log to which the line is written; nil for none
	Client string     // address of the client, for debugging; may be empty

	// the response is an exchange.Override, which replaces responses while the application cannot serve
	Overridden bool
}

var noFormat = new(Format)

// Format returns the format of the line, or an empty format if Log is nil.
func (r *Record) Format() *Format {
	if r.Log == nil {
		return noFormat
	}
	return r.Log.Format
}

// RecordState is a Record in a form that can be passed to another process as JSON, in at most 48 KiB.
type RecordState struct {
	Entry Entry
	// names of the header fields in Entry.Request and Entry.Response
	Request, Response []string
	Client            string
	Unlogged          bool `json:",omitempty"` // the request has no line in an access log
}

const (
	mostRequestLine = 8 << 10 // maximum length of a request line in a RecordState, in bytes
	mostFields      = 32 << 10
)

// State converts the Record for another process. If the header fields together are too long for a message, State
// omits all fields.
func (r *Record) State() *RecordState {
	s := &RecordState{Entry: r.Entry, Request: r.Format().Request, Response: r.Format().Response, Client: r.Client,
		Unlogged: r.Log == nil}
	s.Entry.RequestLine = s.Entry.RequestLine[:min(len(s.Entry.RequestLine), mostRequestLine)]
	size := 0
	for _, v := range slices.Concat(s.Entry.Request, s.Entry.Response) {
		size += len(v.Text)
	}
	if size > mostFields {
		s.Request, s.Response, s.Entry.Request, s.Entry.Response = nil, nil, nil, nil
	}
	return s
}

// Record converts s to a Record for log. No line is written if log is nil or s.Unlogged is set; header fields that the
// previous process has not collected are empty.
func (s *RecordState) Record(log *AccessLog) *Record {
	r := &Record{Entry: s.Entry, Log: log, Client: s.Client}
	if s.Unlogged {
		r.Log = nil
	}
	format := r.Format()
	if !slices.Equal(format.Request, s.Request) {
		r.Request = make([]Value, len(format.Request))
	}
	if !slices.Equal(format.Response, s.Response) {
		r.Response = make([]Value, len(format.Response))
	}
	return r
}

// Entry describes a request and its response; Append does not keep its slices.
type Entry struct {
	Addr, Port           string // address of the client; written as "-" if empty (unix socket)
	PeerAddr             string // address from which the connection was opened: a proxy or the client
	LocalAddr, LocalPort string // local address of the connection
	Site                 string // canonical host name of the site; empty means LocalAddr
	Scheme               string // http if empty
	User                 string
	// ID of the request from the server or from a trusted proxy; written as "-" if empty
	RequestID   string
	RequestLine []byte // request line as received, without CRLF; empty if no line has arrived
	NoLine      bool   // the request gets no line from plan.Logger.Requests
	Handler     string // kind of source that responded; written as "-" if empty
	File        []byte // path of the requested file; written as "-" if empty

	// Time is when the request arrived. It is written in its own time zone, which must be the same for all entries.
	Time time.Time
	// Duration is the time until the last byte of the response was passed to the kernel.
	Duration time.Duration

	Status    int   // status of the response, or StatusGone
	BytesSent int64 // number of bytes in the response body, without framing
	WireIn    int64 // number of received bytes, including the head
	WireOut   int64 // number of sent bytes, including head and framing
	Earlier   int
	Aborted   bool // the client disconnected before the end of the response
	KeepAlive bool

	// Request and Response contain the header fields that the Format names, in the order of Format.Request and
	// Format.Response.
	Request, Response []Value

	Times *Times `json:"-"`          // nil unless the log's format or the field Server-Timing needs them
	Trace *Trace `json:",omitempty"` // nil unless spans are recorded
}

// A Trace contains the data of a request that only trace spans need.
type Trace struct {
	ID    http1.Identity
	Route string // name of the mount; empty if no mount has accepted the request
	Host  []byte // requested host, optionally with a port
	Agent []byte // field User-Agent
}

// Times contains the durations of the phases of a request, in nanoseconds; 0 if unknown. Times is safe for concurrent
// use, because a handler may set the fields on any goroutine, even after the end of the request.
type Times struct {
	Wait      atomic.Int64 // from the arrival of the request until Python runs the handler
	Python    atomic.Int64 // from the start of the handler until the last part of its response
	Upstream  atomic.Int64 // waiting for an upstream or a program
	FirstByte atomic.Int64 // from the arrival of the request until the response head
}

// Value is the value of a header field; the field There is false if the header field is missing.
type Value struct {
	Text  []byte
	There bool
}

// Add adds the value of a header field, with a comma between repeated values (RFC 9110 §5.3).
func (v *Value) Add(text []byte) {
	if v.There {
		v.Text = append(v.Text, ", "...)
	}
	v.Text, v.There = append(v.Text, text...), true
}

func (e *Entry) Begin(f *Format) {
	t := e.Trace
	if t != nil {
		*t = Trace{Host: t.Host[:0], Agent: t.Agent[:0]}
	}
	*e = Entry{
		Trace:       t,
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

// StatusGone is logged as the status if the client disconnected before the response began, as in nginx.
const StatusGone = 499

func (r *Record) End() {
	if r.Log != nil {
		r.Log.Append(&r.Entry)
	}
}

// NoteRequest stores the request line and the request fields that the log's format names.
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

func (r *Record) NoteResponse(head []byte) {
	_, fields, _ := bytes.Cut(head, []byte("\n"))
	collectLines(r.Response, r.Format().Response, fields)
}

// Malformed stores an invalid request as Apache does: the first line up to a NUL and, if the line looks like a request
// line, the fields before the first malformed field. limit is the maximum length of the first line in bytes.
func (r *Record) Malformed(received []byte, limit int) {
	line, rest, _ := bytes.Cut(bytes.TrimLeft(received, "\r\n"), []byte("\n"))
	line, _, _ = bytes.Cut(bytes.TrimSuffix(line[:min(len(line), limit)], []byte("\r")), []byte{0})
	r.RequestLine = append(r.RequestLine, line...)
	if isRequestLine(line) {
		collectLines(r.Request, r.Format().Request, rest)
	}
}

// collectLines calls collect for each header field in lines, up to the first malformed line.
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

// collect adds the value of a header field to the slice values, at the index of the field's name in the list wanted.
func collect(values []Value, wanted []string, name, value []byte) {
	for i := range wanted {
		if len(name) == len(wanted[i]) && bytes.EqualFold(name, []byte(wanted[i])) {
			values[i].Add(value)
		}
	}
}

func isRequestLine(line []byte) bool {
	parts := split(line)
	target := parts[targetPart]
	return len(parts[methodPart]) > 0 && len(target) > 0 && bytes.HasPrefix(parts[versionPart], []byte("HTTP/")) &&
		!bytes.ContainsFunc(target, func(c rune) bool { return c <= ' ' || c == 0x7f })
}
