package plan

import (
	"os"
	"path/filepath"
	"testing"

	"fapws/cmd/fapws/settings"
)

func TestFindApplication(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"app.py": "app", "paths.py": "x = 1\nPATHS = []", "comment.py": "# my_PATHS", "config.py": "# no PATHS\nx = s.PATHS or d['PATHS'] # or PATHS",
		"import.py": "from a import (b,\r\n\tPATHS)", "old.py": "#\rPATHS=[]", "wsgi": "no suffix", "a.b/c.py": "dotted",
		"pkg/__init__.py": "pkg", "pkg/mod.py": "pkg.mod", "other/far.py": "far", "folder/x.txt": "",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name   string
		conf   settings.Config
		want   Application
		asMain bool
		fails  bool
	}{
		{name: "app.py", want: Application{script: "app.py", Source: []byte("app")}},
		{name: "./app.py:app.x", want: Application{script: "./app.py", object: "app.x", Source: []byte("app")}},
		{name: "app", want: Application{module: "app", Source: []byte("app")}},
		{name: "app:app", want: Application{module: "app", object: "app", Source: []byte("app")}},
		{name: "wsgi", want: Application{script: "wsgi", Source: []byte("no suffix")}},
		{name: "a.b/c.py", want: Application{script: "a.b/c.py", Source: []byte("dotted")}},
		{name: "paths.py", want: Application{script: "paths.py", Source: []byte("x = 1\nPATHS = []")}, asMain: true},
		{name: "paths.py:app", want: Application{script: "paths.py", object: "app", Source: []byte("x = 1\nPATHS = []")}},
		{name: "paths.py", conf: settings.Config{Interface: "wsgi"}, want: Application{script: "paths.py", Source: []byte("x = 1\nPATHS = []")}},
		{name: "paths.py", conf: settings.Config{Factory: true}, want: Application{script: "paths.py", Source: []byte("x = 1\nPATHS = []")}},
		{name: "paths", want: Application{module: "paths", Source: []byte("x = 1\nPATHS = []")}},
		{name: "comment.py", want: Application{script: "comment.py", Source: []byte("# my_PATHS")}},
		{name: "config.py", want: Application{script: "config.py", Source: []byte("# no PATHS\nx = s.PATHS or d['PATHS'] # or PATHS")}},
		{name: "import.py", want: Application{script: "import.py", Source: []byte("from a import (b,\r\n\tPATHS)")}, asMain: true},
		{name: "old.py", want: Application{script: "old.py", Source: []byte("#\rPATHS=[]")}, asMain: true},
		{name: "pkg", want: Application{module: "pkg", Source: []byte("pkg")}},
		{name: "pkg.mod:f", want: Application{module: "pkg.mod", object: "f", Source: []byte("pkg.mod")}},
		{name: "far", want: Application{module: "far"}},
		{name: "far", conf: settings.Config{PythonPath: []string{"other"}}, want: Application{module: "far", Source: []byte("far")}},
		{name: "missing", want: Application{module: "missing"}},
		{name: "folder", fails: true},
		{name: "missing.py", fails: true},
		{name: "not-a-name", fails: true},
		{name: "app:make()", fails: true},
	} {
		got, err := FindApplication(tt.name, "", tt.conf)
		if tt.fails {
			if err == nil {
				t.Errorf("%s: found %+v", tt.name, got)
			}
			continue
		}
		if err != nil || got.script != tt.want.script || got.module != tt.want.module || got.object != tt.want.object ||
			string(got.Source) != string(tt.want.Source) {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
		if got.runsAsMain(tt.conf) != tt.asMain {
			t.Errorf("%s: runs as main: %v", tt.name, !tt.asMain)
		}
	}
}
