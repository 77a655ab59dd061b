package plan

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// envVariable is a variable of the file.
type envVariable struct{ Name, Value string }

var (
	assignment = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*`)
	})
	reference = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`) })
	comment   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[ \t]+#.*$`) })
	escapes   = strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\r`, "\r", `\"`, `"`, `\\`, `\`, `\$`, "$")
)

// parseEnvFile returns the variables of text, the content of the file called name, in their
// order. lookup is os.LookupEnv. The error is one line, "name:3: ...".
func parseEnvFile(name, text string, lookup func(string) (string, bool)) ([]envVariable, error) {
	var list []envVariable
	value := func(name string) string {
		if v, ok := lookup(name); ok {
			return v
		}
		for i := len(list) - 1; i >= 0; i-- {
			if list[i].Name == name {
				return list[i].Value
			}
		}
		return ""
	}
	expand := func(s string) string {
		return reference().ReplaceAllStringFunc(s, func(ref string) string { return value(ref[2 : len(ref)-1]) })
	}
	text = strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n")
	for number := 1; text != ""; {
		line, rest, _ := strings.Cut(text, "\n")
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || trimmed[0] == '#' {
			text = rest
			number++
			continue
		}
		m := assignment().FindStringSubmatchIndex(line)
		if m == nil || strings.ContainsRune(line, 0) {
			return nil, fmt.Errorf("%s:%d: expected NAME=value", name, number)
		}
		v := envVariable{Name: line[m[2]:m[3]]}
		if raw := line[m[1]:]; raw != "" && (raw[0] == '"' || raw[0] == '\'') {
			quoted, length, ok := cutQuoted(text[m[1]:])
			end, after, _ := strings.Cut(text[m[1]+length:], "\n")
			if end = strings.TrimSpace(end); !ok || end != "" && end[0] != '#' {
				return nil, fmt.Errorf("%s:%d: the quoted value of %s is not closed", name, number, v.Name)
			}
			if v.Value = quoted; raw[0] == '"' {
				v.Value = escapes.Replace(expandUnescaped(quoted, expand))
			}
			number += strings.Count(quoted, "\n")
			rest = after
		} else {
			v.Value = expand(strings.TrimSpace(comment().ReplaceAllString(raw, "")))
		}
		list = append(list, v)
		text = rest
		number++
	}
	return list, nil
}

// cutQuoted returns the text between the quote that s begins with and the next one, and
// the length of all that. A backslash in double quotes keeps the next byte from being
// the end.
func cutQuoted(s string) (inner string, length int, ok bool) {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && s[0] == '"':
			i++
		case s[i] == s[0]:
			return s[1:i], i + 1, true
		}
	}
	return "", len(s), false
}

// expandUnescaped expands s, except for references behind a backslash.
func expandUnescaped(s string, expand func(string) string) string {
	parts := strings.Split(s, `\$`)
	for i := range parts {
		parts[i] = expand(parts[i])
	}
	return strings.Join(parts, `\$`)
}
