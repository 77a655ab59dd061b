package plan

import (
	"errors"
	"fmt"
	"strings"

	"fapws/cmd/fapws/settings"
)

var (
	// assignment matches a line NAME=value, with the value in double quotes, in single quotes, or unquoted.
	assignment = settings.Pattern(`^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*` +
		`(?:"((?:[^"\\]|\\(?s:.))*)"[ \t]*(?:#.*)?|'([^']*)'[ \t]*(?:#.*)?|(.*?)(?:[ \t]+#.*)?)[ \t]*(?:\n|$)`)
	nothing   = settings.Pattern(`^[ \t]*(?:#.*)?(?:\n|$)`)
	reference = settings.Pattern(`^\$\{([A-Za-z_][A-Za-z0-9_]*)(?:\}|(:?)([-+]))`)
	escapes   = strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\r`, "\r", `\"`, `"`, `\\`, `\`, `\$`, "$", `\}`, "}")
)

// If a variable is set twice, the last value applies. The error has a line for each mistake, such as "name:3: ...".
func parseEnvFile(name, text string, lookup func(string) (string, bool)) (map[string]string, error) {
	variables := map[string]string{}
	e := expander{lookup: func(name string) (string, bool) {
		v, ok := lookup(name)
		if !ok {
			v, ok = variables[name]
		}
		return v, ok
	}}
	text = strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n")
	var wrong []error
	for number := 1; text != ""; {
		taken := nothing().FindString(text)
		if taken == "" {
			m := assignment().FindStringSubmatch(text)
			if m == nil || strings.ContainsRune(m[0], 0) {
				wrong = append(wrong, fmt.Errorf("%s:%d: expected NAME=value", name, number))
				line, _, _ := strings.Cut(text, "\n")
				text = strings.TrimPrefix(text[len(line):], "\n")
				number++
				continue
			}
			value := m[3]
			if m[2] != "" || m[4] != "" {
				if strings.HasPrefix(m[4], `"`) || strings.HasPrefix(m[4], "'") {
					wrong = append(wrong, fmt.Errorf("%s:%d: the quoted value of %s is not closed", name, number, m[1]))
					break // the following lines may belong to the value
				}
				e.quoted = m[2] != ""
				var ok bool
				if value, ok = e.expand(m[2]+m[4], 0); !ok {
					wrong = append(wrong, fmt.Errorf("%s:%d: the value of %s nests ${ } more than %d deep", name, number, m[1],
						maxNested))
				}
			}
			variables[m[1]] = value
			taken = m[0]
		}
		text = text[len(taken):]
		number += strings.Count(taken, "\n")
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	return variables, nil
}

// maxNested limits how deep references can be nested in the default or text of a reference.
const maxNested = 10

type expander struct {
	lookup func(name string) (string, bool)
	quoted bool // the value was in double quotes, in which a backslash escapes the next character
}

// expand returns s with its references replaced; ok is false if they are nested too deep.
func (e *expander) expand(s string, depth int) (text string, ok bool) {
	if depth > maxNested {
		return "", false
	}
	literal := 0 // index in s of the first byte that is not copied yet
	for i := 0; i < len(s); i++ {
		if e.escapes(s[i]) {
			i++
			continue
		}
		m := reference().FindStringSubmatch(s[i:])
		if m == nil {
			continue
		}
		after := i + len(m[0])
		inner, end := "", after
		if m[3] != "" {
			if end = e.closing(s, after); end < 0 {
				continue
			}
			inner, end = s[after:end], end+1
		}
		v, set := e.lookup(m[1])
		if set = set && (v != "" || m[2] == ""); set == (m[3] == "+") {
			if v, ok = e.expand(inner, depth+1); !ok {
				return "", false
			}
		}
		text += e.unescape(s[literal:i]) + v
		literal, i = end, end-1
	}
	return text + e.unescape(s[literal:]), true
}

// closing returns the index of the brace that closes a reference, or -1. The default or text of the
// reference begins at index i.
func (e *expander) closing(s string, i int) int {
	for open := 0; i < len(s); i++ {
		switch {
		case e.escapes(s[i]):
			i++
		case strings.HasPrefix(s[i:], "${"):
			open++
		case s[i] == '}' && open == 0:
			return i
		case s[i] == '}':
			open--
		}
	}
	return -1
}

func (e *expander) escapes(c byte) bool { return e.quoted && c == '\\' }

func (e *expander) unescape(literal string) string {
	if e.quoted {
		literal = escapes.Replace(literal)
	}
	return literal
}
