package main

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
		want   application
		asMain bool
		fails  bool
	}{
		{name: "app.py", want: application{script: "app.py", source: []byte("app")}},
		{name: "./app.py:app.x", want: application{script: "./app.py", object: "app.x", source: []byte("app")}},
		{name: "app", want: application{module: "app", source: []byte("app")}},
		{name: "app:app", want: application{module: "app", object: "app", source: []byte("app")}},
		{name: "wsgi", want: application{script: "wsgi", source: []byte("no suffix")}},
		{name: "a.b/c.py", want: application{script: "a.b/c.py", source: []byte("dotted")}},
		{name: "paths.py", want: application{script: "paths.py", source: []byte("x = 1\nPATHS = []")}, asMain: true},
		{name: "paths.py:app", want: application{script: "paths.py", object: "app", source: []byte("x = 1\nPATHS = []")}},
		{name: "paths.py", conf: settings.Config{Interface: "wsgi"}, want: application{script: "paths.py", source: []byte("x = 1\nPATHS = []")}},
		{name: "paths.py", conf: settings.Config{Factory: true}, want: application{script: "paths.py", source: []byte("x = 1\nPATHS = []")}},
		{name: "paths", want: application{module: "paths", source: []byte("x = 1\nPATHS = []")}},
		{name: "comment.py", want: application{script: "comment.py", source: []byte("# my_PATHS")}},
		{name: "config.py", want: application{script: "config.py", source: []byte("# no PATHS\nx = s.PATHS or d['PATHS'] # or PATHS")}},
		{name: "import.py", want: application{script: "import.py", source: []byte("from a import (b,\r\n\tPATHS)")}, asMain: true},
		{name: "old.py", want: application{script: "old.py", source: []byte("#\rPATHS=[]")}, asMain: true},
		{name: "pkg", want: application{module: "pkg", source: []byte("pkg")}},
		{name: "pkg.mod:f", want: application{module: "pkg.mod", object: "f", source: []byte("pkg.mod")}},
		{name: "far", want: application{module: "far"}},
		{name: "far", conf: settings.Config{PythonPath: []string{"other"}}, want: application{module: "far", source: []byte("far")}},
		{name: "missing", want: application{module: "missing"}},
		{name: "folder", fails: true},
		{name: "missing.py", fails: true},
		{name: "not-a-name", fails: true},
		{name: "app:make()", fails: true},
	} {
		got, err := findApplication(tt.name, "", tt.conf)
		if tt.fails {
			if err == nil {
				t.Errorf("%s: found %+v", tt.name, got)
			}
			continue
		}
		if err != nil || got.script != tt.want.script || got.module != tt.want.module || got.object != tt.want.object ||
			string(got.source) != string(tt.want.source) {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
		if got.runsAsMain(tt.conf) != tt.asMain {
			t.Errorf("%s: runs as main: %v", tt.name, !tt.asMain)
		}
	}
}
