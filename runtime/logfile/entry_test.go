package logfile

import (
	"bytes"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/http1"
)

var noon = time.Date(2026, 7, 4, 12, 0, 0, 1234567, time.FixedZone("", 2*3600))

func entry(f *Format) *Entry {
	e := &Entry{}
	e.Begin(f)
	e.Addr, e.Port, e.PeerAddr, e.LocalAddr, e.LocalPort = "192.0.2.7", "4711", "192.0.2.1", "192.0.2.2", "8080"
	e.Site, e.Scheme, e.User, e.Handler, e.File = "example.org", "https", "ann", "files", []byte("/srv/a b")
	e.RequestLine = append(e.RequestLine, "GET /a%20b?c=%22d HTTP/1.1"...)
	e.Time, e.Duration = noon, 2345678*time.Microsecond
	e.Status, e.BytesSent, e.WireIn, e.WireOut, e.Earlier, e.KeepAlive = 200, 12, 100, 212, 3, true
	for name, value := range map[string]string{
		"referer": "http://x/", "user-agent": `curl "8"`, "host": "Example.org:8080",
		"cookie":        "a=1; b=two; c=3; d=; e",
		"authorization": "Basic Ym9iOnNlY3JldA==", "x-empty": "", "content-type": "text/plain",
	} {
		for i, wanted := range f.Request {
			if wanted == name {
				e.Request[i].Add([]byte(value))
			}
		}
	}
	for i, wanted := range f.Response {
		if wanted == "etag" {
			e.Response[i].Add([]byte(`"x"`))
		}
	}
	return e
}

func line(t *testing.T, format string, e func(*Entry)) string {
	t.Helper()
	f, err := ParseFormat(format)
	checktest.Mustf(t, err, "%s", format)
	full := entry(f)
	if e != nil {
		e(full)
	}
	text, ended := strings.CutSuffix(string(f.appendLine(nil, full)), "\n")
	checktest.Truef(t, ended, "%s: no end of the line", format)
	return text
}

