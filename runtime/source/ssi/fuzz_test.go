package ssi

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/source/static"
)

func FuzzParse(f *testing.F) {
	for _, page := range []string{
		"a<!--#echo var=\"x\" -->b", "<!--#if expr=\"v('a') =~ /(.)/ && !($1 == 'x')\" --><!--#elif expr='-n " +
			"%{HTTP_HOST}' --><!--#endif-->",
		"<!--#set var=a value=`b` --><!--# -->", "<!--#b \"x", "<!--#if expr=\"$a = /b/ || (c)\" -->", "<!--",
	} {
		f.Add(page)
	}
	f.Fuzz(func(t *testing.T, page string) {
		d := parse(page)
		rest, elements := page, 0
		for i, n := range d.nodes {
			if n.element != nil {
				checktest.Needf(t, n.element.line >= 1 && n.element.line <= 1+strings.Count(page, "\n"), "line %d", n.element.line)
				elements++
				checktest.Needf(t, elements <= strings.Count(page, startTag), "more elements than there are")
				continue
			}
			checktest.Needf(t, !strings.Contains(n.text, startTag), "text with an element: %q", n.text)
			at := strings.Index(rest, n.text)
			checktest.Needf(t, at >= 0 && (i != 0 || at <= 0), "text that is not in the page: %q", n.text)
			rest = rest[at+len(n.text):]
		}
	})
}

func FuzzExpression(f *testing.F) {
	for _, source := range []string{
		"v('a') == 'b' && -n reqenv('c')", "%{HTTP_HOST} =~ /(a)(b)/i || '$1' != \"b$2\"",
		"! ( true || false ) && 1 < 2",
		"$a = /(.*)b/ && !(c < ${d}) || 'e f' != g", "-A /x", `'\'' == "$0"`,
	} {
		f.Add(source, "value")
	}
	f.Fuzz(func(t *testing.T, source, value string) {
		e := &element{args: []argument{{name: "expr", value: source, hasValue: true}}}
		e.compile()
		checktest.Needf(t, (e.holds == nil) != (e.wrong == ""), "%+v", e)
		if e.holds != nil {
			p := testPage()
			p.vars.put("a", value)
			e.holds(p)
		}
	})
}

func FuzzSubstitute(f *testing.F) {
	f.Add("a$b${c}\\$d$", "value")
	f.Fuzz(func(t *testing.T, s, value string) {
		p := testPage()
		p.vars.put("b", value)
		got := p.substitute(s)
		checktest.Needf(t, len(got) <= len(s)*(1+len(value))+maxVariables, "%v", len(got))
		for _, f := range decoders {
			f(s)
		}
		for _, f := range encoders {
			f(s)
		}
		if len(s) < 100 {
			formatTime(s, p.f.modified)
		}
	})
}

func FuzzPage(f *testing.F) {
	names, err := filepath.Glob("testdata/site/*.shtml")
	checktest.Needf(f, err == nil && len(names) > 0, "%v", err)
	for _, name := range names {
		f.Add(string(checktest.Try(os.ReadFile(name)).Must(f)), "a=b&c")
	}
	files := checktest.Try(static.New(static.Options{Root: "testdata/site"})).Must(f)
	f.Fuzz(func(t *testing.T, text, query string) {
		p := testPage()
		p.s.opt.Files = files
		p.printing, p.found = true, true
		// Limit the output to less than bufferSize, because a page sends a full buffer to its client, and this page has
		// no client.
		p.left.Store(bufferSize - 1000)
		p.vars.putQuery(query)
		for _, n := range parse(text).nodes {
			if p.stopped {
				break
			}
			if p.element = n.element; n.element != nil {
				p.carryOut(n.element)
			} else if p.printing {
				p.write(n.text)
			}
		}
		checktest.Needf(t, len(p.buf) <= bufferSize+len(p.errmsg), "%v", len(p.buf))
	})
}
