package ssi

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"fapws/runtime/backend"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

func testPage() *page {
	s := &Pages{opt: Options{Root: "/root", Log: func(_, _ string) {}}}
	r := &backend.Request{Context: context.Background(), Path: "/a/page.shtml",
		Request: exchange.Request{Parsed: &http1.Request{Version: http1.HTTP11}, Peer: &exchange.Peer{}}}
	f := &file{name: "/a/page.shtml", modified: time.Unix(1e9, 0).UTC()}
	p := &page{s: s, r: r, f: f, ctx: r.Context,
		shared: &shared{vars: &variables{began: f.modified, modified: f.modified, index: map[string]int{}}}}
	p.timefmt, p.printing = "%s", true
	p.left.Store(1 << 20)
	return p
}

func TestExpressionsAreEvaluated(t *testing.T) {
	for source, want := range map[string]bool{
		"true": true, "false": false, "!false": true, "(true)": true, "true && true": true,
		"false || true && true": true,
		"true && false || true": true, "(true || true) && false": false, "! (true && false)": true, "! !true": true,
		"$name": true, "$nothing": false, "!$nothing": true, "'': ''": true, "''": false, "-n $name": true,
		"-z '$nothing'": true,
		"$name = value": true, "${name} == 'value'": true, "'$name' != value": false, "!$name = other": true,
		"!($name = other)":     true,
		"v('name') == 'value'": true, `reqenv("NAME") = "value"`: true, "%{name} = value": true,
		"'%{NAME}!' = 'value!'": true,
		"a < b":                 true, "b <= a": false, "b > 'B'": true, "'b' >= b": true, "10 < 9": true,
		"two words = 'two words'":        true,
		"$name = /^v(.*)e$/ && $1 = alu": true, "$name =~ /VAL/": false, "$name =~ /VAL/i": true, "$name !~ /x/": true,
		"$name != /val/":   false,
		`'a/b' =~ /a\/b$/`: true, `'x\ny' = xny`: true, `\$name = value`: false, `\a=a`: true, "'x\ny' =~ /x.y/": true,
		"'don\\'t' = don't": true,
	} {
		p := testPage()
		p.vars.put("name", "value")
		holds, err := parseExpression(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
		} else if holds(p) != want {
			t.Errorf("%s: not %v", source, want)
		}
	}
	for _, source := range []string{
		"", "= a", "a =", "a = b = c", "(a", "a)", "()", "a && ", "&& a", "/a/ =", "a =~ b", "a =~ /(/", "a = /b",
		"a < ", "'a", "true = ",
		"a and b", "true or true", "not true", "10 -gt 9", "10 eq 10", "a -strmatch 'b'", "-R '10.0.0.0/8'", "-e /",
		"-T on", "a in {'a'}",
		"tolower('A') = a", "req('X') = ''", "file('/etc/passwd') = ''", "%{HTTP:Accept} = ''", "%{", "v('a",
		"v($a) = b",
		"a = " + string(make([]byte, maxExpression)),
	} {
		if _, err := parseExpression(source); err == nil {
			t.Errorf("%.100q is taken", source)
		}
	}
}

func TestTextOfAnInvalidConditionIsNotShown(t *testing.T) {
	pages := map[string]struct{ source, want string }{
		"if.shtml": {`<!--#if expr="non sense =" -->1<!--#else -->2<!--#endif -->3`, errorMessage + "3"},
		"elif.shtml": {`<!--#if expr="false" -->1<!--#elif expr="non sense =" -->2<!--#else -->3<!--#endif -->4`,
			errorMessage + "4"},
		"before.shtml": {`<!--#if expr="true" -->1<!--#elif expr="non sense =" -->2<!--#else -->3<!--#endif -->4`,
			"14"},
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
		if got := s.get("/p/" + name); got != page.want {
			t.Errorf("%s: %q, want %q", page.source, got, page.want)
		}
	}
}

func TestFormattedTimeIsBounded(t *testing.T) {
	at := time.Date(2024, 1, 7, 5, 4, 9, 0, time.UTC)
	if got := formatTime("%F %k", at); got != "2024-01-07  5" {
		t.Error(got)
	}
	if got := formatTime(strings.Repeat("%100a", 5000), at); len(got) != maxTime {
		t.Errorf("%d bytes", len(got))
	}
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
	const unfinished = "an element is not finished at the end of the page"
	for _, c := range []struct{ page, want string }{
		{"", ""},
		{"text", `"text"`},
		{"a<!--#b-->c", `"a" <b@1> "c"`},
		{"<!--#b -->", `<b@1>`},
		{"<!--#PrintEnv\n-->", `<printenv@1>`},
		{"\n\n<!--#b x=\"1\" y='2' z=`3` -->", `"\n\n" <b@3 x="1" y="2" z="3">`},
		{"<!--#b x=1 y = 2 -->", `<b@1 x="1" y="2">`},
		{`<!--#b x="a\"b\\c\'" -->`, `<b@1 x="a\"b\\\\c\\'">`},
		{`<!--#b x='"' -->`, `<b@1 x="\"">`},
		{`<!--#b x -->`, `<b@1 x>`},
		{`<!--#b x="1"y="2"-->`, `<b@1 x="1" y="2">`},
		{`<!--#b x="a-->b" -->c`, `<b@1 x="a-->b"> "c"`},
		{`<!--#a--b--->c`, `<a--b-@1> "c"`},
		{`<!--#b --x="1" -->`, `<b@1 --x="1">`},
		{`<!--# -->`, `<@1 ! element without a name>`},
		{`<!--#-->`, `<@1 ! element without a name>`},
		{`<!--#b "x" -->`, `<b@1 ="x" ! value without an argument name>`},
		{`<!--#b ="x" -->`, `<b@1 ="x" ! value without an argument name>`},
		{`<!--#b x=1-->`, `<b@1 ! ` + unfinished + `>`},
		{`<!--#b x="1 -->`, `<b@1 ! ` + unfinished + `>`},
		{`<!--#b`, `<@1 ! ` + unfinished + `>`},
		{`<!--#b `, `<b@1 ! ` + unfinished + `>`},
		{`<!--#b x=`, `<b@1 ! ` + unfinished + `>`},
		{`a<!--`, `"a<!--"`},
		{"<!--#b-->\n<!--#c-->", `<b@1> "\n" <c@2>`},
	} {
		if got := show(parse(c.page)); got != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.page, got, c.want)
		}
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
	if got := s.get("/p/a.shtml"); got != "end" {
		t.Error(got)
	}
	if got := s.get("/p/b.shtml"); got != strings.Repeat("x", n)+"yend" {
		t.Error(len(got))
	}
	if got := s.get("/p/c.shtml"); !strings.Contains(s.log.String(), "the page has too many elements") {
		t.Error(got, s.log.String())
	}
}