func TestAtomsAreReplacedByTheirValues(t *testing.T) {
	pid := strconv.Itoa(os.Getpid())
	for _, c := range []struct{ format, full, empty string }{
		{"%a %h", "192.0.2.7 192.0.2.7", "- -"},
		{"%{c}a", "192.0.2.1", "-"},
		{"%A", "192.0.2.2", "-"},
		{"%B %b", "12 12", "0 -"},
		{"%D %T %{ms}T %{us}T %{s}T", "2345678 2 2345 2345678 2", "0 0 0 0 0"},
		{"%f", "/srv/a b", "-"},
		{"%H", "HTTP/1.1", "-"},
		{"%{Referer}i %{USER-AGENT}i", `http://x/ curl \"8\"`, "- -"},
		{"x%{X-Empty}ix", "xx", "x-x"},
		{"%{b}C %{B}C %{d}C %{e}C", "two two - -", "- - - -"},
		{"%k", "3", "0"},
		{"%l %L", "- -", "- -"},
		{"%m", "GET", "-"},
		{"%{ETag}o %{Age}o", `\"x\" -`, "- -"},
		{"%p %{local}p %{canonical}p %{remote}p", "8080 8080 8080 4711", "80 - 80 -"},
		{"%P %{pid}P", pid + " " + pid, pid + " " + pid},
		{"%q", `?c=%22d`, ""},
		{"%r", "GET /a%20b?c=%22d HTTP/1.1", "-"},
		{"%R", "files", "-"},
		{"%s %>s %<s", "200 200 200", "0 0 0"},
		{"%t", "[04/Jul/2026:12:00:00 +0200]", "[04/Jul/2026:12:00:00 +0200]"},
		{"%{%F %T}t %{%d/%b/%y %k %e %l %u %w %j %V %G %C %%}t",
			"2026-07-04 12:00:00 04/Jul/26 12  4 12 6 6 185 27 2026 20 %", ""},
		{"%{sec}t %{msec}t %{usec}t %{msec_frac}t %{usec_frac}t", "1783159200 1783159200001 1783159200001234 001 001234", ""},
		{"%{begin:%S}t %{end:%S}t %{end:msec_frac}t", "00 02 346", ""},
		{"%u", "ann", "-"},
		{"%U", "/a b", "-"},
		{"%v %V", "example.org example.org", "- -"},
		{"%X", "+", "-"},
		{"%I %O %S", "100 212 312", "0 0 0"},
		{`100%% \"\\\t.`, "100% \"\\\t.", ""},
		{`%m\d`, `GET\d`, ""},
		{"%!200,304{Referer}i %200{Referer}i %404,500m %!404m", "- http://x/ - GET", ""},
		{"%400,501{User-agent}i", "-", ""},

		{"%(h)s %(l)s %(u)s %(t)s", "192.0.2.7 - ann [04/Jul/2026:12:00:00 +0200]", "- - - [04/Jul/2026:12:00:00 +0200]"},
		{"%(r)s %(m)s %(U)s %(q)s %(H)s", "GET /a%20b?c=%22d HTTP/1.1 GET /a b c=%22d HTTP/1.1", "- - -  -"},
		{"%(s)s %(B)s %(b)s", "200 12 12", "0 0 -"},
		{"%(f)s %(a)s", `http://x/ curl \"8\"`, "- -"},
		{"%(T)s %(M)s %(D)s %(L)s", "2 2345 2345678 2.345678", "0 0 0 0.000000"},
		{"%(p)s", "<" + pid + ">", "<" + pid + ">"},
		{"%({Referer}i)s %({etag}o)s", `http://x/ \"x\"`, "- -"},
		{"%({REMOTE_ADDR}e)s %({REMOTE_PORT}e)s %({HTTP_USER_AGENT}e)s %({CONTENT_TYPE}e)s",
			`192.0.2.7 4711 curl \"8\" text/plain`, "- - - -"},
		{"%({SERVER_NAME}e)s %({server_port}e)s %({wsgi.url_scheme}e)s %{REQUEST_URI}e x%{QUERY_STRING}e",
			"example.org 8080 https /a%20b?c=%22d xc=%22d", "- 80 http - x"},
	} {
		checktest.Equalf(t, line(t, c.format, nil), c.full, "%s", c.format)
		if c.empty == "" && c.format != "%q" {
			continue
		}
		checktest.Equalf(t, line(t, c.format, func(e *Entry) {
			*e = Entry{Time: noon, Request: make([]Value, 9), Response: make([]Value, 9)}
		}), c.empty, "%s without anything", c.format)
	}
}

// The host in the request target overrides the Host field (RFC 9112 §3.2.2).
func TestTargetsOfAllFormsAreSplit(t *testing.T) {
	for request, want := range map[string]string{
		"GET http://One.example:81/x?y HTTP/1.1": "one.example /x ?y",
		"GET http://one.example HTTP/1.1":        "one.example / ",
		"GET http://one.example?y HTTP/1.1":      "one.example / ?y",
		"GET http://[2001:DB8::1]/ HTTP/1.1":     "2001:db8::1 / ",
		"GET /http://one.example/?? HTTP/1.1":    "example.org /http://one.example/ ??",
		"OPTIONS * HTTP/1.1":                     "example.org * ",
		"nonsense":                               "example.org - ",
		"two words":                              "example.org words ",
	} {
		checktest.Equalf(t, line(t, "%V %U %q", func(e *Entry) { e.RequestLine = []byte(request) }), want, "%s", request)
	}
}

func TestNamedFormatsAreThoseOfApache(t *testing.T) {
	for name, want := range map[string]string{
		"common": `192.0.2.7 - ann [04/Jul/2026:12:00:00 +0200] "GET /a%20b?c=%22d HTTP/1.1" 200 12`,
		"vhost_combined": `example.org:8080 192.0.2.7 - ann [04/Jul/2026:12:00:00 +0200] ` +
			`"GET /a%20b?c=%22d HTTP/1.1" 200 212 "http://x/" "curl \"8\""`,
		"timed": `192.0.2.7 - ann [04/Jul/2026:12:00:00 +0200] "GET /a%20b?c=%22d HTTP/1.1" 200 12 ` +
			`"http://x/" "curl \"8\"" 2345678`,
		"short": `192.0.2.7 GET /a b?c=%22d 200 12 2345678`,
		"json": `{"time":"2026-07-04T12:00:00.001234+02:00","client":"192.0.2.7","user":"ann","host":"example.org",` +
			`"method":"GET","path":"/a b",` +
			`"query":"?c=%22d","request":"GET /a%20b?c=%22d HTTP/1.1","status":200,"bytes":12,"duration_us":2345678,` +
			`"referer":"http://x/","user_agent":"curl \"8\"","trace_id":null,"request_id":null}`,
	} {
		checktest.Equalf(t, line(t, name, nil), want, "%s", name)
	}
}

