package logfile

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"fapws/runtime/system"
)

// The formats that have a name. Combined and common are those of Apache's manual,
// vhost_combined is Debian's.
var named = map[string]string{
	"combined":       `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`,
	"common":         `%h %l %u %t "%r" %>s %b`,
	"vhost_combined": `%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i"`,
	"timed":          `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %D`,
	"short":          `%h %m %U%q %>s %B %D`,
}

// FormatNames are the names that Parse knows.
var FormatNames = []string{"combined", "common", "vhost_combined", "timed", "short", "json"}

// jsonLine is the format "json": names and atoms.
var jsonLine = [][2]string{
	{"time", "%{%Y-%m-%dT%H:%M:%S}t.%{usec_frac}t%{%z}t"},
	{"client", "%a"}, {"user", "%u"}, {"host", "%V"}, {"method", "%m"}, {"path", "%U"}, {"query", "%q"},
	{"request", "%r"}, {"status", "%>s"}, {"bytes", "%B"}, {"duration_us", "%D"},
	{"referer", "%{Referer}i"}, {"user_agent", "%{User-Agent}i"}, {"trace_id", "%{fapws.trace_id}e"},
}

// jsonNumbers are the atoms that are numbers there.
var jsonNumbers = []string{"%>s", "%B", "%D"}

// Format is a compiled format of lines. It does not change.
type Format struct {
	// Request and Response are the names, in lower case, of the header fields
	// that a line needs.
	Request, Response []string

	ops []op
}

// op is a piece of a line.
type op struct {
	text  string   // literal, if there is not an atom
	atom  atom     // appends a value, or says that there is none
	only  statuses // for which responses
	json  bool     // the value becomes a string of JSON
	parts []op     // or these make it
}

// atom appends a value, escaped as Apache does it unless raw. ok is false if there
// is none, and dst as it was.
type atom func(dst []byte, e *Entry, w *accessWriter, raw bool) (out []byte, ok bool)

// statuses is a condition such as "!200,304"; the zero value is always met.
type statuses struct {
	list []int
	not  bool
}

func (s *statuses) met(status int) bool {
	return len(s.list) == 0 || slices.Contains(s.list, status) != s.not
}

// appendLine appends the line for e with its end.
func (f *Format) appendLine(dst []byte, e *Entry, w *accessWriter) []byte {
	for i := range f.ops {
		dst = f.ops[i].append(dst, e, w)
	}
	return append(dst, '\n')
}

func (o *op) append(dst []byte, e *Entry, w *accessWriter) []byte {
	if o.json {
		return o.appendString(dst, e, w)
	}
	if o.atom == nil {
		return append(dst, o.text...)
	}
	if o.only.met(e.Status) {
		if out, ok := o.atom(dst, e, w, false); ok {
			return out
		}
	}
	return append(dst, '-')
}

// appendString appends a value as JSON.
func (o *op) appendString(dst []byte, e *Entry, w *accessWriter) []byte {
	text := w.value[:0]
	for i := range o.parts {
		p := &o.parts[i]
		if p.atom == nil {
			text = append(text, p.text...)
			continue
		}
		var ok bool
		if text, ok = p.atom(text, e, w, true); !ok {
			return append(dst, "null"...)
		}
	}
	w.value = text
	return appendJSON(dst, text)
}

// ParseFormat compiles a format: one of Names, or text with the atoms of Apache's
// mod_log_config (%h) and gunicorn's (%(h)s). The error is one line.
func ParseFormat(text string) (*Format, error) {
	f := &Format{}
	if text == "json" {
		f.json()
		return f, nil
	}
	if line, ok := named[text]; ok {
		text = line
	} else if !strings.Contains(text, "%") {
		return nil, fmt.Errorf("%q is not a format: it has no atom such as %%h, and is not one of %s", text, strings.Join(FormatNames, ", "))
	}
	p := parser{text: text, f: f}
	return f, p.run()
}

// json makes f the format "json".
func (f *Format) json() {
	for i, pair := range jsonLine {
		lead := `,"`
		if i == 0 {
			lead = `{"`
		}
		f.literal(lead + pair[0] + `":`)
		part := &Format{Request: f.Request, Response: f.Response}
		p := parser{text: pair[1], f: part}
		if err := p.run(); err != nil {
			panic(err) // the table above is wrong
		}
		f.Request, f.Response = part.Request, part.Response
		if slices.Contains(jsonNumbers, pair[1]) {
			f.ops = append(f.ops, part.ops...)
		} else {
			f.ops = append(f.ops, op{json: true, parts: part.ops})
		}
	}
	f.literal("}")
}

