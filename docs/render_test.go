package docs

import (
	"strings"
	"testing"
	"unicode/utf8"

	"fapws/runtime/checktest"
)

func TestPagesAreRenderedForATerminal(t *testing.T) {
	page := "# A page\n\nA long [link *in* words](keys.md#hsts) that\nis wrapped here.\n\n- an item with [`code`](a.md) and more\n" +
		"- the next\n\n| key | what it does | default |\n|---|---|---|\n| [`a`](#a) | one \\| two | – |\n| `b` | three | `4` |\n\n" +
		"```toml\n# not | a table,  and a line of code that is longer than the width\n```\n"
	want := "# A page\n\nA long link *in* words that is wrapped\nhere.\n\n- an item with `code` and more\n- the next\n\n" +
		"`a`\n  one | two\n`b`\n  three\n  default: `4`\n\n" +
		"```toml\n# not | a table,  and a line of code that is longer than the width\n```\n"
	checktest.Equal(t, Render(page, 40), want)
}

func TestNoLineOfARenderedPageIsLong(t *testing.T) {
	for _, topic := range Topics() {
		fenced := false
		for line := range strings.Lines(Render(Page(topic), 80)) {
			line = strings.TrimRight(line, "\n")
			if strings.HasPrefix(strings.TrimSpace(line), "```") {
				fenced = !fenced
			}
			long := utf8.RuneCountInString(line) > 80 && strings.Contains(strings.TrimSpace(line), " ")
			checktest.Truef(t, fenced || line == "" || line[0] == '#' || !long && !strings.Contains(line, "]("), "%s: %s", topic, line)
		}
	}
}
