package settings

import (
	"bytes"
	"cmp"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// PeekThreads searches the source of a script for "THREADS = N" without running it, and returns N from the last such
// line at the top level. The number of threads determines on which thread Python starts, so it must be known before the
// script runs. If there is no assignment, or if the value in the last assignment is not a plain number, found is false.
func PeekThreads(source []byte) (n int, found bool) {
	if !bytes.Contains(source, []byte("THREADS")) {
		return 0, false
	}
	for statement := range statements(source) {
		if value, ok := assignment(statement, "THREADS"); ok {
			x, err := strconv.Atoi(strings.ReplaceAll(value, "_", ""))
			n, found = x, err == nil
		}
	}
	return n, found
}

// plainServer matches a statement that assigns a string without escapes to SERVER, with an optional type.
var plainServer = Pattern(`^SERVER[ \t]*(?::[^=;\n]*)?=[ \t]*(?:"([^"\\;\n]*)"|'([^'\\;\n]*)')[ \t]*$`)

var errServer = errors.New("SERVER is not a plain string")

// PeekServer searches the source of a script for SERVER = "ADDRESS" without running it, so that fapws can listen on the
// address while the script runs. If the source does not mention SERVER, found is false. If err is not nil, the value of
// SERVER is unknown until the script has run. Settings.WithHost completes the address.
func PeekServer(source []byte) (address string, found bool, err error) {
	if !bytes.Contains(source, []byte("SERVER")) {
		return "", false, nil
	}
	var server []string
	for statement := range statements(source) {
		if strings.HasPrefix(statement, "SERVER") {
			server = append(server, statement)
		}
	}
	text := plainServer().FindStringSubmatch(strings.Join(server, "\n"))
	if text == nil {
		return "", true, errServer
	}
	address, err = parseAddress(text[1] + text[2])
	return address, true, err
}

// peeked lists the global variables whose values can be known before the script runs.
var peeked = []string{"SERVER", "THREADS"}

// MentionsSetting reports whether the source of a script contains the name of a setting whose value is unknown until
// the script runs. Strings and attributes (logging.DEBUG) do not count.
func MentionsSetting(source []byte) bool {
	return slices.ContainsFunc(Globals(), func(name string) bool {
		return !slices.Contains(peeked, name) && HasWord(source, name)
	})
}

// HasWord reports whether source contains a word as a name: outside comments, not as an attribute, and not next to a
// quote.
func HasWord(source []byte, word string) bool {
	for end := 0; ; {
		i := bytes.Index(source[end:], []byte(word))
		if i < 0 {
			return false
		}
		line := source[:end+i]
		line = line[bytes.LastIndexAny(line, "\r\n")+1:]
		end += i + len(word)
		if !bytes.HasSuffix(line, []byte(".")) && !endsInName(line) && !startsName(source[end:]) &&
			!bytes.Contains(line, []byte("#")) {
			return true
		}
	}
}

func endsInName(text []byte) bool { return len(text) > 0 && belongsToName(text[len(text)-1]) }
func startsName(text []byte) bool { return len(text) > 0 && belongsToName(text[0]) }

// belongsToName reports whether a byte next to a name makes another name or a string of it.
func belongsToName(b byte) bool {
	return b >= utf8.RuneSelf || b == '_' || b == '"' || b == '\'' || '0' <= b && b <= '9' || 'a' <= b|0x20 && b|0x20 <= 'z'
}

// assignment returns the value in a statement of the form "name = value" or "name: type = value"; otherwise ok is
// false.
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

// pythonString matches a string literal at the beginning of a text. A literal with a single quote ends at the next
// quote or at the end of the line; a literal with a triple quote ends at the next triple quote. After a backslash, a
// quote does not close the string, even in raw strings.
var pythonString = Pattern(`(?s)^(?:"""(?:\\.|[^\\])*?(?:"""|\z)|'''(?:\\.|[^\\])*?(?:'''|\z)|` +
	`"(?:\\.|[^"\\\r\n])*"?|'(?:\\.|[^'\\\r\n])*'?)`)

// statements iterates over the Python statements that start in the first column, without comments. statements
// recognizes strings, brackets and blocks approximately. Text after a semicolon is ignored (Python Language Reference,
// §2 Lexical analysis).
func statements(source []byte) iter.Seq[string] {
	source = append(slices.Clip(bytes.TrimPrefix(source, []byte("\xef\xbb\xbf"))), '\n')
	return func(yield func(string) bool) {
		var line []byte
		depth := 0
		for i := 0; i < len(source); {
			switch c := source[i]; {
			case (c == '\n' || c == '\r') && (depth == 0 || i == len(source)-1):
				if len(line) > 0 && !strings.ContainsRune(" \t\f", rune(line[0])) && !yield(string(line)) {
					return
				}
				line = line[:0]
				i++
			case c == '\\' && bytes.HasPrefix(source[i+1:], []byte("\r\n")):
				i += 3
			case c == '\\':
				i += 2
			case c == '#':
				i += bytes.IndexAny(source[i:], "\r\n")
			case c == '"' || c == '\'':
				literal := pythonString().Find(source[i:])
				line = append(line, literal...)
				i += len(literal)
			default:
				if strings.IndexByte("([{", c) >= 0 {
					depth++
				} else if strings.IndexByte(")]}", c) >= 0 {
					depth = max(depth-1, 0)
				}
				line = append(line, c)
				i++
			}
		}
	}
}

// settingsModule matches the name of the settings module in the file manage.py of a Django site.
var settingsModule = Pattern(`DJANGO_SETTINGS_MODULE["']\s*,\s*["']([\w.]+)\.settings`)

// djangoModule returns the WSGI or ASGI module, such as "mysite.wsgi", of the Django site whose manage.py is in folder,
// or "".
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

// DjangoArguments returns the arguments that make fapws serve the Django site to which a manage.py belongs:
// "mysite.wsgi", or "-C DIR mysite.wsgi". If manage.py does not name a module, DjangoArguments uses the module unknown,
// or returns "" if unknown is "".
func DjangoArguments(manage, unknown string) string {
	folder := filepath.Dir(manage)
	module := cmp.Or(djangoModule(folder), unknown)
	if module != "" && folder != "." {
		module = "-C " + folder + " " + module
	}
	return module
}

func IsFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}
