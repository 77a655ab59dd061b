package settings

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// foreignArguments is the variable that has flags of gunicorn.
const foreignArguments = "GUNICORN_CMD_ARGS"

// foreignPrefixes begin the variables of other servers that go on with the name of a flag.
var foreignPrefixes = []string{"UVICORN_", "HYPERCORN_", "GRANIAN_", "FLASK_RUN_"}

// TakeForeign settles settings that are still at their default from the variables of other servers in environ ("NAME=value"). What is
// meant for fapws, the file and the script included, wins. It returns a line for each flag or value that fapws does not have.
func (s *Settings) TakeForeign(environ []string) (lines []string) {
	environ = slices.Sorted(slices.Values(environ))
	for _, one := range environ {
		name, value, _ := strings.Cut(one, "=")
		if name == foreignArguments {
			lines = append(lines, s.takeFlags(name, shellWords(value))...)
			continue
		}
		for _, prefix := range foreignPrefixes {
			if rest, ok := strings.CutPrefix(name, prefix); ok && value != "" {
				flag := "--" + strings.ToLower(strings.ReplaceAll(rest, "_", "-"))
				lines = append(lines, s.takeFlags(name, []string{flag + "=" + value})...)
			}
		}
	}
	return lines
}

// shellWords splits text as a shell does that knows nothing but quotes.
func shellWords(text string) []string {
	words := regexp.MustCompile(`(?:[^\s"']|"[^"]*"|'[^']*')+`).FindAllString(text, -1)
	for i := range words {
		words[i] = strings.NewReplacer(`"`, "", `'`, "").Replace(words[i])
	}
	return words
}

// takeFlags takes the flags in words, which the variable called name has.
func (s *Settings) takeFlags(name string, words []string) (lines []string) {
	p := parser{rows: s.rows, typed: words, cmd: &Command{Flags: Flags{}}}
	p.register()
	for len(words) > 0 {
		typed, value, joined := strings.Cut(words[0], "=")
		words = words[1:]
		var f *pflag.Flag
		if long, ok := strings.CutPrefix(typed, "--"); ok {
			f = p.set.Lookup(long)
		} else if strings.HasPrefix(typed, "-") && len(typed) > 1 {
			f = p.set.ShorthandLookup(typed[1:2])
			if len(typed) > 2 {
				typed, value, joined = typed[:2], typed[2:], true
			}
		} else {
			continue // the value of a flag that fapws does not have, or the application
		}
		switch {
		case joined:
		case f != nil && f.NoOptDefVal != "":
			value = f.NoOptDefVal
		case len(words) > 0 && (words[0] == "-" || !strings.HasPrefix(words[0], "-")):
			value = words[0]
			if words = words[1:]; f == nil {
				words = slices.Insert(words, 0, value)
			}
		}
		if err := s.takeFlag(f, typed, value); err != nil {
			lines = append(lines, fmt.Sprintf("%s in the environment: %s is not taken: %v", name, strings.TrimSpace(typed+" "+shorten(value)), err))
		}
	}
	for _, row := range s.rows {
		f, given := p.cmd.Flags[row.Name]
		if !given || s.from[row.Name].Level > FromSurroundings {
			continue
		}
		before := row.value(&s.conf).String()
		if err := row.value(&s.conf).fromText(f.text); err != nil {
			_ = row.value(&s.conf).fromText(before)
			lines = append(lines, fmt.Sprintf("%s in the environment: %s %s is not taken: must be %v", name, f.as, shorten(f.text), err))
			continue
		}
		from := name
		if name == foreignArguments {
			from += " " + f.as
		}
		s.from[row.Name] = Source{FromForeign, from}
	}
	return lines
}

// takeFlag notes a flag, f or nil if fapws does not have it.
func (s *Settings) takeFlag(f *pflag.Flag, typed, value string) error {
	if f != nil {
		if _, setting := f.Value.(*recorder); setting && f.Name != "config" {
			return f.Value.Set(value)
		}
	}
	if answer := foreignAnswer(typed, value); answer != "" {
		return errors.New(answer)
	}
	return errors.New("fapws does not have this flag")
}

// ForeignGlobals returns a line for each global that the source of a script with PATHS sets and mentions nowhere else, and that looks
// like a setting which scripts do not have.
func (s *Settings) ForeignGlobals(script string, source []byte) (lines []string) {
	ours := s.Globals()
	statements := statements{rest: source}
	for statements.next() {
		end := strings.IndexFunc(statements.text, func(r rune) bool { return r != '_' && (r < 'A' || r > 'Z') })
		if end < 1 {
			continue
		}
		name := statements.text[:end]
		if _, set := assignment(statements.text, name); !set || slices.Contains(ours, name) || name == "PATHS" || mentions(source, name) > 1 {
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

// mentions counts how often source has a name as a word.
func mentions(source []byte, name string) int {
	return len(regexp.MustCompile(`\b`+name+`\b`).FindAll(source, -1))
}
