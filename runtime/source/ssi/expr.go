package ssi

import (
	"fmt"
	"regexp"
	"strings"
)

// condition is an expression that is ready to be evaluated.
type condition = func(*page) bool

// The limits of expressions. A regular expression takes time in proportion to
// the text it is compared with (RE2), and memory to its own length.
const (
	maxExpression = 8192 // bytes
	maxNesting    = 100  // parentheses and negations inside each other
	maxRegexp     = 1000 // bytes
)

// compile reads the expression of an if or elif.
func (e *element) compile() {
	if len(e.args) != 1 {
		e.wrong = e.name + " requires exactly one argument"
		return
	}
	if e.asks = e.args[0].name == "expr" && e.args[0].hasValue; !e.asks {
		e.wrong = e.name + " requires expr"
		return
	}
	var err error
	if e.holds, err = parseExpression(e.args[0].value); err != nil {
		e.wrong = fmt.Sprintf("the expression %q: %v; docs/php-cgi-ssi.md shows what expressions may contain", e.args[0].value, err)
	}
}

// exprParser reads, by recursive descent, the expressions that mod_include of all versions, and nginx, have in common:
//
//	or         = and { "||" and }
//	and        = not { "&&" not }
//	not        = "!" not | "(" or ")" | ( "-n" | "-z" | "-A" | "-U" ) text | comparison
//	comparison = text [ ( "=" | "==" | "!=" | "<" | "<=" | ">" | ">=" ) text | ( "=" | "!=" | "=~" | "!~" ) "/" pattern "/" [ "i" ] ]
//
// A text is one or several words, strings and variables: v('NAME'), %{NAME}, or $NAME also inside of words and strings. true and
// false are constants; any other text alone holds if it is not empty.
type exprParser struct {
	s     string
	depth int
}

// syntaxError is the panic of the parser, caught by parseExpression.
type syntaxError string

func (e syntaxError) Error() string { return string(e) }

func fail(format string, args ...any) { panic(syntaxError(fmt.Sprintf(format, args...))) }

func parseExpression(source string) (holds condition, err error) {
	if len(source) > maxExpression {
		return nil, fmt.Errorf("longer than %d bytes", maxExpression)
	}
	defer func() {
		if f, ok := recover().(syntaxError); ok {
			holds, err = nil, f
		}
	}()
	p := &exprParser{s: source}
	holds = p.or()
	if p.peek() != "" {
		fail("unexpected %s", p.near())
	}
	return holds, nil
}

// peek skips spaces and returns the rest.
func (p *exprParser) peek() string {
	p.s = strings.TrimLeft(p.s, " \t\r\n")
	return p.s
}

// take reports whether a sign stands next, and skips it.
func (p *exprParser) take(sign string) bool {
	found := strings.HasPrefix(p.peek(), sign)
	if found {
		p.s = p.s[len(sign):]
	}
	return found
}

// near quotes the place where the parser is.
func (p *exprParser) near() string {
	if p.peek() == "" {
		return "end"
	}
	return fmt.Sprintf("%.20q", p.s)
}

// deeper counts the depth of nesting.
func (p *exprParser) deeper() func() {
	if p.depth++; p.depth > maxNesting {
		fail("nested too deeply")
	}
	return func() { p.depth-- }
}

func (p *exprParser) or() condition {
	left := p.and()
	for p.take("||") {
		a, b := left, p.and()
		left = func(pg *page) bool { return a(pg) || b(pg) }
	}
	return left
}

func (p *exprParser) and() condition {
	left := p.not()
	for p.take("&&") {
		a, b := left, p.not()
		left = func(pg *page) bool { return a(pg) && b(pg) }
	}
	return left
}

// unary is an operator in front of a text.
var unary = regexp.MustCompile(`^-[nzAU]\b`)

func (p *exprParser) not() condition {
	defer p.deeper()()
	switch {
	case p.take("!"):
		c := p.not()
		return func(pg *page) bool { return !c(pg) }
	case p.take("("):
		c := p.or()
		if !p.take(")") {
			fail("expected ) near %s", p.near())
		}
		return c
	}
	operator := unary.FindString(p.peek())
	if !p.take(operator) || operator == "" {
		return p.comparison()
	}
	text := p.text()
	switch operator {
	case "-n":
		return func(pg *page) bool { return pg.substitute(text) != "" }
	case "-z":
		return func(pg *page) bool { return pg.substitute(text) == "" }
	}
	return func(pg *page) bool { return pg.reachable(pg.substitute(text)) }
}

