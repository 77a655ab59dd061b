package logfile

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/itchyny/timefmt-go"
	"golang.org/x/sys/unix"
)

// The formats combined and common are from Apache's manual, and vhost_combined is from Debian.
var named = map[string]string{
	"combined":       `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`,
	"common":         `%h %l %u %t "%r" %>s %b`,
	"vhost_combined": `%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i"`,
	"timed":          `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %D`,
	"short":          `%h %m %U%q %>s %B %D`,
}

var FormatNames = []string{"combined", "common", "vhost_combined", "timed", "short", "json", "json_timed"}

var jsonLine = [][2]string{
	{"client", "%a"}, {"user", "%u"}, {"host", "%V"}, {"method", "%m"}, {"path", "%U"}, {"query", "%q"},
	{"request", "%r"}, {"status", "%>s"}, {"bytes", "%B"}, {"duration_us", "%D"},
	{"referer", "%{Referer}i"}, {"user_agent", "%{User-Agent}i"}, {"trace_id", "%{fapws.trace_id}e"},
	{"request_id", "%{fapws.request_id}e"},
}

// jsonTimes contains the pairs that the format json_timed has in addition to the pairs of the format json.
var jsonTimes = [][2]string{
	{"wait_us", "%{fapws.wait}e"}, {"python_us", "%{fapws.python}e"}, {"first_byte_us", "%{fapws.first_byte}e"},
	{"send_us", "%{fapws.send}e"}, {"upstream_us", "%{fapws.upstream}e"},
}

var jsonNumbers = []string{"%>s", "%B", "%D"}

// Format is a compiled format of log lines, and immutable.
type Format struct {
	// Request and Response are the lower-case names of the header fields that the format names.
	Request, Response []string

	Timed bool // a line needs Entry.Times

	values []value
	end    string
}

type value struct {
	text string
	atom atom
	only statuses                      // statuses for which the value is written
	form func(dst, text []byte) []byte // appends the value in escaped form
	none string
}

// An atom appends a value without escaping it. ok is false if the value is missing.
type atom func(dst []byte, e *Entry) (grown []byte, ok bool)

// statuses is a condition on the status, such as "!200,304"; the zero value matches every status.
type statuses struct {
	list []int
	not  bool
}

func (s *statuses) met(status int) bool {
	return len(s.list) == 0 || slices.Contains(s.list, status) != s.not
}

func (f *Format) appendLine(dst []byte, e *Entry) []byte {
	for i := range f.values {
		v := &f.values[i]
		dst = append(dst, v.text...)
		from, there := len(dst), false
		if v.only.met(e.Status) {
			dst, there = v.atom(dst, e)
		}
		if !there {
			dst = append(dst[:from], v.none...)
			continue
		}
		to := len(dst)
		dst = v.form(dst, dst[from:to])
		dst = append(dst[:from], dst[to:]...)
	}
	return append(append(dst, f.end...), '\n')
}

// ParseFormat compiles a format: one of FormatNames, or text with atoms of Apache's mod_log_config (%h) or gunicorn
// (%(h)s).
func ParseFormat(text string) (*Format, error) {
	f := &Format{}
	switch text {
	case "json":
		return f, f.json(jsonLine)
	case "json_timed":
		return f, f.json(slices.Concat(jsonLine, jsonTimes))
	}
	if line, ok := named[text]; ok {
		text = line
	} else if !strings.Contains(text, "%") {
		return nil, fmt.Errorf("%s, or a text with atoms such as %%h", strings.Join(FormatNames, ", "))
	}
	return f, f.parse(text)
}

const jsonTime = "2006-01-02T15:04:05.000000-07:00" // RFC 3339

func (f *Format) json(line [][2]string) error {
	f.end = `{"time":"`
	f.add(func(dst []byte, e *Entry) ([]byte, bool) {
		return e.Time.AppendFormat(dst, jsonTime), true
	}, statuses{})
	f.end = `"`
	for i, pair := range line {
		f.end += `,"` + pair[0] + `":`
		if err := f.parse(pair[1]); err != nil {
			return err
		}
		v := &f.values[len(f.values)-1]
		if v.none = "null"; i < len(jsonLine) && !slices.Contains(jsonNumbers, pair[1]) {
			v.form = appendJSON
		}
	}
	f.end += "}"
	return nil
}

func verbatim(dst, text []byte) []byte { return append(dst, text...) }

func (f *Format) add(a atom, condition statuses) {
	f.values = append(f.values, value{text: f.end, atom: a, only: condition, form: appendEscaped, none: "-"})
	f.end = ""
}

