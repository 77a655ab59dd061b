package settings

import (
	"embed"
	"fmt"
	"io"
	"slices"
	"strings"
)

const (
	helpWidth  = 79
	helpIndent = 27 // column in which the descriptions start
)

const usage = `Usage: fapws [FLAGS] APP [-- ARGS...]  serve app.py, module:app or a directory
       fapws check|routes|shell|systemd-unit APP  validate, list, try, install
       fapws ctl|bench|import|hash-password|user|new  see fapws COMMAND --help
       fapws help TOPIC               a page of the docs; help topics lists them
`

// WriteHelp writes the text of --help. The text contains the common flags and fits on one screen or, if all is true,
// contains all flags and their aliases.
func WriteHelp(w io.Writer, all bool) {
	fmt.Fprint(w, usage)
	group := ""
	for _, row := range slices.Concat(table(), commands) {
		if row.Group != group && all {
			fmt.Fprintln(w)
		}
		if row.Group != group {
			group = row.Group
			fmt.Fprintln(w, group)
		}
		switch {
		case all:
			writeEntry(w, row.synopsis(), row.sentence())
		case row.Brief != "":
			writeEntry(w, row.synopsis(), row.Brief+row.bracketed())
		}
	}
	if !all {
		fmt.Fprint(w, "SIZE takes K, M, G; TIME is in seconds or takes ms, s, m, h, d.\n")
		return
	}
	for _, n := range notes {
		fmt.Fprintln(w, "\n"+strings.Join(wrap(n.about+": "+n.text, helpWidth), "\n"))
	}
}

//go:embed help/*.txt
var helpTexts embed.FS

// CommandHelp returns the help text of a command that takes no flags of its own, or "" if there is none. Packages ctl
// and bench contain the help texts of their commands.
func CommandHelp(word Word) string {
	text, _ := helpTexts.ReadFile("help/" + string(word) + ".txt")
	return string(text)
}

// notes contains texts that "--help all" and the man page print after the flags.
var notes = []struct{ about, text string }{
	{"Values",
		`SIZE is in bytes or takes K, M, G (K is 1024); TIME is in seconds or takes ms, s, m, h, d. A flag without a
value is a switch: --compress=no and --no-compress turn it off. Flags may precede or follow APP; -- ends them, and the
application gets ARGS as sys.argv[1:].`},
	{"Settings", `Every flag is also an environment variable (FAPWS_MAX_BODY_SIZE) and a key of the configuration file
(max-body-size = "100M"), which may also name what to serve with app, root and [[host]]. PORT, WEB_CONCURRENCY
(workers), FORWARDED_ALLOW_IPS and VIRTUAL_ENV are read as well, and GUNICORN_CMD_ARGS, UVICORN_*, GRANIAN_*,
HYPERCORN_* and FLASK_RUN_* below all others. A script with PATHS may set limits, timeouts, logs, threads, max-queue,
backlog, x-sendfile and x-accel as globals (MAX_BODY_SIZE), and the address as SERVER. Precedence: flags, environment,
configuration file, script globals, defaults. --print-config shows every value and its source.`},
	{"Application",
		`APP is a directory, a script (app.py), a module (package.module), or an object in a script or module
(app.py:app, package.module:app); the default objects are PATHS, application and app. A script with PATHS is run; any
other script is imported. Without APP, the configuration file names what to serve. check validates the application and
settings; routes lists each path and its handler; shell runs Python, interactively or from standard input, with the
application loaded.`},
	{"Signals",
		`SIGTERM and SIGINT shut down gracefully: they stop accepting, finish active requests within the graceful
timeout, and exit with status 0; a second one exits immediately. SIGQUIT closes active requests. SIGUSR1 reopens the
log files. With workers, SIGHUP reloads the application, SIGUSR2 also upgrades fapws, and SIGTTIN and SIGTTOU add and
remove a worker; without workers, SIGHUP reads the certificates of HTTPS again, and the others do nothing. Without
workers or with --dev, closing the terminal in which the server was started stops it.`},
	{"Exit status",
		`0 stopped; 1 failed while running, or stopped by a second signal; 2 usage or configuration error: the
command line, a variable, the configuration file or a setting of the script is wrong, or a file or directory, such as
the application, a certificate or the directory of a log, does not exist; 3 failed to load or to start: the application
raised an exception, PATHS is wrong, or an address, certificate, log or socket cannot be used. The status of a sys.exit
call in a signal handler of the script is passed on.`},
}

var commands = []*Setting{
	{Name: "help", Short: "h", Group: "Instead of serving", Brief: "show common flags; --help all shows every flag"},
	{Name: "version", Short: "V", Group: "Instead of serving", Brief: "show the versions of fapws, Python and Go"},
	{Name: "check-config", Group: "Instead of serving"},
	{Name: "print-config", Group: "Instead of serving", Brief: "show every setting and its source"},
}

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

func (s *Setting) sentence() string {
	text := s.explanation() + s.bracketed()
	if others := s.otherFlags(); len(others) > 0 {
		text += "; also " + strings.Join(others, ", ")
	}
	return text
}

func (s *Setting) bracketed() string {
	if d := s.shownDefault(); d != "" {
		return " [" + d + "]"
	}
	return ""
}

func (s *Setting) otherFlags() []string {
	var others []string
	for _, one := range s.variants {
		flag := "--" + one.name
		if one.prefix != "" {
			flag += " PATH"
		}
		others = append(others, flag)
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
