package python_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// python returns a command that runs program in an environment in which Python can import fapws and PATH contains the
// fapws executable.
func python(t *testing.T, dir, program string, args ...string) *exec.Cmd {
	t.Helper()
	contrib := fapwstest.Try(filepath.Abs(fapwstest.Repository + "/contrib")).Must(t)
	c := exec.Command(program, args...)
	c.Dir = dir
	c.Env = append(fapwstest.CleanEnviron(), "PYTHONPATH="+contrib, "PYTHONDONTWRITEBYTECODE=1",
		"PATH="+filepath.Dir(fapwstest.Binary(t))+":"+os.Getenv("PATH"))
	return c
}

const mainScript = `
import sys
import fapws

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join(["Hello from", __name__] + sys.argv[1:]).encode()]

print("loaded as", __name__, flush=True)
`

// The Python of a virtual environment is named by its path, and another environment is active.
func TestScriptStartsTheServerAndIsThenServed(t *testing.T) {
	t.Parallel()
	env := t.TempDir()
	out, err := exec.Command(fapwstest.Python, "-m", "venv", "--without-pip", env).CombinedOutput()
	fapwstest.Mustf(t, err, "%s", out)
	fapwstest.Write(t, fapwstest.Try(filepath.Glob(env + "/lib/*/site-packages")).Must(t)[0]+"/only_here.py", "")
	for name, call := range map[string]string{
		"object":    "fapws.run(app, bind='127.0.0.1:0', allow_root=True, access_log=False, timeout=None)",
		"unguarded": "fapws.run('main:app', bind=['127.0.0.1:0'], allow_root=True)\nprint('after', flush=True)",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if name == "object" {
				call = "if __name__ == '__main__':\n    " + call
			}
			fapwstest.Write(t, dir+"/main.py", "import only_here\n"+mainScript+call+"\n")
			c, out := python(t, dir, env+"/bin/python", "main.py", "one", "two"), fapwstest.NewOutput()
			c.Env = append(c.Env, "VIRTUAL_ENV="+dir)
			if name == "unguarded" { // modules next to the script are found from everywhere
				c.Dir, c.Args[1] = t.TempDir(), dir+"/main.py"
			}
			c.Stdout, c.Stderr = out, out
			fapwstest.Must(t, c.Start())
			t.Cleanup(func() {
				_ = c.Process.Signal(os.Interrupt)
				fapwstest.Equal(t, c.Wait(), nil)
			})
			r := fapwstest.Try(http.Get("http://" + out.Await(t, fapwstest.BannerURL)[1])).Must(t)
			defer r.Body.Close()
			text, err := io.ReadAll(r.Body)
			fapwstest.Truef(t, err == nil && string(text) == "Hello from main one two", "%v; %q", err, text)
			files, _ := os.ReadDir(dir)
			fapwstest.Equalf(t, len(files), 1, "files")
			if text := out.String(); strings.Count(text, "loaded as __main__") != 1 ||
				strings.Count(text, "after") != strings.Count(call, "after") {
				t.Errorf("the script ran in another way:\n%s", text)
			}
		})
	}
}

// The message names the way out, which serves the application of a function.
func TestScriptWithAnApplicationThatCannotBeImportedIsToldSo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const inside = "def main():\n    app = lambda environ, start_response: []\n    fapws.run(app)\nmain()"
	fapwstest.Write(t, dir+"/main.py", "import fapws\n"+inside+"\n")
	for _, args := range [][]string{{"main.py"}, {"-c", "import fapws\napp = lambda _, __: []\nfapws.run(app)"}} {
		text, err := python(t, dir, fapwstest.Python, args...).CombinedOutput()
		fapwstest.Truef(t, err != nil && strings.Contains(string(text), "ValueError: run: no module has <function ") &&
			strings.HasSuffix(string(text), "fapws.run('main:create_app', factory=True)\n"), "%v: %s", err, text)
	}
	fapwstest.Write(t, dir+"/main.py", `
import fapws

def create_app():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"made"]
    return app

def main():
    fapws.run('main:create_app', factory=True, bind="127.0.0.1:0", allow_root=True)

if __name__ == "__main__":
    main()
`)
	c, out := python(t, dir, fapwstest.Python, "main.py"), fapwstest.NewOutput()
	c.Stdout, c.Stderr = out, out
	fapwstest.Must(t, c.Start())
	t.Cleanup(func() {
		_ = c.Process.Signal(os.Interrupt)
		fapwstest.Equal(t, c.Wait(), nil)
	})
	r := fapwstest.Try(http.Get("http://" + out.Await(t, fapwstest.BannerURL)[1])).Must(t)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	fapwstest.Truef(t, err == nil && string(text) == "made", "%v; %q", err, text)
}

