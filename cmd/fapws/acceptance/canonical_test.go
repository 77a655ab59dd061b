package acceptance

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// No spelling of a path gets past an entry of PATHS, whatever kind it and those behind it
// are of.
func TestSpellingsOfPaths(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/site/priv/x.txt", "secret")
	write(t, dir+"/site/x.txt", "public")
	program := write(t, dir+"/site/cgi-bin/env", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nrun %s' \"$PATH_INFO\"\n")
	if err := os.Chmod(program, 0o755); err != nil {
		t.Fatal(err)
	}
	script := write(t, dir+"/app.py", `
from fapws.contrib.cgi import CGIApplication
from fapws.contrib.views import Staticfile

def guard(environ, start_response):
    start_response("403 Forbidden", [])
    return [environ["SCRIPT_NAME"] + " " + environ["PATH_INFO"] + " " + environ["RAW_URI"]]

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    text = "%s %s %s" % (scope["root_path"], scope["path"], scope["raw_path"].decode())
    await send({"type": "http.response.body", "body": text.encode()})

def echo(environ, start_response):
    return " ".join(environ[key] for key in ("SCRIPT_NAME", "PATH_INFO", "RAW_URI", "REQUEST_URI"))

PATHS = [("/priv", guard), ("/cgi-bin", CGIApplication("site/cgi-bin")), ("/asgi", app), ("/echo", echo), ("/", Staticfile("site"))]
`)
	inModes(t, func(t *testing.T, m mode) {
		s := command{script: script, dir: dir}.serve(t, m)
		for _, c := range []struct {
			target string
			status int
			body   string
		}{
			{"/priv/x.txt", 403, "/priv /x.txt /priv/x.txt"},
			{"//priv/x.txt", 403, "/priv /x.txt //priv/x.txt"},
			{"/%2fpriv/x.txt", 403, "/priv /x.txt /%2fpriv/x.txt"},
			{"/./priv/x.txt", 403, "/priv /x.txt /./priv/x.txt"},
			{"/x/%2e%2e/priv/x.txt", 403, "/priv /x.txt /x/%2e%2e/priv/x.txt"},
			{"/%70riv/x.txt", 403, "/priv /x.txt /%70riv/x.txt"},
			{"/priv//x.txt", 403, "/priv //x.txt /priv//x.txt"},
			{"/x.txt", 200, "public"}, {"//x.txt", 200, "public"}, {"/priv/../x.txt", 200, "public"},
			{"/cgi-bin/env/x", 200, "run /x"}, {"//cgi-bin/env/x", 200, "run /x"}, {"/cgi-bin//env//x", 200, "run /x"}, {"/%2fcgi-bin/env", 200, "run "},
			{"/asgi//x/../y%20z", 200, "/asgi /asgi//y z /asgi//x/../y%20z"},
			{"//asgi//x", 200, "/asgi /asgi/x //asgi//x"},
			{"/echo/http://h/%2e/x?q=//..", 200, "/echo /http://h/x /echo/http://h/%2e/x?q=//.. /echo/http://h/%2e/x?q=//.."},
			{"http://h//echo", 200, "/echo  http://h//echo http://h//echo"},
			{"/../priv/x.txt", 400, ""}, {"/x//../priv/x.txt", 400, ""}, {`/x\..\priv/x.txt`, 400, ""}, {"/x/..;/priv/x.txt", 400, ""},
		} {
			for range 2 { // what is remembered of the last request changes nothing
				a := s.ask(get(c.target))
				if a.StatusCode != c.status || c.status != 400 && a.body != c.body {
					t.Errorf("%s: %d %q, want %d %q", c.target, a.StatusCode, a.body, c.status, c.body)
				}
			}
		}
	})
}

// Neither of a route, of its rules, nor of pages and programs of a root.
func TestSpellingsOfRoutes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	upstream := write(t, dir+"/upstream.py", `
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["behind " + environ["RAW_URI"]]
`)
	behind := command{script: upstream}.serve(t, modes[0])
	write(t, dir+"/www/p.shtml", `<!--#echo var="DOCUMENT_URI" -->`)
	write(t, dir+"/www/x/p.shtml", `<!--#echo var="DOCUMENT_URI" -->`)
	write(t, dir+"/www/api/x", "file")
	write(t, dir+"/www/framed/x", "file")
	write(t, dir+"/www/old/x", "file")
	write(t, dir+"/fapws.toml", fmt.Sprintf(`
[[host]]
root = "www"
ssi = true
[[host.route]]
prefix = "/api/"
proxy = "http://%[1]s"
[[host.route]]
prefix = "/based/"
proxy = "http://%[1]s/in/"
[[host.route]]
prefix = "/framed/"
files = "www/framed"
headers = { "X-Frame-Options" = "DENY" }
[[host.route]]
prefix = "/old/"
redirect = "/new/$1"
[[host.route]]
prefix = "/to/"
rewrite = "/framed/$1"
[[host.route]]
prefix = "/framed/"
files = "www/framed"
headers = { "X-Frame-Options" = "SAMEORIGIN" }
`, behind.address))
	s := command{flags: []string{"-c", dir + "/fapws.toml"}}.serve(t, modes[0])
	for target, want := range map[string]string{
		"/api/x": "behind /api/x", "//api/x": "behind /api/x", "/%2fapi/x": "behind /api/x", "/api//x%2Fy": "behind /api//x%2Fy", "/x/../api/x": "behind /api/x",
		"/api/x%2f..%2f..%2fapi/y": "behind /api/y",
		"/based/x":                 "behind /in/x", "/based//x": "behind /in//x", "//based/x": "behind /in/x",
		"/p.shtml": "/p.shtml", "//p.shtml": "/p.shtml", "//x/p.shtml": "/x/p.shtml", "/%2fx/p.shtml": "/x/p.shtml", "/x%2fp.shtml": "/x/p.shtml", "/x//p.shtml": "/x/p.shtml",
	} {
		if a := s.ask(get(target)); a.StatusCode != 200 || a.body != want {
			t.Errorf("%s: %d %q, want %q", target, a.StatusCode, a.body, want)
		}
	}
	for _, target := range []string{"/framed/x", "//framed/x", "/%2fframed/x", "/framed%2fx", "/./framed//x"} {
		s.ask(get(target)).want(t, 200).is(t, "file").field(t, "X-Frame-Options", "DENY")
	}
	for _, target := range []string{"/to/x", "//to//x", "/to/y/../x", "/to/%2e/x"} {
		s.ask(get(target)).want(t, 200).is(t, "file").field(t, "X-Frame-Options", "SAMEORIGIN")
	}
	for _, target := range []string{"/old/x", "//old/x", "/old//x", "/%2fold/x"} {
		s.ask(get(target)).want(t, 302).field(t, "Location", "/new/x")
	}
	for _, target := range []string{"/based/../secret", "/based/%2e%2e/secret", "/based/..%2fsecret", "/based/%2e%2e%2fsecret"} {
		s.ask(get(target)).want(t, 404)
	}
	for _, target := range []string{"/based/../../secret", "/based/x//../../secret", `/based/..\secret`, "/based/..;/secret"} {
		s.ask(get(target)).want(t, 400)
	}
}

