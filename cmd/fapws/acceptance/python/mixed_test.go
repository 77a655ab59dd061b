package python_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestPATHSMixesFunctionsClassesApplicationsAndFiles(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "mixed.py")
	w := s.Dial()
	w.Fetch("/item/5").Want(t, 200, "item").Field(t, "X-Path", "/item|/5")
	send := func(method, target, body string) *fapwstest.Answer {
		w.Send(fapwstest.Request(method, target, body))
		return w.AnswerTo(method)
	}
	send("HEAD", "/item", "").Want(t, 200).Field(t, "X-Path", "/item|")
	send("DELETE", "/item", "").Want(t, 204)
	send("POST", "/item", "a\nb\n").Want(t, 200, "<a><b>")
	send("PUT", "/item", "").Want(t, 409, "<h1>Conflict</h1>", "<p>not now</p>")
	const allowed = "GET, HEAD, POST, PUT, DELETE, OPTIONS"
	send("PATCH", "/item", "").Want(t, 405, "<h1>Method Not Allowed</h1>").Field(t, "Allow", allowed)
	send("OPTIONS", "/item", "").Want(t, 204).Field(t, "Allow", allowed)
	send("HEAD", "/own", "").Want(t, 200).Field(t, "X-By", "head")
	send("OPTIONS", "/own", "").Want(t, 204).Field(t, "X-By", "options")
	send("POST", "/own", "x").Want(t, 405).Field(t, "Allow", "HEAD, OPTIONS")
	for _, c := range []struct{ path, body string }{
		// The server creates an object of the class for each request, except for a 405 response and for OPTIONS.
		{"/made", "5"},
		{"/count", "1"}, {"/count", "2"},
	} {
		w.Fetch(c.path).Is(t, c.body)
	}
	s.Get("/wsgi/x", 200).Is(t, "/wsgi|/x")
	s.Get("/lambda", 200).Is(t, "lambda")
	s.Get("/files/page.html", 200)
	s.Get("/files/mixed.py", 404)
	s.Get("/files/nothing", 404)
	s.Get("/error", 503)
	s.Get("/other", 404)
}

func TestApplicationOfAModuleGetsEveryPath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	app := fapwstest.Write(t, dir+"/app.py", `
from fapws.base import Environ, Start_response
class Start_response(Start_response):
    def hello(self): self.add_header("X-Hello", "yes")
def app(environ, start_response):
    assert type(environ) is Environ
    start_response.hello()
    keys = "SCRIPT_NAME", "PATH_INFO", "wsgi.multiprocess", "wsgi.multithread"
    return [repr([environ[key] for key in keys]), __name__]
def fails(environ, start_response):
    1 / 0
if __name__ == "__main__":
    raise SystemExit("not meant to run")
`)
	s := fapwstest.Serve(t, fapwstest.Threads, app)
	for _, path := range []string{"/", "/a/b"} {
		s.Get(path, 200).Is(t, "['', '"+path+"', False, True]app").Field(t, "X-Hello", "yes")
	}
	s.Says(`(?m)^ +WSGI app:app$`)
	s = fapwstest.Command{Dir: dir, Flags: []string{"app:fails"}, Complains: true}.Serve(t, fapwstest.Threads)
	s.Get("/x", 500)
	s.Says(`error in handler app:fails, GET /x HTTP/1.1`)
}

// PEP 3333 requires that environ is a dict, not an object of a subclass. Applications that may rely on this get a dict,
// and other handlers of the same script get an object of the subclass Environ.
func TestApplicationThatNeedsAPlainDictGetsIt(t *testing.T) {
	t.Parallel()
	app := fapwstest.Write(t, t.TempDir()+"/app.py", `
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
PATHS = [
    ("/strict", validator(strict)), ("/middleware", Middleware(validator(strict))),
    ("/function", function(validator(strict))), ("/own", own), ("/wrapped", wrapped), ("/verbs", Verbs),
    ("/object", Verbs()),
]
`)
	w := fapwstest.Serve(t, fapwstest.Threads, app).Dial()
	for _, c := range []struct{ path, kind string }{
		{"/strict", "dict"}, {"/own", "Environ"}, {"/strict", "dict"}, {"/middleware", "dict"}, {"/function", "dict"},
		{"/wrapped", "Environ"}, {"/verbs", "Environ"}, {"/object", "Environ"},
	} {
		w.Fetch(c.path).Is(t, c.kind)
	}
}
