package logfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A Message is an entry of an error log.
type Message struct {
	Time  time.Time
	Level Level
	Text  string // Append escapes control characters
	// name of the application with processes of its own that has written the message, or ""
	Application string
	About
}

// About is the request that a Message is about, as far as it is known. Formats other than Object show only Client,
// Request and Trace.
type About struct {
	Client         string // "192.0.2.7:4711"
	Request, Trace string // ids of the request
	User, Host     string // Host may have a port
	Method, Path   string
	Handler        string // name of the handler in Python
	Exception
}

// An Exception can have only a Traceback. It is then the stack of a handler that has exceeded its timeout or crashed. A
// Traceback ends with a line feed. Formats other than Object append the Traceback to the line.
type Exception struct{ Type, Message, Traceback string }

func (a *About) members() []*string {
	return []*string{&a.Client, &a.Request, &a.Trace, &a.User, &a.Host, &a.Method, &a.Path, &a.Handler, &a.Type,
		&a.Message, &a.Traceback}
}

// Name encodes a as the name of a client, for functions that write a line about a client. AboutOf is the inverse.
func (a About) Name() string {
	var name strings.Builder
	for i, text := range a.members() {
		if i > 0 {
			name.WriteByte(0)
		}
		name.WriteString(strings.ReplaceAll(*text, "\x00", "\ufffd"))
	}
	return strings.TrimRight(name.String(), "\x00")
}

func AboutOf(name string) (a About) {
	members := a.members()
	for i, text := range strings.SplitN(name, "\x00", len(members)) {
		*members[i] = text
	}
	return a
}

// Append appends m to dst as one line, followed by the lines of the Traceback. The C function stamp in core_error.c
// writes the same formats.
func (k Look) Append(dst []byte, m *Message) []byte {
	if k == Object {
		return m.appendObject(dst)
	}
	at, rank, about := Stamp, "%s ", "%s %s: "
	if k == Filed {
		at, rank, about = "[Mon Jan 02 15:04:05.000000 2006] ", "[%s] ", "[%s %s] "
	}
	line := fmt.Appendf(m.Time.AppendFormat(nil, at), rank, m.Level)
	for _, one := range [...][2]string{{"client", m.Client}, {"request", m.Request}, {"trace", m.Trace}} {
		if one[1] != "" {
			line = fmt.Appendf(line, about, one[0], one[1])
		}
	}
	if m.Application != "" {
		line = append(append(line, m.Application...), ": "...)
	}
	line = append(append(AppendPrintable(line, m.Text), '\n'), m.Traceback...)
	return append(dst, k.Dress(line, m.Level)...)
}

// AppendPrintable appends text to dst, with control characters escaped as in Go strings.
func AppendPrintable(dst []byte, text string) []byte {
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		if IsControl(r) || r == utf8.RuneError && n == 1 {
			quoted := strconv.Quote(text[:n])
			dst = append(dst, quoted[1:len(quoted)-1]...)
		} else {
			dst = append(dst, text[:n]...)
		}
		text = text[n:]
	}
	return dst
}

// Limits of the texts in a JSON object, in bytes. The limits in core_object.c have the same values. If a traceback is
// too long, only its end is kept.
const (
	longestText = 64 << 10
	longestName = 8 << 10
	cut         = "..."
)

// appendObject appends an object of JSON. The objects of core_object.c have the same keys.
func (m *Message) appendObject(dst []byte) []byte {
	dst = append(m.Time.AppendFormat(append(dst, `{"time":"`...), jsonTime), '"')
	for _, one := range [...][2]string{{"level", m.Level.String()}, {"message", m.Text}, {"client", m.Client},
		{"user", m.User}, {"host", string(appendHostName(nil, []byte(m.Host)))}, {"request_id", m.Request},
		{"trace_id", m.Trace}, {"method", m.Method}, {"path", m.Path}, {"handler", m.Handler}} {
		dst = appendMember(dst, one[0], one[1])
	}
	if m.Application != "" {
		dst = appendMember(dst, "application", m.Application)
	}
	dst = append(dst, `,"exception":`...)
	if e := m.Exception; e == (Exception{}) {
		dst = append(dst, "null"...)
	} else {
		begin := len(dst)
		dst = appendMember(dst, "type", e.Type)
		dst = appendMember(dst, "message", e.Message)
		dst = append(appendMember(dst, "traceback", strings.TrimSuffix(e.Traceback, "\n")), '}')
		dst[begin] = '{' // instead of the comma
	}
	return append(append(append(dst, `,"pid":`...), pid...), "}\n"...)
}

func appendMember(dst []byte, key, text string) []byte {
	most := longestName
	if key == "message" || key == "traceback" {
		most = longestText
	}
	if extra := len(text) - most + len(cut); extra > len(cut) && key == "traceback" {
		text = cut + strings.ToValidUTF8(text[extra:], "") // the first character may be incomplete
	} else if extra > len(cut) {
		text = strings.ToValidUTF8(text[:len(text)-extra], "") + cut
	}
	dst = append(append(append(dst, ',', '"'), key...), `":`...)
	if text == "" {
		return append(dst, "null"...)
	}
	return appendJSON(dst, []byte(text))
}

// ParseObject parses an object that core_object.c or Append has written. Only the Time of the result is not set.
func ParseObject(line string) (m Message, ok bool) {
	type text = *string
	var o struct {
		Message                                                string
		Time, Level, Client, User, Host, Method, Path, Handler text
		Request                                                text `json:"request_id"`
		Trace                                                  text `json:"trace_id"`
		Exception                                              Exception
		PID                                                    int
	}
	d := json.NewDecoder(strings.NewReader(line))
	d.DisallowUnknownFields() // an object with other keys was written by the application, and is logged as text
	ok = d.Decode(&o) == nil && o.PID != 0
	m.Text, m.Exception, m.Level = o.Message, o.Exception, Info
	given := [...]text{o.Client, o.Request, o.Trace, o.User, o.Host, o.Method, o.Path, o.Handler}
	for i, one := range m.members()[:len(given)] {
		if given[i] != nil {
			*one = *given[i]
		}
	}
	for level := Debug; level <= Error && o.Level != nil; level++ {
		if level.String() == *o.Level {
			m.Level = level
		}
	}
	return m, ok
}

// appendHostName appends a host without its port and in normal form: "localhost" for "LocalHost.:80", "::1" for
// "[::1]".
func appendHostName(dst, host []byte) []byte {
	if colon := bytes.LastIndexByte(host, ':'); colon >= 0 && bytes.IndexByte(host[colon:], ']') < 0 {
		host = host[:colon]
	}
	for _, c := range bytes.TrimSuffix(bytes.Trim(host, "[]"), []byte(".")) {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}
