package http1

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// Continue is the interim answer to Expect: 100-continue (RFC 9110 §15.2.1).
const Continue = "HTTP/1.1 100 Continue\r\n\r\n"

// Response is what AppendHead needs to know. It trusts the bytes it is given.
type Response struct {
	Status    int     // 100..999
	Reason    []byte  // empty: the registered phrase
	Fields    []byte  // "Name: value\r\n" ..., without Content-Length, Transfer-Encoding, Connection, Keep-Alive
	Length    int64   // bytes of the body, -1 if not known
	Type      string  // Content-Type to add, "" for none; not added where there can be no body
	HasDate   bool    // Fields has Date
	HasServer bool    // Fields has Server
	Version   Version // Request.Version of the request
	Head      bool    // Request.Head of the request

	// KeepAlive asks to keep the connection; AppendHead clears it if the end
	// of the body can only be told by closing.
	KeepAlive bool

	// Body is set by AppendHead: how the body is to be sent. NoBody: none
	// whatever there is (HEAD, 1xx, 204, 205, 304), otherwise Sized, Chunked or UntilClose.
	Body Framing
}

// Template makes response heads. It keeps the bytes that are the same in all
// responses of a second. The zero value is not ready: see NewTemplate.
type Template struct {
	ok     []byte // status line of 200, Server and Date fields
	server int    // length of the Server field in ok
	second int64
}

const okLine = "HTTP/1.1 200 OK\r\n"

// NewTemplate returns a Template that puts server into the Server field, or
// no Server field if it is empty, and the time into the Date field (seconds
// since 1970).
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

// SetTime changes the time in the Date field (RFC 9110 §6.6.1), in seconds
// since 1970. It is cheap if the second is the same.
func (t *Template) SetTime(unix int64) {
	if unix == t.second {
		return
	}
	t.second = unix
	t.ok = append(t.ok[:len(okLine)+t.server], "Date: "...)
	t.ok = append(AppendDate(t.ok, unix), '\r', '\n')
}

// AppendHead appends the head of a response with its empty line and sets
// r.Body and r.KeepAlive.
func (t *Template) AppendHead(dst []byte, r *Response) []byte {
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
	case r.Version == HTTP10: // RFC 9112 §9.3: it expects close unless told otherwise
		dst = append(dst, "Connection: keep-alive\r\n\r\n"...)
	default:
		dst = append(dst, '\r', '\n')
	}
	return dst
}

// appendFraming decides how the body is sent (RFC 9112 §6) and appends the
// fields that say so, and Content-Type.
func (r *Response) appendFraming(dst []byte) []byte {
	r.Body = NoBody
	switch {
	case r.Status < 200 || r.Status == 204 || r.Status == 304:
		return dst // RFC 9110 §8.6, RFC 9112 §6.1: neither length nor coding
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
		r.Body = NoBody // RFC 9110 §9.3.2: the same fields, no content
	}
	return dst
}

// StatusText returns the reason phrase of a status code, "" if it has none: that of net/http, but for the names that RFC 9110 has changed.
func StatusText(code int) string {
	switch code {
	case 413:
		return "Content Too Large"
	case 414:
		return "URI Too Long"
	case 416:
		return "Range Not Satisfiable"
	case 422:
		return "Unprocessable Content"
	case 510: // obsoleted
		return ""
	}
	return http.StatusText(code)
}

// AppendStatusLine appends "HTTP/1.1 code reason\r\n", with the registered
// phrase if reason is empty. code has three digits. The version is ours, also
// in an answer to HTTP/1.0 (RFC 9110 §2.5).
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

// ErrNeedMore says that the bytes so far are the beginning of a message.
var ErrNeedMore = errors.New("http1: need more bytes")

// StatusError is why a message is refused. The connection must be closed
// after it was answered: where the next message begins is not known. Values
// are predeclared, so that refusing costs no allocation.
type StatusError struct {
	Status  int    // status code of the answer
	Text    string // short reason in plain ASCII, fit for the client
	Setting string // name of the limit that the request exceeds, as the flag has it; empty if none
}

// Error returns the text.
func (e *StatusError) Error() string { return e.Text }

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

	errLineTooLong   = &StatusError{Status: 414, Text: "request line too long", Setting: "limit-request-line"}
	errExpectation   = &StatusError{Status: 417, Text: "expectation not supported"}
	errFieldTooLong  = &StatusError{Status: 431, Text: "header field too long", Setting: "limit-request-field-size"}
	errHeadTooLarge  = &StatusError{Status: 431, Text: "headers too large", Setting: "limit-request-head"}
	errTooManyFields = &StatusError{Status: 431, Text: "too many headers", Setting: "limit-request-fields"}
	errMethodTooLong = &StatusError{Status: 501, Text: "method not supported"}
	errConnect       = &StatusError{Status: 501, Text: "CONNECT not supported"}
	errUnknownCoding = &StatusError{Status: 501, Text: "transfer coding not supported"}
	errVersion       = &StatusError{Status: 505, Text: "HTTP version not supported"}
)

// DateFormat is IMF-fixdate (RFC 9110 §5.6.7) for time.Time.Format in UTC.
const DateFormat = "Mon, 02 Jan 2006 15:04:05 GMT"

// AppendDate appends an IMF-fixdate for seconds since 1970, 29 bytes for the
// years 0 to 9999.
func AppendDate(dst []byte, unix int64) []byte {
	return time.Unix(unix, 0).UTC().AppendFormat(dst, DateFormat)
}

// dateLayouts are the date formats that HTTP accepts (RFC 9110 §5.6.7), the last one twice: its day of the month has a space or a zero before it.
var dateLayouts = [...]string{DateFormat, "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC, "Mon Jan 02 15:04:05 2006"}

// maxDate is the length of the longest date.
const maxDate = len("Wednesday, 02-Jan-06 15:04:05 GMT")

// ParseDate reads the three date formats that HTTP accepts and returns seconds since 1970. Digits
// and separators have to be exactly those of the formats; the case of letters, and which day of the week it is, do not count.
func ParseDate(value []byte) (unix int64, ok bool) {
	if len(value) > maxDate {
		return 0, false
	}
	var upper, printed [maxDate]byte // without an allocation
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
		// time.Parse takes other spaces and digits, too.
		if _, exact, _ := bytes.Cut(t.AppendFormat(printed[:0], layout), []byte{' '}); bytes.EqualFold(exact, rest) {
			return t.Unix(), true
		}
	}
	return 0, false
}
