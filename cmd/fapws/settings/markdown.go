package settings

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// writeMarkdown writes a section of docs/settings.md for each group of settings, with a heading for each setting.
func writeMarkdown(w io.Writer) {
	for _, g := range groups(new(Config)) {
		fmt.Fprintf(w, "## %s\n\n", g.name)
		for _, row := range g.rows {
			fmt.Fprintf(w, "### --%s\n\n%s\n\n", row.Name, asSentence(row.explanation()))
			row.writeFacts(w)
			fmt.Fprintln(w)
		}
	}
}

func (s *Setting) writeFacts(w io.Writer) {
	fact := func(name string, values ...string) {
		values = slices.DeleteFunc(values, func(v string) bool { return v == "" })
		if len(values) > 0 {
			fmt.Fprintf(w, "- %s: %s\n", name, join(values, ", ", func(v string) string { return "`" + v + "`" }))
		}
	}
	short := ""
	if s.Short != "" {
		short = "-" + s.Short
	}
	fact("other names", append([]string{short}, s.otherFlags()...)...)
	switch d := s.shownDefault(); {
	case d == "" && s.Arg == "": // a setting that is on or off
		fact("default", "no")
	case d == "" && !strings.Contains(s.explanation(), "default"):
		fmt.Fprintln(w, "- default: none")
	case strings.Contains(d, " "):
		fmt.Fprintf(w, "- default: %s\n", d)
	default:
		fact("default", d)
	}
	fact("variable", s.EnvName(), s.Env)
	fact("global of a script", s.Global)
	if s.inFile() {
		fact("in `fapws.toml`, for example", documented()[s.Name].Head)
	}
}

func writeKeysMarkdown(w io.Writer, keys []KeyDoc) {
	for _, t := range keyTables {
		fmt.Fprintf(w, "## %s\n\n%s\n\n", t.title, asSentence(t.text))
		for _, k := range keys {
			if k.Table == t.table {
				fmt.Fprintf(w, "### %s\n\n%s\n\n- for example: %s\n\n", k.Key, asSentence(k.Help), k.example())
			}
		}
	}
}

// tomlValue matches a value in KeyDoc.Value, which can contain several values.
var tomlValue = Pattern(`\[\[.*\]\]|"[^"]*"|\{[^}]*\}|\[[^\]]*\]|true|false|\d+`)

func (k *KeyDoc) example() string {
	if strings.HasPrefix(k.Value, "[[") {
		return "`" + k.Value + "`"
	}
	values := tomlValue().FindAllString(k.Value, -1)
	return join(values, ", ", func(v string) string { return "`" + k.Key + " = " + v + "`" })
}

// asSentence returns a help text as a sentence in Markdown, in lines of at most 120 columns. Words that Markdown would
// change are formatted as code.
func asSentence(text string) string {
	text = join(strings.Split(text, " "), " ", func(word string) string {
		return codeWord().ReplaceAllString(word, "$1`$2`$3")
	}) + "."
	first, size := utf8.DecodeRuneInString(text)
	return strings.Join(wrap(string(unicode.ToUpper(first))+text[size:], 120), "\n")
}

// codeWord matches a word that contains characters typical of paths, patterns, flags, variables and keys, with brackets
// and punctuation around the word.
var codeWord = Pattern(`^(\(?)((?:--|~|/)\S*?|\S*?[*_=<>@[\]${}]\S*?|\S+://\S*?|FAPWS\S*?)(\)?[,;:.]?)$`)
