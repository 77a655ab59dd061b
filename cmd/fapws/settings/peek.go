package settings

import (
	"bytes"
	"cmp"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// PeekThreads looks for "THREADS = N" in the source of a script without
// running it, and returns the N of the last such line at the top level.
// Inline mode decides on which thread Python starts, so it must be known
// before the script runs. found is false when THREADS is never assigned there,
// or when the last assignment is not a plain number.
func PeekThreads(source []byte) (n int, found bool) {
	for statement := range statements(source) {
		if value, ok := assignment(statement, "THREADS"); ok {
			x, err := strconv.Atoi(strings.ReplaceAll(value, "_", ""))
			n, found = x, err == nil
		}
	}
	return n, found
}

// plainString is a string of Python without escapes.
var plainString = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:"([^"\\\r\n]*)"|'([^'\\\r\n]*)')$`)
})

// errServer says that SERVER is more than a string.
var errServer = errors.New("SERVER is not a plain string")

// PeekServer looks for SERVER = "ADDRESS" in the source of a script without running it, so that the address can be
// listened on while the script runs. found is false when SERVER is not mentioned at all; err says that its value is known only later.
func PeekServer(source []byte) (address string, found bool, err error) {
	if !bytes.Contains(source, []byte("SERVER")) {
		return "", false, nil
	}
	var values []string
	for statement := range statements(source) {
		if strings.HasPrefix(statement, "SERVER") {
			value, _ := assignment(statement, "SERVER")
			values = append(values, value)
		}
	}
	plain := plainString().FindStringSubmatch(strings.Join(values, "\n"))
	if plain == nil {
		return "", true, errServer
	}
	address, err = parseAddress(plain[1] + plain[2])
	return address, true, err
}

// peeked are the globals whose values are known before the script runs.
var peeked = []string{"SERVER", "THREADS"}

// MentionedIn reports whether the source of a script has the name of a setting that only the run script can tell. Strings and
// attributes (logging.DEBUG) do not count.
func (s *Settings) MentionedIn(source []byte) bool {
	return HasWord(source, slices.DeleteFunc(s.Globals(), func(name string) bool { return slices.Contains(peeked, name) })...)
}

// HasWord reports whether source has one of the words as a name of its own: not in a comment, nor as an attribute, nor beside a quote.
func HasWord(source []byte, words ...string) bool {
	word := regexp.MustCompile(`(?:^|[^\pL\pN_.'"])(?:` + strings.Join(words, "|") + `)(?:$|[^\pL\pN_'"])`)
	for statement := range statements(source) {
		if word.MatchString(statement) {
			return true
		}
	}
	return false
}

// assignment returns the right side of "name = value" or "name: type = value".
func assignment(statement, name string) (value string, ok bool) {
	rest, ok := strings.CutPrefix(statement, name)
	if !ok {
		return "", false
	}
	rest = strings.TrimLeft(rest, " \t")
	if strings.HasPrefix(rest, ":") {
		_, rest, ok = strings.Cut(rest, "=")
	} else {
		rest, ok = strings.CutPrefix(rest, "=")
	}
	if !ok || strings.HasPrefix(rest, "=") {
		return "", false
	}
	rest, _, _ = strings.Cut(rest, ";")
	return strings.Trim(rest, " \t"), true
}

// pythonToken is a string, a comment, what joins two lines, or anything else. A string of one line may lack the quote at its end.
var pythonToken = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?s)"""(?:[^\\]|\\.)*?(?:"""|\z)|'''(?:[^\\]|\\.)*?(?:'''|\z)|"(?:[^"\\\r\n]|\\.)*"?|'(?:[^'\\\r\n]|\\.)*'?` +
		`|#[^\r\n]*|\\(?:\r\n|.)?|[^"'#\\\r\n()\[\]{}]+|.`)
})

// statements are those of Python source, as far as telling them from the inside of strings and brackets goes; text behind a semicolon is not
// looked at (Python Language Reference, §2 Lexical analysis). They have no comments; those in a block begin with blanks.
func statements(source []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		var statement []byte
		depth := 0 // of brackets
		for _, token := range pythonToken().FindAllString(strings.TrimPrefix(string(source), "\ufeff"), -1) {
			switch token[0] {
			case '\n', '\r':
				if depth == 0 {
					if !yield(string(statement)) {
						return
					}
					statement = statement[:0]
					continue
				}
			case '#', '\\':
				continue
			case '(', '[', '{':
				depth++
			case ')', ']', '}':
				depth = max(depth-1, 0)
			}
			statement = append(statement, token...)
		}
		yield(string(statement))
	}
}

// settingsModule is where manage.py of a Django site names the settings.
var settingsModule = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`DJANGO_SETTINGS_MODULE["']\s*,\s*["']([\w.]+)\.settings`)
})

// djangoModule returns the WSGI or ASGI module of the Django site whose manage.py is in
// folder, "mysite.wsgi", or "".
func djangoModule(folder string) string {
	source, err := os.ReadFile(filepath.Join(folder, "manage.py"))
	if err != nil {
		return ""
	}
	m := settingsModule().FindSubmatch(source)
	if m == nil {
		return ""
	}
	for _, kind := range []string{".wsgi", ".asgi"} {
		module := string(m[1]) + kind
		if IsFile(filepath.Join(folder, strings.ReplaceAll(module, ".", "/")+".py")) {
			return module
		}
	}
	return ""
}

// DjangoArguments returns the arguments of fapws for the Django site of a manage.py: "mysite.wsgi", or "-C DIR mysite.wsgi". Where it does
// not tell the module, that is unknown; "" if unknown is.
func DjangoArguments(manage, unknown string) string {
	folder := filepath.Dir(manage)
	module := cmp.Or(djangoModule(folder), unknown)
	if module != "" && folder != "." {
		module = "-C " + folder + " " + module
	}
	return module
}

// IsFile reports whether path leads to a regular file.
func IsFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}
