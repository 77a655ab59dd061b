package settings

import (
	"fmt"
	"io"
	"strings"
)

const (
	helpWidth  = 79 // columns of a line, so that an 80-column terminal does not wrap
	helpIndent = 27 // column where the sentences start
)

// WriteHelp writes what --help shows: the flags of every day, which fit one
// screen, or all of them with the names that other servers have for them.
func WriteHelp(w io.Writer, rows []*Setting, all bool) {
	fmt.Fprint(w, `Usage: fapws [FLAGS] APP [ARGS...]   serve app.py, module:app or a folder
       fapws check|routes|shell APP  only load: test it, list its paths, try it
       fapws ctl COMMAND             ask one that runs; ctl --help says what
       fapws import|hash-password    a web.conf as fapws.toml; a user of auth
`)
	for _, group := range groups {
		if all {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, group)
		for _, row := range rowsOf(rows, group) {
			switch {
			case all:
				writeEntry(w, row.synopsis(), row.sentence())
			case row.Brief != "":
				writeEntry(w, row.synopsis(), row.Brief+row.bracketed())
			}
		}
	}
	if all {
		fmt.Fprint(w, allNotes)
		return
	}
	fmt.Fprint(w, "SIZE takes K, M, G; TIME is in seconds or takes ms, s, m, h.\n")
}

const allNotes = `
SIZE is in bytes or takes K, M, G (K is 1024); TIME is in seconds or takes ms,
s, m, h. Each flag is also a variable of the environment, --max-body-size is
FAPWS_MAX_BODY_SIZE; PORT, WEB_CONCURRENCY (workers), FORWARDED_ALLOW_IPS and
VIRTUAL_ENV count as well. Limits, timeouts, logs, threads, max-queue, backlog,
x-sendfile and x-accel may be globals of the script, MAX_BODY_SIZE; the address
is SERVER there. Each flag is also a key of the configuration file, TOML, where
app or root stands for APP, max-body-size = "100M", and where hosts and routes
are. Flags win over environment over file over script over default;
--print-config shows what came from where.

APP is a folder of files, a script, a module, or an object in one of these:
PATHS, application or app if none is named. A script with PATHS is run, every
other one is imported.
check says if all is well, routes prints what answers which path, and shell
runs Python, at a terminal or from standard input, with the application loaded.

Signals: TERM and INT stop gracefully, a second one at once; QUIT cuts what is
in flight; USR1 opens the log files anew. With workers HUP reloads the
application, USR2 the program too; TTIN and TTOU add and take away a worker.

Exit codes: 0 stopped, 1 failed while running, stopped at once, or the script
raised, 2 wrong usage or setting, 3 could not start; the code of a script that
calls sys.exit is passed on.
`

// commands are rows for flags that are no settings.
var commands = []*Setting{
	{Name: "help", Short: "h", Group: GroupCommands, Brief: "show this; --help all shows all flags", Help: "show the flags of every day; --help all shows all"},
	{Name: "version", Short: "V", Group: GroupCommands, Brief: "show the versions of fapws, Python and Go"},
	{Name: "check-config", Group: GroupCommands, Help: "load and test what would be served, and end: the same as fapws check"},
	{Name: "print-config", Group: GroupCommands, Brief: "show every setting and where it comes from", Help: "show every setting with the place it comes from, and end; runs the script if one is named"},
}

func rowsOf(rows []*Setting, group Group) []*Setting {
	if group == GroupCommands {
		rows = commands
	}
	var of []*Setting
	for _, row := range rows {
		if row.Group == group {
			of = append(of, row)
		}
	}
	return of
}

// synopsis is "-b, --bind ADDR".
func (s *Setting) synopsis() string {
	line := "    --" + s.Name
	if s.Short != "" {
		line = "-" + s.Short + ", --" + s.Name
	}
	if s.Arg != "" {
		line += " " + s.Arg
	}
	return line
}

// sentence is the help with the default and the other names.
func (s *Setting) sentence() string {
	text := s.explanation() + s.bracketed()
	if others := s.otherFlags(); len(others) > 0 {
		text += "; also " + strings.Join(others, ", ")
	}
	return text
}

// bracketed is the default as the help shows it.
func (s *Setting) bracketed() string {
	if d := s.shownDefault(); d != "" {
		return " [" + d + "]"
	}
	return ""
}

// otherFlags lists what else may be typed for this setting.
func (s *Setting) otherFlags() []string {
	var others []string
	for _, alias := range s.Aliases {
		others = append(others, "--"+alias)
	}
	for _, v := range variants {
		if v.of == s.Name && v.fixed != "" {
			others = append(others, "--"+v.name)
		} else if v.of == s.Name {
			others = append(others, "--"+v.name+" PATH")
		}
	}
	return others
}

func writeEntry(w io.Writer, synopsis, sentence string) {
	left := "  " + synopsis
	if len(left) > helpIndent-2 {
		fmt.Fprintln(w, left)
		left = ""
	}
	for _, line := range wrap(sentence, helpWidth-helpIndent) {
		fmt.Fprintf(w, "%-*s%s\n", helpIndent, left, line)
		left = ""
	}
}

// wrap breaks text at spaces into lines of at most width bytes.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}
