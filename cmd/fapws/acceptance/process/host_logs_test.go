package process_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

// hostLogs serves hostlogs.py for three hosts, and an ASGI application for asgi.lan. The hosts one.lan and asgi.lan
// have error logs of their own, two.lan uses the log of the server, and off.lan discards its log.
func hostLogs(t *testing.T, m fapwstest.Mode, top string) (s *fapwstest.Server, folder string) {
	t.Helper()
	folder = fapwstest.Files(t, map[string]string{"hostlogs.py": fapwstest.Source(t, "hostlogs.py"),
		"asgi/application.py": fapwstest.Source(t, "asgi/hostlogs.py"),
		"cgi/x.sh":            "echo said by a program >&2; echo Content-Type: text/plain; echo; echo x"})
	fapwstest.Write(t, folder+"/fapws.toml", top+`
error-log = "errors"
[[host]]
name = "one.lan"
app = "hostlogs.py"
error-log = "one"
[[host]]
name = "two.lan"
app = "hostlogs.py"
[[host]]
name = "off.lan"
app = "hostlogs.py"
error-log = "off"
[[host]]
name = "asgi.lan"
app = "asgi/application.py:app"
error-log = "asgi-errors"
`)
	c := fapwstest.Command{Flags: []string{"-c", folder + "/fapws.toml"}, Dir: folder, Complains: true}
	return c.Serve(t, m), folder
}

func asks(s *fapwstest.Server, host, target string) string {
	s.T.Helper()
	// The server resets the connection when it aborts a response.
	got, _ := io.ReadAll(s.DialSend("GET " + target + " HTTP/1.0\r\nHost: " + host + "\r\n\r\n").In)
	return string(got)
}

func TestHostLogHasAllOutputAboutItsRequests(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		s, folder := hostLogs(t, m, "")
		one, all := folder+"/one", folder+"/errors"
		const client = `\[client 127\.0\.0\.1(:\d+)?\] (\[request \w+\] )?`
		heading := func(level, path string) string {
			return errorDate + `\[` + level + `\] ` + client + `(error|warning) in (\S+ of )?handler \S+, GET ` +
				regexp.QuoteMeta(path) + ` HTTP/1\.0 from 127\.0\.0\.1( \(thread \d+\))?`
		}
		for _, tt := range []struct{ path, level, want string }{
			{"/raises?Q", "error",
				`\nTraceback \(most recent call last\):\n(  .*\n)+KeyError: 'the cause'\n(.*\n)+ValueError: raised for Q\n`},
			{"/nothing?Q", "error", `\n(.*\n)*.*None.*\n`},
			{"/short?Q", "warning", `: body has 3 bytes, but its Content-Length is 5\n`},
			{"/field?Q", "error", `\nTraceback(.*\n)+ValueError: .*\n`},
			{"/closes?Q", "error", `\nTraceback(.*\n)+ValueError: closing for list\n`},
			{"/breaks?Q", "error", `\nTraceback(.*\n)+ValueError: in the middle\n`},
		} {
			for _, host := range []string{"one", "two", "off"} {
				asks(s, host+".lan", strings.Replace(tt.path, "Q", host, 1))
			}
			for host, log := range map[string]string{"one": one, "two": all} {
				path := strings.Replace(tt.path, "Q", host, 1)
				fapwstest.FileMatches(t, log, `(?m)^`+heading(tt.level, path)+strings.Replace(tt.want, "Q", host, 1))
			}
		}
		asks(s, "one.lan", "/says?one")
		asks(s, "two.lan", "/says?two")
		asks(s, "off.lan", "/says?off")
		fapwstest.FileSays(t, one, "said in pieces one\none\ntwo \u20ac \\udc80\nno end and more\n")
		fapwstest.FileSays(t, all, "said in pieces two\none\ntwo \u20ac \\udc80\nno end and more\n")
		asks(s, "one.lan", "/forks")
		fapwstest.FileSays(t, one, "said by a child\n")
		for _, path := range []string{"/cgi/x.sh", "/guarded/x.sh"} {
			before := strings.Count(fapwstest.TextOf(t, one), "said by a program\n")
			got := asks(s, "one.lan", path)
			fapwstest.Truef(t, strings.HasSuffix(got, "x\n"), "%s: %q", path, got)
			fapwstest.Eventually(t, "what "+path+" has said", func() bool {
				return strings.Count(fapwstest.TextOf(t, one), "said by a program\n") == before+1
			})
		}
		c := s.Socket("http://one.lan/socket")
		fapwstest.Must(t, c.SendText("x"))
		fapwstest.FileSays(t, one, "ValueError: on a message\n")
		c.Close()
		s.DialSend("GET /socket HTTP/1.1\r\nHost: one.lan\r\nOrigin: http://other.lan\r\nUpgrade: websocket\r\n" +
			"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
		fapwstest.FileMatches(t, one, `(?m)^`+errorDate+`\[warning\] a page of 'http://other\.lan' asked for `)

		for _, path := range []string{"/raises", "/nothing", "/short", "/after"} {
			asks(s, "asgi.lan", path+"?asgi")
		}
		if c, err := wstest.Dial(s.Address, "http://asgi.lan/?asgi"); err == nil {
			c.Close()
		}
		for _, want := range []string{"ValueError: raised for asgi\n",
			"/nothing?asgi HTTP/1.0 from 127.0.0.1: the application returned without a response\n",
			"/short?asgi HTTP/1.0 from 127.0.0.1: body has 2 bytes", "ValueError: too late for asgi\n",
			"ValueError: in the WebSocket for asgi\n"} {
			fapwstest.FileSays(t, folder+"/asgi-errors", want)
		}

		own, server := fapwstest.TextOf(t, one), fapwstest.TextOf(t, all)
		fapwstest.Lacks(t, own, "two.lan", "?two", "asgi", "printed to stderr")
		fapwstest.Lacks(t, server, "one.lan", "?one", "for one", "asgi", "?off", "for off", "pieces off",
			"by a child", "by a program", "on a message")
		fapwstest.Equal(t, strings.Count(server, "printed to stderr\n"), 3)
		asks(s, "one.lan", "/dies")
		if !m.Workers() {
			s.EndsWith(7)
		}
		fapwstest.FileSays(t, one, "last words\n")
	})
}

