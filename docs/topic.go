// Package docs holds the pages of the documentation, which "fapws help" prints. The tests of package docs do what the
// pages show: they write files, check applications and configuration files by "fapws check", and run the commands in
// blocks of type console. The commands must print the output on the page. The tests run the built executable
// (FAPWS_BIN, default ../build/fapws).
package docs

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"embed"
	"io"
	"io/fs"
	"iter"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// build.sh replaces the pages in the executable by compressed ones.
//
//go:embed *.md
var files embed.FS

// Page returns the text of the page about a topic, or "" for an unknown topic. The topic is a name such as "cache", or
// a file such as "docs/cache.md".
func Page(topic string) string {
	text, _ := files.ReadFile(strings.TrimSuffix(path.Base(topic), ".md") + ".md")
	if r, err := gzip.NewReader(bytes.NewReader(text)); err == nil {
		text, _ = io.ReadAll(r) // of memory, so it cannot fail
	}
	return string(text)
}

// Title returns the heading of the page about a topic.
func Title(topic string) string {
	title, _, _ := strings.Cut(Page(topic), "\n")
	return strings.TrimPrefix(title, "# ")
}

// Topics returns the names of all pages in alphabetical order, without the index.
func Topics() []string {
	names, _ := fs.Glob(files, "*.md") // the pattern is valid
	for i, name := range names {
		names[i] = strings.TrimSuffix(name, ".md")
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "README" })
}

// Words returns the words that are on the pages five times or more, in lower case.
func Words() (words []string) {
	counts := map[string]int{}
	for _, topic := range Topics() {
		for _, word := range strings.FieldsFunc(strings.ToLower(Page(topic)), func(r rune) bool { return !unicode.IsLetter(r) }) {
			if counts[word]++; counts[word] == 5 {
				words = append(words, word)
			}
		}
	}
	return words
}

// synonyms maps words that people type to those of the pages.
var synonyms = map[string]string{"letsencrypt": "Let's Encrypt", "logging": "logs", "http3": "HTTP/3", "env": "env-file",
	"gzip": "compression", "apps": "applications", "ssl": "HTTPS", "k8s": "Kubernetes"}

// About returns what the pages say about words that are not a topic: the sections whose heading is exactly that, such as
// the name of a setting; or else a setting or key that one of the words names and whose page and section have all of
// them; or else the page with this title; or else the section in which the words are most prominent. It also returns
// the names of the pages that contain all words, those with most of them first.
func About(words string) (sections string, pages []string) {
	var patterns []*regexp.Regexp
	for word, ours := range synonyms {
		words = regexp.MustCompile(`(?i)(^| )`+word+`( |$)`).ReplaceAllString(words, "${1}"+ours+"${2}")
	}
	fields := strings.Fields(strings.ToLower(words))
	for _, word := range fields {
		patterns = append(patterns, regexp.MustCompile(`(?i)(^|[^\w-])-{0,2}`+regexp.QuoteMeta(word)+`s?($|[^\w-])`))
	}
	// a heading that is a setting, a key, or a name of the Python API
	named := regexp.MustCompile("(?i)^#+ (-*|class |[a-z_.]+\\.)" + regexp.QuoteMeta(words) + `(\(\))?\s*$`)
	var exact, partly, titled []string
	row := regexp.MustCompile("(?m)^\\| `(" + regexp.QuoteMeta(words) + " = .*)` \\| (.*) \\| (.*) \\|$")
	for _, key := range row.FindAllStringSubmatch(Page("keys"), -1) {
		exact = append(exact, "| | |\n| "+key[1]+" | "+key[2]+"; default: "+strings.Replace(key[3], "–", "none", 1)+" |\n")
	}
	best, most, weights := "", 0, map[string]int{}
	for _, topic := range Topics() {
		page := Page(topic)
		if weights[topic] = weight(patterns, guideLink().ReplaceAllString(page, ""), 1000); weights[topic] > 0 {
			pages = append(pages, topic)
		}
		if strings.EqualFold(strings.TrimPrefix(Title(topic), "The "), words) {
			titled = append(titled, page)
		}
		for heading, section := range sectionsOf(page) {
			own, _, _ := strings.Cut(section[len(heading):], "\n#")
			name := strings.ToLower(strings.TrimLeft(heading, "#- "))
			switch inLists := slices.Contains(lists, topic); {
			case named.MatchString(heading) && inLists && strings.HasPrefix(heading, "## "):
				exact = append(exact, heading+own+"\n")
			case named.MatchString(heading):
				exact = append(exact, section)
			case inLists && strings.HasPrefix(heading, "### ") && slices.Contains(fields, name) && weight(patterns, topic+" "+section, 1) > 0:
				partly = append(partly, section)
			}
			if slices.Contains(lists, topic) {
				continue
			}
			headed := 0
			for _, p := range patterns {
				if p.MatchString(heading) {
					headed += 6
				}
			}
			weights[topic] += headed
			if n := weight(patterns, heading+own, 20); n > 0 && n+headed > most {
				best, most = section, n+headed
			}
		}
	}
	slices.SortStableFunc(pages, func(a, b string) int { return cmp.Compare(weights[b], weights[a]) })
	for _, sections := range [][]string{exact, partly, titled} {
		if len(sections) > 0 {
			return strings.Join(sections, "\n"), pages
		}
	}
	return best, pages
}

// guideLink matches the line of a setting that names another page, which is not about the words itself.
var guideLink = pattern(`(?m)^- see \[.*$`)

// lists are the pages in which only names are sought: they mention every word, and explain few.
var lists = []string{"settings", "keys", "python-api"}

// weight returns how often the patterns match, each at most maximum times, or 0 if one of them does not.
func weight(patterns []*regexp.Regexp, text string, maximum int) (sum int) {
	for _, p := range patterns {
		n := len(p.FindAllStringIndex(text, maximum))
		if n == 0 {
			return 0
		}
		sum += n
	}
	return sum
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
