package settings

import (
	"errors"
	"slices"
	"strings"
)

// A scope says whom a setting concerns if applications have processes of their own.
type scope uint8

const (
	_ scope = iota
	// The setting is for the server that accepts the connections of clients. An application cannot have it.
	ofServer
	// The table of an application can have the setting. An application without a table does not get the value of the
	// server: the server does what the setting says, or launches the application accordingly.
	ofEach
	// The table of an application can have the setting. An application without a table gets the value of the server.
	ofApplication
)

// ChildFlags returns the flags for a child process with the settings in entries, and these settings. The errors are
// those of ReadFile and Config. Settings of the server itself are an error, too.
func ChildFlags(f *TOMLFile, entries []TOMLValue) (flags []string, c Config, err error) {
	table := *f
	table.Top = &TOMLTable{File: f, Entries: entries}
	s, _ := New(nil, func(string) (string, bool) { return "", false })
	wrong := []error{s.ReadFile(&table, nil)}
	keys := s.keys()
	for _, v := range entries {
		if row := keys[v.Key].row; row != nil && row.scope == ofServer {
			wrong = append(wrong, v.Errorf("%s is a setting of the whole server: move it to the top of the file", v.Key))
		}
	}
	c, err = s.Config()
	return s.flags(func(row *Setting) bool { return row.Name != "channels" }), c, errors.Join(append(wrong, err)...)
}

// ForChild returns the flags for an application of the server that runs in a process of its own, and the settings of s.
// Relative paths start at dir.
func (s *Settings) ForChild(dir string) (flags []string, c Config) {
	own := s.Clone()
	own.Anchor(dir)
	c, _ = own.Config() // callers have reported the mistakes
	return own.flags(func(row *Setting) bool { return row.scope == ofApplication }), c
}

// flags returns a flag for each chosen setting that has no default value.
func (s *Settings) flags(chosen func(*Setting) bool) (flags []string) {
	for _, row := range settingsOf(&s.conf) {
		if s.from[row.Name].Level > FromDefault && chosen(row) {
			flags = append(flags, "--"+row.Name+"="+row.value.show())
		}
	}
	return flags
}

// ChildEnvironment returns the variables of environ without those that are meant for the server itself: its settings,
// its sockets and its service manager.
func ChildEnvironment(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(one string) bool {
		name, _, _ := strings.Cut(one, "=")
		for _, prefix := range []string{"FAPWS_", "LISTEN_", "WATCHDOG_", "NOTIFY_SOCKET", "PYTHONHOME"} {
			if strings.HasPrefix(name, prefix) {
				return true
			}
		}
		if strings.HasPrefix(name, "_FAPWS_") {
			return name != "_FAPWS_PACKAGE"
		}
		return slices.ContainsFunc(table(), func(s *Setting) bool { return s.Env == name })
	})
}
