package settings

import (
	"fmt"
	"io"
	"strings"
)

// WriteInternal writes one of InternalTopics: the man page (roff), the
// completion for bash, or the table of settings, or of keys, for a README
// (Markdown).
func WriteInternal(w io.Writer, topic, version string, keys []KeyDoc) {
	rows := Table(Machine{})
	switch topic {
	case "man":
		writeMan(w, rows, version, keys)
	case "completion":
		writeCompletion(w, rows)
	case "settings":
		writeMarkdown(w, rows)
	case "keys":
		writeKeysMarkdown(w, keys)
	}
}

func writeMan(w io.Writer, rows []*Setting, version string, keys []KeyDoc) {
	fmt.Fprintf(w, `.TH FAPWS 1 "" "fapws %s" "User Commands"
.SH NAME
fapws \- serve a Python application, or a whole site, over HTTP
.SH SYNOPSIS
.B fapws
.RI [ FLAGS ] " APP " [ FLAGS ]
.RB [ \-\-
.IR ARGS... ]
.br
.B fapws check | routes | shell
.RI [ FLAGS ] " APP "
.RB [ \-\-
.IR ARGS... ]
.br
.B fapws import
.I web.conf
.br
.B fapws hash\-password
.RI [ USER ]
.br
.B fapws user add | passwd | remove | list
.RB [ \-f
.IR FILE ]
.RI [ NAME ]
.br
.B fapws bench
.RI [ FLAGS ]
.I URL
.br
.B fapws ctl
.RB [ \-\-pid
.IR PID |
.B \-\-socket
.IR FILE ]
.B stack | status | top | metrics | reload | purge | rotate | stop | ca
.SH DESCRIPTION
fapws loads
.I APP
and serves it.
.I APP
is a directory, a script
.RI ( app.py ),
a module
.RI ( package.module ),
or an object in a script or module
.RI ( app.py:app ", " package.module:app ).
The default objects are the list
.B PATHS
and then a WSGI or ASGI application called
.BR application " or " app .
A script with PATHS is run; any other script is imported as a module named after
the file. Without
.IR APP ,
the configuration file names what to serve.
.PP
Flags may precede and follow
.IR APP .
.B \-\-
ends them, and the application gets
.I ARGS
as sys.argv[1:].
.PP
.B check
loads the application, validates it and the settings, and exits without
listening.
.B routes
lists each path and its handler, and
.B shell
runs Python with the application loaded.
.B ctl
controls a running server of this user, or of any user for root:
.B stack
shows active requests and their Python stacks,
.B status
the state of the server (with
.B \-\-json
as JSON),
.B top
what it does each second,
.B metrics
what it counts, for Prometheus,
.B reload
reloads the application and fails if the new code does not load,
.B purge
empties the cache,
.B rotate
rotates the log files,
.B stop
shuts down gracefully, and
.B ca
shows the authority of \-\-tls auto. If several servers run, the command must name one,
or FAPWS_CTL_SOCKET its socket.
.PP
.B bench
sends requests to the server of
.I URL
and shows throughput, latencies and failures; see
.BR "fapws bench \-\-help" .
Every command describes itself and its exit codes with
.BR \-\-help .
.PP
.B import
converts the web.conf of httPyServer to a configuration file, and
.B hash\-password
writes a line for a password file of auth, in the format of htpasswd.
.B user
adds, changes, removes and lists the users in the file of login or auth.
.SH OPTIONS
`, roff(version))
	for _, group := range groups {
		fmt.Fprintf(w, ".SS %s\n", group)
		for _, row := range rowsOf(rows, group) {
			fmt.Fprintf(w, ".TP\n.B %s\n%s.\n", roff(strings.TrimSpace(row.synopsis())), roff(row.sentence()))
		}
	}
	fmt.Fprint(w, `.PP
A SIZE is in bytes or takes K, M or G, where K is 1024. A TIME is in seconds or
takes ms, s, m, h or d.
.SH ENVIRONMENT
Every setting is also an environment variable. Precedence: flags, environment,
configuration file, script globals, defaults.
`)
	for _, row := range rows {
		fmt.Fprintf(w, ".TP\n.B %s\nSame as %s.\n", row.EnvName(), roff("--"+row.Name))
		if row.Env != "" {
			fmt.Fprintf(w, ".TP\n.B %s\nUsed when %s is not set.\n", row.Env, row.EnvName())
		}
	}
	writeKeysMan(w, keys)
	fmt.Fprint(w, ".SH SCRIPT\nA script with PATHS may set these globals.\n")
	for _, row := range rows {
		if row.Global != "" {
			fmt.Fprintf(w, ".TP\n.B %s\nSame as %s.\n", row.Global, roff("--"+row.Name))
		}
	}
	fmt.Fprint(w, `.SH SIGNALS
.B SIGTERM
and
.B SIGINT
shut down gracefully: stop accepting, finish active requests within the graceful
timeout, and exit with status 0; a second one exits immediately with status 1.
.B SIGQUIT
closes active requests.
.B SIGUSR1
reopens the log files.
With workers,
.B SIGHUP
reloads the application,
.B SIGUSR2
also upgrades the program, and
.BR SIGTTIN " and " SIGTTOU
add and remove a worker; without workers, SIGHUP reads the certificates of HTTPS
again, and the others do nothing.
.SH EXIT STATUS
.TP
.B 0
stopped by a signal.
.TP
.B 1
failed while running, or stopped by a second signal.
.TP
.B 2
usage or configuration error: the command line, a variable or the configuration
file is wrong, also by the name of a directory or file that does not exist.
.TP
.B 3
failed to load or to start: the script is missing or raised an exception, PATHS
is wrong, or an address, certificate, log or socket cannot be used.
.PP
The status of a sys.exit call in a signal handler of the script is passed on.
.SH SEE ALSO
The package and the archive have all pages of the documentation, and the console
of a device as an example, in
.IR /usr/share/doc/fapws ,
the archive below its prefix.
`)
}

