package settings

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fapws/cmd/fapws/process"
)

// fileName is the name of a configuration file that is found without a flag.
const fileName = "fapws.toml"

// maxBytes is how many bytes one may have.
const maxBytes = 1 << 20

// serviceDir has the configuration file of the service that is installed for the whole system.
var serviceDir = "/etc/fapws"

// FindFile returns the name of the file to read, or "" for none: the one of --config, or the first existing one, even if it
// cannot be read. The file of the service is not for applications that the command line names.
func FindFile(set *Settings, appNamed bool) string {
	switch name := set.File(); name {
	case "off":
		return ""
	case "":
	default:
		if st, err := os.Stat(name); err == nil && st.IsDir() {
			name = filepath.Join(name, fileName)
		}
		return name
	}
	folders := []string{"."}
	if home, err := os.UserConfigDir(); err == nil {
		folders = append(folders, filepath.Join(home, "fapws"))
	}
	if !appNamed {
		folders = append(folders, serviceDir)
	}
	for _, folder := range folders {
		name := filepath.Join(folder, fileName)
		if _, err := os.Lstat(name); err == nil {
			return name
		}
	}
	return ""
}

// ReadFile reads a configuration file.
func ReadFile(name string) (*TOMLFile, error) {
	if what := ForeignFile(name); what != "" && filepath.Ext(name) != ".toml" {
		return nil, fmt.Errorf("%s is %s", name, what)
	}
	text, err := ReadFileLimited(name)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return nil, process.ExitPlain(fmt.Errorf("cannot read %w", err))
	}
	f, err := ParseTOML(name, dir, text)
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, formatHint(name, text))
	}
	return f, nil
}

// ReadFileLimited reads a configuration file, which is not large.
func ReadFileLimited(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, process.ExitPlain(fmt.Errorf("cannot read %w", err))
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, process.ExitPlain(fmt.Errorf("cannot read %w", err))
	}
	if len(text) > maxBytes {
		return nil, fmt.Errorf("cannot read %s: it is larger than %d MB", name, maxBytes>>20)
	}
	return text, nil
}

// formatHint is added to the error of a configuration file that cannot be parsed,
// where its name or its text is that of another format.
func formatHint(name string, text []byte) string {
	kind := map[string]string{
		".yaml": "YAML", ".yml": "YAML", ".json": "JSON", ".ini": "INI", ".cfg": "INI", ".xml": "XML", ".env": "environment",
	}[filepath.Ext(name)]
	switch start := strings.TrimSpace(string(text[:min(len(text), 512)])); {
	case kind != "":
	case strings.HasPrefix(start, "{"):
		kind = "JSON"
	case strings.HasPrefix(start, "---"):
		kind = "YAML"
	case slices.Contains(text, 0):
		kind = "binary"
	case filepath.Ext(name) == ".toml":
		return ""
	}
	if kind == "" {
		return "; a configuration file is TOML: threads = 4"
	}
	return fmt.Sprintf("; a configuration file is TOML, and this looks like a %s file: write settings as threads = 4", kind)
}
