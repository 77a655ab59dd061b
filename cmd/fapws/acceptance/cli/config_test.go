package cli_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// Every flag of the command line is also a key of the file.
func TestFileSaysWhatFlagsSay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/app.py", "import sys\ndef hello(e, s): return ' '.join(sys.argv[1:])\nPATHS = [('/hello', hello)]\nMAX_BODY_SIZE = 7\n")
	fapwstest.Write(t, dir+"/www/a.txt", "a")
	file := fapwstest.Write(t, dir+"/fapws.toml", `# all of it
bind = ["127.0.0.1:0"]
app = "app.py"
args = ["one", "two words"]
threads = 2
max-body-size = "1K"
static = "/files/=www"
access-log = "log"
workers = 1
`)
	s := fapwstest.Command{Flags: []string{"--config", file}, Dir: t.TempDir()}.Started(t)
	s.Says(`up to 2 threads, 1 worker`)
	s.Ask(fapwstest.Get("/hello")).Want(t, 200).Is(t, "one two words")
	s.Ask(fapwstest.Get("/files/a.txt")).Want(t, 200).Is(t, "a")
	s.Ask(fapwstest.Request("POST", "/hello", strings.Repeat("b", 1024))).Want(t, 200)
	s.Ask(fapwstest.Request("POST", "/hello", strings.Repeat("b", 1025))).Want(t, 413)
	s.Signal(syscall.SIGTERM)
	s.Ended()
	if log, err := os.ReadFile(dir + "/log"); err != nil || strings.Count(string(log), "\n") != 4 {
		t.Errorf("access log beside the file: %v\n%s", err, log)
	}

	// The file in the folder is found, and flags win over it.
	code, stdout, _ := fapwstest.Command{Flags: []string{"--print-config", "--threads", "3"}, Dir: dir}.Run(t)
	for _, line := range []string{
		"max-body-size 1K file fapws.toml:6",
		"threads 3 flag --threads",
		"keep-alive 75s default",
		"/files/ files " + dir + "/www",
		"/ app " + dir + "/app.py file fapws.toml:3",
	} {
		if !strings.Contains(spaced(stdout), line+"\n") {
			t.Errorf("--print-config, code %d, has no line %q:\n%s", code, line, stdout)
		}
	}
}

// spaced has one space where s has several.
func spaced(s string) string {
	for strings.Contains(s, "  ") {
		s = strings.ReplaceAll(s, "  ", " ")
	}
	return s
}

// A mistake is named with file, line and key, all of them at once, and nothing
// is served.
func TestMistakesOfTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/www/a.txt", "a")
	fapwstest.Write(t, dir+"/fapws.toml", `workres = 2
max-body-size = true

[[host]]
name = "a b"
rot = "www"

[[host]]
name = "b.lan"
root = "www"
[[host.route]]
prefix = "files"
files = "missing"
[[host.route]]
prefix = "/x"
files = "missing"
`)
	want := `fapws: fapws.toml:1: unknown key workres, did you mean workers?
fapws: fapws.toml:2: max-body-size = true, a boolean: must be a number of bytes, or one with K, M or G, from 1 to 1024T
fapws: fapws.toml:4: host: nothing to serve: set root, app or a [[host.route]]
fapws: fapws.toml:5: name = "a b", a string: must be host names without a port, such as "example.org", "*.example.org" or "example.*"
fapws: fapws.toml:6: unknown key rot of [host], did you mean root?
fapws: fapws.toml:12: prefix = "files", a string: must be a path that begins with a slash, without empty and dot segments, such as "/static/"; requests are compared in this form
fapws: fapws.toml:13: files: cannot serve ` + dir + `/missing: no such file or directory; correct the name, or create it
fapws: fapws.toml:16: files: cannot serve ` + dir + `/missing: no such file or directory; correct the name, or create it
`
	for _, flags := range []string{"check", "check -c fapws.toml", "--check-config"} {
		code, stdout, stderr := fapwstest.Command{Flags: strings.Fields(flags), Dir: dir}.Run(t)
		if code != 2 || stdout != "" || stderr != want {
			t.Errorf("%s: code %d\n%s%s\nwant\n%s", flags, code, stdout, stderr, want)
		}
	}
	if code, _, stderr := (fapwstest.Command{Dir: dir}).Run(t); code != 2 || !strings.HasPrefix(stderr, "fapws: fapws.toml:1: unknown key workres") {
		t.Errorf("it is served: code %d\n%s", code, stderr)
	}
}