func TestServerRunsInTestsOfPytest(t *testing.T) {
	t.Parallel()
	venv, dir := fapwstest.Today(t), t.TempDir()
	fapwstest.Write(t, dir+"/conftest.py", "pytest_plugins = 'fapws.testing'\n")
	fapwstest.Write(t, dir+"/main.py", mainScript)
	fapwstest.Write(t, dir+"/test_main.py", `
import os
import urllib.error
from urllib.request import urlopen

from fapws.testing import serve

pids = []


def test_fixture(fapws_server):
    server = fapws_server("main:app", workers=2, env={"MINE": "yes"})
    assert urlopen(server.url + "/").read() == b"Hello from main"
    pids.append(server.process.pid)
    assert fapws_server("main:app").port != server.port


def test_fixture_has_stopped():
    assert not os.path.exists("/proc/%d" % pids[0])


def test_context_and_failure():
    with serve("main:app", threads=1) as server:
        assert urlopen(server.url).status == 200
    assert server.stop() == 0
    assert "loaded as main" in server.output()
    with serve("missing:app") as server:
        try:
            urlopen(server.url)
        except urllib.error.URLError:
            pass
        assert server.process.wait() != 0
        assert "no module named missing" in server.output()
`)
	out, err := python(t, dir, venv+"/bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error").
		CombinedOutput()
	fapwstest.Truef(t, err == nil && strings.Contains(string(out), "3 passed"), "%v:\n%s", err, out)
}

func TestScriptHasTheSameIdentityAsUnderPython3(t *testing.T) {
	t.Parallel()
	// The directory is a symbolic link, so ".." is the parent of the directory to which the link points.
	link := t.TempDir() + "/link"
	fapwstest.Must(t, os.Symlink(fapwstest.Testdata(t, "asgi"), link))
	for _, c := range []struct {
		mode        fapwstest.Mode
		dir, script string
	}{
		{fapwstest.Workers, ".", fapwstest.Testdata(t, "identity.py")},
		{fapwstest.Threads, "testdata", "identity.py"},
		{fapwstest.Threads, "testdata", "./../testdata/identity.py"},
		{fapwstest.Workers, link, "../identity.py"},
	} {
		args := []string{"one", "--two", "-t", "", "print"}
		cmd := exec.Command(fapwstest.InstalledPython(t), append([]string{c.script}, args...)...)
		cmd.Dir, cmd.Env, cmd.Stderr = c.dir, fapwstest.CleanEnviron(), os.Stderr
		text := fapwstest.Try(cmd.Output()).Must(t)
		var want map[string]any
		fapwstest.Must(t, json.Unmarshal(text, &want))
		s := fapwstest.Command{Flags: []string{c.script}, Args: args, Dir: c.dir}.Serve(t, c.mode)
		have(t, c.script+" in "+c.dir, s.Get("/", 200).Object(t), want)
	}
}

func TestPYTHONPATHIsUsed(t *testing.T) {
	t.Parallel()
	lead := fapwstest.Write(t, t.TempDir()+"/lead.py", "")
	s := fapwstest.Command{Script: "imports.py", Env: []string{"PYTHONPATH=" + filepath.Dir(lead)}}.Serve(t,
		fapwstest.Workers)
	s.Get("/", 200).Is(t, lead)
}

// The executable contains its Python package, so one file is enough. Tracebacks show lines of this package.
func TestExecutableContainsItsPackage(t *testing.T) {
	t.Parallel()
	program := fapwstest.CopyOfProgram(t)
	script := fapwstest.Write(t, t.TempDir()+"/app.py", `
import fapws, fapws4.base, sys
from fapws.contrib import headers

def app(environ, start_response):
    if environ["PATH_INFO"] == "/fails":
        fapws.channel(3)
    start_response("200 OK", [])
    return [str(getattr(fapws, "__file__", None)).encode()]
`)
	s := fapwstest.Command{Program: program, Script: script, Complains: true}.Serve(t, fapwstest.Threads)
	s.Get("/", 200).Is(t, "None")
	s.Get("/fails", 500)
	s.Says(`(?m)^  File "<fapws>\._channels", line \d+, in channel\n    \S.*\n`)
}