func TestClientTextCannotLeaveItsField(t *testing.T) {
	for sent, want := range map[string]string{
		"x\" 200 1\r\n192.0.2.1 - - [":          `x\" 200 1\r\n192.0.2.1 - - [`,
		"\\ \b\t\v\x00\x1b[31m\x7f\xc3\xa9\xff": `\\ \b\t\v\x00\x1b[31m\x7f\xc3\xa9\xff`,
		"\u202e\u2028":                          `\xe2\x80\xae\xe2\x80\xa8`,
	} {
		set := func(e *Entry) {
			e.RequestLine, e.User = []byte(sent), sent
			for i := range e.Request {
				e.Request[i] = Value{[]byte(sent), true}
			}
		}
		got := line(t, "combined", set)
		checktest.Truef(t, strings.Count(got, want) == 4 && !strings.ContainsAny(got, "\r\n\x1b\x00"), "%q", got)
		var read struct {
			User, Request, Referer string
			Agent                  string `json:"user_agent"`
		}
		got = line(t, "json", set)
		checktest.Equalf(t, json.Unmarshal([]byte(got), &read), nil, "%s", got)
		valid := strings.ToValidUTF8(sent, "\ufffd")
		checktest.Truef(t, read.User == valid && read.Request == valid && read.Referer == valid && read.Agent == valid,
			"%+v", read)
		for _, c := range []byte(got) {
			checktest.Truef(t, c >= ' ' && c != 0x7f, "a control character in %q", got)
		}
		checktest.Truef(t, !strings.ContainsAny(got, "\u2028\u202e"), "the direction changes in %q", got)
	}
}

func TestMissingValuesAreNullInJSON(t *testing.T) {
	got := line(t, "json", func(e *Entry) { e.Request[1].There, e.User = false, "" })
	checktest.Truef(t, strings.Contains(got, `"user":null`) && strings.Contains(got, `"referer":null`), "%s", got)
}

func TestFormatErrorNamesMistakeAndPosition(t *testing.T) {
	for format, want := range map[string]string{
		"%h %z":             "%z at position 4 is not an atom",
		"%(h)s %(x)s":       "%(x)s at position 7 is not an atom",
		"%(h":               `%(h at position 1 does not end with ")s"`,
		"%({Referer)s":      "%({Referer)s at position 1 is not an atom",
		"%({Referer}x)s":    "%({Referer}x)s at position 1 is not an atom",
		"%({}i)s":           "%({}i)s at position 1 has no name between the braces",
		"%{Referer":         `%{Referer at position 1 has no "}"`,
		"a %":               "% at position 3 is not an atom: it has no letter",
		"%>":                "%> at position 1 is not an atom: it has no letter",
		"%99{X}i":           "%99 at position 1 has no status",
		"%{nano}T":          "%{nano}T at position 1 is not an atom",
		"%{%Q}t":            "%{%Q}t at position 1 has %Q, which is not a supported strftime conversion",
		"%{}t":              "%{}t at position 1 has no format between the braces",
		"%({PATH_THING}e)s": "%({PATH_THING}e)s at position 1 names an unknown variable",
		"combinde":          "combined, common, vhost_combined, timed, short, json, json_timed, or a text with atoms such as %h",
	} {
		_, err := ParseFormat(format)
		checktest.Truef(t, err != nil && err.Error() == want, "%s: %v", format, err)
	}
}

