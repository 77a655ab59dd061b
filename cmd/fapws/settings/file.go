package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"fapws/cmd/fapws/process"
)

const fileName = "fapws.toml"

const maxBytes = 1 << 20

var serviceDir = "/etc/fapws"

// FindFile returns the name of the configuration file. Without --config, this is the first candidate that exists, even
// if it is unreadable, or "" if none exists. If the command line names an application, the file in serviceDir is not a
// candidate.
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

func readFile(name string, keys func() []KeyDoc) (*TOMLFile, error) {
	if what := ForeignFile(WordRun, name); what != "" && filepath.Ext(name) != ".toml" {
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
	f, err := ParseTOML(name, dir, text, keys)
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, formatHint(name, text))
	}
	return f, nil
}

// ReadConfig reads a configuration file. In a bundle, the file overrides that of the bundle. keys returns the keys that are
// no settings.
func (s *Settings) ReadConfig(name string, keys func() []KeyDoc) (*TOMLFile, error) {
	f, err := readFile(name, keys)
	if err != nil || s.inside == "" {
		return f, err
	}
	if name == s.inside {
		f.WorkDir = s.workDir
		return f, nil
	}
	inside, err := readFile(s.inside, keys)
	if err == nil {
		inside.WorkDir = s.workDir
		f.override(inside)
	}
	return f, err
}

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

// formatHint returns a hint about a configuration file that cannot be parsed, if its name or text shows that it is not
// in TOML.
func formatHint(name string, text []byte) string {
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return "" // UTF-16
	}
	ext := filepath.Ext(name)
	begin := ext + "\n" + strings.TrimSpace(string(text[:min(len(text), 512)]))
	for _, format := range []struct{ name, looks string }{
		{"YAML", `^\.ya?ml\n`}, {"JSON", `^\.json\n`}, {"INI", `^\.(ini|cfg)\n`}, {"XML", `^\.xml\n`},
		{"environment", `^\.env\n`},
		{"JSON", `^.*\n\{`}, {"YAML", `^.*\n---`}, {"binary", `\x00`},
	} {
		if regexp.MustCompile(format.looks).MatchString(begin) {
			return fmt.Sprintf("; a configuration file is TOML, and this looks like a %s file: write settings as "+
				"threads = 4", format.name)
		}
	}
	if ext == ".toml" {
		return ""
	}
	return "; a configuration file is TOML: threads = 4"
}

const maxMistakes = 50

// ReadFile reads the settings at the top of a configuration file. The keys are the names of the flags. rest lists
// valid keys that are not settings. The error contains a line for each mistake, with the line number, the key, its
// value, and the allowed values.
func (s *Settings) ReadFile(f *TOMLFile, rest []string) error {
	var wrong []error
	seen := map[string]TOMLValue{}
	keys := s.keys()
	for _, v := range f.Top.Entries {
		if len(wrong) >= maxMistakes {
			break
		}
		row := keys[v.Key].row
		if slices.Contains(rest, v.Key) && (row == nil || v.IsTables()) {
			continue // the key host is a setting in host = "127.0.0.1", but not in [[host]]
		}
		if row == nil {
			wrong = append(wrong, v.Unknown("", slices.Concat(slices.Sorted(maps.Keys(keys)), rest)))
			s.rejected = append(s.rejected, Nearest(v.Key, slices.Sorted(maps.Keys(keys))))
			continue
		}
		if s.from[row.Name].Level > FromFile {
			continue
		}
		if first, twice := seen[row.Name]; twice {
			if first.File != v.File {
				continue // overridden by an alias
			}
			wrong = append(wrong, v.Errorf("%s is an alias of %s, which line %d already sets", v.Key, first.Key, first.Line))
			continue
		}
		seen[row.Name] = v
		if err := keys[v.Key].fromFile(v); err != nil {
			if v.Key == "login" {
				continue // This key is also a rule of a site, and the decoder of sites reports a better error.
			}
			wrong = append(wrong, v.Must(err))
			s.rejected = append(s.rejected, row.Name)
			continue
		}
		s.from[row.Name] = Source{FromFile, fmt.Sprintf("%s:%d", v.File.Name, v.Line)}
	}
	return errors.Join(wrong...)
}

