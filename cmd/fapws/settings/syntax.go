package settings

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// syntaxWords lists common mistakes in the syntax of a TOML file. The first row is used whose regular expressions
// match: message the message of the TOML library, and line the line with the mistake. In words, $1 and $2 stand for the
// groups in line.
var syntaxWords = []struct{ message, line, words string }{
	{`already`, `^\s*\[\[([^\]]+)\]\]`, `$1 is set above in another form; write [[$1]] for each table, and tables ` +
		`inside it, such as [[$1.route]], below it`},
	{`already`, `^\s*\[+([^\]]+)`,
		`$1 is set above; remove one, or write [[$1]] for each of several tables`},
	{`already`, `^\s*(([\w-]+)\.[^=]*[^=\s])`,
		`$1 is set above, or $2 is set above and is not a table; remove one of the lines`},
	{`already`, `^\s*([^=]*[^=\s])`, `$1 is set above; remove one of the lines`},
	{`newlines|EOF; expected ['"]`, ``, `the quote at the end of this text is missing`},
	{`hexadecimal digits|invalid escape`, ``,
		`a backslash between double quotes begins an escape; write two, or use single quotes`},
	{`control characters`, ``, `a control character is not allowed here; remove it`},
	{`UTF-8`, ``, `this is not UTF-8; save the file in UTF-8`},
	{``, `^\s*(;|//|--|/\*)`, `a comment begins with #`},
	{`table|top-level`, `^\s*\[`, `a table is written [name] or [[name]], alone on its line`},
	{``, `[“”„‘’«»]`, `TOML has other quotes: "text"`},
	{`value|array.*end of file`, `=\s*\[[^"']*[[:alpha:]]`, `text needs quotes, in an array too`},
	{`expected value`, `^\s*[[:alpha:]/.~][^=]*$`, `text needs quotes, in an array too`},
	{`comma`, `[=\[,]\s*\d+[[:alpha:]]`, `text needs quotes, in an array too`},
	{`comma.*\].*end of file`, ``, `the ] at the end of this array is missing`},
	{`comma.*\}.*end of file`, ``, `the } at the end of this table is missing`},
	{`EOF; expected value`, `^\s*[^=\s]*$|=\s*\[`, `the ] at the end of this array is missing`},
	{`comma.*\]`, ``, `a comma is missing before this value, or the ] at the end of the array`},
	{`comma.*\}`, ``, `a comma is missing before this key, or the } at the end of the table`},
	{``, `^\s*([\w.-]+)\s*(=\s*([#,;].*)?)?$`, `$1 has no value; write $1 = 4, or $1 = "text"`},
	{``, `=\s*=`, `there is one = too many`},
	{``, `=\s*(True|TRUE|False|FALSE)\b`, `true and false are written in lower case`},
	{`range`, ``, `this number is too large`},
	{`leading zero`, ``, `a number has no zero at its beginning`},
	{`value`, `^\s*([\w.-]+)\s*=\s*(yes|no|on|off)\b`, `text needs quotes: $1 = "$2"; a switch is true or false`},
	{`top-level`, `=\s*("[^"]*"|'[^']*'|[\w.]+)\s*[;,]\s*$`, `a line has no ; or , at its end`},
	{`top-level`, `=.*\s[\w-]+\s*=`, `each key begins on a line of its own`},
	{`value|Invalid|invalid|digit|range|top-level|hexadecimal`,
		`^\s*([\w.-]+)\s*=\s*([^\s"'\[{#=,](?:[^"\\#]*[^"\\#\s;])?);?\s*(#.*)?$`, `text needs quotes: $1 = "$2"`},
	{`top-level`, ``,
		`only a comment may follow a value; text with one kind of quotes stands between those of the other kind`},
	{`'='`, `^\s*([\w-]+)\s+([\d.]+|true|false|".*")\s*$`, `the = is missing; write $1 = $2`},
	{`'='|blank`, `^[^="'#]*[\x{a0}\x{ad}\x{2000}-\x{200f}\x{202f}\x{2060}\x{3000}\x{feff}]`,
		`an invisible character is not allowed here; type this line again`},
	{`'='|blank`, `^[^="'#]*[^\x00-\x7f][^=]*=|[{,]\s*[\w-]+\s+[\w-]+\s*=`,
		`a key needs quotes if it has other characters than A-Z, a-z, 0-9, - and _`},
	{`'='|blank`, ``, `write key = value`},
}

// syntaxError converts an error from the TOML library to one line, such as "name:3:14: …". Columns are counted in
// characters.
func syntaxError(name, text string, err error) error {
	var at toml.ParseError
	if !errors.As(err, &at) {
		return fmt.Errorf("%s:1:1: %s", name, OneLine(err.Error()))
	}
	message := at.Message
	if message == "" {
		message = at.Error()
	}
	start := placeOf(text, min(max(at.Position.Start, 0), len(text)), message)
	// If the end of a line is wrong, the TOML library reports the next line.
	begin := strings.LastIndexByte(text[:start], '\n') + 1
	line, _, _ := strings.Cut(text[begin:], "\n")
	words := strings.TrimSuffix(message, ".")
	for _, row := range syntaxWords {
		pattern := regexp.MustCompile(row.line)
		match := pattern.FindStringSubmatchIndex(strings.TrimSuffix(line, "\r"))
		if match != nil && regexp.MustCompile(row.message).MatchString(message) {
			words = string(pattern.ExpandString(nil, row.words, line, match))
			break
		}
	}
	return fmt.Errorf("%s:%d:%d: %s", name, strings.Count(text[:start], "\n")+1,
		utf8.RuneCountInString(text[begin:start])+1, OneLine(words))
}

// placeOf corrects at, the offset at which the TOML library has reported a mistake. It returns the offset of the
// unclosed quote or bracket, of the backslash, or of the control character.
func placeOf(text string, at int, message string) int {
	rest := text[at:]
	switch escape := regexp.MustCompile(`'(\\.)'`).FindStringSubmatch(message); {
	case escape != nil:
		return at + max(strings.Index(rest, escape[1]), 0)
	case strings.Contains(message, "control characters"):
		return at + max(strings.IndexFunc(rest, func(c rune) bool {
			return c < ' ' && c != '\t' && c != '\n' || c == 0x7f
		}), 0)
	case strings.Contains(message, "newlines"):
		return unclosed(text[:at])
	case strings.Contains(message, "unexpected EOF") || strings.Contains(message, "end of file"):
		return unclosed(text)
	}
	return at + len(rest) - len(strings.TrimLeft(rest, " \t"))
}

// unclosed returns the offset of the last unclosed quote or bracket, or else the length of the text without trailing
// white space.
func unclosed(text string) int {
	var open []int
	end := 0
	for _, at := range token().FindAllStringIndex(text, -1) {
		if quote := strings.IndexAny(text[end:at[0]], `"'`); quote >= 0 {
			return end + quote
		}
		switch end = at[1]; text[at[0]:end] {
		case `""`, "''":
			// three quotes begin a string that can span several lines
			if strings.HasPrefix(text[end:], text[at[0]:at[0]+1]) {
				return at[0]
			}
		case "[", "{":
			open = append(open, at[0])
		case "]", "}":
			open = open[:max(len(open)-1, 0)]
		}
	}
	if quote := strings.IndexAny(text[end:], `"'`); quote >= 0 {
		return end + quote
	}
	if len(open) > 0 {
		return open[len(open)-1]
	}
	return len(strings.TrimRight(text, " \t\r\n"))
}
