package http1

import "strconv"

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
	ok     []byte // status line of 200, then common
	common []byte // Server and Date fields
	server int    // length of the Server field in common
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
	t.common = t.ok[len(okLine):]
}

// AppendHead appends the head of a response with its empty line and sets
// r.Body and r.KeepAlive.
func (t *Template) AppendHead(dst []byte, r *Response) []byte {
	if r.Status == 200 && !r.HasDate && !r.HasServer && (len(r.Reason) == 0 || string(r.Reason) == "OK") {
		dst = append(dst, t.ok...)
	} else {
		dst = AppendStatusLine(dst, r.Status, r.Reason)
		if !r.HasServer {
			dst = append(dst, t.common[:t.server]...)
		}
		if !r.HasDate {
			dst = append(dst, t.common[t.server:]...)
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
