package pybridge

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

func TestInterpreterOfAnEnvironmentIsFound(t *testing.T) {
	ours := Version()
	// plain is the version without the suffix "t" of free-threaded Python, which only directory names have.
	plain, flavour := minor(ours), ""
	if strings.HasSuffix(ours, "t") {
		plain, flavour = strings.TrimSuffix(plain, "t"), "t"
	}
	for name, tt := range map[string]struct {
		files map[string]string
		want  string
		err   string
	}{
		"venv": {map[string]string{"pyvenv.cfg": "home = /usr/bin\nversion = " + ours + "\n",
			"bin/python3": ""}, "bin/python3", ""},
		"virtualenv": {map[string]string{"pyvenv.cfg": "version_info = " + ours + ".final.0\n",
			"bin/python": ""}, "bin/python", ""},
		"other bugfix release": {map[string]string{"pyvenv.cfg": "version=" + plain + ".99", "bin/python3": ""},
			"bin/python3", ""},
		"no version": {map[string]string{"pyvenv.cfg": "home = /usr/bin\n"}, "bin/python3", ""},
		"by its folder": {map[string]string{"pyvenv.cfg": "", "lib/python3.2/site-packages/x": ""}, "",
			"has Python 3.2, and this fapws Python " + ours},
		"free-threaded": {map[string]string{"pyvenv.cfg": "version = 3.1.4\n",
			"lib/python3.1t/site-packages/x": ""}, "", "has Python 3.1.4t, and this fapws Python " + ours},
		"not free-threaded": {map[string]string{"pyvenv.cfg": "version = 3.1.4\n",
			"lib/python3.1/site-packages/x": ""}, "", "has Python 3.1.4, and this fapws Python " + ours},
		"another Python": {map[string]string{"pyvenv.cfg": "version = 3.1.4\n", "bin/python3": ""}, "",
			"has Python 3.1.4" + flavour + ", and this fapws Python " + ours},
		"the first digits": {map[string]string{"pyvenv.cfg": "version = " + plain + "0.1\n"}, "", "has Python " +
			plain + "0.1" + flavour + ","},
		"none": {nil, "", "is not a virtual environment: pyvenv.cfg not found"},
	} {
		folder := t.TempDir()
		for file, text := range tt.files {
			path := filepath.Join(folder, file)
			checktest.Must(t, os.MkdirAll(filepath.Dir(path), 0o755))
			checktest.Must(t, os.WriteFile(path, []byte(text), 0o644))
		}
		got, _, err := findInterpreter(folder)
		if tt.err != "" {
			checktest.Truef(t, err != nil && strings.Contains(err.Error(), tt.err) && !strings.Contains(err.Error(), "\n"),
				"%s: %v, want %q", name, err, tt.err)
			continue
		}
		checktest.Truef(t, err == nil && got == filepath.Join(folder, tt.want), "%s: %q, %v", name, got, err)
	}
	got, _, err := findInterpreter("")
	checktest.Truef(t, got == interpreter && err == nil, "without one: %q, %v", got, err)
}

func TestLibraryOfAnotherPythonIsReported(t *testing.T) {
	ours := strings.TrimSuffix(minor(Version()), "t")
	for version, fits := range map[string]bool{Version(): true, ours + ".99": true, ours + "0.1": false, "3.1.4": false} {
		err := checkLibrary(version)
		checktest.Truef(t, (err == nil) == fits, "%s: %v", version, err)
		checktest.Truef(t, fits || strings.HasPrefix(err.Error(), "cannot start Python "+version+": "), "%s: %v", version, err)
	}
}

// A different Python of the same version has created the environment, so the extension modules in its library may not
// fit the linked Python.
func TestEnvironmentOfAnotherPythonUsesOurStandardLibrary(t *testing.T) {
	before := interpreter
	defer func() { interpreter = before }()
	root := t.TempDir()
	ours, bare := filepath.Join(root, "ours"), filepath.Join(root, "bare")
	for _, folder := range []string{ours + "/bin", ours + "/lib/python" + minor(Version()), bare + "/bin",
		root + "/theirs/bin"} {
		checktest.Must(t, os.MkdirAll(folder, 0o755))
	}
	checktest.Must(t, os.WriteFile(ours+"/lib/python"+minor(Version())+"/os.py", nil, 0o644))
	checktest.Must(t, os.Symlink("ours", root+"/link"))
	for _, tt := range []struct{ interpreter, cfg, want string }{
		{ours + "/bin/python3", "home = " + ours + "/bin\nversion = 1\n", ""},
		{ours + "/bin/python3", "home = " + root + "/link/bin\n", ""},
		{ours + "/bin/python3", "x = y\nhome=" + root + "/theirs/bin \r\n", ours},
		{ours + "/bin/python3", "home = " + root + "/gone/bin", ours},
		{ours + "/bin/python3", "version = 1\n", ""},
		{bare + "/bin/python3", "home = " + root + "/theirs/bin\n", ""},
		{"", "home = " + root + "/theirs/bin\n", ""},
	} {
		interpreter = tt.interpreter
		checktest.Equalf(t, ownHome(tt.cfg), tt.want, "%q with %s", tt.cfg, tt.interpreter)
	}
}
