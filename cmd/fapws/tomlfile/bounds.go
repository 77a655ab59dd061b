package tomlfile

import "fmt"

const (
	// maxDepth is how deep brackets may be in each other, and maxLine how many
	// bytes a line may have: the TOML reader takes the square of both, in time and
	// memory. No site needs more.
	maxDepth = 32
	maxLine  = 16 << 10

	// maxMistakes is the maximum of reported mistakes of one table: more are not read.
	maxMistakes = 50
)

// bounded refuses a text that would keep the TOML reader busy. It need not be
// TOML. The error is one line with line and column.
func bounded(name, text string) error {
	line, start, depth := 1, 0, 0
	var quote byte // of the string that this is in, # in a comment, or 0
	long := false  // it began with three of them
	for i := 0; i < len(text); i++ {
		c := text[i]
		if i-start > maxLine {
			return fmt.Errorf("%s:%d:%d: a line of more than %d bytes", name, line, i-start+1, maxLine)
		}
		triple := i+2 < len(text) && text[i+1] == c && text[i+2] == c
		switch {
		case c == '\n':
			line, start = line+1, i+1
			if !long {
				quote = 0
			}
		case quote == '#':
		case quote != 0:
			switch {
			case c == '\\' && quote == '"':
				if i+1 < len(text) && text[i+1] != '\n' {
					i++
				}
			case c == quote && (!long || triple):
				quote = 0
				if long {
					i += 2
				}
			}
		case c == '"' || c == '\'':
			quote, long = c, triple
			if long {
				i += 2
			}
		case c == '#':
			quote, long = c, false
		case c == '[' || c == '{':
			if depth++; depth > maxDepth {
				return fmt.Errorf("%s:%d:%d: more than %d nested brackets", name, line, i-start+1, maxDepth)
			}
		case c == ']' || c == '}':
			depth = max(depth-1, 0)
		}
	}
	return nil
}
