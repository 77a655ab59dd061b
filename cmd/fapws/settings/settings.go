package settings

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"sync"

	"fapws/runtime/source/static"
)

var LogLevels = []string{"debug", "info", "warning", "error"}

type Setting struct {
	Name    string // name of the flag, without dashes, and key of fapws.toml
	Arg     string // placeholder for the value in the help; empty means value.arg
	Default string // default value in the form that a user types
	// text that replaces Default in the help, because the default depends on the machine; otherwise ""
	Note   string
	Brief  string // help for the common flags, without a full stop; settings.txt has the help of all flags
	Env    string // an environment variable, set by common tools, that is read in addition to FAPWS_<NAME>
	Global string // global variable in a script that sets this setting; "" if script is false

	scope scope
	// aliases of the flag, such as the names that other servers use for it, separated by spaces. "-b" is a one-letter
	// alias. "uds=unix:*" defines an alias uds that adds the prefix unix: to its value. "no-access-log=off" defines an
	// alias with the fixed value off.
	also string
	// value of the flag if it is typed without a value, as in --debug
	alone string
	// the values are paths; if a configuration file sets them, they are relative to the directory of the file
	path bool
	// the configuration file overrides Env, which describes the shell of the user
	yields bool
	kept   bool // a reload does not change the value, because the supervisor keeps it
	// scripts can set the value, by a global variable such as MAX_QUEUE for max-queue
	script bool
	sugar  bool // only an alternative form of another setting; --print-config omits it

	value *value

	Short    string // one-letter name of the flag, or ""
	variants []variant
}

func (s *Setting) EnvName() string {
	return "FAPWS_" + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
}

// environment returns the first environment variable for this setting that is set. A variable with an empty value
// counts as not set, because compose files and unit files cannot unset a variable.
func (s *Setting) environment(lookup func(string) (string, bool)) (name, given string) {
	for _, name := range []string{s.EnvName(), s.Env} {
		if given, ok := lookup(name); ok && name != "" && given != "" {
			return name, given
		}
	}
	return "", ""
}

func (s *Setting) shownDefault() string { return cmp.Or(s.Note, s.Default) }

// example returns a value in the form of fapws.toml, or "" if settings.txt has none.
func (s *Setting) example() string {
	_, value, _ := strings.Cut(documented()[s.Name].Head, " = ")
	return value
}

// typedExample returns the example as a shell needs it for a flag: the first value of an array, and text without the quotes
// of TOML. It returns the placeholder if settings.txt has no example.
func (s *Setting) typedExample() string {
	first, _, _ := strings.Cut(strings.Trim(s.example(), "[]"), ",")
	first = cmp.Or(strings.Trim(first, `"`), s.Arg)
	if strings.Contains(first, "*") {
		first = "'" + first + "'"
	}
	return first
}

func (s *Setting) explanation() string { return cmp.Or(documented()[s.Name].Text, s.Brief) }

// option returns the value for the field of static.Options with a key. The setting applies to all served directories.
// The kind of the value comes from the tags in static.Options, because the field is also a key of hosts and routes.
func option(c *Config, key string) *value {
	i := slices.IndexFunc(optionFields, func(f keyField) bool { return f.key == key })
	field := optionFields[i]
	return single(reflect.ValueOf(&c.Options).Elem().FieldByIndex(field.Index).Addr().Interface(), field.Tag)
}

var optionFields = keyFields(reflect.TypeFor[static.Options]())

// table returns all settings, for callers that need no values. Callers must not change the settings.
var table = sync.OnceValue(func() []*Setting { return settingsOf(new(Config)) })

func settingsOf(c *Config) (rows []*Setting) {
	for _, g := range groups(c) {
		rows = append(rows, g.rows...)
	}
	return rows
}

func Globals() (names []string) {
	for _, row := range table() {
		if row.Global != "" {
			names = append(names, row.Global)
		}
	}
	return names
}

func (s *Setting) prepare() {
	for name := range strings.FieldsSeq(s.also) {
		name, value, _ := strings.Cut(name, "=")
		if short, ok := strings.CutPrefix(name, "-"); ok {
			s.Short = short
		} else if prefix, takes := strings.CutSuffix(value, "*"); takes {
			s.variants = append(s.variants, variant{row: s, name: name, prefix: prefix})
		} else {
			s.variants = append(s.variants, variant{row: s, name: name, fixed: value})
		}
	}
	s.Arg = cmp.Or(s.Arg, s.value.arg)
	if s.script && s.Global == "" {
		s.Global = strings.TrimPrefix(s.EnvName(), "FAPWS_")
	}
}

// The default reserves descriptors for the script, for files that are sent, and for logs, so that accepting a client
// never reaches the limit of open files.
func defaultClients(openFiles uint64) int {
	const (
		unknown = 1024
		atMost  = 65536 // with even more clients, memory runs out first
	)
	if openFiles == 0 {
		openFiles = unknown
	}
	reserve := max(openFiles/4, 32)
	if openFiles <= reserve {
		return 1
	}
	return int(min(openFiles-reserve, atMost))
}

func (c *Config) Sandboxed() bool { return c.Sandbox == "on" || c.Sandbox == "strict" }

// A variant is a name under which a setting can be set, as a flag and in the configuration file: the main name or an
// alias.
type variant struct {
	row    *Setting
	name   string
	prefix string // text that the alias adds before its value, such as "unix:"
	fixed  string
}

func (s *Setting) names() []variant { return append([]variant{{row: s, name: s.Name}}, s.variants...) }