// literal adds text that is the same in all lines.
func (f *Format) literal(text string) {
	if n := len(f.ops); n > 0 && f.ops[n-1].atom == nil && !f.ops[n-1].json {
		f.ops[n-1].text += text
		return
	}
	f.ops = append(f.ops, op{text: text})
}

// parser goes through the text of a format.
type parser struct {
	text string
	at   int
	f    *Format
}

func (p *parser) run() error {
	for p.at < len(p.text) {
		switch rest := p.text[p.at:]; {
		case rest[0] == '\\' && len(rest) > 1 && strings.IndexByte(`\nrt"`, rest[1]) >= 0:
			p.f.literal(map[byte]string{'\\': `\`, 'n': "\n", 'r': "\r", 't': "\t", '"': `"`}[rest[1]])
			p.at += 2
		case strings.HasPrefix(rest, "%%"):
			p.f.literal("%")
			p.at += 2
		case strings.HasPrefix(rest, "%("):
			if err := p.gunicorn(); err != nil {
				return err
			}
		case rest[0] == '%':
			if err := p.apache(); err != nil {
				return err
			}
		default:
			p.f.literal(rest[:1])
			p.at++
		}
	}
	return nil
}

// wrong is an error about p.text[p.at:end].
func (p *parser) wrong(end int, why string) error {
	return fmt.Errorf("%s at position %d %s", p.text[p.at:end], p.at+1, why)
}

// gunicorn reads an atom such as %(h)s or %({Referer}i)s.
func (p *parser) gunicorn() error {
	n := strings.Index(p.text[p.at:], ")s")
	if n < 0 {
		return p.wrong(len(p.text), `does not end with ")s"`)
	}
	end := p.at + n + 2
	name := p.text[p.at+2 : p.at+n]
	var a atom
	if strings.HasPrefix(name, "{") {
		close := strings.LastIndexByte(name, '}')
		if close < 0 || close != len(name)-2 {
			return p.wrong(end, "is not an atom")
		}
		var err error
		argument, letter := name[1:close], name[close+1]
		if letter == 'e' {
			argument = strings.ToUpper(argument) // gunicorn does not mind the case
		}
		if a, err = p.f.field(argument, letter); err != nil {
			return p.wrong(end, err.Error())
		}
	} else if a = p.f.gunicornAtom(name); a == nil {
		return p.wrong(end, "is not an atom")
	}
	p.f.ops = append(p.f.ops, op{atom: a})
	p.at = end
	return nil
}

// apache reads an atom such as %h, %>s, %!200,304{Referer}i.
func (p *parser) apache() error {
	o := op{}
	argument, has := "", false
	i := p.at + 1
	for ; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case c == '<' || c == '>':
			// There is one status and one user here, at first and at last.
		case c == '!' && len(o.only.list) == 0:
			o.only.not = true
		case c == ',' && len(o.only.list) > 0:
		case c >= '0' && c <= '9':
			digits := i
			for i < len(p.text) && p.text[i] >= '0' && p.text[i] <= '9' {
				i++
			}
			status, err := strconv.Atoi(p.text[digits:i])
			if err != nil || status < 100 || status > 999 {
				return p.wrong(i, "has no status")
			}
			o.only.list = append(o.only.list, status)
			i--
		case c == '{' && !has:
			close := strings.IndexByte(p.text[i:], '}')
			if close < 0 {
				return p.wrong(len(p.text), `has no "}"`)
			}
			argument, has = p.text[i+1:i+close], true
			i += close
		default:
			a, err := p.f.apacheAtom(c, argument, has)
			if err != nil {
				return p.wrong(i+1, err.Error())
			}
			o.atom = a
			p.f.ops = append(p.f.ops, o)
			p.at = i + 1
			return nil
		}
	}
	return p.wrong(len(p.text), "is not an atom: it has no letter")
}

// index returns where name is in the list, to which it adds it.
func index(list *[]string, name string) int {
	name = strings.ToLower(name)
	i := slices.Index(*list, name)
	if i < 0 {
		i = len(*list)
		*list = append(*list, name)
	}
	return i
}

// pid is written by atoms.
var pid = strconv.Itoa(os.Getpid())

// apacheAtom returns the atom of a letter and the argument in braces before it
// (https://httpd.apache.org/docs/2.4/mod/mod_log_config.html).
func (f *Format) apacheAtom(letter byte, argument string, has bool) (atom, error) {
	key := string(letter)
	switch {
	case has && strings.Contains("ioe", key):
		return f.field(argument, letter)
	case has && letter == 'C':
		return f.cookie(argument), nil
	case has && letter == 't':
		return timeAtom(argument)
	case has:
		key = "{" + argument + "}" + key
	case letter == 'V':
		return f.hostOf(), nil
	}
	if a := apacheAtoms[key]; a != nil {
		return a, nil
	}
	return nil, fmt.Errorf("is not an atom")
}

