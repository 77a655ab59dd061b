package docs

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

// In the messages on trouble.md, "…" replaces the parts that fapws inserts.
func TestQuotedMessagesExist(t *testing.T) {
	source := messages(t)
	all := checktest.Try(blocks("trouble.md", read(t, "trouble.md"))).Must(t)
	var quoted []string
	for _, b := range all {
		text := strings.ReplaceAll(b.text, "\n  ", " ") // a message on two lines
		for line := range strings.Lines(text) {
			quoted = append(quoted, strings.TrimSpace(line))
		}
	}
	for _, found := range regexp.MustCompile(`(?m)^\|.*$`).FindAllString(read(t, "trouble.md"), -1) {
		for _, text := range regexp.MustCompile("`([a-zA-Z][^`={]* [^`={]*)`").FindAllStringSubmatch(found, -1) {
			quoted = append(quoted, text[1])
		}
	}
	for _, line := range quoted {
		if strings.HasPrefix(line, "fapws c") || strings.HasPrefix(line, "fapws A") {
			continue
		}
		line = strings.TrimPrefix(line, "fapws: ")
		for _, part := range strings.Split(regexp.MustCompile(`\b\d+\b`).ReplaceAllString(line, "…"), "…") {
			part = strings.Trim(part, " ();:,-")
			checktest.Truef(t, len(part) <= 3 || ofPython.MatchString(part) || hasTexts(source, part, 3),
				"%q of %q is not in the source", part, line)
		}
	}
}

// hasTexts reports whether source contains text as a whole, or in up to n pieces.
func hasTexts(source, text string, n int) bool {
	text = strings.Trim(text, " :-")
	if strings.Contains(source, text) {
		return true
	}
	for end := strings.LastIndex(text, " "); n > 1 && end > 8; end = strings.LastIndex(text[:end], " ") {
		if strings.Contains(source, strings.TrimRight(text[:end], ":;")) && hasTexts(source, text[end:], n-1) {
			return true
		}
	}
	return false
}

// ofPython matches parts of messages that come from Python.
var ofPython = regexp.MustCompile(`ModuleNotFoundError`)

// messages returns the source of fapws without tests, with "…" instead of each verb of fmt.
func messages(t *testing.T) string {
	t.Helper()
	var source strings.Builder
	source.WriteString(`"address already in use" "connection refused" "permission denied"`) // texts of the kernel
	for _, dir := range []string{"../cmd", "../runtime", "../pybridge", "../contrib/fapws"} {
		err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
			if ext := filepath.Ext(name); err == nil && (ext == ".go" || ext == ".c" || ext == ".py") &&
				!strings.HasSuffix(name, "_test.go") {
				source.WriteString(read(t, name))
			}
			return err
		})
		checktest.Must(t, err)
	}
	joined := regexp.MustCompile(`"\s*\+\s*"`).ReplaceAllString(source.String(), "")
	joined = strings.Join(regexp.MustCompile("\"[^\"\n]*\"|`[^`]*`").FindAllString(joined, -1), "\n")
	return regexp.MustCompile(`%[+]?[.0-9]*[a-z]|\{[^{}"\n]*\}`).ReplaceAllString(joined, "…")
}
