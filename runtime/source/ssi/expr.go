package ssi

import (
	"fmt"
	"regexp"
	"strings"
)

// expression is the condition of an if or elif, ready to be evaluated.
type expression struct {
	source string
	holds  func(*page) bool // nil: bad says why not
	bad    string
}

// The limits of expressions. A regular expression takes time in proportion to
// the text it is compared with (RE2), and memory to its own length.
const (
	maxExpression = 8192 // bytes
	maxNesting    = 100  // parentheses, functions and negations inside each other
	maxRegexp     = 1000 // bytes
)

// compile reads the expression of an element.
func (e *element) compile(legacy bool) {
	if len(e.args) != 1 || e.args[0].name != "expr" || !e.args[0].hasValue {
		return // which is said when it is carried out
	}
	x := &expression{source: e.args[0].value}
	e.expr = x
	var err error
	switch {
	case len(x.source) > maxExpression:
		err = fmt.Errorf("it is longer than %d bytes", maxExpression)
	case legacy:
		x.holds, err = parseLegacy(x.source)
	default:
		x.holds, err = parseExpression(x.source)
	}
	if err != nil {
		x.holds, x.bad = nil, err.Error()
	}
}

func compileRegexp(pattern string, ignoreCase bool) (*regexp.Regexp, error) {
	if len(pattern) > maxRegexp {
		return nil, fmt.Errorf("regular expression longer than %d bytes", maxRegexp)
	}
	flags := "(?s)"
	if ignoreCase {
		flags = "(?si)"
	}
	return regexp.Compile(flags + pattern)
}

type (
	condition = func(*page) bool
	word      = func(*page) string
)

// exprParser reads Apache's common expressions (ap_expr of 2.4) by recursive
// descent; each method is a rule of its grammar.
type exprParser struct {
	scanner
	depth int
}

// parseExpression turns an expression into a function.
func parseExpression(source string) (holds condition, err error) {
	p := &exprParser{scanner: scanner{s: source}}
	defer func() {
		if f, ok := recover().(syntaxError); ok {
			holds, err = nil, f
		}
	}()
	p.next()
	holds = p.or()
	p.want(tokenEnd, "the end")
	return holds, nil
}

// syntaxError is the panic of the parser, caught by parseExpression.
type syntaxError string

func (e syntaxError) Error() string { return string(e) }

func fail(format string, args ...any) { panic(syntaxError(fmt.Sprintf(format, args...))) }

func (p *exprParser) want(kind tokenKind, what string) {
	if p.kind != kind {
		fail("expected %s near %s", what, p.near())
	}
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
	for p.kind == tokenOr {
		p.next()
		a, b := left, p.and()
		left = func(pg *page) bool { return a(pg) || b(pg) }
	}
	return left
}

func (p *exprParser) and() condition {
	left := p.not()
	for p.kind == tokenAnd {
		p.next()
		a, b := left, p.not()
		left = func(pg *page) bool { return a(pg) && b(pg) }
	}
	return left
}

func (p *exprParser) not() condition {
	if p.kind != tokenNot {
		return p.single()
	}
	defer p.deeper()()
	p.next()
	c := p.not()
	return func(pg *page) bool { return !c(pg) }
}

func (p *exprParser) single() condition {
	switch p.kind {
	case tokenTrue, tokenFalse:
		value := p.kind == tokenTrue
		p.next()
		return func(*page) bool { return value }
	case tokenOpen:
		defer p.deeper()()
		p.next()
		c := p.or()
		p.want(tokenClose, ")")
		p.next()
		return c
	case tokenUnary:
		operator := p.text
		p.next()
		constant := p.constant()
		return unary(operator, p.word(), constant)
	}
	left := p.word()
	operator := p.text
	switch p.kind {
	case tokenCompare:
		p.next()
		return compare(operator, left, p.word())
	case tokenMatch:
		p.next()
		p.want(tokenRegexp, "a regular expression")
		re, err := compileRegexp(p.text, p.flag)
		if err != nil {
			fail("%v", err)
		}
		p.next()
		return match(left, re, operator == "!~")
	case tokenIn:
		p.next()
		return in(left, p.list())
	case tokenBinary:
		p.next()
		constant := p.constant()
		return binary(operator, left, p.word(), constant)
	}
	fail("expected an operator near %s", p.near())
	return nil
}

// constant returns the string that stands next, if it is one without variables.
func (p *exprParser) constant() *string {
	if p.kind != tokenString || len(p.parts) > 1 || len(p.parts) == 1 && p.parts[0].kind != partText {
		return nil
	}
	s := ""
	if len(p.parts) == 1 {
		s = p.parts[0].text
	}
	return &s
}

// list reads { word, word ... }.
func (p *exprParser) list() []word {
	if p.kind == tokenName {
		fail("unknown list function %q", p.text)
	}
	p.want(tokenOpenList, "{")
	var words []word
	for {
		p.next()
		words = append(words, p.word())
		if p.kind != tokenComma {
			break
		}
	}
	p.want(tokenCloseList, "}")
	p.next()
	return words
}

// word reads terms with dots between them.
func (p *exprParser) word() word {
	terms := []word{p.term()}
	for p.kind == tokenDot {
		p.next()
		terms = append(terms, p.term())
	}
	return join(terms)
}

func join(terms []word) word {
	switch len(terms) {
	case 0:
		return func(*page) string { return "" }
	case 1:
		return terms[0]
	}
	return func(pg *page) string {
		var b strings.Builder
		for _, t := range terms {
			b.WriteString(t(pg))
		}
		return b.String()
	}
}

func (p *exprParser) term() word {
	switch p.kind {
	case tokenNumber:
		s := p.text
		p.next()
		return func(*page) string { return s }
	case tokenString:
		w := p.compose(p.parts)
		p.next()
		return w
	case tokenName:
		defer p.deeper()()
		f := function(p.text)
		p.next()
		p.want(tokenOpen, "(")
		p.next()
		argument := p.word()
		p.want(tokenClose, ")")
		p.next()
		return func(pg *page) string { return f(pg, argument(pg)) }
	}
	fail("expected a string, number, variable or function near %s", p.near())
	return nil
}

// compose turns the parts of a string into a word.
func (p *exprParser) compose(parts []part) word {
	terms := make([]word, 0, len(parts))
	for _, one := range parts {
		switch one.kind {
		case partText:
			terms = append(terms, func(*page) string { return one.text })
		case partCapture:
			n := int(one.text[0] - '0')
			terms = append(terms, func(pg *page) string { s, _ := pg.capture(n); return s })
		case partVariable:
			v := variable(one.text)
			terms = append(terms, func(pg *page) string { return v(pg) })
		case partFunction:
			f, argument := function(one.text), p.compose(one.parts)
			terms = append(terms, func(pg *page) string { return f(pg, argument(pg)) })
		}
	}
	return join(terms)
}
