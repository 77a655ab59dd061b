package ssi

import (
	"context"
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

func TestSizesAreFormatted(t *testing.T) {
	for _, c := range []struct {
		size int64
		want string
	}{
		{0, "  0 "}, {972, "972 "}, {973, "1.0K"}, {1024, "1.0K"}, {1536, "1.5K"}, {10 << 10, " 10K"},
		{999 << 10, "1.0M"},
		{5 << 30, "5.0G"}, {1 << 62, "4.0E"},
	} {
		if got := formatSize(c.size); got != c.want {
			t.Errorf("%d: %q, want %q", c.size, got, c.want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := groupDigits(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