var escapes = map[byte]byte{'\\': '\\', 'n': '\n', 'r': '\r', 't': '\t', '"': '"'}

func (f *Format) parse(text string) error {
	for at := 0; at < len(text); {
		var err error
		rest, n := text[at:], 1
		switch {
		case rest[0] == '\\' && len(rest) > 1 && escapes[rest[1]] != 0:
			f.end += string(escapes[rest[1]])
			n = 2
		case strings.HasPrefix(rest, "%%"):
			f.end += "%"
			n = 2
		case strings.HasPrefix(rest, "%("):
			n, err = f.gunicorn(rest)
		case rest[0] == '%':
			n, err = f.apache(rest)
		default:
			f.end += rest[:1]
		}
		if err != nil {
			return fmt.Errorf("%s at position %d %w", rest[:n], at+1, err)
		}
		at += n
	}
	return nil
}

var errNoAtom = errors.New("is not an atom")

// gunicorn adds the atom at the beginning of text, and returns the length of the atom. After an error, the first n
// bytes are wrong.
func (f *Format) gunicorn(text string) (n int, err error) {
	name, after, ended := strings.Cut(text[2:], ")s")
	if !ended {
		return len(text), errors.New(`does not end with ")s"`)
	}
	var a atom
	if end := len(name) - 2; end > 0 && name[0] == '{' && name[end] == '}' {
		argument, letter := name[1:end], name[end+1]
		if letter == 'e' {
			argument = strings.ToUpper(argument) // gunicorn ignores the case of names
		}
		a, err = f.field(argument, letter)
	} else if a = f.gunicornAtom(name); a == nil {
		err = errNoAtom
	}
	f.add(a, statuses{})
	return len(text) - len(after), err
}

// apache is like gunicorn, but for an atom of Apache.
func (f *Format) apache(text string) (n int, err error) {
	rest := text[1:]
	conditions := func() string {
		before := rest
		rest = strings.TrimLeft(rest, "<>!,0123456789")
		return before[:len(before)-len(rest)]
	}
	condition, argument, has := conditions(), "", false
	only, err := parseStatuses(condition)
	if err != nil {
		return len(text) - len(rest), err
	}
	if strings.HasPrefix(rest, "{") {
		if argument, rest, has = strings.Cut(rest[1:], "}"); !has {
			return len(text), errors.New(`has no "}"`)
		}
	}
	if rest == "" {
		return len(text), errors.New("is not an atom: it has no letter")
	}
	a, err := f.apacheAtom(rest[0], argument, has)
	f.add(a, only)
	if rest[0] == 't' { // do not escape a time, because it contains no text from a client
		f.values[len(f.values)-1].form = verbatim
	}
	return len(text) - len(rest) + 1, err
}

// parseStatuses parses the condition before an atom. parseStatuses ignores "<" and ">". In Apache, they select the
// original or the final request of an internal redirect. Here, every request has only one status and one user.
func parseStatuses(text string) (s statuses, err error) {
	text, s.not = strings.CutPrefix(strings.Trim(text, "<>"), "!")
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '<' || r == '>' }) {
		status, err := strconv.Atoi(word)
		if err != nil || status < 100 || status > 999 {
			return s, errors.New("has no status")
		}
		s.list = append(s.list, status)
	}
	return s, nil
}

// index returns the index of name in the list, and appends name if it is missing.
func index(list *[]string, name string) int {
	name = strings.ToLower(name)
	i := slices.Index(*list, name)
	if i < 0 {
		i = len(*list)
		*list = append(*list, name)
	}
	return i
}

var pid = strconv.Itoa(os.Getpid())

// apacheAtom returns the atom for a letter and the argument in the braces before the letter
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
	return nil, errNoAtom
}

var bracketed = "<" + pid + ">"

