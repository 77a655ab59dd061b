package settings

import (
	"cmp"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"fapws/runtime/source/static"
	"fapws/runtime/system"
)

var LogLevels = []string{"debug", "info", "warning", "error"}

type Setting struct {
	Name    string // name of the flag, without dashes, and key of fapws.toml
	Arg     string // placeholder for the value in the help; empty means value.arg
	Default string // default in the form that a user types
	// replaces Default in the help if the default depends on the machine
	Note  string
	Brief string
	// longer help for --help all, the man page and docs/settings.md, without a full stop; may be empty
	Help   string
	Env    string // a variable that other tools set, in addition to FAPWS_<NAME>
	Global string // global of a script with this setting; empty if scripts cannot set it

	// other names of the flag, as in other servers, separated by spaces: "-b" is a letter, "uds=unix:*" adds a prefix
	// to the value, "no-access-log=off" has a fixed value
	also string
	// value of the flag if it is typed without a value, as in --debug
	alone string
	// values are paths, relative to the configuration file that contains them
	path  bool
	kept  bool // a supervisor does not change the value while it runs
	sugar bool // another form of a setting, which --print-config omits

	value func(c *Config) *value

	Group    string
	Short    string // one-letter name of the flag, or ""
	variants []variant
}

func (s *Setting) EnvName() string {
	return "FAPWS_" + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
}

func (s *Setting) shownDefault() string { return cmp.Or(s.Note, s.Default) }

func (s *Setting) explanation() string { return cmp.Or(s.Help, s.Brief) }

// option returns the value of an option of static.Options, for all directories of files. The tags of static.Options
// determine its kind, because the option is also a key of hosts and routes.
func option(key string) func(*Config) *value {
	fields := keyFields(reflect.TypeFor[static.Options]())
	field := fields[slices.IndexFunc(fields, func(f reflect.StructField) bool { return f.Tag.Get("key") == key })]
	return func(c *Config) *value {
		return single(reflect.ValueOf(&c.Options).Elem().FieldByIndex(field.Index).Addr().Interface(), field.Tag)
	}
}

var unset Config // only the addresses of its fields are used

// table returns all settings in the order of the help. The settings in the table must not be changed.
var table = sync.OnceValue(func() (rows []*Setting) {
	for _, group := range []struct {
		name string
		rows []*Setting
	}{
		{"Address", addressSettings}, {"Application", applicationSettings}, {"Files", filesSettings},
		{"Processes", processesSettings},
		{"Limits", limitsSettings}, {"Timeouts", timeoutsSettings}, {"Logs", logsSettings},
	} {
		for _, s := range group.rows {
			s.Group = group.name
			s.prepare()
			rows = append(rows, s)
		}
	}
	return rows
})

func (s *Setting) prepare() {
	for name := range strings.FieldsSeq(s.also) {
		name, value, _ := strings.Cut(name, "=")
		if short, ok := strings.CutPrefix(name, "-"); ok {
			s.Short = short
		} else if prefix, takes := strings.CutSuffix(value, "*"); takes {
			s.variants = append(s.variants, variant{name: name, prefix: prefix})
		} else {
			s.variants = append(s.variants, variant{name: name, fixed: value})
		}
	}
	s.Arg = cmp.Or(s.Arg, s.value(&unset).arg)
	if s.Name == "max-clients" {
		s.Default = strconv.Itoa(defaultClients(system.OpenFiles()))
	}
}

// defaultClients returns the default of max-clients. defaultClients reserves descriptors for the script, for files that
// are sent, and for logs, so that accept never reaches the limit of open files.
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

// A variant is one of the names of a setting, for the flag and for the file.
type variant struct {
	name   string
	prefix string // text that is inserted before the value
	fixed  string
}

func (s *Setting) names() []variant { return append([]variant{{name: s.Name}}, s.variants...) }
