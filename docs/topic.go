// Package docs holds the pages of the documentation, which "fapws help" prints. The tests of package docs do what the
// pages show: they write files, check applications and configuration files by "fapws check", and run the commands in
// blocks of type console. The commands must print the output on the page. The tests run the built executable
// (FAPWS_BIN, default ../build/fapws).
package docs

import (
	"cmp"
	"embed"
	"io/fs"
	"iter"
	"path"
	"regexp"
	"slices"
	"strings"
)

//go:embed *.md
var files embed.FS

// Page returns the text of the page about a topic, or "" for an unknown topic. The topic is a name such as "cache", or
// a file such as "docs/cache.md".
func Page(topic string) string {
	text, _ := files.ReadFile(strings.TrimSuffix(path.Base(topic), ".md") + ".md")
	return string(text)
}

// Topics returns the names of all pages in alphabetical order, without the index.
func Topics() []string {
	names, _ := fs.Glob(files, "*.md") // the pattern is valid
	for i, name := range names {
		names[i] = strings.TrimSuffix(name, ".md")
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "README" })
}

// About returns what the pages say about a word that is not a topic: the sections whose heading is the word, such as the
// name of a setting, or else contains it, and the names of the pages that contain the word, those with most of it first.
func About(word string) (sections string, pages []string) {
	whole := regexp.MustCompile(`(?i)(^|[^\w-])-{0,2}` + regexp.QuoteMeta(word) + `($|[^\w-])`)
	count := map[string]int{}
	var exact, others []string
	for _, topic := range Topics() {
		text := Page(topic)
		if n := len(whole.FindAllStringIndex(text, -1)); n > 0 {
			pages = append(pages, topic)
			count[topic] = n
		}
		for heading, section := range sectionsOf(text) {
			switch {
			case strings.EqualFold(strings.Trim(heading, "#-` "), word):
				exact = append(exact, section)
			case whole.MatchString(heading):
				others = append(others, section)
				count[topic] += 10
			}
		}
	}
	slices.SortStableFunc(pages, func(a, b string) int { return cmp.Compare(count[b], count[a]) })
	if len(exact) > 0 {
		others = exact
	}
	return strings.Join(others, "\n"), pages
}

// sectionsOf iterates over the headings of a page. Each has the text up to the next heading of the same or a higher level.
func sectionsOf(page string) iter.Seq2[string, string] {
	return func(yield func(heading, section string) bool) {
		var starts []int
		fenced, at := false, 0
		for line := range strings.Lines(page) {
			if strings.HasPrefix(line, "```") {
				fenced = !fenced
			} else if line[0] == '#' && !fenced {
				starts = append(starts, at)
			}
			at += len(line)
		}
		level := func(start int) int { return len(page[start:]) - len(strings.TrimLeft(page[start:], "#")) }
		for i, start := range starts {
			heading, _, _ := strings.Cut(page[start:], "\n")
			end := slices.IndexFunc(starts[i+1:], func(next int) bool { return level(next) <= level(start) })
			section := page[start:]
			if end >= 0 {
				section = page[start:starts[i+1+end]]
			}
			if !yield(heading, section) {
				return
			}
		}
	}
}
