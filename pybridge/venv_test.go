package pybridge

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFindInterpreter(t *testing.T) {
	ours := Version()
	for name, tt := range map[string]struct {
		files map[string]string // in the folder of the environment
		want  string            // the interpreter in it, or
		err   string            // what the error says
	}{
		"venv":                 {map[string]string{"pyvenv.cfg": "home = /usr/bin\nversion = " + ours + "\n", "bin/python3": ""}, "bin/python3", ""},
		"virtualenv":           {map[string]string{"pyvenv.cfg": "version_info = " + ours + ".final.0\n", "bin/python": ""}, "bin/python", ""},
		"other bugfix release": {map[string]string{"pyvenv.cfg": "version=" + minor(ours) + ".99", "bin/python3": ""}, "bin/python3", ""},
		"no version":           {map[string]string{"pyvenv.cfg": "home = /usr/bin\n"}, "bin/python3", ""},
		"by its folder":        {map[string]string{"pyvenv.cfg": "", "lib/python3.2/site-packages/x": ""}, "", "is of Python 3.2, and this fapws has Python " + ours},
		"another Python":       {map[string]string{"pyvenv.cfg": "version = 3.1.4\n", "bin/python3": ""}, "", "is of Python 3.1.4, and this fapws has Python " + ours},
		"the first digits":     {map[string]string{"pyvenv.cfg": "version = " + minor(ours) + "0.1\n"}, "", "is of Python " + minor(ours) + "0.1,"},
		"none":                 {nil, "", "is no virtual environment: it has no pyvenv.cfg"},
	} {
		folder := t.TempDir()
		for file, text := range tt.files {
			path := filepath.Join(folder, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := findInterpreter(folder)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %v, want %q", name, err, tt.err)
			}
			continue
		}
		if err != nil || got != filepath.Join(folder, tt.want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if got, err := findInterpreter(""); got != interpreter || err != nil {
		t.Errorf("without one: %q, %v", got, err)
	}
}