// bracketed is how gunicorn writes pid.
var bracketed = "<" + pid + ">"

// apacheAtoms are the atoms that need no header field, by the text in braces and the letters.
var apacheAtoms = map[string]atom{
	"a": plain(func(e *Entry) string { return e.Addr }),
	"A": plain(func(e *Entry) string { return e.LocalAddr }),
	"B": accessNumber(func(e *Entry) int64 { return e.BytesSent }),
	"b": bytesOrDash(func(e *Entry) int64 { return e.BytesSent }),
	"D": accessNumber(micros),
	"f": part(func(e *Entry) []byte { return e.File }),
	"h": plain(func(e *Entry) string { return e.Addr }),
	"H": part((*Entry).version),
	"I": accessNumber(func(e *Entry) int64 { return e.WireIn }),
	"k": accessNumber(func(e *Entry) int64 { return int64(e.Earlier) }),
	"l": plain(func(*Entry) string { return "" }),
	"L": plain(func(*Entry) string { return "" }),
	"m": part((*Entry).method),
	"O": accessNumber(func(e *Entry) int64 { return e.WireOut }),
	"p": plain((*Entry).port),
	"P": plain(func(*Entry) string { return pid }),
	"q": apacheQuery,
	"r": part(func(e *Entry) []byte { return e.RequestLine }),
	"R": plain(func(e *Entry) string { return e.Handler }),
	"s": accessNumber(func(e *Entry) int64 { return int64(e.Status) }),
	"S": accessNumber(func(e *Entry) int64 { return e.WireIn + e.WireOut }),
	"t": apacheTime,
	"T": accessNumber(func(e *Entry) int64 { return int64(e.Duration / time.Second) }),
	"u": user,
	"U": urlPath,
	"v": plain((*Entry).site),
	"X": plain(func(e *Entry) string {
		switch {
		case e.Aborted:
			return "X"
		case e.KeepAlive:
			return "+"
		}
		return "-"
	}),

	"{c}a":         plain(func(e *Entry) string { return e.PeerAddr }),
	"{c}h":         plain(func(e *Entry) string { return e.PeerAddr }),
	"{canonical}p": plain((*Entry).port),
	"{local}p":     plain(func(e *Entry) string { return e.LocalPort }),
	"{remote}p":    plain(func(e *Entry) string { return e.Port }),
	"{pid}P":       plain(func(*Entry) string { return pid }),
	"{tid}P":       accessNumber(func(*Entry) int64 { return int64(system.ThreadID()) }),
	"{hextid}P":    plain(func(*Entry) string { return strconv.FormatInt(int64(system.ThreadID()), 16) }),
	"{s}T":         accessNumber(func(e *Entry) int64 { return int64(e.Duration / time.Second) }),
	"{ms}T":        accessNumber(func(e *Entry) int64 { return e.Duration.Milliseconds() }),
	"{us}T":        accessNumber(micros),
}

// timeAtom is the atom of %{argument}t: sec, msec, usec, msec_frac, usec_frac or a
// format of strftime(3), of the beginning of the request or, with "end:" before it,
// of its end.
func timeAtom(argument string) (atom, error) {
	of := func(e *Entry) time.Time { return e.Time }
	rest, atEnd := strings.CutPrefix(argument, "end:")
	if atEnd {
		of = func(e *Entry) time.Time { return e.Time.Add(e.Duration) }
	} else {
		rest = strings.TrimPrefix(argument, "begin:")
	}
	digits := func(width int, n func(time.Time) int64) atom {
		return func(dst []byte, e *Entry, _ *accessWriter, _ bool) ([]byte, bool) {
			return padded(dst, n(of(e)), width), true
		}
	}
	switch rest {
	case "sec":
		return digits(1, time.Time.Unix), nil
	case "msec":
		return digits(1, time.Time.UnixMilli), nil
	case "usec":
		return digits(1, time.Time.UnixMicro), nil
	case "msec_frac":
		return digits(3, func(t time.Time) int64 { return int64(t.Nanosecond() / 1e6) }), nil
	case "usec_frac":
		return digits(6, func(t time.Time) int64 { return int64(t.Nanosecond() / 1e3) }), nil
	}
	if rest == "" {
		return nil, errors.New("has no format between the braces")
	}
	if err := CheckTimeFormat(rest); err != nil {
		return nil, err
	}
	return func(dst []byte, e *Entry, _ *accessWriter, _ bool) ([]byte, bool) {
		return AppendTime(dst, rest, of(e)), true
	}, nil
}
