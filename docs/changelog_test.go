package docs

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

// The newest section of the changelog can be read at once: what is new in ten points, what to change, and then each change by
// its kind and area.
func TestChangelogCanBeReadAtOnce(t *testing.T) {
	text := string(checktest.Try(os.ReadFile("../CHANGELOG.md")).Must(t))
	_, text, _ = strings.Cut(text, "\n## ")
	text, _, _ = strings.Cut(text, "\n## ")
	checktest.Truef(t, len(strings.Fields(text)) <= 1500, "%d words", len(strings.Fields(text)))
	checktest.Equal(t, strings.Join(regexp.MustCompile(`(?m)^### .*$`).FindAllString(text, -1), "\n"),
		"### You must change\n### Added\n### Changed\n### Fixed\n### Security")
	news, rest, _ := strings.Cut(text, "\n### You must change\n")
	checktest.Equal(t, len(regexp.MustCompile(`(?m)^\d+\. `).FindAllString(news, -1)), 10)
	changes, rest, _ := strings.Cut(rest, "\n### Added\n")
	checktest.Matches(t, changes, `(?m)^\| .+ \| .+ \|$`)
	for line := range strings.Lines(rest) {
		if strings.HasPrefix(line, "- ") {
			checktest.Matches(t, line, `^- \*\*[^*]+\*\*:\s`)
		}
	}
}