// A source or a list of addresses that was left empty is a mistake: no other page answers in its place, and nobody is let in. So is
// a port that does not exist. Names of pages with a slash and a directory in the place of a file are one line.
func TestEmptyValuesOfTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/www/a.txt", "a")
	for _, c := range []struct{ key, want string }{
		{"redirect = ''", `redirect: "" is neither a URL nor an absolute path`},
		{"rewrite = ''", `rewrite: "" is not an absolute path`},
		{"proxy = ''", `proxy: "" is not one of http://host:port, https://host:port, unix:/path`},
		{"proxy = 'http://x:99999'", `proxy: "http://x:99999" is not one of http://host:port, https://host:port, unix:/path`},
		{"fastcgi = ''", `fastcgi: "" is not the address of a FastCGI application: it must be unix:PATH or HOST:PORT`},
		{"fastcgi = 'x:99999'", `fastcgi: "x:99999" is not the address of a FastCGI application: it must be unix:PATH or HOST:PORT`},
		{"allow = []", `allow = [], an array: must be addresses, networks such as "10.0.0.0/8", or "all", at least one of them`},
		{"files = 'www'\nssi = ['a/*']", `ssi = ["a/*"], an array: must be true, names such as ["*.shtml"], or a table with patterns, exec, timefmt, errmsg, echomsg, depth, max-output`},
	} {
		fapwstest.Write(t, dir+"/fapws.toml", "[[host]]\nroot = 'www'\n[[host.route]]\nprefix = '/x/'\n"+c.key+"\n")
		want := fmt.Sprintf("fapws: fapws.toml:%d: %s\n", 5+strings.Count(c.key, "\n"), c.want)
		if code, _, stderr := (fapwstest.Command{Flags: []string{"check"}, Dir: dir}).Run(t); code != 2 || stderr != want {
			t.Errorf("%s: code %d, %q, want %q", c.key, code, stderr, want)
		}
	}
	if code, _, stderr := (fapwstest.Command{Flags: []string{"-c", "off", "--env-file", "www", "www"}, Dir: dir}).Run(t); code != 2 || stderr != "fapws: cannot read www: is a directory\n" {
		t.Errorf("a directory: code %d, %q", code, stderr)
	}
}

