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
.RI [ FLAGS ] " APP " [ ARGS... ]
.br
.B fapws check | routes | shell
.RI [ FLAGS ] " APP " [ ARGS... ]
.br
.B fapws import
.I web.conf
.br
.B fapws hash\-password
.RI [ USER ]
.br
.B fapws ctl
.RB [ \-\-pid
.IR N \ |
.B \-\-socket
.IR FILE ]
.BR stack | status | purge | reload | rotate | stop
.SH DESCRIPTION
.B fapws
embeds Python, loads the application and serves it.
.I APP
is a folder of files, a script
.RI ( app.py ),
a module
.RI ( package.module ),
or an object in one of them
.RI ( app.py:app ", " package.module:app ).
Where no object is named, the list
.B PATHS
is served, or else the WSGI application called
.BR application " or " app .
A script with PATHS is run; every other one is imported, as a module called by
the name of the file. Without
.IR APP ,
the configuration file says what is served.
.PP
With
.B check
it loads the application, validates it and the settings, and ends without
listening. With
.B routes
it prints which path is answered by what, and with
.B shell
it runs Python with the application loaded.
With
.B ctl
it speaks to a running server of this user, or of anybody for root:
.B stack
shows every request in flight with its Python stack,
.B status
what runs (with
.B \-\-json
for programs),
.B reload
loads the application anew and fails if that does not,
.B purge
throws pages out of the cache,
.B rotate
begins new log files, and
.B stop
stops gracefully. If several run, one has to be named.
.PP
.B import
writes a configuration file for httPyServer's web.conf, and
.B hash\-password
the line of a user for a file of auth, which htpasswd would write, too.
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
takes ms, s, m or h.
.SH ENVIRONMENT
Each setting can be given in a variable. Flags win over the environment, the
environment over the configuration file, the file over the script, the script
over the default.
`)
	for _, row := range rows {
		fmt.Fprintf(w, ".TP\n.B %s\nthe same as %s.\n", row.EnvName(), roff("--"+row.Name))
		if row.Env != "" {
			fmt.Fprintf(w, ".TP\n.B %s\nthe same, when %s is not set.\n", row.Env, row.EnvName())
		}
	}
	writeKeysMan(w, keys)
	fmt.Fprint(w, ".SH SCRIPT\nThe script may set these globals.\n")
	for _, row := range rows {
		if row.Global != "" {
			fmt.Fprintf(w, ".TP\n.B %s\nthe same as %s.\n", row.Global, roff("--"+row.Name))
		}
	}
	fmt.Fprint(w, `.SH SIGNALS
.B SIGTERM
and
.B SIGINT
stop accepting, finish what is in flight within the graceful timeout, and exit
with 0; a second one exits at once with 1.
.B SIGQUIT
does not wait for what is in flight.
.B SIGUSR1
opens the log files anew.
With workers,
.B SIGHUP
loads the application anew,
.B SIGUSR2
the program too, and
.BR SIGTTIN " and " SIGTTOU
add and take away a worker; without, these do nothing.
.SH EXIT STATUS
.TP
.B 0
stopped by a signal.
.TP
.B 1
failed while running, stopped at once, or the script raised.
.TP
.B 2
wrong usage or setting.
.TP
.B 3
could not start: the script is missing, PATHS is wrong, or an address cannot be
bound.
.PP
The code of a script that calls sys.exit is passed on.
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
	fmt.Fprintf(w, `# bash completion for fapws; after APP, names of files.
_fapws() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[i]} == *.py || ${COMP_WORDS[i]} == *.py:* ]]; then
            compopt -o default
            return
        fi
    done
    if [[ ${COMP_WORDS[1]} == import ]]; then
        compopt -o default
        return
    fi
    if [[ ${COMP_WORDS[1]} == ctl ]]; then
        case $prev in
            --socket) compopt -o default; return ;;
            --pid) return ;;
        esac
        COMPREPLY=($(compgen -W "stack status reload purge rotate stop --host --tag --all --pid --socket --json --help" -- "$cur"))
        return
    fi
    case $prev in
        --log-level) COMPREPLY=($(compgen -W "%s" -- "$cur")); return ;;
        --symlinks) COMPREPLY=($(compgen -W "%s" -- "$cur")); return ;;
        --interface) COMPREPLY=($(compgen -W "auto paths wsgi asgi" -- "$cur")); return ;;
        --lifespan) COMPREPLY=($(compgen -W "auto on off" -- "$cur")); return ;;
        --loop) COMPREPLY=($(compgen -W "auto asyncio uvloop" -- "$cur")); return ;;
        --debug) COMPREPLY=($(compgen -W "0 1 2 3" -- "$cur")); return ;;
        --help | help) COMPREPLY=($(compgen -W all -- "$cur")); return ;;
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
`, strings.Join(LogLevels, " "), strings.Join(SymlinkPolicies, " "), strings.Join(withValue, " | "), strings.Join(all, " "), strings.Join(TypedWords, " "))
}

func writeMarkdown(w io.Writer, rows []*Setting) {
	fmt.Fprint(w, "| flag | environment | script | default | what it is |\n|---|---|---|---|---|\n")
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
