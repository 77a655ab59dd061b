package settings

import (
	_ "embed"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
)

// WriteInternal writes the text for a topic in internalTopics: the man page in roff, the completion for bash, or the
// body of docs/settings.md or docs/keys.md. helps contains the help texts of commands of other packages.
func WriteInternal(w io.Writer, topic, version string, keys []KeyDoc, helps ...string) {
	switch topic {
	case "man":
		writeMan(w, version, keys, helps)
	case "completion":
		writeCompletion(w)
	case "settings":
		writeMarkdown(w)
	case "keys":
		writeKeysMarkdown(w, keys)
	}
}

//go:embed man.roff
var manHead string // the format of the beginning of the man page

func writeMan(w io.Writer, version string, keys []KeyDoc, helps []string) {
	fmt.Fprintf(w, manHead, roff(version), roff(strings.ReplaceAll(usage, "\n       ", "\n")[len("Usage: "):]))
	fmt.Fprint(w, ".SH COMMANDS\n")
	for _, word := range []Word{WordImport, WordHash, WordUser, WordNew, WordBundle, WordCheck, WordRoutes, WordShell, WordUnit} {
		helps = append(helps, CommandHelp(word))
	}
	for _, help := range helps {
		writeHelpMan(w, help)
	}
	fmt.Fprint(w, ".SH OPTIONS\n")
	for _, g := range helpGroups() {
		fmt.Fprintf(w, ".SS %s\n", g.name)
		for _, row := range g.rows {
			fmt.Fprintf(w, ".TP\n.B %s\n%s.\n", roff(strings.TrimSpace(row.synopsis())), roff(row.sentence()))
		}
	}
	for n := range Texts(notes) {
		fmt.Fprintf(w, ".SH %s\n%s\n", strings.ToUpper(n.Head), roff(n.Text))
	}
	fmt.Fprint(w, ".SH ENVIRONMENT\n")
	for _, row := range table() {
		fmt.Fprintf(w, ".TP\n.B %s\nSame as %s.\n", row.EnvName(), roff("--"+row.Name))
		if row.Env != "" {
			fmt.Fprintf(w, ".TP\n.B %s\nUsed when %s is not set.\n", row.Env, row.EnvName())
		}
	}
	writeKeysMan(w, keys)
	fmt.Fprint(w, ".SH SCRIPT\nA script with PATHS may set these globals.\n")
	for _, row := range table() {
		if row.Global != "" {
			fmt.Fprintf(w, ".TP\n.B %s\nSame as %s.\n", row.Global, roff("--"+row.Name))
		}
	}
	fmt.Fprint(w, `.SH SEE ALSO
The package and the archive have all pages of the documentation, and the console
of a device as an example, in
.IR /usr/share/doc/fapws ,
the archive below its prefix.
`)
}

var helpEntry = Pattern(`^ {2,6}(\S(?:.*?\S)?) {2,}(\S.*)$`)

// writeHelpMan writes a help text in roff, with a heading for its command. Lines become paragraphs, so that the text
// fits any width.
func writeHelpMan(w io.Writer, help string) {
	usage, text, _ := strings.Cut(help, "\n")
	usage = strings.TrimPrefix(usage, "Usage: ")
	for strings.HasPrefix(text, "       fapws") {
		more, rest, _ := strings.Cut(text, "\n")
		usage, text = usage+"\n"+strings.TrimSpace(more), rest
	}
	fmt.Fprintf(w, ".SS %s\n.nf\n%s\n.fi\n.PP\n", strings.Join(strings.Fields(usage)[:2], " "), roff(usage))
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if m := helpEntry().FindStringSubmatch(line); m != nil {
			fmt.Fprintf(w, ".TP\n.B %s\n%s\n", roff(m[1]), roff(m[2]))
		} else if line == "" {
			fmt.Fprint(w, ".PP\n")
		} else {
			fmt.Fprintln(w, roff(strings.TrimSpace(line)))
		}
	}
}

func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

//go:embed completion.bash
var completion string // the format of the completion

func writeCompletion(w io.Writer) {
	var all, withValue []string
	p := newParser(table(), nil)
	p.set.VisitAll(func(f *pflag.Flag) {
		all = append(all, "--"+f.Name)
		if f.NoOptDefVal == "" {
			withValue = append(withValue, "--"+f.Name)
		}
		if f.NoOptDefVal == "" && f.Shorthand != "" {
			withValue = append(withValue, "-"+f.Shorthand)
		}
	})
	fmt.Fprintf(w, completion, valueCases(), strings.Join(withValue, " | "), strings.Join(all, " "),
		strings.Join(typedWords, " "))
}

func valueCases() string {
	var cases strings.Builder
	for _, row := range table() {
		words := row.value.words
		if words == nil {
			continue
		}
		flags := join(row.names(), " | ", func(one variant) string { return "--" + one.name })
		fmt.Fprintf(&cases, "        %s) COMPREPLY=($(compgen -W \"%s\" -- \"$cur\")); return ;;\n", flags,
			strings.Join(words, " "))
	}
	return cases.String()
}

type KeyDoc struct {
	// the table that contains the key: "" for the top of the file, "host", "host.route", or "rules" for a key in both
	// tables
	Table string
	Key   string
	Value string
	Help  string
	Guide string // page of the documentation about the key, such as "site.md#passwords"; may be empty
}

// keyTables lists the tables of the file, each with an example for docs/keys.md and the example's file name.
var keyTables = []struct{ table, title, text, file, example string }{
	{"", "Keys at the top of the file", "These are in addition to the names of the flags", "top.toml",
		`bind = ":8000"
unknown-host = "421"
types = { gpx = "application/gpx+xml" }

[[host]]
root = "."
`},
	{"host", "Keys of a host, [[host]]",
		"A host also takes the rules below, and the flags index, autoindex, spa, mime-types, charset, compress, " +
			"expires, symlinks, dotfiles, expose and cache-files-max", "host.toml",
		`[[host]]
name = ["example.org", "*.example.org"]
root = "."
error-page = { 404 = "/404.html" }
expires = ["*.css=30d", "*=1h"]
`},
	{"host.route", "Keys of a route, [[host.route]]",
		"A route has prefix, match or both, and at most one source: app, application, files, cgi, php, fastcgi, " +
			"redirect, rewrite, proxy, upload or status. It takes the same flags and rules as a host", "route.toml",
		`[[host]]
root = "."

[[host.route]]
prefix = "/api/"
proxy = "http://127.0.0.1:9000"
timeout = "30s"

[[host.route]]
prefix = "/old/"
redirect = "/new/$1"
`},
	{"application", "Keys of an application, [application.NAME]",
		"An application with a process of its own also takes the flags about applications and processes: chdir, " +
			"venv, user, workers, threads, timeout, max-rss, env-file, sandbox, idle-stop and others", "blog.toml",
		`[application.blog]
app = "wsgiref.simple_server:demo_app"
chdir = "."
workers = 2

[[host]]
name = "blog.example.org"
application = "blog"
`},
	{"rules", "Rules", "A rule of a host is one for all its routes. Those from hsts to methods may also stand at " +
		"the top, for all hosts", "rules.toml",
		`headers = { "X-Frame-Options" = "DENY" }

[[host]]
root = "."
allow = ["192.168.0.0/16"]
rate = "20/s burst 40"
`},
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
