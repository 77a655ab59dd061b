package sites_test

import (
	"fmt"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestSpellingsOfPathsDoNotBypassEntriesOfPATHS(t *testing.T) {
	t.Parallel()
	dir := fapwstest.Files(t, map[string]string{"site/priv/x.txt": "secret", "site/x.txt": "public"})
	fapwstest.WriteProgram(t, dir+"/site/cgi-bin/env",
		"#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nrun %s' \"$PATH_INFO\"\n")
	script := fapwstest.Write(t, dir+"/app.py", `
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

PATHS = [
    ("/priv", guard), ("/cgi-bin", CGIApplication("site/cgi-bin")), ("/asgi", app), ("/echo", echo),
    ("/", Staticfile("site")),
]
`)
	s := fapwstest.Command{Script: script, Dir: dir}.Serve(t, fapwstest.Threads)
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
		{"/cgi-bin/env/x", 200, "run /x"}, {"//cgi-bin/env/x", 200, "run /x"}, {"/cgi-bin//env//x", 200, "run /x"},
		{"/%2fcgi-bin/env", 200, "run "},
		{"/asgi//x/../y%20z", 200, "/asgi /asgi//y z /asgi//x/../y%20z"},
		{"//asgi//x", 200, "/asgi /asgi/x //asgi//x"},
		{"/echo/http://h/%2e/x?q=//..", 200, "/echo /http://h/x /echo/http://h/%2e/x?q=//.. /echo/http://h/%2e/x?q=//.."},
		{"http://h//echo", 200, "/echo  http://h//echo http://h//echo"},
		{"/../priv/x.txt", 400, ""}, {"/x//../priv/x.txt", 400, ""}, {`/x\..\priv/x.txt`, 400, ""},
		{"/x/..;/priv/x.txt", 400, ""},
	} {
		for range 2 {
			a := s.Ask(fapwstest.Get(c.target))
			fapwstest.Truef(t, a.StatusCode == c.status && (c.status == 400 || a.Text == c.body), "%s: %d %q, want %d %q",
				c.target, a.StatusCode, a.Text, c.status, c.body)
		}
	}
}

func TestSpellingsOfPathsDoNotBypassRoutes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	upstream := fapwstest.Write(t, dir+"/upstream.py", `
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["behind " + environ["RAW_URI"]]
`)
	behind := fapwstest.Command{Script: upstream}.Serve(t, fapwstest.Threads)
	fapwstest.Write(t, dir+"/www/p.shtml", `<!--#echo var="DOCUMENT_URI" -->`)
	fapwstest.Write(t, dir+"/www/x/p.shtml", `<!--#echo var="DOCUMENT_URI" -->`)
	fapwstest.Write(t, dir+"/www/api/x", "file")
	fapwstest.Write(t, dir+"/www/framed/x", "file")
	fapwstest.Write(t, dir+"/www/old/x", "file")
	fapwstest.Write(t, dir+"/fapws.toml", fmt.Sprintf(`
[[host]]
root = "www"
ssi = true
route = [
  { prefix = "/api/", proxy = "http://%[1]s" },
  { prefix = "/based/", proxy = "http://%[1]s/in/" },
  { prefix = "/framed/", files = "www/framed", headers = { "X-Frame-Options" = "DENY" } },
  { prefix = "/old/", redirect = "/new/$1" },
  { prefix = "/to/", rewrite = "/framed/$1" },
  { prefix = "/framed/", files = "www/framed", headers = { "X-Frame-Options" = "SAMEORIGIN" } },
]
`, behind.Address))
	s := fapwstest.Command{Flags: []string{"-c", dir + "/fapws.toml"}}.Serve(t, fapwstest.Threads)
	for target, want := range map[string]string{
		"/api/x": "behind /api/x", "//api/x": "behind /api/x", "/%2fapi/x": "behind /api/x",
		"/api//x%2Fy": "behind /api//x%2Fy", "/x/../api/x": "behind /api/x",
		"/api/x%2f..%2f..%2fapi/y": "behind /api/y",
		"/based/x":                 "behind /in/x", "/based//x": "behind /in//x", "//based/x": "behind /in/x",
		"/p.shtml": "/p.shtml", "//p.shtml": "/p.shtml", "//x/p.shtml": "/x/p.shtml", "/%2fx/p.shtml": "/x/p.shtml",
		"/x%2fp.shtml": "/x/p.shtml", "/x//p.shtml": "/x/p.shtml",
	} {
		a := s.Ask(fapwstest.Get(target))
		fapwstest.Truef(t, a.StatusCode == 200 && a.Text == want, "%s: %d %q, want %q", target, a.StatusCode, a.Text, want)
	}
	for _, target := range []string{"/framed/x", "//framed/x", "/%2fframed/x", "/framed%2fx", "/./framed//x"} {
		s.Ask(fapwstest.Get(target)).Want(t, 200).Is(t, "file").Field(t, "X-Frame-Options", "DENY")
	}
	for _, target := range []string{"/to/x", "//to//x", "/to/y/../x", "/to/%2e/x"} {
		s.Ask(fapwstest.Get(target)).Want(t, 200).Is(t, "file").Field(t, "X-Frame-Options", "SAMEORIGIN")
	}
	for _, target := range []string{"/old/x", "//old/x", "/old//x", "/%2fold/x"} {
		s.Ask(fapwstest.Get(target)).Want(t, 302).Field(t, "Location", "/new/x")
	}
	for _, target := range []string{"/based/../secret", "/based/%2e%2e/secret", "/based/..%2fsecret",
		"/based/%2e%2e%2fsecret"} {
		s.Ask(fapwstest.Get(target)).Want(t, 404)
	}
	for _, target := range []string{"/based/../../secret", "/based/x//../../secret", `/based/..\secret`,
		"/based/..;/secret"} {
		s.Ask(fapwstest.Get(target)).Want(t, 400)
	}
}

