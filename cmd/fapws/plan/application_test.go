package plan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fapws/cmd/fapws/settings"
	"fapws/runtime/checktest"
)

func TestApplicationIsFoundInTheDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"app.py": "app", "paths.py": "x = 1\nPATHS = []", "comment.py": "# my_PATHS",
		"config.py": "# no PATHS\nx = s.PATHS or d['PATHS'] # or PATHS",
		"import.py": "from a import (b,\r\n\tPATHS)", "old.py": "#\rPATHS=[]", "wsgi": "no suffix",
		"a.b/c.py":        "dotted",
		"pkg/__init__.py": "pkg", "pkg/mod.py": "pkg.mod", "other/far.py": "far", "folder/x.txt": "",
	} {
		checktest.Must(t, os.MkdirAll(filepath.Dir(name), 0o755))
		checktest.Must(t, os.WriteFile(name, []byte(text), 0o644))
	}
	for _, tt := range []struct{ name, want string }{
		{"app.py", "imports script app.py: app"},
		{"./app.py:app.x", "imports script ./app.py, object app.x: app"},
		{"app", "imports module app: app"},
		{"app:app", "imports module app, object app: app"},
		{"app:make()", "imports module app, object make(): app"},
		{"wsgi", "imports script wsgi: no suffix"},
		{"a.b/c.py", "imports script a.b/c.py: dotted"},
		{"paths.py", "runs script paths.py: x = 1\nPATHS = []"},
		{"paths.py:app", "imports script paths.py, object app: x = 1\nPATHS = []"},
		{"--interface=wsgi paths.py", "imports script paths.py: x = 1\nPATHS = []"},
		{"--factory paths.py", "imports script paths.py: x = 1\nPATHS = []"},
		{"paths", "imports module paths: x = 1\nPATHS = []"},
		{"comment.py", "imports script comment.py: # my_PATHS"},
		{"config.py", "imports script config.py: # no PATHS\nx = s.PATHS or d['PATHS'] # or PATHS"},
		{"import.py", "runs script import.py: from a import (b,\r\n\tPATHS)"},
		{"old.py", "runs script old.py: #\rPATHS=[]"},
		{"pkg", "imports module pkg: pkg"},
		{"pkg.mod:f", "imports module pkg.mod, object f: pkg.mod"},
		{"far", "imports module far: "},
		{"--pythonpath=other far", "imports module far: far"},
		{"missing", "imports module missing: "},
		{"folder", "cannot read folder: is a directory"},
		{"missing.py", "cannot read missing.py: no such file or directory; correct the name, or create it"},
		{"not-a-name", "cannot read not-a-name: no such file or directory; correct the name, or create it"},
		{"app:make(", "cannot read app:make(: no such file or directory; app: must be followed by the name of an " +
			"object, not \"make(\""},
	} {
		cmd := checktest.Try(settings.ParseCommand(strings.Fields(tt.name))).Must(t)
		set := checktest.Try(settings.New(cmd.Flags, func(string) (string, bool) { return "", false })).Must(t)
		conf, _ := set.Config()
		got := ""
		if a, err := findApplication(cmd.Script, "", conf); err != nil {
			got = err.Error()
		} else {
			got = map[bool]string{true: "imports ", false: "runs "}[a.Import]
			if a.Script != "" {
				got += "script " + a.Script
			} else {
				got += "module " + a.Module
			}
			if a.Object != "" {
				got += ", object " + a.Object
			}
			got += ": " + string(a.Source)
		}
		checktest.Equalf(t, got, tt.want, "%s", tt.name)
	}
}
