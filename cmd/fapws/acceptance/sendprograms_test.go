package acceptance

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// sendPrograms serves programs that answer with X-Sendfile and X-Accel-Redirect: by CGI, PHP,
// FastCGI and CGIApplication.
func sendPrograms(t *testing.T, m mode, top string) (s *server, folder string) {
	t.Helper()
	folder = t.TempDir()
	for name, text := range map[string]string{
		"cgi/send":  shell(`printf 'X-Sendfile: %s\nX-Kept: yes\nSet-Cookie: a=b\nETag: "mine"\n\nnot sent' "$QUERY_STRING"`),
		"cgi/accel": shell(`printf 'Content-Type: text/x-own\nX-Accel-Redirect: %s\n\nbody' "$QUERY_STRING"`),
		"cgi/form":  shell(`cat >/dev/null; printf 'Status: 403 No\nContent-Type: text/plain\nX-Sendfile: one.txt\nx-sendfile: /etc/passwd\n\n'`),
		"cgi/dies":  shell(`printf 'X-Sendfile: one.txt\nContent-Type: text/plain\n\n'; sleep 1000`),
		"cgi/empty": shell(`printf 'Content-Type: text/plain\nX-Sendfile:\n\nbody'`),
		"cgi/nph-x": shell(`printf 'HTTP/1.1 200 OK\r\nX-Sendfile: one.txt\r\nConnection: close\r\n\r\nnot sent'`),
	} {
		if err := os.Chmod(write(t, folder+"/"+name, text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, folder+"/site/send.php", `<?php header('Content-Type: application/x-own'); header('X-Sendfile: '.$_SERVER['QUERY_STRING']); echo 'not sent';`)
	write(t, folder+"/files/one.txt", "0123456789")
	write(t, folder+"/files/big.bin", strings.Repeat("0123456789abcdef", 1<<17))
	write(t, folder+"/secret", "secret")
	write(t, folder+"/app.py", `
from fapws.contrib.cgi import CGIApplication
programs = CGIApplication("cgi", timeout=3600)

def guarded(environ, start_response):
    start_response.add_header("X-Guard", "seen")
    start_response.set_cookie("guard", "1")
    return programs(environ, start_response)

PATHS = [("/cgi", programs), ("/brief", CGIApplication("cgi", timeout=1)), ("/guarded", guarded)]
`)
	return command{flags: []string{"-c", write(t, folder+"/fapws.toml", top+`
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
`)}, dir: folder}.serve(t, m), folder
}

// TestProgramsSendFiles: where a setting lets handlers of Python have files sent, programs can, too.
func TestProgramsSendFiles(t *testing.T) {
	need(t, "/usr/bin/php-cgi")
	inModes(t, func(t *testing.T, m mode) {
		s, folder := sendPrograms(t, m, "x-sendfile = \"files\"\nx-accel = \"/p/=files\"")
		for _, path := range []string{"/bin/send", "/cgi/send", "/guarded/send"} {
			a := s.get(path+"?"+folder+"/files/one.txt", 200).is(t, "0123456789").field(t, "Content-Type", "text/plain; charset=utf-8")
			a.field(t, "X-Sendfile", "").field(t, "X-Kept", "yes").field(t, "Accept-Ranges", "bytes")
			if a.Header.Get("ETag") == `"mine"` || a.Header.Get("Last-Modified") == "" {
				t.Errorf("%s: %v", path, a.Header)
			}
			s.get(path+"?one.txt", 206, "Range: bytes=2-4").want(t, 206, "234")
			s.get(path+"?one.txt", 304, "If-None-Match: "+a.Header.Get("ETag"))
			s.get(path+"?../secret", 404)
			s.get(path+"?/etc/passwd", 404)
		}
		s.get("/guarded/send?one.txt", 200).is(t, "0123456789").field(t, "X-Guard", "seen").field(t, "Set-Cookie", "a=b, guard=1; Path=/")
		s.get("/send.php?one.txt", 200).is(t, "0123456789").field(t, "Content-Type", "application/x-own").field(t, "X-Sendfile", "")
		if a := s.get("/send.php?big.bin", 200); len(a.body) != 16<<17 {
			t.Errorf("%d bytes", len(a.body))
		}
		s.get("/bin/nph-x", 200).is(t, "0123456789")
		s.get("/bin/accel?/p/one.txt", 200).is(t, "0123456789").field(t, "Content-Type", "text/x-own").field(t, "X-Accel-Redirect", "")
		s.get("/bin/accel?/secret", 404)
		a := s.ask(request("POST", "/bin/form", "x", "Range: bytes=0-1"))
		if a.StatusCode != 403 || a.body != "0123456789" {
			t.Errorf("%d %q", a.StatusCode, a.body)
		}
		s.get("/bin/empty", 200).is(t, "body").field(t, "X-Sendfile", "")
		s.get("/brief/dies", 504)
		fileSays(t, folder+"/errors", `X-Sendfile: "/etc/passwd" cannot be sent: it is in none of the folders that may be sent from`)
	})
}

// TestProgramsTellNoPaths: without the setting nobody gets to know what X-Sendfile of a program says.
func TestProgramsTellNoPaths(t *testing.T) {
	need(t, "/usr/bin/php-cgi")
	inModes(t, func(t *testing.T, m mode) {
		s, folder := sendPrograms(t, m, "")
		file := folder + "/files/one.txt"
		s.get("/bin/send?"+file, 502) // as it was: a body needs a type
		for _, path := range []string{"/send.php?" + file, "/bin/form", "/bin/empty", "/bin/nph-x"} {
			a := s.ask(get(path)).field(t, "X-Sendfile", "")
			if text := fmt.Sprint(a.Header, a.body); strings.Contains(text, "one.txt") {
				t.Errorf("%s: %s", path, text)
			}
		}
		s.get("/send.php?"+file, 200).is(t, "not sent")
		s.get("/bin/accel?/p/one.txt", 200).is(t, "body").field(t, "X-Accel-Redirect", "/p/one.txt") // of a proxy before us
	})
}
