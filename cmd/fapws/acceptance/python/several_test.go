package python_test

import (
	"fmt"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// One Python process loads only one module of each name, so two applications must not import different modules of the
// same name. They may contain such modules if only one application imports one, or be in the same directory.
func TestApplicationsWithModulesOfTheSameNameAreRejected(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"one", "two"} {
		fapwstest.Write(t, dir+"/"+name+"/app.py",
			"import helper.deep\ndef application(e, s): return s('200 OK', []) or [helper.OF]\n")
		fapwstest.Write(t, dir+"/"+name+"/other.py", "def application(e, s): return s('200 OK', []) or []\n")
		fapwstest.Write(t, dir+"/"+name+"/again.py", "import helper\ndef application(e, s): return s('200 OK', []) or []\n")
		fapwstest.Write(t, dir+"/"+name+"/helper/__init__.py", "OF = b'"+name+"'")
		fapwstest.Write(t, dir+"/"+name+"/helper/deep.py", "")
	}
	for second, want := range map[string]string{
		"two/app.py": "/two/app.py: its module helper in " + dir + "/two conflicts with the one in " + dir +
			"/one: one interpreter can load only one module of each name\n",
		"two/other.py": "", "one/again.py": "",
	} {
		file := fapwstest.Write(t, t.TempDir()+"/fapws.toml",
			fmt.Sprintf("[[host]]\nname = 'a'\napp = '%s/one/app.py'\n[[host]]\nname = 'b'\napp = '%s/%s'\n", dir, dir, second))
		code, stdout, stderr := fapwstest.Command{Flags: []string{"check", "-c", file}}.Run(t)
		if want == "" && code != 0 || want != "" && (code != 3 || !strings.Contains(stderr, want)) {
			t.Errorf("%s: code %d, %s%s", second, code, stdout, stderr)
		}
	}
}

func TestSeveralApplicationsRunInOnePython(t *testing.T) {
	t.Parallel()
	const app = `
from fapws.base import Environ as Base
import neighbour_WHO

class Environ(Base):
    whose = "WHO"

def page(environ, start_response):
    return f"{environ.whose} {neighbour_WHO.OF} {__name__} {environ['SCRIPT_NAME']!r}"

def fails(environ, start_response):
    raise ValueError("in WHO")

def size(environ, start_response):
    return str(len(environ["wsgi.input"].read()))

PATHS = [("/fails", fails), ("/size", size), ("/", page)]
`
	const conf = `app = "one/app.py"
[[host]]
name = "two.lan"
app = "two/app.py"
[[host]]
name = "three.lan"
app = "package.three:application"
[[host.route]]
prefix = "/shop"
app = "two/app.py"
`
	dir := t.TempDir()
	for _, name := range []string{"one", "two"} {
		// MAX_BODY_SIZE of the first application is the default for all paths. MAX_BODY_SIZE of the second application
		// applies only to its own paths.
		limit := map[string]string{"one": "MAX_BODY_SIZE = 2000\n", "two": "MAX_BODY_SIZE = '1K'\n"}[name]
		fapwstest.Write(t, dir+"/"+name+"/app.py", limit+strings.ReplaceAll(app, "WHO", name))
		fapwstest.Write(t, dir+"/"+name+"/neighbour_"+name+".py", "OF = '"+name+"'")
	}
	fapwstest.Write(t, dir+"/package/__init__.py", "")
	fapwstest.Write(t, dir+"/package/three.py",
		"def application(environ, start_response):\n    start_response('200 OK', [])\n    return "+
			"[type(environ).__name__.encode()]\n")
	file := fapwstest.Write(t, dir+"/fapws.toml", conf)
	c := fapwstest.Command{Flags: []string{"-c", file}, Complains: true}
	s := c.Serve(t, fapwstest.Workers)
	check := func() {
		t.Helper()
		for _, tt := range []struct{ host, path, want string }{
			{"one.lan", "/", "one one __main__ ''"},
			{"two.lan", "/", "two two app ''"},
			{"three.lan", "/", "dict"},
			{"three.lan", "/shop/", "two two app '/shop'"},
		} {
			s.Ask("GET "+tt.path+" HTTP/1.1\r\nHost: "+tt.host+"\r\nConnection: close\r\n\r\n").Want(t, 200).Is(t, tt.want)
		}
	}
	check()
	for _, tt := range []struct {
		host, path   string
		size, status int
	}{
		{"one.lan", "/size", 2000, 200}, {"one.lan", "/size", 2001, 413}, {"two.lan", "/size", 1024, 200},
		{"two.lan", "/size", 1025, 413},
		{"three.lan", "/shop/size", 1024, 200}, {"three.lan", "/shop/size", 1025, 413}, {"three.lan", "/", 1025, 200},
		{"three.lan", "/", 2001, 413},
	} {
		body := strings.Repeat("x", tt.size)
		s.Ask(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", tt.path,
			tt.host, len(body), body)).Want(t, tt.status)
	}
	s.Ask("GET /fails HTTP/1.1\r\nHost: two.lan\r\nConnection: close\r\n\r\n").Want(t, 500)
	s.Says(`error in handler app\.fails, GET /fails[^\n]*\n(?s:.*)two/app\.py(?s:.*)ValueError: in two`)
	s.Reload()
	check()

	routes := fapwstest.Command{Flags: []string{"routes", "-c", file}}
	stdout := routes.Succeeds(t)
	for _, want := range []string{"one/app.py:\nPATH", "two/app.py:\nPATH", "package.three:application:\nPATH",
		"app.page", "package.three:application\n"} {
		fapwstest.Truef(t, strings.Contains(stdout, want), "routes lacks %q:\n%s", want, stdout)
	}

	for text, want := range map[string]string{
		"PATHS = [('/', 7)]\n": "two/app.py: PATHS[0]",
		"MAX_BODY_SIZE = -1\nPATHS = [('/', lambda e, s: '')]\n": "two/app.py: MAX_BODY_SIZE is -1: must be",
	} {
		fapwstest.Write(t, dir+"/two/app.py", text)
		code, _, stderr := fapwstest.Command{Flags: []string{"check", "-c", file}}.Run(t)
		fapwstest.Truef(t, code != 0 && strings.Count(stderr, "\n") == 1 && strings.Contains(stderr, want),
			"check: code %d, %q", code, stderr)
	}
}