// Two domains have different roots; other hosts, and clients that name none,
// get the default host; settings left out have their documented defaults.
func TestHostsByName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/a/index.html", "page of a")
	fapwstest.Write(t, dir+"/b/index.html", "page of b")
	fapwstest.Write(t, dir+"/c/index.html", "the default")
	conf := `[[host]]
name = ["a.lan", "*.a.lan"]
root = "a"
[[host]]
name = "b.lan"
root = "b"
[[host]]
root = "c"
`
	s := fapwstest.Command{Flags: []string{"-c", fapwstest.Write(t, dir+"/fapws.toml", conf), "--forwarded-allow-ips", "127.0.0.1"}}.Serve(t, fapwstest.Threads)
	for host, want := range map[string]string{
		"a.lan": "page of a", "A.LAN:80": "page of a", "x.a.lan": "page of a", "b.lan": "page of b", "b.lan.": "page of b",
		"c.lan": "the default", "127.0.0.1": "the default",
	} {
		s.Ask("GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n").Want(t, 200).Is(t, want)
	}
	s.Ask("GET / HTTP/1.0\r\n\r\n").Want(t, 200).Is(t, "the default")
	s.Ask("GET http://b.lan/ HTTP/1.1\r\nHost: a.lan\r\n\r\n").Want(t, 200).Is(t, "page of b")
	s.Ask("GET / HTTP/1.1\r\nHost: a.lan\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: b.lan\r\n\r\n").Want(t, 200).Is(t, "page of b")
	s.Ask("OPTIONS * HTTP/1.1\r\nHost: c.lan\r\n\r\n").Want(t, 204)

	s = fapwstest.Command{Flags: []string{"-c", fapwstest.Write(t, dir+"/strict.toml", "unknown-host = 421\n"+conf[:strings.LastIndex(conf, "[[host]]")])}}.Serve(t, fapwstest.Threads)
	s.Ask("GET / HTTP/1.1\r\nHost: b.lan\r\nConnection: close\r\n\r\n").Want(t, 200).Is(t, "page of b")
	s.Ask("GET / HTTP/1.1\r\nHost: c.lan\r\nConnection: close\r\n\r\n").Want(t, 421)
	s.Ask("OPTIONS * HTTP/1.1\r\nHost: c.lan\r\n\r\n").Want(t, 421)
}

// TestFileKeysOfRoutes: keys about files in a route without a source are for the files of the host, and scripts behind
// the route still run.
func TestFileKeysOfRoutes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"/www/a.css", "/www/img/a.png", "/www/img/a.css", "/www/files/x.txt"} {
		fapwstest.Write(t, dir+name, name)
	}
	fapwstest.Write(t, dir+"/cgi/hello", "#!/bin/sh\necho Content-Type: text/plain; echo; echo program")
	if err := os.Chmod(dir+"/cgi/hello", 0o755); err != nil {
		t.Fatal(err)
	}
	s := fapwstest.Command{Flags: []string{"-c", fapwstest.Write(t, dir+"/fapws.toml", `[[host]]
root = "www"
[[host.route]]
prefix = "/img/"
expires = ["*=1y"]
headers = { A = "b" }
[[host.route]]
match = "*.css"
expires = ["*=30d"]
[[host.route]]
prefix = "/files/"
autoindex = true
[[host.route]]
prefix = "/img/programs/"
cgi = "cgi"
`)}}.Serve(t, fapwstest.Threads)
	s.Ask(fapwstest.Get("/img/a.png")).Want(t, 200).Is(t, "/www/img/a.png").Field(t, "Cache-Control", "public, max-age=31536000").Field(t, "A", "b")
	s.Ask(fapwstest.Get("/img/a.css")).Want(t, 200).Is(t, "/www/img/a.css").Field(t, "Cache-Control", "public, max-age=31536000")
	s.Ask(fapwstest.Get("/a.css")).Want(t, 200).Is(t, "/www/a.css").Field(t, "Cache-Control", "public, max-age=2592000").Field(t, "A", "")
	s.Ask(fapwstest.Get("/files/")).Want(t, 200, "x.txt")
	s.Ask(fapwstest.Get("/files/x.txt")).Want(t, 200).Is(t, "/www/files/x.txt").Field(t, "Cache-Control", "")
	s.Ask(fapwstest.Get("/img/programs/hello")).Want(t, 200).Is(t, "program\n").Field(t, "A", "b")
	s.Ask(fapwstest.Get("/img/none")).Want(t, 404)
	s.Ask(fapwstest.Get("/")).Want(t, 404)
}

