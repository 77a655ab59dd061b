package ssi

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// show writes a document so that a test can compare it.
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

func TestParse(t *testing.T) {
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
		{`<!--#b x=1-->`, `<b@1 x="" ! ` + unfinished + `>`},
		{`<!--#b x="1 -->`, `<b@1 x="" ! ` + unfinished + `>`},
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

// hostile are pages that a slow parser would be slow with.
var hostile = map[string]string{
	"starts":              strings.Repeat("<!--#", 200_000),
	"starts with spaces":  strings.Repeat("<!--# ", 200_000),
	"elements":            strings.Repeat("<!--#a-->", 100_000),
	"elements, one space": strings.Repeat("<!--#a-->", 100_000) + " ",
	"ifs":                 strings.Repeat(`<!--#if expr="true" -->`, 50_000),
	"one element":         "<!--#a " + strings.Repeat("x ", 500_000),
	"values":              "<!--#a " + strings.Repeat(`x="1" `, 200_000) + "-->",
	"backslashes":         `<!--#a x="` + strings.Repeat(`\`, 1_000_000),
	"dashes":              "<!--#a " + strings.Repeat("--", 500_000),
	"name of dashes":      "<!--#" + strings.Repeat("-", 1_000_000),
	"equals":              "<!--#a " + strings.Repeat("=", 1_000_000),
	"parentheses":         `<!--#if expr="` + strings.Repeat("(", 1_000_000) + `" -->`,
	"short parentheses":   `<!--#if expr="` + strings.Repeat("(", 8000) + `" -->`,
	"negations":           `<!--#if expr="` + strings.Repeat("!", 8000) + `" -->`,
	"many terms":          `<!--#if expr="` + strings.Repeat("1||", 2700) + `1" -->`,
	"many words":          `<!--#if expr="` + strings.Repeat("%{a} ", 1600) + `" -->`,
	"ampersands":          `<!--#echo var="` + strings.Repeat("&", 1_000_000) + `;" -->`,
	"dollars":             `<!--#echo var="` + strings.Repeat("${", 500_000) + `" -->`,
}

// TestHostilePages: each would take minutes if it took time in proportion to
// the square of its size.
func TestHostilePages(t *testing.T) {
	for name, page := range hostile {
		begin := time.Now()
		d := parse(page)
		unescapeHTML(page)
		if len(d.nodes) > 2*maxElements+1 {
			t.Errorf("%s: %d nodes", name, len(d.nodes))
		}
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("%s: %v", name, took)
		}
	}
}

func TestDeepIfs(t *testing.T) {
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
	if got := s.get("/p/c.shtml"); !strings.Contains(s.logged(), "the page has too many elements") {
		t.Error(got, s.logged())
	}
}