// roff keeps hyphens as the minus signs that a user types, and keeps a leading
// dot or quote from being a request.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

func writeCompletion(w io.Writer, rows []*Setting) {
	var all, withValue []string
	note := func(row *Setting, name string, takesValue bool) {
		all = append(all, "--"+name)
		if takesValue {
			withValue = append(withValue, "--"+name)
			if row.Short != "" && name == row.Name {
				withValue = append(withValue, "-"+row.Short)
			}
		}
	}
	for _, row := range rows {
		note(row, row.Name, row.Arg != "")
		for _, alias := range row.Aliases {
			note(row, alias, row.Arg != "")
		}
	}
	for _, v := range variants {
		note(&Setting{}, v.name, v.fixed == "")
	}
	for _, row := range commands {
		note(row, row.Name, false)
	}
	fmt.Fprintf(w, `# bash completion for fapws; after --, names of files.
_fapws() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[i]} == -- ]]; then
            compopt -o default
            return
        fi
    done
    if [[ ${COMP_WORDS[1]} == import ]]; then
        compopt -o default
        return
    fi
    if [[ ${COMP_WORDS[1]} == user ]]; then
        case $prev in
            -f | --file) compopt -o default; return ;;
        esac
        COMPREPLY=($(compgen -W "add passwd remove list --file --help" -- "$cur"))
        return
    fi
    if [[ ${COMP_WORDS[1]} == bench ]]; then
        case $prev in
            --cacert) compopt -o default; return ;;
        esac
        COMPREPLY=($(compgen -W "--connections --duration --requests --rate --threads --method --header --body --http2 --streams --close --timeout --cacert --insecure --json --help" -- "$cur"))
        return
    fi
    if [[ ${COMP_WORDS[1]} == ctl ]]; then
        case $prev in
            --socket) compopt -o default; return ;;
            --pid) return ;;
        esac
        COMPREPLY=($(compgen -W "stack status top metrics reload purge rotate stop ca --host --tag --all --pid --socket --plain --once --json --help" -- "$cur"))
        return
    fi
    case $prev in
%s        --help | help) COMPREPLY=($(compgen -W all -- "$cur")); return ;;
        -C | --chdir | --working-dir) compopt -o dirnames; return ;;
        %s) compopt -o default; return ;;
    esac
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "%s" -- "$cur"))
        return
    fi
    compopt -o filenames
    COMPREPLY=($(compgen -d -- "$cur") $(compgen -f -X '!*.py' -- "$cur"))
    if [[ $COMP_CWORD -eq 1 ]]; then
        COMPREPLY+=($(compgen -W "%s" -- "$cur"))
    fi
}
complete -F _fapws fapws
`, valueCases(rows), strings.Join(withValue, " | "), strings.Join(all, " "), strings.Join(TypedWords, " "))
}

// valueCases are the cases of bash for flags that take one of a few words.
func valueCases(rows []*Setting) string {
	var cases strings.Builder
	for _, row := range rows {
		words := row.value(&Config{}).words
		if words == nil {
			continue
		}
		names := "--" + strings.Join(append([]string{row.Name}, row.Aliases...), " | --")
		fmt.Fprintf(&cases, "        %s) COMPREPLY=($(compgen -W \"%s\" -- \"$cur\")); return ;;\n", names, strings.Join(words, " "))
	}
	return cases.String()
}

func writeMarkdown(w io.Writer, rows []*Setting) {
	fmt.Fprint(w, "| flag | environment | script | default | meaning |\n|---|---|---|---|---|\n")
	for _, row := range rows {
		global := row.Global
		if global != "" {
			global = "`" + global + "`"
		}
		name := "--" + row.Name
		if row.Short != "" {
			name = "-" + row.Short + ", " + name
		}
		fmt.Fprintf(w, "| `%s` | `%s` | %s | %s | %s |\n", name, row.EnvName(), global, row.shownDefault(), row.explanation())
	}
}

// WriteConfig writes the output of --print-config: a line for each setting with
// its value and the place that it comes from.
func (s *Settings) WriteConfig(w io.Writer) error {
	conf, err := s.Config()
	if err != nil {
		return err
	}
	for _, row := range s.rows {
		if row.sugar {
			continue
		}
		shown := row.value(&conf).show()
		if shown == "" {
			shown = "-"
		}
		if _, err := fmt.Fprintf(w, "%-25s %-20s %s\n", row.Name, shown, s.Source(row.Name)); err != nil {
			return err
		}
	}
	return nil
}
