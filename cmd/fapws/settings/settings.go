package settings

import (
	"cmp"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"fapws/runtime/system"
)

// LogLevels are the values of Config.LogLevel, the most talkative first.
var LogLevels = []string{"debug", "info", "warning", "error"}

// Setting is the meaning of the tags of a field of Config, which are explained there.
type Setting struct {
	Name    string // of the flag, without dashes
	Short   string // one letter, or ""
	Group   string
	Arg     string // stands for the value in the help
	Default string
	Note    string
	Brief   string
	Help    string
	Env     string // in addition to FAPWS_<NAME>
	Global  string

	variants []variant // other names of this flag

	alone string
	kept  bool
	path  bool
	sugar bool
	field []int             // in Config, see reflect.Value.FieldByIndex
	tag   reflect.StructTag // of it
}

// EnvName returns the variable of the environment that holds the setting.
func (s *Setting) EnvName() string {
	return "FAPWS_" + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
}

// shownDefault returns the default as the help shows it.
func (s *Setting) shownDefault() string { return cmp.Or(s.Note, s.Default) }

// explanation is the help as --help all, the man page and the README have it.
func (s *Setting) explanation() string { return cmp.Or(s.Help, s.Brief) }

// value returns the value of the setting in c.
func (s *Setting) value(c *Config) *value {
	return single(reflect.ValueOf(c).Elem().FieldByIndex(s.field).Addr().Interface(), s.tag)
}

var unset Config // only its fields are pointed at

// table returns all settings in the order of the help. They must not be changed.
var table = sync.OnceValue(func() (rows []*Setting) {
	group := ""
	for _, field := range keyFields(reflect.TypeFor[Config]()) {
		if field.Tag.Get("value") == "" { // else it is only a key of tables
			group = cmp.Or(field.Tag.Get("group"), group)
			rows = append(rows, newSetting(field, group))
		}
	}
	return rows
})

// newSetting returns the setting of a field of Config.
func newSetting(field reflect.StructField, group string) *Setting {
	says := map[string]string{} // in one walk: each Get of the tag is another
	for tag := string(field.Tag); tag != ""; tag = strings.TrimPrefix(tag, " ") {
		key, rest, _ := strings.Cut(tag, ":")
		quoted, _ := strconv.QuotedPrefix(rest)
		says[key], _ = strconv.Unquote(quoted)
		tag = rest[len(quoted):]
	}
	s := &Setting{Name: says["key"], Group: group, Default: says["default"], Note: says["note"], Brief: says["brief"], Help: says["help"],
		Env: says["env"], Global: says["script"], alone: says["alone"], kept: says["kept"] != "", path: says["path"] != "", sugar: says["sugar"] != "",
		field: field.Index, tag: field.Tag}
	if of := says["of"]; of != "" {
		s.field = nil
		at := reflect.TypeFor[Config]()
		for name := range strings.SplitSeq(of, ".") {
			part, _ := at.FieldByName(name) // a wrong name makes value panic below, in every test
			s.field, at = append(s.field, part.Index...), part.Type
		}
	}
	for name := range strings.FieldsSeq(says["also"]) {
		name, value, _ := strings.Cut(name, "=")
		if short, ok := strings.CutPrefix(name, "-"); ok {
			s.Short = short
		} else if prefix, takes := strings.CutSuffix(value, "*"); takes {
			s.variants = append(s.variants, variant{name: name, prefix: prefix})
		} else {
			s.variants = append(s.variants, variant{name: name, fixed: value})
		}
	}
	s.Arg = cmp.Or(says["arg"], says["path"], s.value(&unset).arg)
	if s.Name == "max-clients" {
		s.Default = strconv.Itoa(defaultClients(system.OpenFiles()))
	}
	return s
}

// defaultClients leaves descriptors for the script, for files being sent and
// for logs, so that accepting never meets the limit of open files.
func defaultClients(openFiles uint64) int {
	const (
		unknown = 1024
		atMost  = 65536 // above it, memory runs out first
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

// Sandboxed reports whether workers are restricted by a sandbox.
func (c *Config) Sandboxed() bool { return c.Sandbox == "on" || c.Sandbox == "strict" }

// variant is a name of a setting, of a flag and in a file.
type variant struct {
	name   string
	prefix string // goes before the value
	fixed  string // the only value
}

// names are those of a setting, its own first.
func (s *Setting) names() []variant { return append([]variant{{name: s.Name}}, s.variants...) }

// KeyDoc describes a key of the configuration file that is not a setting.
type KeyDoc struct {
	Table string // "" is the top, "host", "host.route", or "rules" for both of these
	Key   string
	Value string // as an example shows it, in TOML
	Help  string // without a full stop
}

// keyTables are the headings under which keys stand together.
var keyTables = []struct{ table, heading string }{
	{"", "at the top, in addition to the names of the flags"},
	{"host", "[[host]], which also takes the rules below, and the flags index, autoindex, spa, mime-types, charset, compress, expires, symlinks, dotfiles, expose and cache-files-max"},
	{"host.route", "[[host.route]], which has prefix, match or both, at most one source (app, files, cgi, php, fastcgi, redirect, rewrite, proxy, upload or status), and takes the same flags and rules"},
	{"rules", "rules, of a host for all its routes, or of one route; the first six also at the top, for all hosts"},
}

func writeKeysMarkdown(w io.Writer, keys []KeyDoc) {
	fmt.Fprint(w, "| key | example | meaning |\n|---|---|---|\n")
	for _, t := range keyTables {
		fmt.Fprintf(w, "| **%s** | | |\n", t.heading)
		for _, k := range keys {
			if k.Table == t.table {
				fmt.Fprintf(w, "| `%s` | `%s` | %s |\n", k.Key, k.Value, k.Help)
			}
		}
	}
}

func writeKeysMan(w io.Writer, keys []KeyDoc) {
	fmt.Fprint(w, `.SH CONFIGURATION FILE
The file of
.B \-\-config
is TOML. Its keys are the names of the flags, with arrays where a flag may be
repeated. Relative paths in it are relative to its folder. With
.B check
every mistake is reported with its line. HUP makes workers read the file again.
.B fapws import web.conf
writes one from the file of httPyServer.
`)
	for _, t := range keyTables {
		fmt.Fprintf(w, ".SS %s\n", roff(t.heading))
		for _, k := range keys {
			if k.Table == t.table {
				fmt.Fprintf(w, ".TP\n.B %s\n%s.\n", roff(k.Key+" = "+k.Value), roff(k.Help))
			}
		}
	}
}
