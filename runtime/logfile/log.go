package logfile

import (
	"time"
	"unicode/utf8"
)

// AccessLog is an access log. Several may share a file. Its methods may be called from
// any goroutine.
type AccessLog struct {
	file   *File
	format *Format
	writer accessWriter // used between Begin and End of file
}

// NewAccessLog returns a Log that writes to file, which stays the caller's to close.
func NewAccessLog(file *File, format *Format) *AccessLog {
	return &AccessLog{file: file, format: format}
}

// Format returns the format, which says what of a request has to be remembered.
func (l *AccessLog) Format() *Format { return l.format }

// Append adds a line. It never waits for the disk and does not allocate: when the
// disk does not keep up, lines are dropped, counted and reported.
func (l *AccessLog) Append(e *Entry) {
	dst, ok := l.file.Begin()
	if !ok {
		return
	}
	l.file.End(l.format.appendLine(dst, e, &l.writer))
}

// accessWriter is the state that the atoms of a format have in addition to the entry.
type accessWriter struct {
	stamp   timestamp
	scratch []byte // of one atom
	value   []byte // of several
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

// appendJSON appends s as a string of JSON (RFC 8259 §7). Bytes that are no UTF-8
// become U+FFFD.
func appendJSON(dst, s []byte) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ' || c == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			dst = append(dst, c)
		default:
			r, n := utf8.DecodeRune(s[i:])
			// The C1 controls speak to terminals, too.
			if r >= 0x80 && r < 0xa0 {
				dst = append(dst, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
			} else {
				dst = utf8.AppendRune(dst, r)
			}
			i += n
			continue
		}
		i++
	}
	return append(dst, '"')
}
