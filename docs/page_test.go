package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

type block struct {
	page string
	line int
	lang string
	// name of the file with this content, relative to the page's directory, or ""
	file, text string
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

func pages(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("*.md")
	checktest.Needf(t, err == nil && len(names) > 0, "no pages: %v", err)
	return append(names, "../README.md")
}

func read(t *testing.T, name string) string {
	t.Helper()
	return string(checktest.Try(os.ReadFile(name)).Must(t))
}

// blocks returns the fenced code blocks of a page. The line with ``` contains the type of a block and, if the block is
// the content of a file, the file's name.
func blocks(page, text string) (found []block, err error) {
	var open *block
	for i, line := range strings.Split(text, "\n") {
		fence, isFence := strings.CutPrefix(strings.TrimLeft(line, " "), "```")
		switch {
		case open == nil && isFence:
			lang, file, _ := strings.Cut(strings.TrimSpace(fence), " ")
			open = &block{page: page, line: i + 1, lang: lang, file: file}
		case open != nil && isFence:
			found = append(found, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	if open != nil {
		return nil, fmt.Errorf("%s: the block is not closed", open)
	}
	return found, nil
}

type command struct {
	at, typed string
	output    []string
}

func commands(b block) (all []command, err error) {
	continued := false
	for i, line := range strings.Split(strings.TrimSuffix(b.text, "\n"), "\n") {
		typed, isTyped := strings.CutPrefix(line, "$ ")
		switch {
		case continued:
			all[len(all)-1].typed += "\n" + line
		case isTyped:
			all = append(all, command{at: fmt.Sprintf("%s:%d", b.page, b.line+1+i), typed: typed})
		case len(all) == 0:
			return nil, fmt.Errorf("%s: a console block begins with a command, \"$ …\"", b)
		default:
			c := &all[len(all)-1]
			c.output = append(c.output, line)
		}
		continued = (isTyped || continued) && strings.HasSuffix(line, `\`)
	}
	return all, nil
}

// varying replaces the parts of a command's output that differ between runs, such as times.
var varying = []struct {
	pattern *regexp.Regexp
	same    string
}{
	{regexp.MustCompile(`fapws \d+\.\d+\.\d+(\+[0-9a-f]+(\.dirty)?)?`), "fapws VERSION"},
	{regexp.MustCompile(`Python 3\.\d+\.\d+\+?`), "Python VERSION"},
	{regexp.MustCompile(`\bpid \d+`), "pid PID"},
	{regexp.MustCompile(`up to \d+ threads`), "up to N threads"},
	{regexp.MustCompile(`\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT`), "DATE"},
	{regexp.MustCompile(`\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [-+]\d{4}`), "TIME"},
}

func same(line string) string {
	line = strings.TrimRight(strings.TrimSuffix(line, "\r"), " ")
	for _, v := range varying {
		line = v.pattern.ReplaceAllString(line, v.same)
	}
	return line
}

// matches reports whether output equals the output on a page. There, a line "…" stands for any lines, and "…" within a
// line for any text.
func matches(shown, output []string) bool {
	if len(shown) == 0 {
		return len(output) == 0
	}
	if shown[0] == "…" {
		for skip := 0; skip <= len(output); skip++ {
			if matches(shown[1:], output[skip:]) {
				return true
			}
		}
		return false
	}
	return len(output) > 0 && matchesLine(shown[0], output[0]) && matches(shown[1:], output[1:])
}

func matchesLine(shown, line string) bool {
	parts := strings.Split(same(shown), "…")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(same(line))
}

func TestOutputMatchesAPageExceptForVaryingParts(t *testing.T) {
	for _, c := range []struct {
		shown, output string
		want          bool
	}{
		{"a\nb", "a\nb", true},
		{"a", "a\nb", false},
		{"a\n…", "a\nb\nc", true},
		{"…\nc", "a\nb\nc", true},
		{"a … c", "a b c", true},
		{"a.c", "abc", false},
		{"fapws 0.1.0, Python 3.11.2, up to 8 threads, pid 1234",
			"fapws 0.1.0+abcdef1, Python 3.13.5, up to 2 threads, pid 7", true},
		{"Date: Fri, 20 Nov 2026 10:08:01 GMT", "Date: Sat, 21 Nov 2026 10:08:01 GMT\r", true},
		{"Date: Fri, 20 Nov 2026 10:08:01 GMT", "Date: now", false},
	} {
		checktest.Equalf(t, matches(strings.Split(c.shown, "\n"), strings.Split(c.output, "\n")), c.want,
			"%q shown, %q written", c.shown, c.output)
	}
}
