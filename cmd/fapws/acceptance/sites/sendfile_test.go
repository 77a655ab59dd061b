package sites_test

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func sendURL(how, status string, fields ...string) string {
	q := url.Values{"how": {how}, "h": fields}
	if status != "" {
		q.Set("s", status)
	}
	return "/send?" + q.Encode()
}

func sendSite(t *testing.T, m fapwstest.Mode) (s *fapwstest.Server, folder string) {
	t.Helper()
	folder = fapwstest.Files(t, map[string]string{"files/one.txt": "0123456789",
		"files/.hidden/caf\u00e9 \\ 100%.txt": "hidden", "files/both.txt": "plain", "files/both.txt.gz": "somebody else's",
		"files/big.bin": strings.Repeat("0123456789abcdef", 1<<17), "more/two.txt": "two", "secret": "secret"})
	for name, to := range map[string]string{"files/out": folder + "/secret", "files/up": "..", "files/in": "one.txt",
		"linked": "more"} {
		fapwstest.Must(t, os.Symlink(to, folder+"/"+name))
	}
	fapwstest.Must(t, os.Mkdir(folder+"/files/dir", 0o755))
	return fapwstest.Command{Script: "sendfile.py", Flags: []string{
		"--x-sendfile", folder + "/files," + folder + "/linked",
		"--x-accel", "/p/=" + folder + "/files,/p/more=" + folder + "/more",
	}}.Serve(t, m), folder
}

func TestXSendfileReplacesTheBody(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s, _ := sendSite(t, m)
		for how, want := range map[string]string{
			"list": "", "empty": "", "str": "", "dict": "", "file": "", "write": "", "headers": "", "wrapper": "close",
			"body": "close", "generator": "", "late": "begin", "late body": "next close",
		} {
			w := s.Dial()
			for _, field := range []string{"X-Sendfile: one.txt", "x-accel-redirect: /p/one.txt"} {
				target := sendURL(how, "", field, "Content-Length: 3", "Set-Cookie: a=b", "Cache-Control: private", "X-Kept: yes")
				a := w.Fetch(target).Is(t, "0123456789")
				a.Field(t, "Content-Type", "text/plain; charset=utf-8", "Content-Length", "10", "Set-Cookie", "a=b",
					"Cache-Control", "private", "X-Kept", "yes", "Accept-Ranges", "bytes", "X-Sendfile", "", "X-Accel-Redirect", "")
				fapwstest.Truef(t, a.Header.Get("ETag") != "" && a.Header.Get("Last-Modified") != "", "%s: %v", how, a.Header)
				w.Fetch("/seen").Is(t, want)
				w.Send(fapwstest.Request("HEAD", target, ""))
				w.AnswerTo("HEAD").Is(t, "").Field(t, "Content-Length", "10", "X-Kept", "yes", "X-Sendfile", "")
			}
		}
	})
}

func TestXSendfileOfAnErrorOrMissingFileFails(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := fapwstest.Command{Script: "sendfile.py", Flags: []string{"--x-sendfile", folder}, Complains: true}.Serve(t,
		fapwstest.Threads)
	w := s.Dial()
	w.Fetch(sendURL("failed", "", "X-Sendfile: one.txt")).Want(t, 500, "Internal Server Error")
	w.Fetch(sendURL("replaced", "", "X-Sendfile: one.txt")).Want(t, 500, "not a file")
	// X-Accel-Redirect is not enabled for this application, so the server forwards the field to the client.
	w.Fetch(sendURL("list", "", "X-Accel-Redirect: /p/one.txt")).Is(t, "droppedtoo").Field(t, "X-Accel-Redirect",
		"/p/one.txt")
	w.Fetch(sendURL("list", "", "X-Sendfile:  ")).Is(t, "droppedtoo").Field(t, "X-Sendfile", "")
}

