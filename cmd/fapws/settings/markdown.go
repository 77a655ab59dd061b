package settings

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// first lists the settings that people change first, by task, with a value and what holds without the setting.
var first = []struct{ task, flags, otherwise string }{
	{"let other machines connect", "--bind :8000", "this machine only, on port 8888; a script with PATHS: all"},
	{"serve HTTPS", "--tls acme --acme-hosts example.org --https-redirect", "plain HTTP"},
	{"trust nginx or a load balancer in front", "--forwarded-allow-ips 10.0.0.0/8", "the proxy counts as the client"},
	{"use all processors, and reload without loss", "--workers 0 --threads 16", "one process, up to 8 threads"},
	{"end slow requests", "--timeout 30s", "no limit"},
	{"accept larger uploads", "--max-body-size 100M", "10M, or 1G for WSGI"},
	{"serve files", "--static /static=./static --expires '*.css=30d'", "all paths go to the application"},
	{"log, and measure", "--access-log - --error-log error.log --status /_fapws", "messages on standard error"},
	{"find packages, variables and settings", "--venv venv --env-file .env --config site.toml", "./venv, ./fapws.toml"},
	{"run as another user", "--user www-data", "the user who starts it"},
	{"ask for a password", "--login users", "open to everybody"},
	{"run on a device", "--tls auto --state-dir /data --log-flush 60s --max-rss 64M", "a write each second for logs"},
	{"develop", "--dev", "changed code needs a reload"},
}

// phases lists the parts of a request in order, with the settings that limit each, and what follows.
var phases = []struct{ phase, limits, result string }{
	{"the client connects with TLS", "tls-timeout", "connection closed"},
	{"it sends request line and fields", "head-timeout", "408"},
	{"it sends the body: without a pause, and not too slowly", "body-timeout body-min-rate", "408"},
	{"the handler computes its response, and each next chunk", "timeout", "504"},
	{"the client reads the response", "write-timeout", "connection closed"},
	{"the connection is idle until the next request", "keep-alive", "connection closed"},
	{"the server stops: requests in progress", "shutdown-delay graceful-timeout", "requests aborted"},
}

// writeMarkdown writes the body of docs/settings.md: a table of the settings that people change first, a table for each
// group, and a section for each setting.
func writeMarkdown(w io.Writer) {
	all := groups(new(Config))
	rows := map[string]*Setting{}
	for _, g := range all {
		for _, row := range g.rows {
			rows[row.Name] = row
		}
	}
	fmt.Fprint(w, "## What people change first\n\n| to | type, for example | otherwise |\n|---|---|---|\n")
	for _, f := range first {
		flags := typedFlag().ReplaceAllString(f.flags, "[`--$1`](#--$1)$2")
		fmt.Fprintf(w, "| %s | %s | %s |\n", f.task, typedValue().ReplaceAllString(flags, ") `$1`"), f.otherwise)
	}
	fmt.Fprint(w, "\n## All settings\n")
	for _, g := range all {
		fmt.Fprintf(w, "\n**%s**\n\n%s", g.name, tableHead)
		for _, row := range g.rows {
			row.writeLine(w)
		}
	}
	for _, g := range all {
		fmt.Fprintf(w, "\n## %s\n", g.name)
		if g.name == "Timeouts" {
			fmt.Fprint(w, "\nA request passes these in order:\n\n| while | limit | then |\n|---|---|---|\n")
			for _, p := range phases {
				fmt.Fprintf(w, "| %s | %s | %s |\n", p.phase, join(strings.Fields(p.limits), ", ", func(name string) string {
					shown := rows[name].shownDefault()
					if shown == "0s" {
						shown = "none"
					}
					return fmt.Sprintf("[`--%s`](#--%s) `%s`", name, name, shown)
				}), p.result)
			}
		}
		for _, row := range g.rows {
			fmt.Fprintf(w, "\n### --%s\n\n%s", row.Name, asParagraph(row.explanation()))
			row.writeFacts(w)
		}
	}
	fmt.Fprintln(w)
}

var (
	typedFlag  = Pattern(`--([a-z-]+)`)
	typedValue = Pattern(`\) ([^\[ ]+)`)
)

const tableHead = "| setting | what it does | default |\n|---|---|---|\n"

