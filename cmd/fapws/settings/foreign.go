package settings

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

//go:embed foreign.txt
var foreignText string

// foreignAnswer returns the advice about a word, or "" if foreign.txt contains no matching entry. The Head of an entry
// contains words and, after " ~ ", a condition. value is the value of the flag, or the word that follows the command.
func foreignAnswer(word, value string) string {
	if word == "" {
		return ""
	}
	if !strings.HasPrefix(word, "/") {
		word = strings.ReplaceAll(word, "_", "-")
	}
	for f := range Texts(foreignText) {
		names, when, _ := strings.Cut(f.Head, " ~ ")
		if fits(names, word) && (when == "" || regexp.MustCompile("^(?:"+when+")$").MatchString(value)) {
			if strings.Contains(f.Text, "%m") {
				return strings.ReplaceAll(f.Text, "%m", DjangoArguments(value, "PROJECT.wsgi"))
			}
			return strings.NewReplacer("%s", value, "%d", filepath.Dir(value)).Replace(f.Text)
		}
	}
	return ""
}

// fits reports whether a word matches one of the names. Case is ignored for the names of files.
func fits(names, word string) bool {
	for name := range strings.FieldsSeq(names) {
		typed := word
		if strings.HasPrefix(name, "/") {
			name, typed = strings.ToLower(name), strings.ToLower(word)
		}
		if ok, _ := path.Match(name, typed); ok {
			return true
		}
	}
	return false
}

// ForeignFile returns advice about a file, or "". There is advice for two kinds of file names: names of files that
// another server uses, and names of files that fapws serves only if other arguments follow the command word.
func ForeignFile(word Word, name string) string {
	return strings.ReplaceAll(foreignAnswer("/"+filepath.Base(name), name), "%c", word.Start())
}

func foreignKey(key string) string {
	if answer := foreignAnswer(key+"=", ""); answer != "" {
		return answer
	}
	return foreignAnswer("--"+key, "VALUE")
}

// UnknownWord returns advice if a word that the user has typed as a command is a command of another tool or resembles a
// word in typedWords.
func UnknownWord(word, app string) string {
	app = cmp.Or(app, "APP")
	if answer := foreignAnswer(word, app); answer != "" && word == strings.ToLower(word) {
		return answer
	}
	switch near := Nearest(word, typedWords); Word(near) {
	case "":
	case WordRun, WordCheck, WordRoutes, WordShell, WordUnit:
		return fmt.Sprintf("did you mean fapws %s %s?", near, app)
	default:
		return fmt.Sprintf("did you mean fapws %s?", near)
	}
	return ""
}

// unexpected returns the error about superfluous words after APP, which is words[0].
func (p *parser) unexpected(word Word, words []string) error {
	app, extra := words[0], words[1]
	for _, one := range words {
		toggle := p.toggleBefore(one)
		if _, err := onOff(one); toggle != "" && err == nil {
			return fmt.Errorf("unexpected word %s: %s takes a value only with =, %s=%s", one, toggle, toggle, one)
		} else if toggle != "" && one == app && !strings.ContainsAny(one, ".:/") {
			return fmt.Errorf("unexpected word %s: %s is a switch, without a value", one, toggle)
		}
	}
	if err := notAnApp(app, extra); err != nil {
		return err
	}
	if what := ForeignFile(word, app); what != "" {
		return fmt.Errorf("%s is %s", app, what)
	}
	if word == WordRun && !strings.ContainsAny(app, ".:(/") {
		if answer := UnknownWord(app, extra); answer != "" {
			return fmt.Errorf("unknown command %s: %s", app, answer)
		}
	}
	switch {
	case slices.Contains(typedWords, extra):
		return fmt.Errorf("unexpected word %s after %s: a command precedes the application, fapws %s %s", extra, app,
			extra, app)
	case digitsOnly(extra):
		return fmt.Errorf("unexpected word %s after %s: for a port use -p %s", extra, app, extra)
	case isHost(extra):
		return fmt.Errorf("unexpected word %s after %s: for an address use -b %s", extra, app, extra)
	}
	return fmt.Errorf("unexpected word %s after %s; arguments of the application follow --: fapws %s -- %s",
		extra, app, app, strings.Join(words[1:], " "))
}

func (p *parser) toggleBefore(word string) string {
	at := slices.Index(p.typed, word)
	if at < 1 {
		return ""
	}
	for _, row := range p.rows {
		if before := p.typed[at-1]; row.Arg == "" && before == "--"+row.Name {
			return before
		}
	}
	return ""
}

// notAnApp returns an error if APP is an address or a port, which users of php -S and http.server type in this place.
func notAnApp(app, next string) error {
	next = cmp.Or(next, "APP")
	if _, rest, isURL := strings.Cut(app, "://"); isURL {
		app = strings.TrimRight(rest, "/")
	}
	switch {
	case digitsOnly(app):
		return fmt.Errorf("%s is a port, not an application: type fapws -p %s %s", app, app, next)
	case isHost(app):
		return fmt.Errorf("%s is an address, not an application: type fapws -b %s %s", app, app, next)
	}
	return nil
}

