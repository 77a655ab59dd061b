package settings

import (
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// syntaxText contains the explanations of common mistakes.
//
//go:embed syntax.txt
var syntaxText string

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
	for _, one := range ReadTexts(syntaxText) {
		ofMessage, ofLine, _ := strings.Cut(one.Head, "~")
		pattern := regexp.MustCompile(strings.TrimSpace(ofLine))
		match := pattern.FindStringSubmatchIndex(strings.TrimSuffix(line, "\r"))
		if match != nil && regexp.MustCompile(strings.TrimSpace(ofMessage)).MatchString(message) {
			words = string(pattern.ExpandString(nil, one.Text, line, match))
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