// Kept returns the names of the settings whose values in later differ from the values in s, but that a reload does not
// change.
func (s *Settings) Kept(later *Settings) (names []string) {
	changed := settingsOf(&later.conf)
	for i, row := range settingsOf(&s.conf) {
		if row.kept && row.value.show() != changed[i].value.show() {
			names = append(names, row.Name)
		}
	}
	return names
}

// KeptVariable is the environment variable in which a supervisor passes the result of KeptFromFile to its worker
// processes and to its successor.
const KeptVariable = "_FAPWS_KEPT"

type keptValue struct {
	Text string // the value as text, for the function parse
	From string // Source.Name
}

// KeptFromFile returns, as a text for TakeKept, those settings from the configuration file that a reload does not
// change.
func (s *Settings) KeptFromFile() string {
	kept := map[string]keptValue{}
	for _, row := range settingsOf(&s.conf) {
		if from := s.from[row.Name]; row.kept && from.Level == FromFile {
			kept[row.Name] = keptValue{row.value.show(), from.Name}
		}
	}
	text, _ := json.Marshal(kept)
	return string(text)
}

// TakeKept decodes a text that KeptFromFile has returned, and stores its settings for the method Keep.
func (s *Settings) TakeKept(text string) { _ = json.Unmarshal([]byte(text), &s.kept) }

// Keep sets each setting that a reload does not change to the value that the supervisor has read from the configuration
// file. It is called after this process has read the file, because the file may have changed meanwhile.
//
// Keep returns the names of the settings whose values have changed in the file.
func (s *Settings) Keep() (names []string) {
	if s.kept == nil {
		return nil
	}
	for _, row := range settingsOf(&s.conf) {
		kept, given := s.kept[row.Name]
		if level := s.from[row.Name].Level; !row.kept || level > FromFile || !given && level < FromFile {
			continue
		}
		before := row.value.show()
		row.value.clear()
		delete(s.from, row.Name)
		if given {
			_ = row.value.parse(kept.Text)
			s.from[row.Name] = Source{FromFile, kept.From}
		} else if row.Default != "" {
			_ = row.value.parse(row.Default)
		}
		if row.value.show() != before {
			names = append(names, row.Name)
		}
	}
	return names
}

func (s *Settings) keys() map[string]variant {
	all := map[string]variant{}
	for _, row := range settingsOf(&s.conf) {
		for _, one := range row.names() {
			if row.inFile() {
				all[one.name] = one
			}
		}
	}
	return all
}

// NameOf returns the name of the setting of a key, which may be an alias, or "" if there is none.
func (s *Settings) NameOf(key string) string {
	if row := s.keys()[key].row; row != nil {
		return row.Name
	}
	return ""
}

// inFile reports whether fapws.toml may have the setting. The two others are needed to find the file.
func (s *Setting) inFile() bool { return s.Name != "config" && s.Name != "cache-dir" }

// The caller prints "must be " before the error.
func (n variant) fromFile(v TOMLValue) error {
	to := n.row.value
	if n.fixed != "" {
		if v.Any != true {
			return errors.New("true, or omitted")
		}
		return to.parse(n.fixed)
	}
	return to.read(v.plain(), to.file, func(text string) string { return n.row.resolve(v.File, n.prefix+text) })
}

func (s *Setting) resolve(f *TOMLFile, text string) string {
	if path, ok := socketPath(text); ok && s.Name == "bind" && !strings.HasPrefix(path, "@") && path != "" {
		return "unix:" + f.Resolve(path)
	}
	if !s.path || text == "" || slices.Contains([]string{"-", "off", "auto", "none"}, text) ||
		strings.HasPrefix(text, "|") || strings.HasPrefix(text, "syslog") {
		return text
	}
	if strings.HasPrefix(s.Arg, "PREFIX=") {
		prefix, folder, mapping := strings.Cut(text, "=")
		if !mapping {
			return text
		}
		return prefix + "=" + f.Resolve(folder)
	}
	return f.Resolve(text)
}
