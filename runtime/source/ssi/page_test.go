package ssi

import (
	"context"
	"strings"
	"testing"
	"time"

	"fapws/runtime/backend"
	"fapws/runtime/http1"
)

// testPage returns a page that expressions can be asked on.
func testPage() *page {
	s := &Pages{opt: Options{Root: "/root", Log: func(_, _ string) {}}}
	r := &backend.Request{Context: context.Background(), Parsed: &http1.Request{Version: http1.HTTP11}, Path: "/a/page.shtml"}
	f := &file{name: "/a/page.shtml", modified: time.Unix(1e9, 0).UTC()}
	p := &page{s: s, r: r, f: f, ctx: r.Context, session: &session{vars: &variables{began: f.modified, modified: f.modified}}}
	p.timefmt = "%s"
	p.left.Store(1 << 20)
	return p
}

func TestExpressions(t *testing.T) {
	yes := []string{
		"true", "!false", "not false", "(true)", "true && true", "false || true", "false or true and true",
		"v('name') == 'value'", "reqenv('NAME') = 'value'", "'a' . 'b' == 'ab'", "'a' < 'b'", "'b' >= 'a'", "'a' != 'b'",
		"'10' -gt '9'", "10 gt 9", "'10' < '9'", "-5 -lt 0", "'x' -eq 0", "' 7x' -eq 7",
		"-z ''", "-n 'x'", "-T 'yes'", "! -T 'oFf'", "!-T '0'", "-T '00'",
		"'abc' =~ /b/", "'abc' !~ /x/", "'ABC' =~ /b/i", "'a/b' =~ m#/#", "'abc' =~ /^a(b)(c)$/ && '$2$1' == 'cb'",
		"'x\\ny' =~ /x.y/", "'b' in {'a', 'b'}", "'c' -in { 'c' }", "!('b' in {'a'})",
		"tolower('ABC') == 'abc'", "toupper('äb') == 'äB'", "%{tolower:ABC} == 'abc'", "'%{tolower:A%{toupper:b}}' == 'ab'",
		"escape('a b') == 'a%20b'", "unescape('a%20b') == 'a b'", "unescape('a%2') == ''", "unescape('a%2fb') == 'a%2fb'",
		"base64('a') == 'YQ=='", "unbase64('YQ==') == 'a'", "md5('') == 'd41d8cd98f00b204e9800998ecf8427e'",
		"sha1('') == 'da39a3ee5e6b4b0d3255bfef95601890afd80709'",
		"'10.1.2.3' -ipmatch '10.0.0.0/8'", "'10.1.2.3' -ipmatch '10.1'", "'10.1.2.3' -ipmatch '10.1.0.0/255.255.0.0'",
		"!('11.1.2.3' -ipmatch '10.0.0.0/8')", "'::1' -ipmatch '::/64'", "!('x' -ipmatch '10.0.0.0/8')",
		"'abc' -strmatch 'a*'", "'ABC' -strcmatch 'a?c'", "!('a/b' -fnmatch 'a*')", "'a/b' -fnmatch 'a/*'", "'b' -strmatch '[a-c]'",
		"!('d' -strmatch '[a-c]')", "'a*' -strmatch 'a\\\\*'",
		`'\101' == 'A'`, `'\'' == "'"`, `'\x' == 'x'`, "'$x' == '$' . 'x'", "'}' == '}'", "'100%' != ''",
		"%{REQUEST_URI} == '/a/page.shtml'", "%{IS_SUBREQ} == 'false'", "%{HTTPS} == 'off'", "%{HTTP_USER_AGENT} == ''", "1.5 == '15'",
	}
	for _, source := range yes {
		p := testPage()
		p.vars.put("name", "value")
		holds, err := parseExpression(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
		} else if !holds(p) {
			t.Errorf("%s does not hold", source)
		}
	}
	for _, source := range []string{
		"", "'a'", "a", "$a = b", "'a' ==", "== 'a'", "true &&", "(true", "true)", "'a", "'a' =~ 'a'", "'a' =~ /(/", "'a' =~ /a",
		"'a' in 'a'", "'a' in {}", "'a' in list('x')", "nothing('x') == ''", "%{NOTHING} == ''", "%{", "%{a", "%{tolower:} == ''",
		"-x 'a'", "-e '/'", "-f '/'", "-d '/'", "-q 'a'", "'a' -nothing 'b'", "'a' -ipmatch 'b'", "'a' -ipmatch v('x')", "-R '1.2.3.4/99'",
		"file('/etc/passwd') == ''", "filesize('/') == 0", "'a\nb' == ''", "#", `'\9' == ''`, `'\777' == ''`, "true true", "and('x') == ''",
		"'a' =~ /" + string(make([]byte, maxRegexp+1)) + "/",
	} {
		if _, err := parseExpression(source); err == nil {
			t.Errorf("%.100q is taken", source)
		}
	}
}

