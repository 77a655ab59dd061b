package acceptance

import "testing"

// One table mixes functions, classes with verbs, WSGI applications and files.
func TestMixedTable(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := serve(t, m, "mixed.py")
		w := s.dial()
		w.get("/item/5")
		w.answer().want(t, 200, "item").field(t, "X-Path", "/item|/5")
		w.send("HEAD /item HTTP/1.1\r\nHost: x\r\n\r\n")
		w.answerTo("HEAD").want(t, 200).field(t, "X-Path", "/item|")
		w.send("DELETE /item HTTP/1.1\r\nHost: x\r\n\r\n")
		w.answer().want(t, 204)
		w.send("POST /item HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\na\nb\n")
		w.answer().want(t, 200, "<a><b>")
		w.send("PUT /item HTTP/1.1\r\nHost: x\r\n\r\n")
		w.answer().want(t, 409, "<h1>Conflict</h1>", "<p>not now</p>")
		w.send("PATCH /item HTTP/1.1\r\nHost: x\r\n\r\n")
		const allowed = "GET, HEAD, POST, PUT, DELETE, OPTIONS"
		w.answer().want(t, 405, "<h1>Method Not Allowed</h1>").field(t, "Allow", allowed)
		w.send("OPTIONS /item HTTP/1.1\r\nHost: x\r\n\r\n")
		w.answer().want(t, 204).field(t, "Allow", allowed)
		for _, c := range []struct{ path, body string }{
			{"/made", "5"},                   // one for each request to it, and none for 405 and OPTIONS
			{"/count", "1"}, {"/count", "2"}, // an object stays
		} {
			w.get(c.path) // the same connection is the same worker
			w.answer().is(t, c.body)
		}
		s.get("/wsgi/x", 200).is(t, "/wsgi|/x")
		s.get("/lambda", 200).is(t, "lambda")
		s.get("/files/page.html", 200)
		s.get("/files/mixed.py", 404) // the application's own source
		s.get("/files/nothing", 404)
		s.get("/error", 503)
		s.get("/other", 404)
	})
}

// The one application of a module has every path, and no SCRIPT_NAME.
func TestWholeApplication(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		dir := t.TempDir()
		app := write(t, dir+"/app.py", `
from fapws.base import Environ, Start_response
class Start_response(Start_response):
    def hello(self): self.add_header("X-Hello", "yes")
def app(environ, start_response):
    assert type(environ) is Environ
    start_response.hello()
    return [repr([environ[key] for key in ("SCRIPT_NAME", "PATH_INFO", "wsgi.multiprocess", "wsgi.multithread")]), __name__]
def fails(environ, start_response):
    1 / 0
if __name__ == "__main__":
    raise SystemExit("not meant to run")
`)
		s := serve(t, m, app)
		said := map[bool]string{true: "True", false: "False"}
		for _, path := range []string{"/", "/a/b"} {
			s.get(path, 200).is(t, "['', '"+path+"', "+said[m.workers()]+", "+said[!m.inline()]+"]app").field(t, "X-Hello", "yes")
		}
		s.says(`(?m)^ +WSGI app:app$`)
		s = command{dir: dir, flags: []string{"app:fails"}, complains: true}.serve(t, m)
		s.get("/x", 500)
		s.says(`error in handler app:fails, GET /x HTTP/1.1`)
	})
}

// PEP 3333 demands a plain dict, and what insists on it gets one beside
// handlers of the same script that get its Environ.
func TestEnvironOfApplications(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		app := write(t, t.TempDir()+"/app.py", `
from functools import wraps
from wsgiref.validate import validator
from fapws.base import Environ
def strict(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [type(environ).__name__.encode()]
class Middleware:
    def __init__(self, app): self.app = app
    def __call__(self, environ, start_response): return self.app(environ, start_response)
def function(app):
    def inner(environ, start_response): return app(environ, start_response)
    return inner
def decorated(handler):
    @wraps(handler)
    def inner(environ, start_response): return handler(environ, start_response)
    return inner
def own(environ, start_response): return type(environ).__name__
@decorated
def wrapped(environ, start_response): return type(environ).__name__
class Verbs:
    def get(self, environ, start_response): return type(environ).__name__
PATHS = [("/strict", validator(strict)), ("/middleware", Middleware(validator(strict))), ("/function", function(validator(strict))),
    ("/own", own), ("/wrapped", wrapped), ("/verbs", Verbs), ("/object", Verbs())]
`)
		w := serve(t, m, app).dial()
		for _, c := range []struct{ path, kind string }{
			{"/strict", "dict"}, {"/own", "Environ"}, {"/strict", "dict"}, {"/middleware", "dict"}, {"/function", "dict"},
			{"/wrapped", "Environ"}, {"/verbs", "Environ"}, {"/object", "Environ"},
		} {
			w.get(c.path)
			w.answer().is(t, c.kind)
		}
	})
}
