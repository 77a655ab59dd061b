package python_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

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
		text, err := cmd.Output()
		fapwstest.Must(t, err)
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

// The server checks for its Python package at the start; otherwise, a script would fail at its first request.
func TestMissingPackageEndsTheStart(t *testing.T) {
	t.Parallel()
	if fapwstest.IsWheel(t) {
		t.Skip("the package of a wheel starts it")
	}
	program := fapwstest.CopyOfProgram(t)
	folder := filepath.Dir(filepath.Dir(program))
	fapwstest.Must(t, os.RemoveAll(folder+"/contrib"))
	c := fapwstest.Command{Program: program, Script: "identity.py", Env: []string{"PYTHONNOUSERSITE=1"}}
	c.Fails(t, 3, "fapws: the Python package fapws is missing: install fapws again, or copy contrib/fapws of "+
		"the source to "+folder+"/lib/python3.")
	c.Env = append(c.Env, "PYTHONPATH="+fapwstest.Repository+"/contrib")
	c.Serve(t, fapwstest.Threads).Get("/", 200)
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