// apacheAtoms contains the atoms that need no header field. A key consists of the text in braces and the letter. The
// keys of gunicorn's atoms that differ from Apache's are in parentheses. Atoms with a word as the key are only
// variables.
var apacheAtoms = map[string]atom{
	"a": textOf(func(e *Entry) string { return e.Addr }),
	"A": textOf(func(e *Entry) string { return e.LocalAddr }),
	"B": numberOf(func(e *Entry) int64 { return e.BytesSent }),
	"b": bytesOrDash(func(e *Entry) int64 { return e.BytesSent }),
	"D": numberOf(micros),
	"f": textOf(func(e *Entry) []byte { return e.File }),
	"h": textOf(func(e *Entry) string { return e.Addr }),
	"H": partOf(versionPart),
	"I": numberOf(func(e *Entry) int64 { return e.WireIn }),
	"k": numberOf(func(e *Entry) int64 { return int64(e.Earlier) }),
	"l": textOf(func(*Entry) string { return "" }),
	"L": textOf(func(*Entry) string { return "" }),
	"m": partOf(methodPart),
	"O": numberOf(func(e *Entry) int64 { return e.WireOut }),
	"p": textOf((*Entry).port),
	"P": textOf(func(*Entry) string { return pid }),
	"q": apacheQuery,
	"r": textOf(func(e *Entry) []byte { return e.RequestLine }),
	"R": textOf(func(e *Entry) string { return e.Handler }),
	"s": numberOf(func(e *Entry) int64 { return int64(e.Status) }),
	"S": numberOf(func(e *Entry) int64 { return e.WireIn + e.WireOut }),
	"t": apacheTime,
	"T": numberOf(func(e *Entry) int64 { return int64(e.Duration / time.Second) }),
	"u": textOf(func(e *Entry) string { return e.User }),
	"U": urlPath,
	"v": textOf((*Entry).site),
	"X": textOf(func(e *Entry) string {
		switch {
		case e.Aborted:
			return "X"
		case e.KeepAlive:
			return "+"
		}
		return "-"
	}),

	"{c}a":         textOf(func(e *Entry) string { return e.PeerAddr }),
	"{c}h":         textOf(func(e *Entry) string { return e.PeerAddr }),
	"{canonical}p": textOf((*Entry).port),
	"{local}p":     textOf(func(e *Entry) string { return e.LocalPort }),
	"{remote}p":    textOf(func(e *Entry) string { return e.Port }),
	"{pid}P":       textOf(func(*Entry) string { return pid }),
	"{tid}P":       numberOf(func(*Entry) int64 { return int64(unix.Gettid()) }),
	"{hextid}P":    textOf(func(*Entry) string { return strconv.FormatInt(int64(unix.Gettid()), 16) }),
	"{s}T":         numberOf(func(e *Entry) int64 { return int64(e.Duration / time.Second) }),
	"{ms}T":        numberOf(func(e *Entry) int64 { return e.Duration.Milliseconds() }),
	"{us}T":        numberOf(micros),

	"(L)": decimalSeconds,
	"(M)": numberOf(func(e *Entry) int64 { return e.Duration.Milliseconds() }),
	"(p)": textOf(func(*Entry) string { return bracketed }),
	"(q)": gunicornQuery,

	"request":  textOf(func(e *Entry) string { return e.RequestID }),
	"scheme":   textOf(func(e *Entry) string { return cmp.Or(e.Scheme, "http") }),
	"software": textOf(func(*Entry) string { return "fapws" }),
	"target":   partOf(targetPart),
}

// A unit is a form of a time: a number with at least width digits.
type unit struct {
	width int
	count func(time.Time) int64
}

var units = map[string]unit{
	"sec":       {1, time.Time.Unix},
	"msec":      {1, time.Time.UnixMilli},
	"usec":      {1, time.Time.UnixMicro},
	"msec_frac": {3, func(t time.Time) int64 { return int64(t.Nanosecond() / 1e6) }},
	"usec_frac": {6, func(t time.Time) int64 { return int64(t.Nanosecond() / 1e3) }},
}

// timeAtom returns the atom for %{argument}t. The argument is sec, msec, usec, msec_frac, usec_frac or a format of
// strftime(3). The time is the beginning of the request. If the argument begins with "end:", the time is the end of the
// request.
func timeAtom(argument string) (atom, error) {
	of := func(e *Entry) time.Time { return e.Time }
	rest, atEnd := strings.CutPrefix(argument, "end:")
	if atEnd {
		of = func(e *Entry) time.Time { return e.Time.Add(e.Duration) }
	} else {
		rest = strings.TrimPrefix(argument, "begin:")
	}
	if u, ok := units[rest]; ok {
		return func(dst []byte, e *Entry) ([]byte, bool) { return padded(dst, u.count(of(e)), u.width), true }, nil
	}
	if rest == "" {
		return nil, errors.New("has no format between the braces")
	}
	if err := CheckTimeFormat(rest); err != nil {
		return nil, err
	}
	format := withoutEO(rest)
	return func(dst []byte, e *Entry) ([]byte, bool) { return timefmt.AppendFormat(dst, of(e), format), true }, nil
}