// An entry of PATHS or a route forbids a path such as /d/admin, and a framework serves all other paths. The
// framework gets the request target exactly as the client has sent it.
func TestSpellingsOfPathsDoNotBypassGuardsOfFrameworks(t *testing.T) {
	t.Parallel()
	fapwstest.NeedModule(t, "django")
	fapwstest.NeedModule(t, "fastapi")
	const views = `
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path, re_path
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse

settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="x", APPEND_SLASH=True, ROOT_URLCONF=(
    path("admin/users", lambda request: HttpResponse("secret of django")),
    re_path(".*", lambda request: HttpResponse("django " + request.META["RAW_URI"])),
))
django = get_wsgi_application()
fastapi = FastAPI()

@fastapi.get("/admin/users", response_class=PlainTextResponse)
def users():
    return "secret of fastapi"

@fastapi.get("/{path:path}", response_class=PlainTextResponse)
def other(request: Request):
    return "fastapi " + request.scope["raw_path"].decode()
`
	const guards = `
def guard(environ, start_response):
    start_response("403 Forbidden", [])
    return []

PATHS = [("/d/admin", guard), ("/f/admin", guard), ("/d", django), ("/f", fastapi)]
`
	config := "[[host]]\ndefault = true\nname = \"paths\"\napp = \"shops.py\"\n"
	for _, app := range []string{"django", "fastapi"} {
		config += "[[host]]\nname = \"" + app + "\"\napp = \"shops.py:" + app + "\"\n" +
			"[[host.route]]\nprefix = \"/admin\"\ndeny = [\"all\"]\n"
	}
	s, _ := configured(t, fapwstest.Threads, config, map[string]string{"shops.py": views + guards})
	for _, shop := range [][2]string{{"paths", "/d"}, {"paths", "/f"}, {"django", ""}, {"fastapi", ""}} {
		spellings(s, t, shop[0], shop[1])
	}
}

// spellings requests paths below /admin of a host, where a framework serves the path shop.
func spellings(s *fapwstest.Server, t *testing.T, host, shop string) {
	t.Helper()
	ask := func(target string) *fapwstest.Answer {
		return s.Ask("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
	}
	same := []string{"/admin/users", "//admin/users", "/./admin/users", "/.//admin/users", "/x/../admin/users",
		"/x/%2e%2e/admin/users", "/x/.%2E/admin/users", "/%61dmin/users", "/%61%64%6d%69%6e%2f%75sers", "%2fadmin/users",
		"/%2Fadmin/users", "/admin%2fusers", "/admin%2F%2Fusers", "/admin//users", "/admin/./users", "/admin/x/../users",
		"/admin/%2e/users", "/admin/users/", "/admin/users/.", "/admin/users?x=/../..", "/admin", "/admin/", "/admin/users;x",
		"/admin%2f..%2fadmin/users"}
	for _, before := range []string{"", "/", "/.", "/y/..", "/%2f", "http://" + host, "http://" + host + "/",
		"http://" + host + "/%2e"} {
		for _, path := range same {
			if path[0] == '%' && shop == "" && (before == "" || before == "http://"+host) { // invalid as a target or host
				path = "/" + path
			}
			fapwstest.Equalf(t, ask(before+shop+path).StatusCode, 403, "%s", before+shop+path)
		}
		// Some servers treat all spellings in this list as one path. fapws treats a spelling as a different path, or
		// responds that the path does not exist.
		for _, path := range []string{"/ADMIN/users", "/Admin/users", "/admins/users", "/admin./users",
			"/admin../users", "/.admin/users", "/admin%20/users", "/%20admin/users",
			"/admin%00/users", "/%00/admin/users", "/admin%09/users", "/admin;x/users", "/admin%3b/users",
			"/;/admin/users", "/x;/../../admin/users", "/x/..;/admin/users",
			`/x\..\admin\users`, `/\admin/users`, "/%5cadmin/users", "/x/..%5cadmin/users", "/..%5c/admin/users",
			"/%252e/admin/users", "/%2561dmin/users", "/%252fadmin/users",
			"/admin%252fusers", "/%c0%aeadmin/users", "/%c0%ae%c0%ae/admin/users", "/%c0%afadmin/users",
			"/%e2%81%84admin/users", "/%ef%bc%8fadmin/users", "/%ef%bd%81dmin/users",
			"/admin%ef%bc%8fusers", "/%u0061dmin/users", "/x//../admin/users", "/../admin/users", "/admin%0a/users",
			"/admin%23/users", "/admin%3f/users", "/%2e%2e%2fadmin/users"} {
			a := ask(before + shop + path)
			fapwstest.Truef(t, !strings.Contains(a.Text, "secret") && a.StatusCode < 500, "%s: %d %.100q", before+shop+path,
				a.StatusCode, a.Text)
		}
	}
	for _, path := range []string{"/adm", "/x//admin/users", "/a%2fb", "/./x", "/http://h/x", "/x;y"} {
		a := ask(shop+path).Want(t, 200)
		fapwstest.Truef(t, strings.HasSuffix(a.Text, " "+shop+path), "%s: the application gets %q", shop+path, a.Text)
	}
}