// The configuration file of httPyServer works after fapws import.
func TestImportOfWebConf(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/web/index.html", "default")
	fapwstest.Write(t, dir+"/mine/page.foo", "mine")
	fapwstest.Write(t, dir+"/web.conf", "host default web\nhost a.lan mine\n\n# types\nmedia foo text/x-foo\nparameter timeout 5\nparameter cache 5\n")
	code, toml, stderr := fapwstest.Command{Flags: []string{"import", "web.conf"}, Dir: dir}.Run(t)
	if code != 0 || stderr != "fapws: web.conf:7: parameter \"cache\": fapws has no such parameter: skipped\n" {
		t.Fatalf("code %d: %s", code, stderr)
	}
	fapwstest.Write(t, dir+"/fapws.toml", toml)
	code, stdout, stderr := fapwstest.Command{Flags: []string{"check"}, Dir: dir}.Run(t)
	if code != 0 || stdout != "fapws.toml is fine: 2 hosts, 0 routes, for 0.0.0.0:8888 (without Python)\n" {
		t.Fatalf("check: code %d: %s%s\n%s", code, stdout, stderr, toml)
	}
	s := fapwstest.Command{Flags: []string{"-b", "127.0.0.1:0"}, Dir: dir}.Started(t)
	s.Ask("GET / HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n").Want(t, 200).Is(t, "default")
	s.Ask("GET /page.foo HTTP/1.1\r\nHost: a.lan\r\nConnection: close\r\n\r\n").Want(t, 200).Is(t, "mine").
		Field(t, "Content-Type", "text/x-foo; charset=utf-8")
	w := s.Dial()
	w.Get("/")
	w.Answer().Want(t, 200)
	w.Closed() // after the timeout of five seconds
}

// A user who serves the working directory does not publish the files of the
// server: the configuration, programs, passwords.
func TestPrivateFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/app.py", "import helper\ndef hello(e, s): return 'hello'\nPATHS = [('/', hello)]\n")
	fapwstest.Write(t, dir+"/helper.py", "")
	fapwstest.Write(t, dir+"/index.html", "index")
	fapwstest.Write(t, dir+"/users", "a:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n")
	fapwstest.Write(t, dir+"/fapws.toml", "bind = '127.0.0.1:0'\n[[host]]\nroot = '.'\nautoindex = true\n[[host.route]]\nprefix = '/x/'\nstatus = 403\n"+
		"auth = { realm = 'x', users = 'users' }\n[[host]]\nname = 'b.lan'\nroot = '.'\napp = 'app.py'\n")
	s := fapwstest.Command{Dir: dir}.Started(t)
	s.Ask(fapwstest.Get("/index.html")).Want(t, 200).Is(t, "index")
	for _, name := range []string{"/fapws.toml", "/app.py", "/helper.py", "/users"} {
		s.Ask(fapwstest.Get(name)).Want(t, 404)
		s.Ask("GET "+name+" HTTP/1.1\r\nHost: b.lan\r\nConnection: close\r\n\r\n").Want(t, 200).Is(t, "hello")
	}
}

// The command line wins over a file: about the application, the address and the settings.
func TestCommandLineDecides(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/web/a.txt", "of the file")
	fapwstest.Write(t, dir+"/other/b.txt", "of the command line")
	fapwstest.Write(t, dir+"/fapws.toml", "bind = '127.0.0.1:1'\nroot = 'web'\nautoindex = false\nmax-body-size = 1\n")
	s := fapwstest.Command{Flags: []string{"--port", "0", "--max-body-size", "2K", "other"}, Dir: dir}.Started(t)
	s.Says(`files of other \(fapws\.toml\)`)
	s.Ask(fapwstest.Get("/b.txt")).Want(t, 200).Is(t, "of the command line")
	s.Ask(fapwstest.Get("/")).Want(t, 404)

	s = fapwstest.Command{Flags: []string{"--port", "0", "--host", "127.0.0.1", "--config", "off", "web"}, Dir: dir}.Started(t)
	s.Ask(fapwstest.Get("/")).Want(t, 200, "a.txt") // a folder without more flags has a listing
	code, _, stderr := fapwstest.Command{Flags: []string{"--config", "off"}, Dir: dir}.Run(t)
	if code != 2 || !strings.HasPrefix(stderr, "fapws: no application given; ") {
		t.Errorf("code %d: %s", code, stderr)
	}
}

