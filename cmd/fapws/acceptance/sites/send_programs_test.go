package sites_test

import (
	"fmt"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func sendPrograms(t *testing.T, m fapwstest.Mode, top string) (s *fapwstest.Server, folder string) {
	t.Helper()
	folder = t.TempDir()
	for name, text := range map[string]string{
		"cgi/send": shell(
			`printf 'X-Sendfile: %s\nX-Kept: yes\nSet-Cookie: a=b\nETag: "mine"\n\nnot sent' "$QUERY_STRING"`),
		"cgi/accel": shell(`printf 'Content-Type: text/x-own\nX-Accel-Redirect: %s\n\nbody' "$QUERY_STRING"`),
		"cgi/form": shell(
			`cat >/dev/null; printf 'Status: 403 No\nContent-Type: text/plain\nX-Sendfile: one.txt\n` +
				`x-sendfile: /etc/passwd\n\n'`),
		"cgi/dies":  shell(`printf 'X-Sendfile: one.txt\nContent-Type: text/plain\n\n'; sleep 1000`),
		"cgi/empty": shell(`printf 'Content-Type: text/plain\nX-Sendfile:\n\nbody'`),
		"cgi/nph-x": shell(`printf 'HTTP/1.1 200 OK\r\nX-Sendfile: one.txt\r\nConnection: close\r\n\r\nnot sent'`),
	} {
		fapwstest.WriteProgram(t, folder+"/"+name, text)
	}
	fapwstest.Write(t, folder+"/site/send.php",
		`<?php header('Content-Type: application/x-own'); header('X-Sendfile: '.$_SERVER['QUERY_STRING']); `+
			`echo 'not sent';`)
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
[[host.route]]
prefix = "/bin/"
cgi = "cgi"
[[host.route]]
match = "*.php"
php = true
`)}, Dir: folder}.Serve(t, m), folder
}

func TestProgramsSendFilesIfHandlersMay(t *testing.T) {
	t.Parallel()
	need(t, "/usr/bin/php-cgi")
	s, folder := sendPrograms(t, fapwstest.Threads, "x-sendfile = \"files\"\nx-accel = \"/p/=files\"")
	for _, path := range []string{"/bin/send", "/cgi/send", "/guarded/send"} {
		a := s.Get(path+"?"+folder+"/files/one.txt", 200).Is(t, "0123456789").Field(t, "Content-Type",
			"text/plain; charset=utf-8")
		a.Field(t, "X-Sendfile", "").Field(t, "X-Kept", "yes").Field(t, "Accept-Ranges", "bytes")
		if a.Header.Get("ETag") == `"mine"` || a.Header.Get("Last-Modified") == "" {
			t.Errorf("%s: %v", path, a.Header)
		}
		s.Get(path+"?one.txt", 206, "Range: bytes=2-4").Want(t, 206, "234")
		s.Get(path+"?one.txt", 304, "If-None-Match: "+a.Header.Get("ETag"))
		s.Get(path+"?../secret", 404)
		s.Get(path+"?/etc/passwd", 404)
	}
	s.Get("/guarded/send?one.txt", 200).Is(t, "0123456789").Field(t, "X-Guard", "seen").Field(t, "Set-Cookie",
		"a=b, guard=1; Path=/")
	s.Get("/send.php?one.txt", 200).Is(t, "0123456789").Field(t, "Content-Type", "application/x-own").Field(t,
		"X-Sendfile", "")
	if a := s.Get("/send.php?big.bin", 200); len(a.Text) != 16<<17 {
		t.Errorf("%d bytes", len(a.Text))
	}
	s.Get("/bin/nph-x", 200).Is(t, "0123456789")
	s.Get("/bin/accel?/p/one.txt", 200).Is(t, "0123456789").Field(t, "Content-Type", "text/x-own").Field(t,
		"X-Accel-Redirect", "")
	s.Get("/bin/accel?/secret", 404)
	a := s.Ask(fapwstest.Request("POST", "/bin/form", "x", "Range: bytes=0-1"))
	if a.StatusCode != 403 || a.Text != "0123456789" {
		t.Errorf("%d %q", a.StatusCode, a.Text)
	}
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
		if text := fmt.Sprint(a.Header, a.Text); strings.Contains(text, "one.txt") {
			t.Errorf("%s: %s", path, text)
		}
	}
	s.Get("/send.php?"+file, 200).Is(t, "not sent")
	s.Get("/bin/accel?/p/one.txt", 200).Is(t, "body").Field(t, "X-Accel-Redirect", "/p/one.txt")
}