func (p *exprParser) comparison() condition {
	constant := p.peek()
	a := p.text()
	constant = strings.TrimRight(strings.TrimSuffix(constant, p.s), " \t\r\n")
	for _, sign := range []string{"=~", "!~", "==", "!=", "<=", ">=", "=", "<", ">"} {
		if !p.take(sign) {
			continue
		}
		matches := sign[len(sign)-1] == '~'
		if matches || (sign == "=" || sign == "!=") && strings.HasPrefix(p.peek(), "/") {
			return match(a, p.pattern(), sign[0] == '!')
		}
		b := p.text()
		return func(pg *page) bool { return comparisons[sign](strings.Compare(pg.substitute(a), pg.substitute(b))) }
	}
	if constant == "true" || constant == "false" {
		return func(*page) bool { return constant == "true" }
	}
	return func(pg *page) bool { return pg.substitute(a) != "" }
}

// comparisons report whether a sign holds, by the result of strings.Compare.
var comparisons = map[string]func(order int) bool{
	"=":  func(order int) bool { return order == 0 },
	"==": func(order int) bool { return order == 0 },
	"!=": func(order int) bool { return order != 0 },
	"<":  func(order int) bool { return order < 0 },
	"<=": func(order int) bool { return order <= 0 },
	">":  func(order int) bool { return order > 0 },
	">=": func(order int) bool { return order >= 0 },
}

var (
	function = regexp.MustCompile(`^(?:v|env|reqenv)\(\s*(?:'(\w+)'|"(\w+)")\s*\)`) // of a variable
	percent  = regexp.MustCompile(`%\{(\w+)\}`)

	// Operators of Apache 2.4 that would otherwise be words of a text, and change its meaning silently.
	unknown = regexp.MustCompile(`^(?:-[A-Za-z]\w*|and|or|not|in|eq|ne|lt|le|gt|ge)$`)
)

// text reads words, strings and variables up to the next sign, as a value for substitute.
func (p *exprParser) text() string {
	var found []string
	for p.peek() != "" {
		m := function.FindStringSubmatch(p.s)
		quote := p.s[0]
		switch {
		case m != nil:
			p.s = p.s[len(m[0]):]
			found = append(found, "${"+m[1]+m[2]+"}")
		case quote == '\'' || quote == '"':
			p.s = p.s[1:]
			found = append(found, p.piece(func(rest string) bool { return rest[0] == quote }))
			if !p.take(string(quote)) {
				fail("expected %c near end", quote)
			}
		default:
			word := p.piece(endsWord)
			if word == "" {
				return p.joined(found)
			}
			if unknown.MatchString(word) {
				fail("unknown operator %s", word)
			}
			if strings.HasPrefix(p.s, "(") {
				fail("unknown function %s", word)
			}
			found = append(found, word)
		}
	}
	return p.joined(found)
}

func (p *exprParser) joined(found []string) string {
	if len(found) == 0 {
		fail("expected a text near %s", p.near())
	}
	text := percent.ReplaceAllString(strings.Join(found, " "), "${${1}}")
	if strings.Contains(text, "%{") {
		fail("unknown variable in %q", text)
	}
	return text
}

func endsWord(rest string) bool {
	return isSpace(rest[0]) || strings.IndexByte("()=!<>", rest[0]) >= 0 || strings.HasPrefix(rest, "&&") || strings.HasPrefix(rest, "||")
}

// piece reads up to where ends holds. A backslash stands for the character behind it, but \$ is left to substitute.
func (p *exprParser) piece(ends func(rest string) bool) string {
	var b strings.Builder
	for p.s != "" && !ends(p.s) {
		if p.s[0] == '\\' && len(p.s) > 1 {
			if p.s[1] == '$' {
				b.WriteByte('\\')
			}
			p.s = p.s[1:]
		}
		b.WriteByte(p.s[0])
		p.s = p.s[1:]
	}
	return b.String()
}

// pattern reads a regular expression. \/ in it is a slash.
func (p *exprParser) pattern() *regexp.Regexp {
	if !p.take("/") {
		fail("expected a /pattern/ near %s", p.near())
	}
	end := 0
	for ; end < len(p.s) && p.s[end] != '/'; end++ {
		if p.s[end] == '\\' {
			end++
		}
	}
	if end >= len(p.s) {
		fail("the pattern has no end")
	}
	source, flags := p.s[:end], "(?s)"
	p.s = p.s[end+1:]
	if strings.HasPrefix(p.s, "i") {
		p.s, flags = p.s[1:], "(?si)"
	}
	if len(source) > maxRegexp {
		fail("regular expression longer than %d bytes", maxRegexp)
	}
	re, err := regexp.Compile(flags + source)
	if err != nil {
		fail("%v", err)
	}
	return re
}

// match compares a text with a regular expression. One with groups leaves them to $0 ... $9, also when it does not match.
func match(text string, re *regexp.Regexp, negate bool) condition {
	if re.NumSubexp() == 0 {
		return func(pg *page) bool { return re.MatchString(pg.substitute(text)) != negate }
	}
	return func(pg *page) bool { return pg.match(re, pg.substitute(text)) != negate }
}