// A folder is a site: no Python runs for it.
func TestFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/site/index.htm", "index")
	fapwstest.Write(t, dir+"/site/sub/a.txt", "a")
	fapwstest.Write(t, dir+"/more/b.txt", "b")
	s := fapwstest.Command{Flags: []string{"--static", "/more=" + dir + "/more", "--spa", "index.htm", dir + "/site"}}.Serve(t, fapwstest.Threads)
	s.Says(`without Python`)
	s.Ask(fapwstest.Get("/")).Want(t, 200).Is(t, "index").Field(t, "X-Content-Type-Options", "nosniff")
	s.Ask(fapwstest.Get("/sub/")).Want(t, 200, "a.txt")
	s.Ask(fapwstest.Get("/more/b.txt")).Want(t, 200).Is(t, "b")
	s.Ask(fapwstest.Get("/a/page")).Want(t, 200).Is(t, "index")
	s.Ask(fapwstest.Request("POST", "/", "x")).Want(t, 405)
}

// A reload reads the file again; a mistake leaves everything as it was.
func TestConfigReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/a/index.html", "page of a")
	fapwstest.Write(t, dir+"/b/index.html", "page of b")
	file := fapwstest.Write(t, dir+"/fapws.toml", "root = 'a'\nworkers = 1\n")
	s := fapwstest.Command{Flags: []string{"-b", "127.0.0.1:0", "-c", file}, Complains: true}.Started(t)
	s.Ask(fapwstest.Get("/")).Want(t, 200).Is(t, "page of a")
	replace(t, file, "root = 'b'\nworkers = 2\npid = 'x'\n")
	s.Signal(syscall.SIGHUP)
	s.Says(`warning .*fapws\.toml: changes of workers, pid take effect after a restart\n`)
	s.Ask(fapwstest.Get("/")).Want(t, 200).Is(t, "page of b")
	replace(t, file, "root = 'a'\nworkers = 2\npid = 'x'\nrot = 1\n")
	s.Signal(syscall.SIGHUP)
	s.Says(`fapws\.toml:4: unknown key rot, did you mean root\?\n(.*\n)*.*reload failed; the old workers keep serving\n`)
	if code, _, stderr := s.Ctl("reload"); code != 1 || !strings.Contains(stderr, "fapws.toml:4: unknown key rot, did you mean root?") {
		t.Errorf("ctl reload: code %d: %s", code, stderr)
	}
	s.Ask(fapwstest.Get("/")).Want(t, 200).Is(t, "page of b")
	replace(t, file, "root = 'a'\nworkers = 2\npid = 'x'\n")
	s.Signal(syscall.SIGHUP)
	s.Says(`reloaded: 1 worker\n(.*\n)*.*reloaded: 1 worker\n`)
	s.Ask(fapwstest.Get("/")).Want(t, 200).Is(t, "page of a")
	if said := s.Stderr.String(); strings.Count(said, "take effect after a restart") != 1 {
		t.Errorf("the line about a restart is not there once:\n%s", said)
	}
}

// replace writes a file as a good editor does: no reader sees half of it.
func replace(t *testing.T, name, text string) {
	t.Helper()
	if err := os.Rename(fapwstest.Write(t, name+".new", text), name); err != nil {
		t.Fatal(err)
	}
}

// Developers need not restart after a change of the file.
func TestConfigIsWatched(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/a/index.html", "page of a")
	fapwstest.Write(t, dir+"/b/index.html", "page of b")
	file := fapwstest.Write(t, dir+"/fapws.toml", "root = 'a'\n")
	s := fapwstest.Command{Flags: []string{"-b", "127.0.0.1:0", "-c", file, "--reload"}}.Started(t)
	s.Ask(fapwstest.Get("/")).Want(t, 200).Is(t, "page of a")
	replace(t, file, "root = 'b'\n")
	s.Says(`reloaded: 1 worker`)
	s.Ask(fapwstest.Get("/")).Want(t, 200).Is(t, "page of b")
}
