package ssi

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"fapws/runtime/backend"
	"fapws/runtime/checktest"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

func testPage() *page {
	s := &Pages{opt: Options{Root: "/root", Log: func(_, _ string) {}}}
	r := &backend.Request{Context: context.Background(), Path: "/a/page.shtml",
		Request: exchange.Request{Parsed: &http1.Request{Version: http1.HTTP11}, Peer: &exchange.Peer{}}}
	f := &file{name: "/a/page.shtml", modified: time.Unix(1e9, 0).UTC()}
	p := &page{s: s, r: r, f: f, ctx: r.Context,
		shared: &shared{vars: &variables{began: f.modified, modified: f.modified, index: map[string]*variableEntry{}}}}
	p.timefmt, p.printing = "%s", true
	p.left.Store(1 << 20)
	return p
}

func TestExpressionsAreEvaluated(t *testing.T) {
	for _, c := range checktest.Cases(t, "testdata/expressions.txt", 2) {
		source := checktest.Try(strconv.Unquote(c[1])).Must(t)
		p := testPage()
		p.vars.put("name", "value")
		got := "invalid"
		if holds, err := parseExpression(source); err == nil {
			got = strconv.FormatBool(holds(p))
		}
		checktest.Equalf(t, got, c[0], "%s", source)
	}
	_, err := parseExpression("a = " + strings.Repeat("a", maxExpression))
	checktest.Truef(t, err != nil, "a long expression is taken")
}

func TestTextOfAnInvalidConditionIsNotShown(t *testing.T) {
	pages := map[string]struct{ source, want string }{
		"if.shtml": {`<!--#if expr="non sense =" -->1<!--#else -->2<!--#endif -->3`, errorMessage + "3"},
		"elif.shtml": {`<!--#if expr="false" -->1<!--#elif expr="non sense =" -->2<!--#else -->3<!--#endif -->4`,
			errorMessage + "4"},
		"before.shtml":    {`<!--#if expr="true" -->1<!--#elif expr="non sense =" -->2<!--#else -->3<!--#endif -->4`, "14"},
		"none.shtml":      {`<!--#if -->1<!--#elif expr="true" -->2<!--#endif -->3`, errorMessage + "3"},
		"arguments.shtml": {`<!--#if expr="true" x="1" -->1<!--#else -->2<!--#endif -->3`, errorMessage + "3"},
		"inner.shtml": {`<!--#if expr="non sense =" --><!--#if expr="true" -->1<!--#endif -->2<!--#endif -->3`,
			errorMessage + "3"},
	}
	files := map[string]string{}
	for name, page := range pages {
		files[name] = page.source
	}
	s := newSite(t, Options{}, files)
	for name, page := range pages {
		s.shows("/p/"+name, page.want)
	}
}

func TestFormattedTimeIsBounded(t *testing.T) {
	at := time.Date(2024, 1, 7, 5, 4, 9, 0, time.UTC)
	checktest.Equal(t, formatTime("%F %k", at), "2024-01-07  5")
	checktest.Equalf(t, len(formatTime(strings.Repeat("%100a", 5000), at)), maxTime, "bytes")
}

func show(d *document) string {
	var b strings.Builder
	for _, n := range d.nodes {
		if n.element == nil {
			fmt.Fprintf(&b, "%q ", n.text)
			continue
		}
		e := n.element
		fmt.Fprintf(&b, "<%s@%d", e.name, e.line)
		for _, a := range e.args {
			fmt.Fprintf(&b, " %s", a.name)
			if a.hasValue {
				fmt.Fprintf(&b, "=%q", a.value)
			}
		}
		if e.bad != "" {
			fmt.Fprintf(&b, " ! %s", e.bad)
		}
		b.WriteString("> ")
	}
	return strings.TrimSpace(b.String())
}

func TestElementsAreParsed(t *testing.T) {
	for _, c := range checktest.Cases(t, "testdata/elements.txt", 2) {
		page := checktest.Try(strconv.Unquote(c[0])).Must(t)
		checktest.Equalf(t, cmp.Or(show(parse(page)), "nothing"), c[1], "%q", page)
	}
}

func TestDeeplyNestedIfsAreProcessed(t *testing.T) {
	const n = 4000
	page := strings.Repeat(`<!--#if expr="false" -->x`, n) + "y" + strings.Repeat("<!--#endif -->", n) + "end"
	s := newSite(t, Options{}, map[string]string{
		"a.shtml": page,
		"b.shtml": strings.ReplaceAll(page, "false", "true"),
		"c.shtml": strings.Repeat(page, 2),
	})
	s.shows("/p/a.shtml", "end")
	s.shows("/p/b.shtml", strings.Repeat("x", n)+"yend")
	s.get("/p/c.shtml")
	s.log.Says(t, "the page has too many elements")
}