func TestTimestampFollowsTheClock(t *testing.T) {
	var stamp timestamp
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{noon, "[04/Jul/2026:12:00:00 +0200]"},
		{noon.Add(990 * time.Millisecond), "[04/Jul/2026:12:00:00 +0200]"},
		{noon.Add(time.Second), "[04/Jul/2026:12:00:01 +0200]"},
		{noon, "[04/Jul/2026:12:00:00 +0200]"},
		{time.Unix(0, 0).UTC(), "[01/Jan/1970:00:00:00 +0000]"},
	} {
		checktest.Equalf(t, stamp.of(c.at), c.want, "%v", c.at)
	}
}

func TestAppendingALineDoesNotAllocate(t *testing.T) {
	formats := append([]string{
		"%a %{c}a %A %B %b %D %{ms}T %T %f %h %H %{X}i %k %l %L %m %{ETag}o %p %P %q %r %R %s %t %{%F %T}t %u %U %v " +
			"%V %X %I %O %{b}C",
		"%(h)s %(u)s %(t)s %(r)s %(m)s %(U)s %(q)s %(H)s %(s)s %(B)s %(b)s %(f)s %(a)s %(T)s %(M)s %(D)s %(L)s %(p)s " +
			"%({HTTP_HOST}e)s",
	}, FormatNames...)
	for _, format := range formats {
		f := checktest.Try(ParseFormat(format)).Must(t)
		file := checktest.Try(Open(Options{Path: "/dev/null"})).Must(t)
		l, e := &AccessLog{file, f}, entry(f)
		e.User = ""
		for range 2000 { // let both buffers grow to their final size
			l.Append(e)
		}
		checktest.Equalf(t, testing.AllocsPerRun(3000, func() { l.Append(e) }), 0, "%s: allocations", format)
		file.Close()
	}
}

// The log in the new process may have a different format.
func TestStateCarriesALineToAnotherProcess(t *testing.T) {
	parse := func(text string) *AccessLog { return &AccessLog{nil, checktest.Try(ParseFormat(text)).Must(t)} }
	from := parse(`%r %{X-A}i %{X-B}o`)
	r := &Record{Log: from, Client: "192.0.2.1:7"}
	r.Begin(r.Format())
	r.RequestLine = []byte("GET / HTTP/1.1")
	r.Request[0].Add([]byte("a"))
	r.Response[0].Add([]byte("b"))
	for _, test := range []struct{ format, request, response string }{
		{`%r %{X-A}i %{X-B}o`, "a", "b"},
		{`%{X-B}o`, "", "b"},
		{`%{X-Other}i %{X-A}i`, "", ""},
	} {
		got := r.State().Record(parse(test.format))
		checktest.Needf(t, len(got.Request) == len(got.Format().Request) && len(got.Response) == len(got.Format().Response),
			"%s: %d and %d fields", test.format, len(got.Request), len(got.Response))
		first := func(values []Value) string {
			if len(values) == 0 {
				return ""
			}
			return string(values[0].Text)
		}
		checktest.Truef(t, string(got.RequestLine) == "GET / HTTP/1.1" && got.Client == r.Client &&
			first(got.Request) == test.request && first(got.Response) == test.response, "%s: %+v", test.format, got)
	}
	none := r.State().Record(nil)
	checktest.Truef(t, len(none.Request)+len(none.Response) <= 0, "fields without a log: %+v", none)
	r.Request[0].Text = []byte(strings.Repeat("x", mostFields))
	r.RequestLine = []byte(strings.Repeat("y", 2*mostRequestLine))
	got := r.State().Record(from)
	checktest.Truef(t, len(got.RequestLine) == mostRequestLine && len(got.Request) == 1 && !got.Request[0].There,
		"%d bytes of request line, %+v", len(got.RequestLine), got.Request)
}