func TestHostLogReportsHandlersThatTimeOut(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s, folder := hostLogs(t, m, "timeout = \"1s\"")
		want := regexp.MustCompile(`(?m)^` + errorDate +
			`\[error\] \[client 127\.0\.0\.1:\d+\] \[request \w+\] GET /slow HTTP/1\.0 from 127\.0\.0\.1 port \d+ timed out ` +
			`after .*; stack:\n  File ".*/hostlogs.py", line \d+, in slow\n`)
		fapwstest.Eventually(t, "the log of the host tells of it", func() bool {
			asks(s, "one.lan", "/slow")
			return want.MatchString(fapwstest.TextOf(t, folder+"/one"))
		})
		fapwstest.Lacks(t, fapwstest.TextOf(t, folder+"/errors"), "timed out")
	})
}

func TestHostLogCountsLostLines(t *testing.T) {
	t.Parallel()
	s, folder := hostLogs(t, fapwstest.Threads, "log-max-size = \"50K\"")
	asks(s, "one.lan", "/raises?first") // an empty file accepts a line of any size
	fapwstest.Eventually(t, "the log has begun", func() bool { return fapwstest.TextOf(t, folder+"/one") != "" })
	asks(s, "one.lan", "/fills")
	asks(s, "two.lan", "/raises?second")
	fapwstest.FileSays(t, folder+"/errors", "fapws: lost 1000000 lines before this one\n")
	fapwstest.Lacks(t, fapwstest.TextOf(t, folder+"/errors")+fapwstest.TextOf(t, folder+"/one"), "lost\n")
}

