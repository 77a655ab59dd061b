package http1

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// Continue is the interim response for Expect: 100-continue (RFC 9110 §15.2.1).
const Continue = "HTTP/1.1 100 Continue\r\n\r\n"

// ResponseHead holds the parameters of AppendHead, which does not validate them.
type ResponseHead struct {
	Status int
	Reason []byte // reason phrase; empty for the registered phrase
	// lines of the form "Name: value\r\n", without Content-Length, Transfer-Encoding, Connection and Keep-Alive
	Fields []byte
	Length int64 // length of the body in bytes; -1 if unknown
	// value of the Content-Type field, "" for none; ignored if the status permits no body
	Type      string
	HasDate   bool
	HasServer bool
	Version   Version
	Head      bool

	// If KeepAlive is true, the connection stays open after the response. AppendHead clears KeepAlive if only the end
	// of the connection can delimit the body.
	KeepAlive bool

	// Body is the framing with which the body must be sent. AppendHead sets Body. If Body is NoBody, no body may be
	// sent (HEAD, 1xx, 204, 205, 304).
	Body Framing
}

// Template creates response heads. It caches the bytes that are the same in all responses within a second, and must be
// made by NewTemplate.
type Template struct {
	ok     []byte
	server int
	second int64
}

const okLine = "HTTP/1.1 200 OK\r\n"

// NewTemplate returns a Template with server as the value of the Server field, or without this field if server is
// empty. unix is the time for the Date field, in seconds since 1970.
func NewTemplate(server string, unix int64) *Template {
	t := &Template{second: unix - 1}
	t.ok = append(t.ok, okLine...)
	if server != "" {
		t.ok = append(t.ok, "Server: "+server+"\r\n"...)
	}
	t.server = len(t.ok) - len(okLine)
	t.SetTime(unix)
	return t
}

// SetTime sets the time of the Date field (RFC 9110 §6.6.1), in seconds since 1970.
func (t *Template) SetTime(unix int64) {
	if unix == t.second {
		return
	}
	t.second = unix
	t.ok = append(t.ok[:len(okLine)+t.server], "Date: "...)
	t.ok = append(AppendDate(t.ok, unix), '\r', '\n')
}

// AppendHead appends the head of a response with its empty line, and sets r.Body and r.KeepAlive.
func (t *Template) AppendHead(dst []byte, r *ResponseHead) []byte {
	if r.Status == 200 && !r.HasDate && !r.HasServer && (len(r.Reason) == 0 || string(r.Reason) == "OK") {
		dst = append(dst, t.ok...)
	} else {
		dst = AppendStatusLine(dst, r.Status, r.Reason)
		server, date := t.ok[len(okLine):][:t.server], t.ok[len(okLine)+t.server:]
		if !r.HasServer {
			dst = append(dst, server...)
		}
		if !r.HasDate {
			dst = append(dst, date...)
		}
	}
	dst = append(dst, r.Fields...)
	dst = r.appendFraming(dst)
	switch {
	case !r.KeepAlive:
		dst = append(dst, "Connection: close\r\n\r\n"...)
	case r.Version == HTTP10: // the default of HTTP/1.0 is to close (RFC 9112 §9.3)
		dst = append(dst, "Connection: keep-alive\r\n\r\n"...)
	default:
		dst = append(dst, '\r', '\n')
	}
	return dst
}

// appendFraming determines how the body is sent (RFC 9112 §6). appendFraming appends Content-Type and the framing
// fields.
func (r *ResponseHead) appendFraming(dst []byte) []byte {
	r.Body = NoBody
	switch {
	case r.Status < 200 || r.Status == 204 || r.Status == 304:
		// neither Content-Length nor Transfer-Encoding (RFC 9110 §8.6, RFC 9112 §6.1)
		return dst
	case r.Status == 205:
		return append(dst, "Content-Length: 0\r\n"...) // RFC 9110 §15.3.6
	}
	if r.Type != "" {
		dst = append(dst, "Content-Type: "...)
		dst = append(dst, r.Type...)
		dst = append(dst, '\r', '\n')
	}
	switch {
	case r.Length >= 0:
		r.Body = Sized
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, r.Length, 10)
		dst = append(dst, '\r', '\n')
	case r.Version > HTTP10:
		r.Body = Chunked
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	default:
		r.Body = UntilClose
		r.KeepAlive = false
	}
	if r.Head {
		r.Body = NoBody // the same fields as for GET, but no content (RFC 9110 §9.3.2)
	}
	return dst
}

// phrases contains the reason phrases that differ from those of net/http (RFC 9110 §15).
var phrases = map[int]string{413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable",
	422: "Unprocessable Content", 510: ""}

// StatusText returns the reason phrase of a status code, or "".
func StatusText(code int) string {
	if phrase, differs := phrases[code]; differs {
		return phrase
	}
	return http.StatusText(code)
}

// AppendStatusLine appends a line of the form "HTTP/1.1 code reason\r\n". If reason is empty, the line contains the
// registered phrase. code must have three digits. The version is always HTTP/1.1, even in a response to HTTP/1.0 (RFC
// 9110 §2.5).
func AppendStatusLine(dst []byte, code int, reason []byte) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(code), 10)
	dst = append(dst, ' ')
	if len(reason) == 0 {
		dst = append(dst, StatusText(code)...)
	} else {
		dst = append(dst, reason...)
	}
	return append(dst, '\r', '\n')
}

var ErrNeedMore = errors.New("http1: need more bytes")