func TestLegacyExpressions(t *testing.T) {
	yes := []string{
		"$name", "$name = value", "${name} = value", "'$name' = 'value'", "$name != other", "!$nothing", "!($name = other)", "$name == value",
		"a b = 'a b'", "$name = /^v(.*)e$/", "$name != /x/", "a < b", "b >= a", "a && b", "'' || b", "(a)", "()", "!(a && '')",
		"a || '' && ''", "a && (b || '')", `\a = a`,
	}
	for _, source := range yes {
		p := testPage()
		p.vars.put("name", "value")
		holds, err := parseLegacy(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
		} else if !holds(p) {
			t.Errorf("%s does not hold", source)
		}
	}
	for _, source := range []string{"", "$nothing", "''", "$name = other"} {
		p := testPage()
		p.vars.put("name", "value")
		if holds, err := parseLegacy(source); err != nil || holds(p) {
			t.Errorf("%s holds, or %v", source, err)
		}
	}
	for _, source := range []string{"= a", "a =", "a = b = c", "(a", "a)", "!a = b", "/a/", "a && ", "a /b/", "&& a", "a < /b/"} {
		if _, err := parseLegacy(source); err == nil {
			t.Errorf("%q is taken", source)
		}
	}
}

// TestBadConditions: what a page shows on some condition, it does not show where
// it is unknown whether the condition holds.
func TestBadConditions(t *testing.T) {
	pages := map[string]struct{ source, want string }{
		"if.shtml":        {`<!--#if expr="nonsense" -->1<!--#else -->2<!--#endif -->3`, errorMessage + "3"},
		"elif.shtml":      {`<!--#if expr="false" -->1<!--#elif expr="nonsense" -->2<!--#else -->3<!--#endif -->4`, errorMessage + "4"},
		"before.shtml":    {`<!--#if expr="true" -->1<!--#elif expr="nonsense" -->2<!--#else -->3<!--#endif -->4`, "14"},
		"none.shtml":      {`<!--#if -->1<!--#elif expr="true" -->2<!--#endif -->3`, errorMessage + "3"},
		"arguments.shtml": {`<!--#if expr="true" x="1" -->1<!--#else -->2<!--#endif -->3`, errorMessage + "3"},
		"inner.shtml":     {`<!--#if expr="nonsense" --><!--#if expr="true" -->1<!--#endif -->2<!--#endif -->3`, errorMessage + "3"},
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

// TestFormatTime: a time is bounded, however wide its format makes it.
func TestFormatTime(t *testing.T) {
	at := time.Date(2024, 1, 7, 5, 4, 9, 0, time.UTC)
	if got := formatTime("%F %k", at); got != "2024-01-07  5" {
		t.Error(got)
	}
	if got := formatTime(strings.Repeat("%100a", 5000), at); len(got) != maxTime {
		t.Errorf("%d bytes", len(got))
	}
}

func TestFormatSize(t *testing.T) {
	for _, c := range []struct {
		size int64
		want string
	}{
		{0, "  0 "}, {972, "972 "}, {973, "1.0K"}, {1024, "1.0K"}, {1536, "1.5K"}, {10 << 10, " 10K"}, {999 << 10, "1.0M"},
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
