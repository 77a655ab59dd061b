package ssi

import "strings"

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenTrue
	tokenFalse
	tokenNumber
	tokenString // parts; also a variable or capture that stands alone
	tokenName
	tokenRegexp // text, flag
	tokenCompare
	tokenMatch
	tokenIn
	tokenUnary
	tokenBinary
	tokenAnd
	tokenOr
	tokenNot
	tokenDot
	tokenOpen
	tokenClose
	tokenOpenList
	tokenCloseList
	tokenComma
)

// part is a piece of a string.
type part struct {
	kind  partKind
	text  string // as it is, or a digit or a name
	parts []part // the argument of a function
}

type partKind uint8

const (
	partText partKind = iota
	partCapture
	partVariable
	partFunction
)

// scanner cuts an expression into tokens. It panics with a syntaxError.
type scanner struct {
	s     string
	start int // of the token
	i     int // behind it

	kind  tokenKind
	text  string
	flag  bool // of a regexp: ignore case
	parts []part
}

// near quotes the place where the scanner is.
func (s *scanner) near() string {
	if s.kind == tokenEnd {
		return "the end"
	}
	rest := s.s[s.start:]
	return `"` + rest[:min(len(rest), 20)] + `"`
}

// keywords are names and signs that are something else than names; the longest
// that fits counts.
var keywords = map[string]struct {
	kind tokenKind
	text string
}{
	"true": {tokenTrue, ""}, "false": {tokenFalse, ""},
	"and": {tokenAnd, ""}, "&&": {tokenAnd, ""},
	"or": {tokenOr, ""}, "||": {tokenOr, ""},
	"not": {tokenNot, ""}, "!": {tokenNot, ""},
	"=": {tokenCompare, "=="}, "==": {tokenCompare, "=="}, "!=": {tokenCompare, "!="},
	"<": {tokenCompare, "<"}, "<=": {tokenCompare, "<="}, ">": {tokenCompare, ">"}, ">=": {tokenCompare, ">="},
	"=~": {tokenMatch, "=~"}, "!~": {tokenMatch, "!~"},
	"-eq": {tokenCompare, "-eq"}, "-ne": {tokenCompare, "-ne"}, "-lt": {tokenCompare, "-lt"},
	"-le": {tokenCompare, "-le"}, "-gt": {tokenCompare, "-gt"}, "-ge": {tokenCompare, "-ge"},
	"eq": {tokenCompare, "-eq"}, "ne": {tokenCompare, "-ne"}, "lt": {tokenCompare, "-lt"},
	"le": {tokenCompare, "-le"}, "gt": {tokenCompare, "-gt"}, "ge": {tokenCompare, "-ge"},
	"in": {tokenIn, ""}, "-in": {tokenIn, ""},
	".": {tokenDot, ""}, "(": {tokenOpen, ""}, ")": {tokenClose, ""},
	"{": {tokenOpenList, ""}, "}": {tokenCloseList, ""}, ",": {tokenComma, ""},
}

// next reads a token.
func (s *scanner) next() {
	for s.i < len(s.s) && strings.IndexByte(" \t\n", s.s[s.i]) >= 0 {
		s.i++
	}
	s.start, s.text, s.parts = s.i, "", nil
	rest := s.s[s.i:]
	if rest == "" {
		s.kind = tokenEnd
		return
	}
	switch c := rest[0]; {
	case c == '"' || c == '\'':
		s.i++
		s.kind, s.parts = tokenString, s.str(c, 0)
	case strings.HasPrefix(rest, "%{"), c == '$' && len(rest) > 1 && isDigit(rest[1]):
		s.kind, s.parts = tokenString, []part{s.dollarOrPercent(0)}
	case c == '/':
		s.i++
		s.regexp(c)
	case c == 'm' && len(rest) > 1 && strings.IndexByte(`/#$%^,;:_?|-!.'"`, rest[1]) >= 0 && nameLen(rest) <= 2:
		s.i += 2
		s.regexp(rest[1])
	case isDigit(c), c == '-' && len(rest) > 1 && isDigit(rest[1]):
		n := 1
		for n < len(rest) && isDigit(rest[n]) {
			n++
		}
		s.kind, s.text = tokenNumber, rest[:n]
		s.i += n
	case isLetter(c):
		n := nameLen(rest)
		s.keyword(rest[:n], tokenName)
	case c == '-' && len(rest) > 1 && (isLetter(rest[1]) || rest[1] == '_'):
		n := 1 + nameLen(rest[1:])
		if n == 2 {
			s.keyword(rest[:n], tokenUnary)
		} else {
			s.keyword(rest[:n], tokenBinary)
		}
	default:
		n := min(2, len(rest))
		if _, ok := keywords[rest[:n]]; !ok {
			n = 1
		}
		if _, ok := keywords[rest[:n]]; !ok {
			fail("unexpected %q", rest[:1])
		}
		s.keyword(rest[:n], tokenEnd)
	}
}

