package plan

import (
	"os"
	"path/filepath"
	"testing"

	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
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
		{name: "app.py", want: Application{Application: pybridge.Application{Script: "app.py"}, Source: []byte("app")}},
		{name: "./app.py:app.x", want: Application{Application: pybridge.Application{Script: "./app.py",
			Object: "app.x"}, Source: []byte("app")}},
		{name: "app", want: Application{Application: pybridge.Application{Module: "app"}, Source: []byte("app")}},
		{name: "app:app", want: Application{Application: pybridge.Application{Module: "app", Object: "app"},
			Source: []byte("app")}},
		{name: "wsgi", want: Application{Application: pybridge.Application{Script: "wsgi"},
			Source: []byte("no suffix")}},
		{name: "a.b/c.py", want: Application{Application: pybridge.Application{Script: "a.b/c.py"},
			Source: []byte("dotted")}},
		{name: "paths.py", want: Application{Application: pybridge.Application{Script: "paths.py"},
			Source: []byte("x = 1\nPATHS = []")}, asMain: true},
		{name: "paths.py:app", want: Application{Application: pybridge.Application{Script: "paths.py", Object: "app"},
			Source: []byte("x = 1\nPATHS = []")}},
		{name: "paths.py", conf: settings.Config{Interface: "wsgi"},
			want: Application{Application: pybridge.Application{Script: "paths.py"},
				Source: []byte("x = 1\nPATHS = []")}},
		{name: "paths.py", conf: settings.Config{Factory: true},
			want: Application{Application: pybridge.Application{Script: "paths.py"},
				Source: []byte("x = 1\nPATHS = []")}},
		{name: "paths", want: Application{Application: pybridge.Application{Module: "paths"},
			Source: []byte("x = 1\nPATHS = []")}},
		{name: "comment.py", want: Application{Application: pybridge.Application{Script: "comment.py"},
			Source: []byte("# my_PATHS")}},
		{name: "config.py", want: Application{Application: pybridge.Application{Script: "config.py"},
			Source: []byte("# no PATHS\nx = s.PATHS or d['PATHS'] # or PATHS")}},
		{name: "import.py", want: Application{Application: pybridge.Application{Script: "import.py"},
			Source: []byte("from a import (b,\r\n\tPATHS)")}, asMain: true},
		{name: "old.py", want: Application{Application: pybridge.Application{Script: "old.py"},
			Source: []byte("#\rPATHS=[]")}, asMain: true},
		{name: "pkg", want: Application{Application: pybridge.Application{Module: "pkg"}, Source: []byte("pkg")}},
		{name: "pkg.mod:f", want: Application{Application: pybridge.Application{Module: "pkg.mod", Object: "f"},
			Source: []byte("pkg.mod")}},
		{name: "far", want: Application{Application: pybridge.Application{Module: "far"}}},
		{name: "far", conf: settings.Config{PythonPath: []string{"other"}},
			want: Application{Application: pybridge.Application{Module: "far"}, Source: []byte("far")}},
		{name: "missing", want: Application{Application: pybridge.Application{Module: "missing"}}},
		{name: "folder", fails: true},
		{name: "missing.py", fails: true},
		{name: "not-a-name", fails: true},
		{name: "app:make()", want: Application{Application: pybridge.Application{Module: "app", Object: "make()"},
			Source: []byte("app")}},
		{name: "app:make(", fails: true},
	} {
		got, err := findApplication(tt.name, "", tt.conf)
		if tt.fails {
			if err == nil {
				t.Errorf("%s: found %+v", tt.name, got)
			}
			continue
		}
		if err != nil || got.Script != tt.want.Script || got.Module != tt.want.Module || got.Object != tt.want.Object ||
			string(got.Source) != string(tt.want.Source) || got.Import == tt.asMain {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
	}
}