// StatusError is the reason for rejecting a message. After the response, the connection must be closed, because the
// start of the next message is unknown. All StatusErrors are package variables, so that a rejection does not allocate
// memory.
type StatusError struct {
	Status int
	Text   string // short reason in ASCII for the client
	// command-line flag of the limit that the request exceeds; "" if the error is not about a limit
	Setting string
	// returns the limit and the size of a head that exceeds it; nil if Setting is ""
	sizes func(l *Limits, head []byte) (limit, size int)
}

func (e *StatusError) Error() string { return e.Text }

// Sizes returns the limit of Setting, and the size of head, which exceeds the limit, as far as head has arrived. size is
// larger than limit.
func (e *StatusError) Sizes(l *Limits, head []byte) (limit, size int) {
	limit, size = e.sizes(l, head)
	return limit, max(limit+1, size)
}

func firstLine(l *Limits, head []byte) (limit, size int) {
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	return l.RequestLine, len(line)
}

func longestLine(l *Limits, head []byte) (limit, size int) {
	for line := range bytes.Lines(head) {
		size = max(size, len(line))
	}
	return l.FieldLine, size
}

func bad(text string) *StatusError { return &StatusError{Status: 400, Text: text} }

var (
	errNoRequest       = bad("not an HTTP request")
	errBareLF          = bad("line ends without CR")
	errRequestLine     = bad("malformed request line")
	errVersionSyntax   = bad("malformed HTTP version")
	errTarget          = bad("invalid character in request target")
	errTargetForm      = bad("malformed request target")
	errPercent         = bad("invalid percent-encoding in path")
	errFieldName       = bad("malformed header name")
	errFolded          = bad("header line starts with whitespace")
	errFieldValue      = bad("invalid character in header value")
	errNoHost          = bad("missing Host header")
	errManyHosts       = bad("more than one Host header")
	errHost            = bad("invalid Host header")
	errAuthority       = bad("invalid host in request target")
	errLength          = bad("invalid Content-Length")
	errLengths         = bad("different Content-Lengths")
	errLengthAndCoding = bad("Content-Length with Transfer-Encoding")
	errCoding          = bad("malformed Transfer-Encoding")
	errCodingOn10      = bad("Transfer-Encoding in HTTP/1.0")
	errChunkSize       = bad("invalid chunk size")
	errChunkEnd        = bad("malformed chunk")
	errChunkOverhead   = bad("chunk extensions or trailers too large")
	errTrailer         = bad("malformed trailer")

	errLineTooLong  = &StatusError{Status: 414, Text: "request line too long", Setting: "limit-request-line", sizes: firstLine}
	errExpectation  = &StatusError{Status: 417, Text: "expectation not supported"}
	errFieldTooLong = &StatusError{Status: 431, Text: "header field too long", Setting: "limit-request-field-size",
		sizes: longestLine}
	errHeadTooLarge = &StatusError{Status: 431, Text: "headers too large", Setting: "limit-request-head",
		sizes: func(l *Limits, head []byte) (limit, size int) { return l.Head, len(head) }}
	errTooManyFields = &StatusError{Status: 431, Text: "too many headers", Setting: "limit-request-fields",
		sizes: func(l *Limits, head []byte) (limit, size int) { return l.Fields, bytes.Count(head, []byte("\n")) - 1 }}
	errMethodTooLong = &StatusError{Status: 501, Text: "method not supported"}
	errConnect       = &StatusError{Status: 501, Text: "CONNECT not supported"}
	errUnknownCoding = &StatusError{Status: 501, Text: "transfer coding not supported"}
	errVersion       = &StatusError{Status: 505, Text: "HTTP version not supported"}
)

// DateFormat is the IMF-fixdate (RFC 9110 §5.6.7), for times in UTC.
const DateFormat = "Mon, 02 Jan 2006 15:04:05 GMT"

// AppendDate appends an IMF-fixdate for a time in seconds since 1970. The date has 29 bytes for the years 0 to 9999.
func AppendDate(dst []byte, unix int64) []byte {
	return time.Unix(unix, 0).UTC().AppendFormat(dst, DateFormat)
}

// dateLayouts are the date formats that HTTP accepts (RFC 9110 §5.6.7). The last format appears twice, because a day of
// the month below 10 can begin with a space or a zero.
var dateLayouts = [...]string{DateFormat, "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC, "Mon Jan 02 15:04:05 2006"}

const maxDate = len("Wednesday, 02-Jan-06 15:04:05 GMT")

// ParseDate parses a date in one of the three formats that HTTP accepts, and returns seconds since 1970. Digits and
// separators must match the format exactly. ParseDate ignores the case of letters and the day of the week.
func ParseDate(value []byte) (unix int64, ok bool) {
	if len(value) > maxDate {
		return 0, false
	}
	var upper, printed [maxDate]byte // arrays on the stack avoid an allocation
	for i, c := range value {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		upper[i] = c
	}
	text := upper[:len(value)]
	_, rest, _ := bytes.Cut(text, []byte{' '})
	for _, layout := range dateLayouts {
		t, err := time.Parse(layout, string(text))
		if err != nil {
			continue
		}
		// time.Parse also accepts extra spaces and missing digits, so the printed date must equal the value.
		if _, exact, _ := bytes.Cut(t.AppendFormat(printed[:0], layout), []byte{' '}); bytes.EqualFold(exact, rest) {
			return t.Unix(), true
		}
	}
	return 0, false
}
