package settings

import (
	"fmt"
	"io"
)

// KeyDoc describes a key of the configuration file that is not a setting.
type KeyDoc struct {
	// "" for the top, "host", "host.route", or "rules" for both tables
	Table string
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