// A cross build, and an update of the shared libpython, can have bytecode of a different Python.
func TestPackageWithBytecodeOfAnotherPythonIsCompiled(t *testing.T) {
	t.Parallel()
	program := fapwstest.CopyOfProgram(t)
	image := fapwstest.Image(program)
	text := fapwstest.Read(t, image)
	at := regexp.MustCompile(`fapws 2\x00[^\x00]{2}\r\n`).FindStringIndex(text)
	fapwstest.Needf(t, at != nil, "%s has no archive", image)
	other := fapwstest.Write(t, image+".other", text[:at[0]]+"fapws 2\x00\x01\x02\r\n"+text[at[1]:])
	fapwstest.Must(t, os.Chmod(other, 0o755))
	fapwstest.Must(t, os.Rename(other, image))
	script := fapwstest.Write(t, t.TempDir()+"/app.py", `
import fapws

def app(environ, start_response):
    fapws.channel(3)
`)
	s := fapwstest.Command{Program: program, Script: script, Complains: true}.Serve(t, fapwstest.Threads)
	s.Get("/", 500)
	s.Says(`(?m)^  File "<fapws>\._channels", line \d+, in channel\n    \S.*\n`)
}

// Stacks in the log begin with the application, and not with the package that calls it.
func TestStackOfAnAsyncHandlerHasNoFrameOfThePackage(t *testing.T) {
	t.Parallel()
	script := fapwstest.Write(t, t.TempDir()+"/app.py", `
import time

async def app(scope, receive, send):
    time.sleep(1.5)
`)
	s := fapwstest.Command{Script: script, Complains: true,
		Flags: []string{"--interface", "asgi", "--lifespan", "off", "--timeout", "500ms"}}.Serve(t, fapwstest.Threads)
	s.Get("/", 504)
	s.Says(`timed out after .* which blocks the asyncio thread; stack:\n  File "\S+app.py", line 5, in app`)
	fapwstest.Lacks(t, s.Stderr.String(), "<fapws>")
}

func TestSourceOfThePackageReplacesTheArchive(t *testing.T) {
	t.Parallel()
	script := fapwstest.Write(t, t.TempDir()+"/app.py", `
import fapws

def app(environ, start_response):
    start_response("200 OK", [])
    return [fapws.__file__.encode()]
`)
	contrib := fapwstest.Try(filepath.Abs(fapwstest.Repository + "/contrib")).Must(t)
	c := fapwstest.Command{Script: script, Env: []string{"_FAPWS_PACKAGE=" + contrib}}
	c.Serve(t, fapwstest.Threads).Get("/", 200).Is(t, contrib+"/fapws/__init__.py")
	c.Env = []string{"_FAPWS_PACKAGE=/nowhere"}
	c.Fails(t, 3, "fapws: _FAPWS_PACKAGE=/nowhere: there is no package fapws; unset the variable")
}

func TestVirtualEnvIsUsed(t *testing.T) {
	t.Parallel()
	venv := t.TempDir() + "/venv"
	out, err := exec.Command(fapwstest.Python, "-m", "venv", "--without-pip", venv).CombinedOutput()
	fapwstest.Mustf(t, err, "%s", out)
	packages, err := filepath.Glob(venv + "/lib/python3*/site-packages")
	fapwstest.Needf(t, err == nil && len(packages) == 1, "%v %v", packages, err)
	prefix, err := exec.Command(fapwstest.Python, "-c", "import sys; print(sys.base_prefix, end='')").Output()
	fapwstest.Must(t, err)
	lead := fapwstest.Write(t, packages[0]+"/lead.py", "")
	s := fapwstest.Command{Script: "imports.py", Env: []string{"VIRTUAL_ENV=" + venv}}.Serve(t, fapwstest.Workers)
	s.Get("/", 200).Is(t, lead)
	s = fapwstest.Command{Script: "identity.py", Flags: []string{"--venv", venv},
		Env: []string{"VIRTUAL_ENV=/nowhere"}}.Serve(t, fapwstest.Threads)
	have(t, "identity", s.Get("/", 200).Object(t), dict{"prefix": venv, "base_prefix": string(prefix)})
}