func (s *scanner) keyword(text string, otherwise tokenKind) {
	s.i += len(text)
	if k, ok := keywords[text]; ok {
		s.kind, s.text = k.kind, k.text
		return
	}
	s.kind, s.text = otherwise, strings.TrimPrefix(text, "-")
}

// nameLen returns the length of the name that s begins with.
func nameLen(s string) int {
	n := 0
	for n < len(s) && (isAlnum(s[n]) || s[n] == '_') {
		n++
	}
	return n
}

func (s *scanner) regexp(stop byte) {
	n := strings.IndexByte(s.s[s.i:], stop)
	if n < 0 {
		fail("unterminated regular expression")
	}
	s.kind, s.text = tokenRegexp, s.s[s.i:s.i+n]
	s.i += n + 1
	s.flag = s.i < len(s.s) && s.s[s.i] == 'i'
	if s.flag {
		s.i++
	}
}

// str reads a string up to stop, which it passes.
func (s *scanner) str(stop byte, depth int) (parts []part) {
	if depth > maxNesting {
		fail("nested too deeply")
	}
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 {
			parts = append(parts, part{kind: partText, text: b.String()})
			b.Reset()
		}
	}
	for s.i < len(s.s) {
		rest := s.s[s.i:]
		switch c := rest[0]; {
		case c == stop:
			s.i++
			flush()
			return parts
		case c == '\n':
			fail("unterminated string or variable")
		case c == '\\' && len(rest) > 1:
			s.i++
			b.WriteByte(s.escape())
		case strings.HasPrefix(rest, "%{"), c == '$' && len(rest) > 1 && isDigit(rest[1]):
			flush()
			parts = append(parts, s.dollarOrPercent(depth))
		default:
			b.WriteByte(c)
			s.i++
		}
	}
	fail("unterminated string or variable")
	return nil
}

// escape reads the characters behind a backslash.
func (s *scanner) escape() byte {
	c := s.s[s.i]
	if i := strings.IndexByte("nrtbf", c); i >= 0 {
		s.i++
		return "\n\r\t\b\f"[i]
	}
	if !isDigit(c) {
		s.i++
		return c
	}
	value, n := 0, 0
	for n < 3 && s.i < len(s.s) && '0' <= s.s[s.i] && s.s[s.i] <= '7' {
		value = value*8 + int(s.s[s.i]-'0')
		s.i++
		n++
	}
	if n == 0 || value > 0xff {
		fail("invalid escape in a string")
	}
	return byte(value)
}

// dollarOrPercent reads $1, %{NAME} or %{name:argument}.
func (s *scanner) dollarOrPercent(depth int) part {
	if s.s[s.i] == '$' {
		s.i += 2
		return part{kind: partCapture, text: s.s[s.i-1 : s.i]}
	}
	s.i += 2
	n := nameLen(s.s[s.i:])
	name := s.s[s.i : s.i+n]
	s.i += n
	if n == 0 || !isLetter(name[0]) || s.i == len(s.s) {
		fail("invalid variable name")
	}
	switch s.s[s.i] {
	case '}':
		s.i++
		return part{kind: partVariable, text: name}
	case ':':
		s.i++
		parts := s.str('}', depth+1)
		if len(parts) == 0 {
			fail("%%{%s:} requires an argument", name)
		}
		return part{kind: partFunction, text: name, parts: parts}
	}
	fail("invalid variable name")
	return part{}
}