// What a whole application, without PATHS, makes of empty segments is its own affair: its
// redirects of them lead somewhere, once.
func TestSpellingsOfFrameworks(t *testing.T) {
	needModule(t, "flask")
	dir := t.TempDir()
	script := write(t, dir+"/site.py", `
from flask import Flask, request
app = Flask(__name__)

@app.get("/")
def root(): return "root"

@app.get("/a/b/")
def b(): return "b"

@app.get("/go/<path:url>")
def go(url): return url + " " + request.environ["RAW_URI"]
app.url_map.merge_slashes = True
app.add_url_rule("/raw/<path:url>", "raw", go, merge_slashes=False)
`)
	inModes(t, func(t *testing.T, m mode) {
		s := command{script: script}.serve(t, m)
		s.ask(get("/a/b/")).want(t, 200).is(t, "b")
		for _, target := range []string{"/a//b/", "/a//b"} {
			a := s.ask(get(target)).want(t, 308)
			location := a.Header.Get("Location")
			if i := strings.Index(location, "://"); i > 0 {
				location = location[i+3:]
				location = location[strings.IndexByte(location, '/'):]
			}
			if location != "/a/b/" {
				t.Errorf("%s leads to %s", target, location)
			}
		}
		s.ask(get("//a/b/")).want(t, 200).is(t, "b")
		s.ask(get("/x/../a/b/")).want(t, 200).is(t, "b")
		s.ask(get("/raw/http://h//x")).want(t, 200).is(t, "http://h//x /raw/http://h//x")
	})
}