// The messages are the same as with python3, and the exit status is 3.
func TestScriptThatEndsIsReportedWithItsPosition(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text string }{
		{"raise", "def f():\n    raise ValueError('no')\nf()"},
		{"syntax", "x = 1\ndef f(:\n    pass"},
		{"exit 5", "import sys; sys.exit(5)"},
		{"exit text", "import sys; print('out'); sys.exit('text')"},
		{"exit none", "import sys; sys.exit()"},
		{"exit 300", "raise SystemExit(300)"},
		{"exit bool", "raise SystemExit(True)"},
		{"import", "import no_such_module"},
		{"chained", "try:\n    1/0\nexcept ZeroDivisionError as e:\n    raise KeyError('k') from e"},
		{"encoding", "# -*- coding: latin-1 -*-\nraise ValueError('\xe9')"},
		{"byte order mark", "\ufeffraise ValueError('\u20ac')"},
		{"atexit", "import atexit; atexit.register(print, 'bye'); raise SystemExit(4)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			app := fapwstest.Write(t, t.TempDir()+"/app.py", c.text+"\n")
			cmd := exec.Command(fapwstest.Python, app)
			var stdout, stderr strings.Builder
			cmd.Stdout, cmd.Stderr, cmd.Env = &stdout, &stderr, fapwstest.CleanEnviron()
			_ = cmd.Run()
			modes := []fapwstest.Mode{fapwstest.Threads}
			if c.name == "raise" || c.name == "exit text" {
				modes = append(modes, fapwstest.Workers)
			}
			for _, m := range modes {
				code, out, said := fapwstest.Command{Flags: m.Flags, Script: app}.Run(t)
				last, same := strings.CutPrefix(said, stderr.String())
				fapwstest.Truef(t, code == 3 && out == stdout.String() && same,
					"%s: code %d, output %q, messages %q; python3: %q, %q", m.Name, code, out, said, stdout.String(), stderr.String())
				fapwstest.OneLine(t, last, "fapws: "+app+":")
			}
		})
	}
}

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
		"two/app.py": "/two/app.py: its module helper (" + dir + "/two/helper/__init__.py) conflicts with " + dir +
			"/one/helper/__init__.py, which " + dir + "/one/app.py uses: one interpreter can load only one of them",
		"two/other.py": "", "one/again.py": "",
	} {
		file := fapwstest.Write(t, t.TempDir()+"/fapws.toml",
			fmt.Sprintf("[[host]]\nname = 'a'\napp = '%s/one/app.py'\n[[host]]\nname = 'b'\napp = '%s/%s'\n", dir, dir, second))
		code, stdout, stderr := fapwstest.Command{Flags: []string{"check", "-c", file, "--bind", "127.0.0.1:0"}}.Run(t)
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
route = [{ prefix = "/shop", app = "two/app.py" }]
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
	s := fapwstest.Command{Flags: []string{"-c", file}, Complains: true}.Serve(t, fapwstest.Workers)
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

	stdout := fapwstest.Command{Flags: []string{"routes", "-c", file}}.Succeeds(t)
	fapwstest.Has(t, stdout, "one/app.py:\nPATH", "two/app.py:\nPATH", "package.three:application:\nPATH", "app.page",
		"package.three:application\n")

	for text, want := range map[string]string{
		"PATHS = [('/', 7)]\n": "two/app.py: PATHS[0]",
		"MAX_BODY_SIZE = -1\nPATHS = [('/', lambda e, s: '')]\n": "two/app.py: MAX_BODY_SIZE is -1: must be",
	} {
		fapwstest.Write(t, dir+"/two/app.py", text)
		code, _, stderr := fapwstest.Command{Flags: []string{"check", "-c", file, "--bind", "127.0.0.1:0"}}.Run(t)
		fapwstest.Truef(t, code != 0 && strings.Count(stderr, "\n") == 1 && strings.Contains(stderr, want),
			"check: code %d, %q", code, stderr)
	}
}