// The format names the request line, and fields of the request and of the response.
func TestLineHasTheFieldsOfItsFormat(t *testing.T) {
	r := &Record{Log: &AccessLog{nil, checktest.Try(ParseFormat(`%r %{x-a}i %{X-B}o %{Status}o`)).Must(t)}}
	r.Begin(r.Format())
	head := []byte("GET /a HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nX-AB: 2\r\nx-a:\t3\r\n\r\n")
	var parsed http1.Request
	limits := http1.DefaultLimits
	checktest.Try(parsed.Parse(head, &limits)).Must(t)
	r.NoteRequest(head, parsed.Fields)
	r.NoteResponse([]byte("HTTP/1.1 200 OK\r\nX-B: 4 \r\nX-BC: 5\r\nx-b: 6\r\n\r\n"))
	checktest.Truef(t, string(r.RequestLine) == "GET /a HTTP/1.1" && string(r.Request[0].Text) == "1, 3" &&
		string(r.Response[0].Text) == "4, 6" && !r.Response[1].There, "%q, %+v, %+v", r.RequestLine, r.Request, r.Response)
	none := &Record{}
	none.Begin(none.Format())
	none.NoteRequest(head, parsed.Fields)
	none.NoteResponse(head)
	none.End()
	checktest.Equal(t, string(none.RequestLine), "GET /a HTTP/1.1")
}

var at = time.Date(2024, 1, 7, 5, 4, 9, 0, time.FixedZone("CET", 3600))

func TestTimesAreFormattedLikeStrftime(t *testing.T) {
	for _, c := range []struct{ format, want string }{
		{"%A, %d-%b-%Y %H:%M:%S %Z", "Sunday, 07-Jan-2024 05:04:09 CET"},
		{"%e|%k|%l|%P|%s|%c", " 7| 5| 5|am|1704600249|Sun Jan  7 05:04:09 2024"},
		{"%-d %_d %05d %^a %Ey %Om", "7  7 00007 SUN 24 01"},
		{"%Q %", "%Q %"},
		{"%-", "%-"},
	} {
		checktest.Equalf(t, string(AppendTime([]byte("> "), c.format, at)), "> "+c.want, "%s: %q", c.format, c.want)
	}
}

func TestInvalidTimeFormatsAreRejected(t *testing.T) {
	for format, want := range map[string]string{
		"%F %-d %%": "",
		"%Q":        "has %Q, which is not a supported strftime conversion",
		"a %_5q":    "has %_5q, which is not a supported strftime conversion",
		"%F %":      `ends with a lone "%"`,
		"%F %-5":    "ends with an incomplete conversion",
	} {
		got := ""
		if err := CheckTimeFormat(format); err != nil {
			got = err.Error()
		}
		checktest.Equalf(t, got, want, "%s", format)
	}
}

func FuzzAppend(f *testing.F) {
	f.Add("%F %T%n%-d%100a")
	f.Fuzz(func(t *testing.T, format string) {
		got := AppendTime(nil, format, at)
		checktest.Needf(t, len(got) <= 1024*(len(format)+1), "%q: %d bytes", format, len(got))
		_ = CheckTimeFormat(format)
	})
}

// FuzzParse checks that each format is rejected with an error of one line, or never lets a request add a line end or a
// NUL to the log.
func FuzzParse(f *testing.F) {
	for _, format := range []string{"combined", "json", "%h %(a)s", "%!200,304{Referer}i", "%{%F %T}t%{usec_frac}t",
		`\n%%`, "%{a}C%V%U%q%(u)s", "%{%0n}t"} {
		f.Add(format, "GET /%00?\n HTTP/1.1", "\"\\\n\x00\xff")
	}
	f.Fuzz(func(t *testing.T, format, request, value string) {
		p, err := ParseFormat(format)
		if err != nil {
			checktest.Truef(t, !strings.Contains(err.Error(), "\n") || strings.Contains(format, "\n"), "%q", err)
			return
		}
		entry := func(request, value string) []byte {
			var e Entry
			e.Begin(p)
			e.Time, e.User = noon, value
			e.RequestLine = append(e.RequestLine, request...)
			for i := range e.Request {
				e.Request[i].Add([]byte(value))
			}
			return p.appendLine(nil, &e)
		}
		plain, line := entry("GET / HTTP/1.1", "plain"), entry(request, value)
		for _, c := range []string{"\n", "\x00"} {
			got, want := bytes.Count(line, []byte(c)), bytes.Count(plain, []byte(c))
			checktest.Equalf(t, got, want, "%q gives %q: number of %q", format, line, c)
		}
		checktest.Truef(t, format != "json" || json.Valid(line), "%q", line)
	})
}
