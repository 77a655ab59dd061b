package settings

import (
	"fmt"
	"io"
	"slices"

	"golang.org/x/sys/unix"
)

// Machine holds the properties of a machine that defaults depend on.
type Machine struct {
	OpenFiles uint64 // the limit of open files of this process; 0 if not known
}

// ThisMachine describes the machine that fapws runs on. Go's start-up has raised the soft limit of open files to the
// hard one.
func ThisMachine() (m Machine) {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		m.OpenFiles = uint64(limit.Cur)
	}
	return m
}

// Table returns the rows of all settings in the order of the help.
func Table(m Machine) []*Setting {
	return slices.Concat(addressRows(), tlsRows(), loginRows(), appRows(), fileRows(), cacheRows(), processRows(), limitRows(m), http2Rows(), websocketRows(), channelRows(), logRows())
}

// variants are flags of other servers that give a setting in another way.
var variants = []struct {
	name   string
	of     string // name of the setting
	prefix string // goes before the value
	fixed  string // the value of a flag without one
}{
	{name: "uds", of: "bind", prefix: "unix:"},
	{name: "unix-socket", of: "bind", prefix: "unix:"},
	{name: "fd", of: "bind", prefix: "fd://"},
	{name: "no-access-log", of: "access-log", fixed: "off"},
}

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
