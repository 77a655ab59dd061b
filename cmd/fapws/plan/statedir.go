package plan

import (
	"os"
	"path/filepath"
	"strings"

	"fapws/cmd/fapws/settings"
)

// stateDir returns the absolute path of the directory for files that fapws makes for itself.
func stateDir(conf *settings.Config) (string, error) {
	dir := conf.StateDir
	if dir == "" {
		dir = usualStateDir()
	}
	return filepath.Abs(dir)
}

// usualStateDir is that of the service manager (systemd.exec(5)), of root, or of the user (XDG Base Directory
// Specification).
func usualStateDir() string {
	if dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":"); filepath.IsAbs(dir) {
		return dir
	}
	if os.Geteuid() == 0 {
		return "/var/lib/fapws"
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "fapws")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "state", "fapws")
	}
	return "fapws-state"
}
