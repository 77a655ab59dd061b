package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"fapws/runtime/checktest"
)

// The documentation is not in the directory of a new sample, so the README names the commands that print it.
func TestLinksOfANewSampleLeadToItsFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "console")
	checktest.Try(writeSample([]string{"console", dir})).Must(t)
	text := string(checktest.Try(os.ReadFile(filepath.Join(dir, "README.md"))).Must(t))
	checktest.Has(t, text, "Logging in, `fapws help login`")
	links := regexp.MustCompile(`(?:\]\(|src="|srcset=")([^)"#]+)`).FindAllStringSubmatch(text, -1)
	checktest.Truef(t, len(links) > 5, "%s", text)
	for _, link := range links {
		_, err := os.Stat(filepath.Join(dir, link[1]))
		checktest.Truef(t, err == nil, "%s: %v", link[1], err)
	}
}
