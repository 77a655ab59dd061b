package settings

import (
	"fmt"
	"io"
)

type KeyDoc struct {
	// the table that contains the key: "" for the top of the file, "host", "host.route", or "rules" for a key in both
	// tables
	Table string
	Key   string
	Value string
	Help  string
}

var keyTables = []struct{ table, title, text string }{
	{"", "Keys at the top of the file", "The names of the flags are keys, too"},
	{"host", "Keys of a host, [[host]]",
		"A host also takes the rules below, and the flags index, autoindex, spa, mime-types, charset, compress, " +
			"expires, symlinks, dotfiles, expose and cache-files-max"},
	{"host.route", "Keys of a route, [[host.route]]",
		"A route has prefix, match or both, and at most one source: app, files, cgi, php, fastcgi, " +
			"redirect, rewrite, proxy, upload or status. It takes the same flags and rules as a host"},
	{"rules", "Rules", "A rule of a host is one for all its routes. The first six may also stand at the top, " +
		"for all hosts"},
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
		fmt.Fprintf(w, ".SS %s\n%s.\n", roff(t.title), roff(t.text))
		for _, k := range keys {
			if k.Table == t.table {
				fmt.Fprintf(w, ".TP\n.B %s\n%s.\n", roff(k.Key+" = "+k.Value), roff(k.Help))
			}
		}
	}
}