func TestXSendfileAllowsOnlyFilesBelowItsDirectories(t *testing.T) {
	t.Parallel()
	s, folder := sendSite(t, fapwstest.Threads)
	for _, c := range []struct {
		field, body string // expected body; "" means status 404
	}{
		{"X-Sendfile: " + folder + "/files/one.txt", "0123456789"},
		{"X-Sendfile: " + folder + "/linked/two.txt", "two"},
		{"X-Sendfile: " + folder + "/more/two.txt", "two"},
		{"X-Sendfile: " + folder + "/files/../files//one.txt", "0123456789"},
		{"X-Sendfile: in", "0123456789"},
		{"X-Sendfile: .hidden/caf\u00e9 \\ 100%.txt", "hidden"}, // the bytes of the name, as WSGI encodes them
		{"X-Sendfile: both.txt", "plain"},
		{"X-Sendfile: two.txt", ""},
		{"X-Sendfile: " + folder + "/secret", ""},
		{"X-Sendfile: " + folder + "/files/../secret", ""},
		{"X-Sendfile: " + folder + "/files", ""},
		{"X-Sendfile: " + folder + "/filesystem", ""},
		{"X-Sendfile: ../secret", ""},
		{"X-Sendfile: out", ""},
		{"X-Sendfile: up/secret", ""},
		{"X-Sendfile: dir", ""},
		{"X-Sendfile: one.txt/", "0123456789"},
		{"X-Sendfile: one%2Etxt", ""},
		{"X-Sendfile: /etc/passwd", ""},
		{"X-Accel-Redirect: /p/%6Fne.txt?x=%zz", "0123456789"},
		{"X-Accel-Redirect: /p/.hidden/caf%C3%A9%20%5C%20100%25.txt", "hidden"},
		{"X-Accel-Redirect: /p/more/two.txt", "two"},
		{"X-Accel-Redirect: /p/moreover", ""},
		{"X-Accel-Redirect: /p/more/../one.txt", "0123456789"},
		{"X-Accel-Redirect: /p/../secret", ""},
		{"X-Accel-Redirect: /p/%2e%2e/secret", ""},
		{"X-Accel-Redirect: /p/up/secret", ""},
		{"X-Accel-Redirect: /p/one.txt%00", ""},
		{"X-Accel-Redirect: /p/%", ""},
		{"X-Accel-Redirect: @named", ""},
		{"X-Accel-Redirect: /p", ""},
	} {
		status := 200
		if c.body == "" {
			status = 404
		}
		a := s.Get(sendURL("list", "", c.field, "Cache-Control: public, max-age=9", "Content-Disposition: attachment"),
			status, "Accept-Encoding: gzip")
		if status == 200 {
			a.Is(t, c.body)
		} else {
			a.Field(t, "Cache-Control", "", "Content-Disposition", "")
		}
	}
	s.Says(`warning client \S+: X-Sendfile: "\.\./secret" cannot be sent: `)
	s.Says(`warning client \S+: X-Sendfile: "/etc/passwd" cannot be sent: not in a directory from which files may be sent`)
	s.Says(`warning client \S+: X-Accel-Redirect: "/p/moreover" cannot be sent: no such file or directory`)
}

