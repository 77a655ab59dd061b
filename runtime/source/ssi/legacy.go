package ssi

import (
	"errors"
	"strings"
)

// parseLegacy reads the expressions of mod_include before 2.4, which stay in
// use with SSILegacyExprParser: $name, words without quotes, = and != with a
// text or a /regular expression/, < <= > >=, ! && || and parentheses. && and
// || bind alike, from the right: a && b || c is a && (b || c).
func parseLegacy(source string) (holds condition, err error) {
	p := &legacyParser{s: source}
	p.next()
	if p.kind == legacyEnd {
		return func(*page) bool { return false }, nil
	}
	defer func() {
		if f, ok := recover().(syntaxError); ok {
			holds, err = nil, f
		}
	}()
	holds = p.expression()
	if p.kind != legacyEnd {
		return nil, errors.New("syntax error")
	}
	return holds, nil
}

type legacyKind uint8

const (
	legacyEnd legacyKind = iota
	legacyString
	legacyRegexp
	legacySign // text: one of && || ! = != < <= > >= ( ) -A
)

type legacyParser struct {
	s        string
	i        int
	kind     legacyKind
	text     string
	depth    int
	patterns bool // there is a regular expression
}

func (p *legacyParser) is(sign string) bool { return p.kind == legacySign && p.text == sign }

// next reads a token.
func (p *legacyParser) next() {
	access := p.is("-A")
	for p.i < len(p.s) && isSpace(p.s[p.i]) {
		p.i++
	}
	rest := p.s[p.i:]
	p.kind, p.text = legacyEnd, ""
	if rest == "" {
		return
	}
	for _, sign := range []string{"&&", "||", "!=", "<=", ">=", "==", "-A", "!", "=", "<", ">", "(", ")"} {
		if strings.HasPrefix(rest, sign) {
			p.i += len(sign)
			p.kind, p.text = legacySign, sign
			if sign == "==" {
				p.text = "="
			}
			return
		}
	}
	p.kind = legacyString
	var stop byte
	if rest[0] == '\'' || rest[0] == '/' && !access {
		stop = rest[0]
		p.i++
		if stop == '/' {
			p.kind = legacyRegexp
		}
	}
	var b strings.Builder
	for p.i < len(p.s) {
		c := p.s[p.i]
		switch {
		case c == '\\' && p.i+1 < len(p.s):
			p.i++
			b.WriteByte(p.s[p.i])
			p.i++
			continue
		case stop != 0 && c == stop:
			p.i++
			p.text = b.String()
			return
		case stop == 0 && (isSpace(c) || strings.IndexByte("()=!<>", c) >= 0 ||
			strings.HasPrefix(p.s[p.i:], "&&") || strings.HasPrefix(p.s[p.i:], "||")):
			p.text = b.String()
			return
		}
		b.WriteByte(c)
		p.i++
	}
	if stop == 0 {
		p.text = b.String() // a quote without an end is an empty text
	}
}

func (p *legacyParser) expression() condition {
	defer p.deeper()()
	left := p.operand()
	if !p.is("&&") && !p.is("||") {
		return left
	}
	and := p.is("&&")
	p.next()
	right := p.expression()
	return func(pg *page) bool {
		a := left(pg)
		// A regular expression is always tried, for its $1.
		if a != and && !p.patterns {
			return a
		}
		b := right(pg)
		if and {
			return a && b
		}
		return a || b
	}
}

func (p *legacyParser) operand() condition {
	switch {
	case p.is("!"):
		defer p.deeper()()
		p.next()
		if p.kind == legacyString { // a comparison would need parentheses
			text := p.words()
			return func(pg *page) bool { return pg.substitute(text) == "" }
		}
		c := p.operand()
		return func(pg *page) bool { return !c(pg) }
	case p.is("("):
		p.next()
		if p.is(")") {
			p.next()
			return func(*page) bool { return true }
		}
		c := p.expression()
		if !p.is(")") {
			fail("missing )")
		}
		p.next()
		return c
	case p.is("-A"):
		p.next()
		uri := p.words()
		return func(pg *page) bool { return pg.reachable(pg.substitute(uri)) }
	}
	return p.comparison()
}

func (p *legacyParser) deeper() func() {
	if p.depth++; p.depth > maxNesting {
		fail("nested too deeply")
	}
	return func() { p.depth-- }
}

// words reads texts that stand beside each other as one.
func (p *legacyParser) words() string {
	if p.kind != legacyString {
		fail("expected a string")
	}
	text := p.text
	for p.next(); p.kind == legacyString; p.next() {
		if text != "" {
			text += " "
		}
		text += p.text
	}
	return text
}

// comparison reads a text, or one compared with another or a /pattern/.
func (p *legacyParser) comparison() condition {
	a := p.words()
	sign := p.text
	switch {
	case p.kind != legacySign:
		sign = ""
	case p.is("=") || p.is("!="):
		p.next()
		if p.kind == legacyRegexp {
			p.patterns = true
			c := legacyMatch(a, p.text, sign == "!=")
			p.next()
			return c
		}
	case p.is("<") || p.is("<=") || p.is(">") || p.is(">="):
		p.next()
	default:
		sign = ""
	}
	switch sign {
	case "":
		return func(pg *page) bool { return pg.substitute(a) != "" }
	case "=":
		sign = "=="
	}
	b := p.words()
	return ordered(sign, func(pg *page) int { return strings.Compare(pg.substitute(a), pg.substitute(b)) })
}

// legacyMatch compares with a pattern, in which variables are replaced first.
func legacyMatch(text, pattern string, negate bool) condition {
	return func(pg *page) bool {
		re, err := compileRegexp(pg.substitute(pattern), false)
		if err != nil {
			pg.broken = err.Error()
			return false
		}
		return pg.match(re, pg.substitute(text)) != negate
	}
}
