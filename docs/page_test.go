package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

type block struct {
	page string
	line int
	lang string
	// name of the file with this content, relative to the page's directory, or ""
	file string
	text string
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
	text, err := os.ReadFile(name)
	checktest.Must(t, err)
	return string(text)
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
	at     string
	typed  string
	output []string
}

func commands(b block) (all []command, err error) {
	continued := false
	for i, line := range strings.Split(strings.TrimSuffix(b.text, "\n"), "\n") {
		typed, isTyped := strings.CutPrefix(line, "$ ")
		switch {
		case continued:
			c := &all[len(all)-1]
			c.typed += "\n" + line
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