// isHost reports whether a word is an IP address or localhost, optionally with a port, or only a port: ":8000".
func isHost(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = strings.Trim(s, "[]"), "0"
		if host == "" {
			return false
		}
	}
	_, err = netip.ParseAddr(host)
	return digitsOnly(port) && (host == "" || host == "localhost" || err == nil)
}

const foreignArguments = "GUNICORN_CMD_ARGS"

// foreignPrefixes lists prefixes of environment variables that servers other than fapws read. The rest of the
// variable's name is the name of a flag.
var foreignPrefixes = []string{"UVICORN_", "HYPERCORN_", "GRANIAN_", "FLASK_RUN_"}

// TakeForeign reads environment variables of other servers, such as UVICORN_PORT, from environ ("NAME=value").
// TakeForeign changes only settings that still have their default, so settings for fapws take precedence, including
// settings in the file and the script. TakeForeign returns a line for each flag or value that fapws does not support.
func (s *Settings) TakeForeign(environ []string) (lines []string) {
	environ = slices.Sorted(slices.Values(environ))
	take := func(name string, words []string) {
		for _, err := range s.takeFlags(Source{FromForeign, name}, words) {
			lines = append(lines, fmt.Sprintf("%s in the environment: ignored: %v", name, err))
		}
	}
	for _, one := range environ {
		name, value, _ := strings.Cut(one, "=")
		if name == foreignArguments {
			take(name, shellWords(value))
			continue
		}
		for _, prefix := range foreignPrefixes {
			if rest, ok := strings.CutPrefix(name, prefix); ok && value != "" {
				flag := "--" + strings.ToLower(strings.ReplaceAll(rest, "_", "-"))
				take(name, []string{flag + "=" + value})
			}
		}
	}
	return lines
}

// shellWords splits text into words as a shell does, but supports no syntax of the shell except quotes.
func shellWords(text string) []string {
	words := regexp.MustCompile(`(?:[^\s"']|"[^"]*"|'[^']*')+`).FindAllString(text, -1)
	for i := range words {
		words[i] = strings.NewReplacer(`"`, "", `'`, "").Replace(words[i])
	}
	return words
}

// takeFlags applies words, which are flags of another server, to settings that still have their default. takeFlags
// returns an error for each flag that fapws does not support, and for each wrong value.
func (s *Settings) takeFlags(source Source, words []string) (wrong []error) {
	refuse := func(err error) { wrong = append(wrong, err) }
	rows := slices.DeleteFunc(settingsOf(&s.conf), func(row *Setting) bool { return !row.inFile() })
	p := newParser(rows, words)
	// A word that is not a flag is the value of an unknown flag, or the application.
	for n := 1; len(words) > 0; words, n = words[n:], 1 {
		if name, _, valued := strings.Cut(words[0], "="); name == "-c" || name == "--config" {
			refuse(errors.New(name + ": name the file on the command line: fapws -c FILE"))
			if !valued && len(words) > 1 {
				n = 2
			}
			continue
		}
		err := p.set.Parse(words[:1])
		if bare := new(pflag.ValueRequiredError); errors.As(err, &bare) && len(words) > 1 && !isFlag(bare.GetFlag(), words[1]) {
			n, err = 2, p.set.Parse(words[:2])
		}
		if err != nil {
			refuse(p.explain(err))
		}
	}
	for _, row := range rows {
		f, given := p.cmd.Flags[row.Name]
		if !given || s.from[row.Name].Level > FromSurroundings {
			continue
		}
		if err := row.value.parse(f.text); err != nil {
			refuse(fmt.Errorf("%s %s: must be %w", f.as, shorten(f.text), err))
			continue
		}
		from := source
		if from.Name == foreignArguments {
			from.Name += " " + f.as
		}
		s.from[row.Name] = from
	}
	return wrong
}

// ForeignGlobals returns a line of advice for each global variable in the source of a script with PATHS that looks like
// a setting but is not, and that the script does not use.
func ForeignGlobals(script string, source []byte) (lines []string) {
	ours := Globals()
	for statement := range statements(source) {
		end := strings.IndexFunc(statement, func(r rune) bool { return r != '_' && (r < 'A' || r > 'Z') })
		if end < 1 {
			continue
		}
		name := statement[:end]
		if _, set := assignment(statement, name); !set || slices.Contains(ours, name) || name == "PATHS" ||
			len(regexp.MustCompile(`\b`+name+`\b`).FindAll(source, -1)) > 1 {
			continue
		}
		if answer := foreignAnswer(name, ""); answer != "" {
			lines = append(lines, fmt.Sprintf("%s: %s is not a setting of scripts: %s", script, name, answer))
		} else if near := Nearest(name, ours); near != "" {
			lines = append(lines, fmt.Sprintf("%s: %s is not a setting of scripts, did you mean %s?", script, name, near))
		}
	}
	return lines
}