// The lines of a traceback stay together, unless the file is full within the traceback.
func TestHostLogIsRotatedWithoutLosingLines(t *testing.T) {
	t.Parallel()
	s, folder := hostLogs(t, fapwstest.Workers, "log-max-size = \"50K\"\nlog-keep = 10000\nctl-socket = \"ctl\"")
	one := folder + "/one"
	const clients, rounds, each = 4, 6, 100
	wait := fapwstest.InBackground(clients, func(c int) {
		for round := range rounds {
			asks(s, "one.lan", fmt.Sprintf("/many?%d,c%dr%d", each, c, round))
			asks(s, "one.lan", fmt.Sprintf("/raises?c%dr%d.", c, round))
		}
	})
	asks(s, "one.lan", "/threads")
	for range 3 {
		fapwstest.Command{Flags: []string{"ctl", "--socket", folder + "/ctl", "rotate"}}.Succeeds(t)
	}
	wait()
	s.Signal(syscall.SIGUSR1)
	const whole = `^(c\dr\d \d{6} x{60}|thread \d number \d+ of two hundred|ValueError: raised for c\dr\d\.)$`
	want := clients*rounds*(each+1) + 4*200
	var lines []string
	fapwstest.Eventually(t, fmt.Sprintf("%d lines", want), func() bool {
		all, err := readLog(one)
		if err != nil {
			return false
		}
		lines = slices.DeleteFunc(all, func(line string) bool {
			return !regexp.MustCompile(`^(c\dr|thread|number|ValueError)`).MatchString(line)
		})
		return len(lines) >= want
	})
	fapwstest.Equal(t, len(lines), want) // otherwise a line is in pieces
	hasEachOnce(t, lines, whole, want)
	old, _ := filepath.Glob(one + ".*.gz")
	fapwstest.Truef(t, len(old) >= 2, "%d rotated files", len(old))
	fapwstest.Lacks(t, fapwstest.TextOf(t, folder+"/errors"), "xxx", "raised for")
}

func TestHostLogThatIsRenamedIsReopenedAtOnce(t *testing.T) {
	t.Parallel()
	s, folder := hostLogs(t, fapwstest.Threads, "")
	one := folder + "/one"
	asks(s, "one.lan", "/many?1,first")
	fapwstest.FileSays(t, one, "first 000000")
	fapwstest.Must(t, os.Rename(one, one+".old"))
	asks(s, "one.lan", "/many?1,second")
	fapwstest.FileSays(t, one, "second 000000")
	asks(s, "one.lan", "/many?1,third")
	fapwstest.FileSays(t, one, "third 000000")
	fapwstest.Equal(t, strings.Count(fapwstest.TextOf(t, one+".old"), "\n"), 1)
}

// Before the rotation, a handler has written a line without its end. Later output completes this line, even after the
// rotation.
func TestHostLogWithAnIncompleteLineIsRotated(t *testing.T) {
	t.Parallel()
	s, folder := hostLogs(t, fapwstest.Threads, "log-rotate = \"weekly\"")
	one := folder + "/one"
	x, want := strings.Repeat("x", 9000), ""
	// The first handler pauses after its text, and the server writes the incomplete line during this pause.
	for _, seconds := range []string{"0.1", "0", "0"} {
		asks(s, "one.lan", "/begins?"+seconds)
		want += "begun " + seconds + x
		fapwstest.Eventually(t, "the text, unchanged", func() bool { return fapwstest.TextOf(t, one) == want })
		asks(s, "one.lan", "/many?1,after")
		want += "after 000000 " + x[:60] + "\n"
		fapwstest.Eventually(t, "the later text", func() bool { return fapwstest.TextOf(t, one) == want })
	}
	fapwstest.Lacks(t, fapwstest.TextOf(t, folder+"/errors"), "no space")
}