func TestXSendfileObeysConditionsAndRanges(t *testing.T) {
	t.Parallel()
	s, _ := sendSite(t, fapwstest.Threads)
	etag := s.Get(sendURL("empty", "", "X-Sendfile: one.txt"), 200).Header.Get("ETag")
	for _, c := range []struct {
		name, status  string
		fields, asked []string
		want          int
		body          string
		gives         map[string]string
	}{
		{"a range", "", nil, []string{"Range: bytes=2-4"}, 206, "234", map[string]string{"Content-Range": "bytes 2-4/10"}},
		{"no range", "", nil, []string{"Range: bytes=10-"}, 416, "416 Range Not Satisfiable\n", nil},
		{"known", "", []string{"Content-Disposition: attachment", "Set-Cookie: a=b"},
			[]string{"If-None-Match: " + etag}, 304, "",
			map[string]string{"Content-Disposition": "", "Set-Cookie": "a=b", "ETag": etag}},
		{"other", "", nil, []string{"If-Match: \"x\""}, 412, "412 Precondition Failed\n", nil},
		{"the application's validators", "", []string{"ETag: \"x\"", "Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT",
			"Accept-Ranges: none"}, []string{"If-None-Match: \"x\""}, 200, "0123456789",
			map[string]string{"ETag": etag, "Accept-Ranges": "bytes"}},
		{"the application's range", "206 Partial Content", []string{"Content-Range: bytes 0-1/10", "Content-Length: 2"},
			nil, 200, "0123456789", map[string]string{"Content-Range": ""}},
		{"the application's type", "", []string{"Content-Type: text/x"}, nil, 200, "0123456789",
			map[string]string{"Content-Type": "text/x"}},
		{"its type in a range", "", []string{"Content-Type: text/x"}, []string{"Range: bytes=0-0"}, 206, "0",
			map[string]string{"Content-Type": "text/x"}},
		{"an error page", "403 Go away", nil, []string{"Range: bytes=2-4", "If-None-Match: " + etag}, 403, "0123456789", nil},
		{"not 200", "201 Created", nil, nil, 200, "0123456789", nil},
		{"no content", "204 No Content", nil, nil, 200, "0123456789", nil},
	} {
		a := s.Get(sendURL("empty", c.status, append(c.fields, "X-Sendfile: one.txt")...), c.want, c.asked...)
		fapwstest.Equalf(t, a.Text, c.body, "%s", c.name)
		for name, value := range c.gives {
			a.Field(t, name, value)
		}
	}
	a := s.Get(sendURL("empty", "", "X-Sendfile: one.txt", "Content-Type: text/x"), 206, "Range: bytes=0-0,2-2")
	fapwstest.Truef(t, strings.HasPrefix(a.Header.Get("Content-Type"), "multipart/byteranges;") &&
		strings.Count(a.Text, "Content-Type: text/x\r\n") == 2, "%v %q", a.Header, a.Text)
	s.Ask(fapwstest.Request("POST", sendURL("empty", "", "X-Sendfile: one.txt"), "form", "Range: bytes=2-4",
		"If-None-Match: "+etag)).Is(t, "0123456789")
	big := s.Get(sendURL("empty", "", "X-Sendfile: big.bin"), 200)
	fapwstest.Equal(t, big.Text, strings.Repeat("0123456789abcdef", 1<<17))
	fapwstest.Equalf(t, s.Ask(fapwstest.Request("GET", sendURL("empty", "403 Go away", "X-Sendfile: one.txt"), "")).Status,
		"403 Go away", "status")
}

func TestXSendfileIsForwardedWithoutTheSetting(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "sendfile.py")
	a := s.Get(sendURL("list", "", "X-Sendfile: sendfile.py", "X-Accel-Redirect: /x"), 200).Is(t, "droppedtoo")
	a.Field(t, "X-Sendfile", "sendfile.py", "X-Accel-Redirect", "/x")
	c := fapwstest.Command{Script: "sendfile.py", Flags: []string{"--bind", "127.0.0.1:0", "--x-sendfile",
		"/nowhere/at/all"}}
	c.Fails(t, 2, "--x-sendfile: /nowhere/at/all: no such file or directory")
}

func sendPrograms(t *testing.T, m fapwstest.Mode, top string) (s *fapwstest.Server, folder string) {
	t.Helper()
	folder = t.TempDir()
	for name, text := range map[string]string{
		"cgi/send":  shell(`printf 'X-Sendfile: %s\nX-Kept: yes\nSet-Cookie: a=b\nETag: "mine"\n\nnot sent' "$QUERY_STRING"`),
		"cgi/accel": shell(`printf 'Content-Type: text/x-own\nX-Accel-Redirect: %s\n\nbody' "$QUERY_STRING"`),
		"cgi/form": shell(`cat >/dev/null; printf 'Status: 403 No\nContent-Type: text/plain\nX-Sendfile: one.txt\n` +
			`x-sendfile: /etc/passwd\n\n'`),
		"cgi/dies":  shell(`printf 'X-Sendfile: one.txt\nContent-Type: text/plain\n\n'; sleep 1000`),
		"cgi/empty": shell(`printf 'Content-Type: text/plain\nX-Sendfile:\n\nbody'`),
		"cgi/nph-x": shell(`printf 'HTTP/1.1 200 OK\r\nX-Sendfile: one.txt\r\nConnection: close\r\n\r\nnot sent'`),
	} {
		fapwstest.WriteProgram(t, folder+"/"+name, text)
	}
	fapwstest.Write(t, folder+"/site/send.php",
		`<?php header('Content-Type: application/x-own'); header('X-Sendfile: '.$_SERVER['QUERY_STRING']); echo 'not sent';`)
	fapwstest.Write(t, folder+"/files/one.txt", "0123456789")
	fapwstest.Write(t, folder+"/files/big.bin", strings.Repeat("0123456789abcdef", 1<<17))
	fapwstest.Write(t, folder+"/secret", "secret")
	fapwstest.Write(t, folder+"/app.py", `
from fapws.contrib.cgi import CGIApplication
programs = CGIApplication("cgi", timeout=3600)

def guarded(environ, start_response):
    start_response.add_header("X-Guard", "seen")
    start_response.set_cookie("guard", "1")
    return programs(environ, start_response)

PATHS = [("/cgi", programs), ("/brief", CGIApplication("cgi", timeout=1)), ("/guarded", guarded)]
`)
	return fapwstest.Command{Flags: []string{"-c", fapwstest.Write(t, folder+"/fapws.toml", top+`
[[host]]
root = "site"
app = "app.py"
error-log = "errors"
route = [{ prefix = "/bin/", cgi = "cgi" }, { match = "*.php", php = true }]
`)}, Dir: folder}.Serve(t, m), folder
}

