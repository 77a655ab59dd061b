package settings

import (
	"embed"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"
)

const (
	helpWidth  = 79
	helpIndent = 27 // column in which the descriptions start
)

const purpose = "fapws serves Python web applications, and files, such as: fapws main:app\n"

const usage = `Usage: fapws [FLAGS] APP [-- ARGS...]  APP: app.py, module:app or a directory
       fapws check|routes|shell|systemd-unit APP  validate, list, try, install
       fapws ctl reload|stop|status|top|stack  steer a running server
       fapws user|hash-password  users of a login page; a password's hash
       fapws new|bundle          a sample to change; one executable of APP
       fapws import FILE         a web.conf as fapws.toml
       fapws help TOPIC|WORDS    pages of the docs; help topics lists them
`

// WriteHelp writes the text of --help. The text contains the common flags and fits on one screen or, if whole is true,
// contains all flags and their aliases.
func WriteHelp(w io.Writer, whole bool) {
	fmt.Fprint(w, purpose, usage)
	for _, g := range helpGroups() {
		if whole {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, g.name)
		for _, row := range g.rows {
			switch {
			case whole:
				writeEntry(w, row.synopsis(), row.sentence())
			case row.Brief != "":
				writeEntry(w, row.synopsis(), row.Brief+row.bracketed())
			}
		}
	}
	if !whole {
		fmt.Fprint(w, "SIZE takes K, M, G, T; TIME is in seconds or takes ms, s, m, h, d.\n")
		return
	}
	for n := range Texts(notes) {
		fmt.Fprintln(w, "\n"+strings.Join(wrap(n.Head+": "+n.Text, helpWidth), "\n"))
	}
}

//go:embed help/*.txt
var helpTexts embed.FS

// CommandHelp returns the help text of a command that takes no flags of its own, or "" for all others. Package ctl
// contains the help text of its command.
func CommandHelp(word Word) string {
	text, _ := helpTexts.ReadFile("help/" + string(word) + ".txt")
	return string(text)
}

// Names returns the long names of all settings.
func Names() (names []string) {
	for _, row := range table() {
		names = append(names, row.Name)
	}
	return names
}

// longName returns the long name of a flag such as -b, or else flag itself.
func longName(flag string) string {
	for _, row := range table() {
		if row.Short != "" && flag == "-"+row.Short {
			return "--" + row.Name
		}
	}
	return flag
}

//go:embed notes.txt
var notes string

var commands = []*Setting{
	{Name: "help", Short: "h", Brief: "show common flags; --help all shows every flag"},
	{Name: "version", Short: "V", Brief: "show the versions of fapws, Python and Go"},
	{Name: "check-config"},
	{Name: "print-config", Brief: "show every setting and its source"},
}

func helpGroups() []group { return append(groups(new(Config)), group{"Instead of serving", commands}) }

func (s *Setting) synopsis() string {
	line := "    --" + s.Name
	if s.Short != "" {
		line = "-" + s.Short + ", --" + s.Name
	}
	if s.Arg != "" {
		line += " " + s.Arg
	}
	return line
}

func (s *Setting) sentence() string {
	text := s.explanation() + s.bracketed()
	if others := s.otherFlags(); len(others) > 0 {
		text += "; also " + strings.Join(others, ", ")
	}
	return text
}

func (s *Setting) bracketed() string {
	if d := s.shownDefault(); d != "" {
		return " [" + d + "]"
	}
	return ""
}

func (s *Setting) otherFlags() []string {
	var others []string
	for _, one := range s.variants {
		flag := "--" + one.name
		if one.prefix != "" {
			flag += " PATH"
		}
		others = append(others, flag)
	}
	return others
}

func writeEntry(w io.Writer, synopsis, sentence string) {
	left := "  " + synopsis
	if len(left) > helpIndent-2 {
		fmt.Fprintln(w, left)
		left = ""
	}
	for _, line := range wrap(sentence, helpWidth-helpIndent) {
		fmt.Fprintf(w, "%-*s%s\n", helpIndent, left, line)
		left = ""
	}
}

func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}

// A Text is an entry of a file of texts, such as settings.txt.
type Text struct{ Head, Text, Guide string }

// Texts returns the entries of a file of texts. An entry is a line followed by indented lines, which contain its
// text and, after "-> ", the Guide: the page about it. Empty lines and lines that begin with "#" are ignored.
func Texts(file string) iter.Seq[Text] {
	return func(yield func(Text) bool) {
		var one Text
		for line := range strings.Lines(file) {
			switch line = strings.TrimSuffix(line, "\n"); {
			case line == "" || line[0] == '#':
			case line[0] != '\t':
				if one.Head != "" && !yield(one) {
					return
				}
				one = Text{Head: line}
			case strings.HasPrefix(line, "\t-> "):
				one.Guide = line[len("\t-> "):]
			case one.Text == "":
				one.Text = strings.TrimSpace(line)
			default:
				one.Text += " " + strings.TrimSpace(line)
			}
		}
		if one.Head != "" {
			yield(one)
		}
	}
}

//go:embed settings.txt
var settingsText string

// documented maps the name of a setting to its entry in settings.txt. The Head of the entry is an example.
var documented = sync.OnceValue(func() map[string]Text { return TextsByKey(settingsText) })

// TextsByKey maps each key to its entry in a file of texts. An example value may follow the key, after " = ".
func TextsByKey(file string) map[string]Text {
	all := map[string]Text{}
	for one := range Texts(file) {
		key, _, _ := strings.Cut(one.Head, " = ")
		all[key] = one
	}
	return all
}
