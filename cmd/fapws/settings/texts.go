package settings

import (
	_ "embed"
	"strings"
	"sync"
)

// A Text is an entry of a file of texts, such as settings.txt.
type Text struct{ Head, Text string }

// ReadTexts returns the entries of a file of texts. An entry is a line followed by indented lines, which contain its
// text. Empty lines and lines that begin with "#" are ignored.
func ReadTexts(file string) (all []Text) {
	for line := range strings.Lines(file) {
		switch line = strings.TrimSuffix(line, "\n"); {
		case line == "" || line[0] == '#':
		case line[0] == '\t':
			last := &all[len(all)-1]
			last.Text = strings.TrimSpace(last.Text + " " + line[1:])
		default:
			all = append(all, Text{Head: line})
		}
	}
	return all
}

//go:embed settings.txt
var settingsText string

// documented maps the name of a setting to its entry in settings.txt. The Head of the entry is an example.
var documented = sync.OnceValue(func() map[string]Text { return TextsByKey(settingsText) })

// TextsByKey maps each key to its entry in a file of texts. An example value may follow the key, after " = ".
func TextsByKey(file string) map[string]Text {
	all := map[string]Text{}
	for _, one := range ReadTexts(file) {
		key, _, _ := strings.Cut(one.Head, " = ")
		all[key] = one
	}
	return all
}
