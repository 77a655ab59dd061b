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
			if got[key] != want[key] {
				t.Errorf("%s: %s is %q, want %q", c.target, key, got[key], want[key])
			}
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
		{"PATHS = [('/', len, 1)]", `PATHS[0], ('/', <built-in function len>, 1): must have 2 items`},
		{"PATHS = [(b'/', len)]", `PATHS[0], (b'/', <built-in function len>): the uri must be a str`},
		{"PATHS = [('x', len)]", `the uri must begin with a slash`},
		{"PATHS = [('/', 'len')]", `PATHS[0], ('/', 'len'): a str cannot be called`},
		{"async def f(e): ...\nPATHS = [('/', f)]",
			`it is async and takes neither (scope, receive, send) nor (environ, start_response)`},
		{"def f(e, s): ...\nPATHS = [('/a//b', f)]", `PATHS[0], ('/a//b', <function f at`},
		{"class V:\n def GET(self, e, s): ...\nPATHS = [('/', V)]",
			`the class V has no method get, head, post, put, patch, delete or options, and does not take ` +
				`(environ, start_response)`},
		{"class V:\n def __init__(self, *, db, x=1): ...\n def get(self, e, s): ...\nPATHS = [('/', V)]",
			`V() needs db: put an object of it into PATHS`},
		{"\ndef f(environ): ...\nPATHS = [('/ok', print), ('/', f)]",
			`/app.py, line 2) takes 1 argument; it is called with 2: (environ, start_response)`},
		{"def f(environ, start_response, db): ...\nPATHS = [('/ok', print), ('/', f)]",
			`PATHS[1], ('/', <function f at `},
		{"class C:\n def __call__(self, environ): ...\nPATHS = [('/', C())]", `an object of C (`},
		{"class C:\n def f(self, environ): ...\nPATHS = [('/', C().f)]", `takes 1 argument`},
		{"def f(environ, start_response, *, db): ...\nPATHS = [('/', f)]", `also needs db; it is called with 2`},
		{"PATHS = [('/', len)]",
			`PATHS[0], ('/', <built-in function len>): len does not fit: too many positional arguments`},
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
