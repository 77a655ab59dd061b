package python_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestPathsSelectTheFirstEntryThatMatches(t *testing.T) {
	t.Parallel()
	cases := []struct{ target, entry, script, path, query string }{
		{"/a", "/a", "/a", "", ""},
		{"/a/", "/a", "/a", "/", ""},
		{"/a/b/c?q=1", "/a", "/a", "/b/c", "q=1"},
		{"/a?", "/a", "/a", "", ""},
		// SCRIPT_NAME contains only whole segments of the path, even if an entry such as /a matches /abc. The first
		// entry of PATHS that matches is used.
		{"/abc", "/a", "", "/abc", ""},
		{"/dir/", "/dir/", "/dir", "/", ""},
		{"/dir/file", "/dir/", "/dir", "/file", ""},
		{"/dir//file", "/dir/", "/dir", "//file", ""},
		{"/deep/er/x", "/deep/er", "/deep/er", "/x", ""},
		{"/deep/erst", "/deep/er", "/deep", "/erst", ""},
		{"/x/y/./v/../z", "/x/y", "/x/y", "/z", ""},
		{"//x/y//z", "/x/y", "/x/y", "/z", ""},
		// PEP 3333 requires that each character of a str is one byte (latin-1).
		{"/caf%C3%A9/%e2%82%ac", "/caf\u00e9", "/caf\u00c3\u00a9", "/\u00e2\u0082\u00ac", ""},
		{"/sp%20ace/100%25", "/sp ace", "/sp ace", "/100%", ""},
		{"/%61/b%2Fc", "/a", "/a", "/b/c", ""},
		{"/%64ir%2ffile?%41=%42", "/dir/", "/dir", "/file", "%41=%42"},
	}
	s := fapwstest.Serve(t, fapwstest.Threads, "paths.py")
	for _, c := range cases {
		got := s.Get(c.target, 200).Object(t)
		want := map[string]any{"entry": c.entry, "script": c.script, "path": c.path, "query": c.query, "raw": c.target}
		for key := range want {
			fapwstest.Equalf(t, got[key], want[key], "%s: %s", c.target, key)
		}
	}
	for _, target := range []string{"/", "/dir", "/deep/e", "/x", "/DIR/", "/b?/a"} {
		s.Get(target, 404)
	}
}

func TestPathsCatchAllEntryGetsOtherPaths(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "catchall.py")
	for target, body := range map[string]string{"/first": "first", "/": "|/", "/second/x": "|/second/x",
		"/firs": "|/firs"} {
		s.Get(target, 200).Is(t, body)
	}
}

func TestPathsThatAreInvalidEndTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct{ text, want string }{
		{"", `app.py has no PATHS, application or app; `},
		{"PATHS = []", `PATHS is empty`},
		{"PATHS = {}", `PATHS is a dict`},
		{"PATHS = [('/', print), 7]", `PATHS[1], 7: must be a tuple`},
		{"PATHS = [('/', len, 1)]", `PATHS[0], ('/', builtins.len, 1): must have 2 items`},
		{"PATHS = [(b'/', len)]", `PATHS[0], (b'/', builtins.len): the uri must be a str`},
		{"PATHS = [('x', len)]", `the uri must begin with a slash`},
		{"PATHS = [('/', 'len')]", `PATHS[0], ('/', 'len'): a str cannot be called`},
		{"async def f(e): ...\nPATHS = [('/', f)]",
			`it is async and takes neither (scope, receive, send) nor (environ, start_response)`},
		{"def f(e, s): ...\nPATHS = [('/a//b', f)]", `PATHS[0], ('/a//b', f): the uri never matches`},
		{"class V:\n def GET(self, e, s): ...\nPATHS = [('/', V)]",
			`the class V has no method get, head, post, put, patch, delete or options, and does not take ` +
				`(environ, start_response)`},
		{"class V:\n def __init__(self, *, db, x=1): ...\n def get(self, e, s): ...\nPATHS = [('/', V)]",
			`V() needs db: put an object of it into PATHS`},
		{"\ndef f(environ): ...\nPATHS = [('/ok', print), ('/', f)]",
			`/app.py, line 2) takes 1 argument; it is called with 2: (environ, start_response)`},
		{"def f(environ, start_response, db): ...\nPATHS = [('/ok', print), ('/', f)]", `PATHS[1], ('/', f): `},
		{"class C:\n def __call__(self, environ): ...\nPATHS = [('/', C())]", `an object of C (`},
		{"class C:\n def f(self, environ): ...\nPATHS = [('/', C().f)]", `takes 1 argument`},
		{"def f(environ, start_response, *, db): ...\nPATHS = [('/', f)]", `also needs db; it is called with 2`},
		{"PATHS = [('/', len)]", `PATHS[0], ('/', builtins.len): len does not fit: too many positional arguments`},
		{"class V:\n def get(self, environ): ...\nPATHS = [('/', V)]", `V.get (`},
		{"class V:\n def get(self, e, s): ...\n async def post(self): ...\nPATHS = [('/', V())]",
			`/app.py, line 3) takes no arguments; it is called with 2: (environ, start_response)`},
		{"import abc\nclass V(abc.ABC):\n @abc.abstractmethod\n def get(self, e, s): ...\nPATHS = [('/', V)]",
			`V is abstract: it lacks get`},
	} {
		fapwstest.Command{Script: fapwstest.Write(t, dir+"/app.py", c.text+"\n")}.Fails(t, 3, c.want)
	}
}

func TestPathsAcceptEveryCallable(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "callables.py")
	for _, name := range []string{"/more", "/several", "/wrapped", "/partial", "/bound", "/called", "/class", "/static",
		"/nested"} {
		s.Get(name, 200).Is(t, name)
	}
}

func TestPATHSMixesFunctionsClassesApplicationsAndFiles(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "mixed.py")
	w := s.Dial()
	w.Fetch("/item/5").Want(t, 200, "item").Field(t, "X-Path", "/item|/5")
	send := func(method, target, body string) *fapwstest.Answer {
		return w.Ask(fapwstest.Request(method, target, body))
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
	s.GetLogs("/x", 500, `error in handler app:fails, GET /x HTTP/1.1`)
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

// The global variables TIMEOUT, SERVER and THREADS are settings only if the module also has PATHS.
func TestGlobalsOfWSGIAndASGIModulesAreNotSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	globals := "TIMEOUT = 1\nTHREADS = 0\nSERVER = 'db.example.org'\nMAX_BODY_SIZE = 1\nDEBUG = 3\nROOT_PATH = '/x'\n"
	wsgi := fapwstest.Write(t, dir+"/wsgi_site.py", globals+`
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"%d %d" % (TIMEOUT, len(environ["wsgi.input"].read()))]
`)
	asgi := fapwstest.Write(t, dir+"/asgi_site.py", globals+`
async def app(scope, receive, send):
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"%d %d" % (TIMEOUT, len(body))})
`)
	for _, script := range []string{wsgi, asgi} {
		s := fapwstest.Command{Script: script, Flags: []string{"--lifespan", "off"}}.Serve(t, fapwstest.Threads)
		s.Ask(fapwstest.Request("POST", "/", "abc")).Want(t, 200).Is(t, "1 3")
	}
}
