package ssi

import (
	"fmt"
	"strings"
	"testing"
)

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
	if got := s.get("/p/c.shtml"); !strings.Contains(s.logged(), "the page has too many elements") {
		t.Error(got, s.logged())
	}
}
