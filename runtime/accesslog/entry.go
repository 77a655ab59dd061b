package accesslog

import (
	"strconv"
	"time"
)

// Entry is one answered request. Its slices are read during Append only.
type Entry struct {
	Addr        string        // address of the client; empty (a unix socket) is written as "-"
	User        []byte        // who logged in; empty is written as "-"
	Time        time.Time     // when the request arrived; written in its own zone, the same for all entries
	RequestLine []byte        // as received, without CRLF
	Status      int           // as sent
	BytesSent   int64         // bytes of the body, without framing; 0 is written as "-"
	Referer     []byte        // as received
	UserAgent   []byte        // as received
	Duration    time.Duration // from arrival to the last byte handed to the kernel
}

// maxLine is more than the line for e can have: every byte of a client's may
// become four, the rest of the line is short.
func (e *Entry) maxLine() int {
	return len(e.Addr) + 4*(len(e.User)+len(e.RequestLine)+len(e.Referer)+len(e.UserAgent)) + 160
}

// appendLine appends the line for e: Apache's combined format and %D, that is
//
//	%h - %u [%t] "%r" %>s %b "%{Referer}i" "%{User-agent}i" %D
//
// (https://httpd.apache.org/docs/2.4/mod/mod_log_config.html).
func (e *Entry) appendLine(dst []byte, stamp *timestamp) []byte {
	if e.Addr == "" {
		dst = append(dst, '-')
	}
	dst = append(dst, e.Addr...)
	dst = append(dst, " - "...)
	dst = appendEscaped(dst, e.User)
	dst = append(dst, " ["...)
	dst = append(dst, stamp.of(e.Time)...)
	dst = append(dst, `] "`...)
	dst = appendEscaped(dst, e.RequestLine)
	dst = append(dst, `" `...)
	dst = strconv.AppendInt(dst, int64(e.Status), 10)
	dst = append(dst, ' ')
	if e.BytesSent == 0 {
		dst = append(dst, '-')
	} else {
		dst = strconv.AppendInt(dst, e.BytesSent, 10)
	}
	dst = append(dst, ` "`...)
	dst = appendEscaped(dst, e.Referer)
	dst = append(dst, `" "`...)
	dst = appendEscaped(dst, e.UserAgent)
	dst = append(dst, `" `...)
	dst = strconv.AppendInt(dst, e.Duration.Microseconds(), 10)
	return append(dst, '\n')
}

// appendEscaped appends what a client sent so that it can neither end a quoted
// field nor a line, nor reach a terminal: as Apache does it, \" \\ \n and the
// like, and \xhh for what is not printable ASCII. Nothing is "-".
func appendEscaped(dst, s []byte) []byte {
	if len(s) == 0 {
		return append(dst, '-')
	}
	const hex = "0123456789abcdef"
	plain := 0 // s[plain:i] needs no escape
	for i, c := range s {
		if c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[plain:i]...)
		plain = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, `\b`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		case '\v':
			dst = append(dst, `\v`...)
		default:
			dst = append(dst, '\\', 'x', hex[c>>4], hex[c&15])
		}
	}
	return append(dst, s[plain:]...)
}

// timestamp keeps the text of the last second that was asked for.
type timestamp struct {
	second int64
	text   []byte
}

func (s *timestamp) of(t time.Time) []byte {
	if second := t.Unix(); second != s.second || len(s.text) == 0 {
		s.second = second
		s.text = t.AppendFormat(s.text[:0], "02/Jan/2006:15:04:05 -0700")
	}
	return s.text
}