func TestHostsHaveTheirOwnLogsAndFormats(t *testing.T) {
	t.Parallel()
	folder := fapwstest.Files(t, map[string]string{"site/a.txt": "a", "site/bad.shtml": "<!--#bad -->"})
	fapwstest.WriteProgram(t, folder+"/cgi/x",
		"#!/bin/sh\necho said by $HTTP_HOST >&2\necho 'Content-Type: text/plain'\necho\necho x\n")
	fapwstest.Write(t, folder+"/fapws.toml", `
bind = "127.0.0.1:0"
workers = 2
access-log = "all"
error-log = "errors"
[[host]]
root = "site"
[[host]]
name = "one.test"
root = "site"
access-log = "shared"
access-log-format = "%v %U %>s"
error-log = "one-errors"
ssi = true
route = [
  { prefix = "/cgi/", cgi = "cgi" },
  { prefix = "/dead/", proxy = "unix:/no/such/socket" },
]
[[host]]
name = ["*.two.test", "two.test"]
root = "site"
access-log = "shared"
access-log-format = "%V %m"
route = [{ prefix = "/cgi/", cgi = "cgi" }]
[[host]]
name = "silent.test"
root = "site"
access-log = "off"
[[host]]
name = "json.test"
root = "site"
access-log-format = "json"
`)
	s := fapwstest.Command{Flags: []string{"-c", folder + "/fapws.toml"}, Dir: folder}.Started(t)
	for host, paths := range map[string]string{"other.test": "/a.txt", "one.test": "/a.txt /cgi/x /dead/ /bad.shtml",
		"sub.two.test:80": "/a.txt", "two.test": "/cgi/x", "silent.test": "/a.txt", "json.test": "/a.txt"} {
		for path := range strings.FieldsSeq(paths) {
			asks(s, host, path)
		}
	}
	s.Stop()
	shared := logLines(t, folder+"/shared")
	slices.Sort(shared)
	fapwstest.Equal(t, shared, []string{"one.test /a.txt 200", "one.test /bad.shtml 200", "one.test /cgi/x 200",
		"one.test /dead/ 502", "sub.two.test GET", "two.test GET"})
	all := logLines(t, folder+"/all")
	fapwstest.Truef(t, len(all) == 2 && slices.ContainsFunc(all, func(l string) bool {
		return strings.HasSuffix(l, `"GET /a.txt HTTP/1.0" 200 1 "-" "-"`)
	}) && slices.ContainsFunc(all, func(l string) bool {
		return strings.HasPrefix(l, `{"time":"`) && strings.Contains(l, `"host":"json.test"`)
	}), "%q", all)
	own := strings.Join(logLines(t, folder+"/one-errors"), "\n")
	for _, want := range []string{`\[error\] C .*/cgi/x: said by one\.test`,
		`\[warning\] C proxy unix:/no/such/socket: .*`, `\[error\] C SSI: .*/bad\.shtml:1: .*`} {
		want = strings.Replace(want, "C", `\[client 127\.0\.0\.1(:\d+)?\]( \[request \w+\])?`, 1)
		fapwstest.Truef(t, regexp.MustCompile(`(?m)^`+errorDate+want+`$`).MatchString(own), "no %s in\n%s", want, own)
	}
	errors := strings.Join(logLines(t, folder+"/errors"), "\n")
	fapwstest.Lacks(t, errors, "one.test", "proxy", "SSI")
	fapwstest.Matches(t, errors, `(?m)^`+errorDate+
		`\[error\] \[client 127\.0\.0\.1(:\d+)?\] .*/cgi/x: said by two\.test$`)
}

func TestHostLogErrorsAreReportedWithFileLineAndKey(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	fapwstest.Write(t, folder+"/site/a.txt", "a")
	for lines, want := range map[string]string{
		`access-log-format = "%h %z"`: `fapws.toml:3: access-log-format = "%h %z", a string: must be a format of ` +
			`the access log: %z at position 4 is not an atom`,
		`access-log = 3`: `fapws.toml:3: access-log = 3, an integer: must be the name of a file, "-" or "off"`,
		`access-log = "/no/such/folder"`: `fapws.toml:3: access-log: access log: ` +
			`/no/such/folder: no such file or directory`,
	} {
		fapwstest.Write(t, folder+"/fapws.toml", "[[host]]\nroot = \"site\"\n"+lines+"\n")
		fapwstest.Command{Flags: []string{"--bind", "127.0.0.1:0"}, Dir: folder}.Fails(t, 2, want)
	}
}
