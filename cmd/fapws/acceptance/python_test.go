package acceptance

import (
	"cmp"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// python is the interpreter that fapws was built for; `build.sh env` says which.
var python = cmp.Or(os.Getenv("PYTHON"), "/usr/bin/python3")

// needModule fails, or skips the test where the Python that fapws was built for
// is not Debian's, which has all frameworks as packages.
func needModule(t *testing.T, module string) {
	t.Helper()
	said, err := exec.Command(python, "-c", "import "+module).CombinedOutput()
	if err == nil {
		return
	}
	if strings.HasPrefix(python, "/usr/bin/") {
		t.Fatalf("%s\nsudo apt-get install python3-%s", said, module)
	}
	t.Skipf("%s has no %s", python, module)
}

// What a script sees of itself is what it would see under python3.
func TestIdentity(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		link := t.TempDir() + "/link" // ".." of it is not where it is
		if err := os.Symlink(testdata(t, "static"), link); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct{ dir, script string }{
			{".", testdata(t, "identity.py")},
			{"testdata", "identity.py"},
			{"testdata", "./../testdata/identity.py"},
			{link, "../identity.py"},
		} {
			args := []string{"one", "--two", "-t", "", "print"}
			cmd := exec.Command(python, append([]string{c.script}, args...)...)
			cmd.Dir, cmd.Env, cmd.Stderr = c.dir, cleanEnviron(), os.Stderr
			text, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			var want map[string]any
			if err := json.Unmarshal(text, &want); err != nil {
				t.Fatal(err)
			}
			s := command{flags: []string{c.script}, args: args, dir: c.dir}.serve(t, m)
			got := s.get("/", 200).object(t)
			for key := range want {
				if !reflect.DeepEqual(got[key], want[key]) {
					t.Errorf("%s in %s: %s is %v, python3 has %v", c.script, c.dir, key, got[key], want[key])
				}
			}
		}
	})
}

func TestPythonPath(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		lead := write(t, t.TempDir()+"/lead.py", "")
		s := command{script: "imports.py", env: []string{"PYTHONPATH=" + filepath.Dir(lead)}}.serve(t, m)
		s.get("/", 200).is(t, lead)
	})
}

func TestVirtualEnv(t *testing.T) {
	t.Parallel()
	venv := t.TempDir() + "/venv"
	if out, err := exec.Command(python, "-m", "venv", "--without-pip", venv).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	packages, err := filepath.Glob(venv + "/lib/python3*/site-packages")
	if err != nil || len(packages) != 1 {
		t.Fatal(packages, err)
	}
	prefix, err := exec.Command(python, "-c", "import sys; print(sys.base_prefix, end='')").Output()
	if err != nil {
		t.Fatal(err)
	}
	lead := write(t, packages[0]+"/lead.py", "")
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			s := command{script: "imports.py", env: []string{"VIRTUAL_ENV=" + venv}}.serve(t, m)
			s.get("/", 200).is(t, lead)
			// The flag wins.
			s = command{script: "identity.py", flags: []string{"--venv", venv}, env: []string{"VIRTUAL_ENV=/nowhere"}}.serve(t, m)
			if got := s.get("/", 200).object(t); got["prefix"] != venv || got["base_prefix"] != string(prefix) {
				t.Errorf("sys.prefix %v, sys.base_prefix %v", got["prefix"], got["base_prefix"])
			}
		})
	}
}

// A script that ends by itself writes what it writes under python3. fapws adds a line that
// says where that was, and ends with code 3.
func TestScriptEnds(t *testing.T) {
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
			app := write(t, t.TempDir()+"/app.py", c.text+"\n")
			cmd := exec.Command(python, app)
			var stdout, stderr strings.Builder
			cmd.Stdout, cmd.Stderr, cmd.Env = &stdout, &stderr, cleanEnviron()
			_ = cmd.Run() // that it fails is the point
			for _, m := range modes {
				code, out, said := command{flags: m.flags, script: app}.run(t)
				last, same := strings.CutPrefix(said, stderr.String())
				if code != 3 || out != stdout.String() || !same {
					t.Errorf("%s: code %d, output %q, messages %q; python3: %q, %q", m.name, code, out, said, stdout.String(), stderr.String())
				}
				oneLine(t, last, "fapws: "+app+":")
			}
		})
	}
}
