package ssi

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
)

type condition = func(*page) bool

// maxExpression limits the length of an expression in bytes, because the memory of a regular expression is proportional
// to its length. The time for matching is proportional to the length of the text (RE2).
const maxExpression = 8192

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
		e.wrong = fmt.Sprintf("the expression %q: %v; fapws help php-cgi-ssi shows what expressions may contain",
			e.args[0].value, err)
	}
}

// exprParser parses, by recursive descent, the expressions that all versions of mod_include and nginx support:
//
//	or         = and { "||" and }
//	and        = not { "&&" not }
//	not        = "!" not | "(" or ")" | ( "-n" | "-z" | "-A" | "-U" ) text | "true" | "false" | comparison
//	comparison = text [ ( "=" | "==" | "!=" | "<" | "<=" | ">" | ">=" ) text |
//	             ( "=" | "!=" | "=~" | "!~" ) "/" pattern "/" [ "i" ] ]
//
// A text is a sequence of words, strings and variables: v('NAME'), or %{NAME} or $NAME, also within words and strings.
// A text without a comparison is true if it is not empty.
type exprParser struct {
	s string // the rest of the expression
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

func (p *exprParser) peek() string {
	p.s = strings.TrimLeft(p.s, space)
	return p.s
}

// take consumes the input that a pattern matches, and returns the groups, or nil if the pattern does not match.
func (p *exprParser) take(wanted func() *regexp.Regexp) []string {
	found := wanted().FindStringSubmatch(p.peek())
	if found != nil {
		p.s = p.s[len(found[0]):]
	}
	return found
}

func (p *exprParser) near() string {
	if p.peek() == "" {
		return "end"
	}
	return fmt.Sprintf("%.20q", p.s)
}

// pattern returns a function that compiles a regular expression at its first call, so that the start of the server
// takes less time and memory.
func pattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}

var (
	orSign     = pattern(`^\|\|`)
	andSign    = pattern(`^&&`)
	notSign    = pattern(`^!`)
	opening    = pattern(`^\(`)
	closing    = pattern(`^\)`)
	unary      = pattern(`^-[nzAU]\b`)
	constant   = pattern(`^(?:true|false)\s*(?:\)|&&|\|\||$)`)
	comparison = pattern(`^(?:=~|!~|[=!<>]=|[=<>])`)
	expression = pattern(`(?s)^/((?:\\.|[^/\\])*)/(i?)`)
	// a function call whose argument is the name of a variable
	function    = pattern(`^(?:v|env|reqenv)\(\s*(?:'(\w+)'|"(\w+)")\s*\)`)
	quoted      = pattern(`(?s)^(?:'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)")`)
	word        = pattern(`(?s)^(?:((?:[&|]?(?:\\.|\\$|[^\s\v()=!<>&|\\'"])['"]*)+)|([&|])(?:\s|$))`)
	percent     = pattern(`%\{(\w+)\}`)
	backslashed = pattern(`(?s)\\([^$])`) // substitute handles \$

	// unknown matches operators of Apache 2.4 that are not supported. They are errors, because an expression that
	// treats them as words would have a different meaning.
	unknown = pattern(`^(?:-[A-Za-z]\w*|and|or|not|in|eq|ne|lt|le|gt|ge)$`)
)

func (p *exprParser) or() condition {
	left := p.and()
	for p.take(orSign) != nil {
		a, b := left, p.and()
		left = func(pg *page) bool { return a(pg) || b(pg) }
	}
	return left
}

func (p *exprParser) and() condition {
	left := p.not()
	for p.take(andSign) != nil {
		a, b := left, p.not()
		left = func(pg *page) bool { return a(pg) && b(pg) }
	}
	return left
}

var unaries = map[string]func(pg *page, text string) bool{
	"-n": func(_ *page, text string) bool { return text != "" },
	"-z": func(_ *page, text string) bool { return text == "" },
	"-A": (*page).reachable,
	"-U": (*page).reachable,
}

func (p *exprParser) not() condition {
	switch {
	case p.take(notSign) != nil:
		c := p.not()
		return func(pg *page) bool { return !c(pg) }
	case p.take(opening) != nil:
		c := p.or()
		if p.take(closing) == nil {
			fail("expected ) near %s", p.near())
		}
		return c
	case constant().MatchString(p.peek()):
		holds := p.take(word)[0] == "true"
		return func(*page) bool { return holds }
	}
	holds := unaries["-n"]
	operator := p.take(unary)
	if operator != nil {
		holds = unaries[operator[0]]
	}
	a := p.text()
	if operator == nil {
		if sign := p.take(comparison); sign != nil {
			return p.comparison(a, sign[0])
		}
	}
	return func(pg *page) bool { return holds(pg, pg.substitute(a)) }
}

func (p *exprParser) comparison(a, sign string) condition {
	negate := sign[0] == '!'
	if sign[1:] == "~" || (sign == "=" || sign == "!=") && strings.HasPrefix(p.peek(), "/") {
		found := p.take(expression)
		if found == nil {
			fail("expected a /pattern/ near %s", p.near())
		}
		re, err := regexp.Compile("(?s" + found[2] + ")" + found[1])
		if err != nil {
			fail("%v", err)
		}
		return func(pg *page) bool { return pg.match(re, pg.substitute(a)) != negate }
	}
	b := p.text()
	return func(pg *page) bool {
		order := "<=>"[strings.Compare(pg.substitute(a), pg.substitute(b))+1]
		// sign contains each character of "<=>" for which the comparison is true.
		return (strings.IndexByte(sign, order) >= 0) != negate
	}
}

func (p *exprParser) text() string {
	var found []string
	for {
		if m := p.take(function); m != nil {
			found = append(found, "${"+m[1]+m[2]+"}")
		} else if m := p.take(quoted); m != nil {
			found = append(found, backslashed().ReplaceAllString(m[1]+m[2], "$1"))
		} else if m := p.take(word); m != nil {
			one := m[1] + m[2]
			if unknown().MatchString(one) {
				fail("unknown operator %s", one)
			}
			if strings.HasPrefix(p.s, "(") {
				fail("unknown function %s", one)
			}
			found = append(found, backslashed().ReplaceAllString(one, "$1"))
		} else {
			break
		}
	}
	if len(found) == 0 {
		fail("expected a text near %s", p.near())
	}
	text := percent().ReplaceAllString(strings.Join(found, " "), "${${1}}")
	if strings.Contains(text, "%{") {
		fail("unknown variable in %q", text)
	}
	return text
}