func TestProgramsSendFilesIfHandlersMay(t *testing.T) {
	t.Parallel()
	need(t, "/usr/bin/php-cgi")
	s, folder := sendPrograms(t, fapwstest.Threads, "x-sendfile = \"files\"\nx-accel = \"/p/=files\"")
	for _, path := range []string{"/bin/send", "/cgi/send", "/guarded/send"} {
		a := s.Get(path+"?"+folder+"/files/one.txt", 200).Is(t, "0123456789").Field(t, "Content-Type",
			"text/plain; charset=utf-8")
		a.Field(t, "X-Sendfile", "", "X-Kept", "yes", "Accept-Ranges", "bytes")
		fapwstest.Truef(t, a.Header.Get("ETag") != `"mine"` && a.Header.Get("Last-Modified") != "", "%s: %v", path, a.Header)
		s.Get(path+"?one.txt", 206, "Range: bytes=2-4").Want(t, 206, "234")
		s.Get(path+"?one.txt", 304, "If-None-Match: "+a.Header.Get("ETag"))
		s.Get(path+"?../secret", 404)
		s.Get(path+"?/etc/passwd", 404)
	}
	s.Get("/guarded/send?one.txt", 200).Is(t, "0123456789").Field(t, "X-Guard", "seen", "Set-Cookie",
		"a=b, guard=1; Path=/")
	s.Get("/send.php?one.txt", 200).Is(t, "0123456789").Field(t, "Content-Type", "application/x-own", "X-Sendfile", "")
	fapwstest.Equal(t, len(s.Get("/send.php?big.bin", 200).Text), 16<<17)
	s.Get("/bin/nph-x", 200).Is(t, "0123456789")
	s.Get("/bin/accel?/p/one.txt", 200).Is(t, "0123456789").Field(t, "Content-Type", "text/x-own", "X-Accel-Redirect", "")
	s.Get("/bin/accel?/secret", 404)
	a := s.Ask(fapwstest.Request("POST", "/bin/form", "x", "Range: bytes=0-1"))
	fapwstest.Truef(t, a.StatusCode == 403 && a.Text == "0123456789", "%d %q", a.StatusCode, a.Text)
	s.Get("/bin/empty", 200).Is(t, "body").Field(t, "X-Sendfile", "")
	s.Get("/brief/dies", 504)
	fapwstest.FileSays(t, folder+"/errors",
		`X-Sendfile: "/etc/passwd" cannot be sent: not in a directory from which files may be sent`)
}

func TestXSendfileOfAProgramIsRemovedWithoutTheSetting(t *testing.T) {
	t.Parallel()
	need(t, "/usr/bin/php-cgi")
	s, folder := sendPrograms(t, fapwstest.Threads, "")
	file := folder + "/files/one.txt"
	s.Get("/bin/send?"+file, 502)
	for _, path := range []string{"/send.php?" + file, "/bin/form", "/bin/empty", "/bin/nph-x"} {
		a := s.Ask(fapwstest.Get(path)).Field(t, "X-Sendfile", "")
		text := fmt.Sprint(a.Header, a.Text)
		fapwstest.Truef(t, !strings.Contains(text, "one.txt"), "%s: %s", path, text)
	}
	s.Get("/send.php?"+file, 200).Is(t, "not sent")
	s.Get("/bin/accel?/p/one.txt", 200).Is(t, "body").Field(t, "X-Accel-Redirect", "/p/one.txt")
}