// writeLine writes the line of a table about s.
func (s *Setting) writeLine(w io.Writer) {
	shown := cmp.Or(s.defaultColumn(), "–")
	if s.shownDefault() == "" && s.Arg == "" {
		shown = "no"
	}
	if shown != "–" && !strings.Contains(shown, " ") {
		shown = "`" + shown + "`"
	} else if s.shownDefault() == "" {
		shown = coded(shown)
	}
	fmt.Fprintf(w, "| [`--%s`](#--%s) | %s | %s |\n", s.Name, s.Name, strings.ReplaceAll(strings.TrimSuffix(
		asSentence(s.line()), "."), "\n", " "), shown)
}

// defaultColumn returns the default for a column or list item of defaults: the bracket in --help or, without a bracket,
// the clause "default: …" of the explanation.
func (s *Setting) defaultColumn() string {
	shown := s.shownDefault()
	for _, clause := range clauses(s.explanation()) {
		if standard, found := strings.CutPrefix(clause, "default: "); found && shown == "" {
			return strings.Join(strings.Fields(standard), " ")
		}
	}
	return shown
}

// line returns a description of s in a few words: Brief, or the beginning of the explanation.
func (s *Setting) line() string {
	if s.Brief != "" {
		return s.Brief
	}
	return beginning(s.explanation())
}

func beginning(text string) string {
	text = clauses(text)[0]
	if head, _, found := strings.Cut(text, ": "); found && strings.Contains(head, " ") {
		text = head
	}
	for _, end := range [...]string{" (", ", such as", ", for example", ", as ", ", except", ", with "} {
		text, _, _ = strings.Cut(text, end)
	}
	return text
}

// clauses splits a help text at its semicolons, except in brackets.
func clauses(text string) (words []string) {
	depth, from := 0, 0
	for i := range len(text) {
		switch text[i] {
		case '(':
			depth++
		case ')':
			depth--
		case ';':
			if depth == 0 {
				words, from = append(words, strings.TrimSpace(text[from:i])), i+1
			}
		}
	}
	return append(words, strings.TrimSpace(text[from:]))
}

// valueClause matches a clause that explains a value of a setting: one word, or a sample of a value.
var valueClause = Pattern(`(?s)^([^\s:]+(?::[^\s:]+)*|:\S+): (.*)$`)

// asParagraph returns a help text in Markdown: a sentence for each clause, and the beginning of a list, with the values
// that the text explains as "value: what it does".
func asParagraph(text string) string {
	var sentences, values []string
	for i, clause := range clauses(text) {
		if m := valueClause().FindStringSubmatch(clause); i > 0 && m != nil && !slices.Contains(
			[]string{"default", "repeatable"}, m[1]) {
			values = append(values, "- `"+m[1]+"`: "+coded(m[2]))
		} else {
			sentences = append(sentences, asSentence(clause))
		}
	}
	text = strings.Join(wrap(strings.Join(strings.Fields(strings.Join(sentences, " ")), " "), 120), "\n")
	text += "\n\n"
	for _, value := range values {
		text += value + "\n"
	}
	return text
}

