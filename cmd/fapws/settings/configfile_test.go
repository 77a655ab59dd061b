package settings

import (
	"os"
	"path/filepath"
	"testing"

	"fapws/runtime/checktest"
)

// The configuration file in serviceDir is used only if the command line names no application. All other configuration
// files are used with and without an application.
func TestConfigurationFileOfTheServiceIsForNoApplication(t *testing.T) {
	home, service := t.TempDir(), t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Chdir(t.TempDir())
	defer func(dir string) { serviceDir = dir }(serviceDir)
	serviceDir = service
	set := checktest.Try(New(Flags{}, func(string) (string, bool) { return "", false })).Must(t)
	expect := func(appNamed bool, want string) {
		t.Helper()
		checktest.Equalf(t, FindFile(set, appNamed), want, "with an application %t", appNamed)
	}
	expect(false, "")
	ofService := empty(t, filepath.Join(service, fileName))
	expect(false, ofService)
	expect(true, "")
	ofUser := empty(t, filepath.Join(home, "fapws", fileName))
	expect(false, ofUser)
	expect(true, ofUser)
	here := empty(t, fileName)
	expect(false, here)
	expect(true, here)
}

func empty(t *testing.T, name string) string {
	t.Helper()
	checktest.Must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	checktest.Must(t, os.WriteFile(name, nil, 0o644))
	return name
}