// writeGuide writes a link to guide, the page about a setting or key, unless guide is empty.
func writeGuide(w io.Writer, guide string) {
	if page, section, found := strings.Cut(guide, ".md"); found {
		section = strings.ReplaceAll(strings.Replace(section, "#", ": ", 1), "-", " ")
		fmt.Fprintf(w, "- see [%s%s](%s)\n", page, section, guide)
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
	switch d := s.defaultColumn(); {
	case d == "" && s.Arg == "": // a setting that is on or off
		fact("default", "no")
	case d == "":
	case s.shownDefault() == "": // the explanation has it
	case strings.Contains(d, " "):
		fmt.Fprintf(w, "- default: %s\n", d)
	default:
		fact("default", d)
	}
	fact("environment variable", s.EnvName(), s.Env)
	fact("variable of a script", s.Global)
	if s.kept {
		fmt.Fprint(w, "- takes effect: after a restart, not a reload\n")
	}
	if s.inFile() {
		fact("in `fapws.toml`", documented()[s.Name].Head)
	}
	writeGuide(w, documented()[s.Name].Guide)
}

func writeKeysMarkdown(w io.Writer, keys []KeyDoc) {
	for _, t := range keyTables {
		own := slices.DeleteFunc(slices.Clone(keys), func(k KeyDoc) bool { return k.Table != t.table })
		fmt.Fprintf(w, "## %s\n\n%s\n\n```toml %s\n%s```\n\n| key | what it does | default |\n|---|---|---|\n", t.title,
			asSentence(t.text), t.file, t.example)
		for _, k := range own {
			_, standard := k.parts()
			shown := k.example()
			if !k.isShort() {
				shown = fmt.Sprintf("[`%s`](#%s)", k.Key, strings.ReplaceAll(k.heading(), ".", ""))
			}
			fmt.Fprintf(w, "| %s | %s | %s |\n", shown, strings.ReplaceAll(strings.TrimSuffix(
				asSentence(beginning(k.Help)), "."), "\n", " "), coded(cmp.Or(standard, "–")))
		}
		for _, k := range slices.DeleteFunc(own, func(k KeyDoc) bool { return k.isShort() }) {
			text, standard := k.parts()
			fmt.Fprintf(w, "\n### %s\n\n%s", k.heading(), asParagraph(text))
			if standard != "" {
				fmt.Fprintf(w, "- default: %s\n", coded(standard))
			}
			fmt.Fprintf(w, "- example: %s\n", k.example())
			writeGuide(w, k.Guide)
		}
		fmt.Fprintln(w)
	}
}

// isShort reports whether the row of k in its table says everything, so that k needs no section.
func (k *KeyDoc) isShort() bool {
	text, _ := k.parts()
	return text == beginning(text) && strings.Count(k.Value, " or ") == 0
}

// heading returns the key with its table, unless only the top of the file or any host and route has it.
func (k *KeyDoc) heading() string {
	if k.Table == "" || k.Table == "rules" {
		return k.Key
	}
	return k.Table + "." + k.Key
}

// parts returns the help text without its last clause "default: …", and the default in this clause.
func (k *KeyDoc) parts() (text, standard string) {
	text, standard, _ = strings.Cut(k.Help, "; default: ")
	return text, standard
}

// tomlValue matches a value in KeyDoc.Value, which can contain several values.
var tomlValue = Pattern(`\[\[.*\]\]|"[^"]*"|\{[^}]*\}|\[[^\]]*\]|true|false|\d+`)

// firstValue returns the first example of a value, or "" if the key is a table.
func (k *KeyDoc) firstValue() string {
	if strings.HasPrefix(k.Value, "[[") || strings.HasPrefix(k.Value, "["+k.Key) {
		return ""
	}
	return tomlValue().FindString(k.Value)
}

func (k *KeyDoc) example() string {
	if strings.HasPrefix(k.Value, "[[") || strings.HasPrefix(k.Value, "["+k.Key) {
		return "`" + k.Value + "`"
	}
	values := tomlValue().FindAllString(k.Value, -1)
	return join(values, ", ", func(v string) string { return "`" + k.Key + " = " + v + "`" })
}

// asSentence returns a help text as a sentence in Markdown, in lines of at most 120 columns. Words that Markdown would
// change are formatted as code.
func asSentence(text string) string {
	text = coded(text) + "."
	if name := written().FindString(text); name != "" {
		text = "`" + name + "`" + text[len(name):]
	} else {
		first, size := utf8.DecodeRuneInString(text)
		text = string(unicode.ToUpper(first)) + text[size:]
	}
	return strings.Join(wrap(text, 120), "\n")
}

// written matches a command or value at the beginning of a sentence, which has no capital letter there.
var written = Pattern(`^(fapws[.\w]*|systemd|off|combined|timed|short|text|debug)\b`)

// codeWord matches a word that contains characters typical of paths, patterns, flags, variables and keys, with brackets
// and punctuation around the word.
var codeWord = Pattern(`^(\(?)((?:--|~|/)\S*?|\S*?[*_=<>@[\]${}]\S*?|\S+://\S*?|FAPWS\S*?)(\)?[,;:.]?)$`)

// coded formats the words of text that Markdown would change as code.
func coded(text string) string {
	return join(strings.Split(text, " "), " ", func(word string) string {
		return codeWord().ReplaceAllString(word, "$1`$2`$3")
	})
}
