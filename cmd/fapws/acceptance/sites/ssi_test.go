package sites_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestSSIPagesWorkTogetherWithAnApplication(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"app.py": `
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Set-Cookie", "a=b")])
    return [("python %s?%s" % (environ["PATH_INFO"], environ["QUERY_STRING"])).encode()]
`,
		"fapws.toml": "[[host]]\nroot = 'site'\napp = 'app.py'\nssi = { errmsg = '[error]' }\n",
		"site/include.shtml": `[<!--#include virtual="/part.txt" -->] [<!--#include file="part.txt" -->] ` +
			`[<!--#include virtual="folder/inner.shtml" -->]`,
		"site/part.txt":           "part & whole",
		"site/folder/inner.shtml": `inner of <!--#echo var="DOCUMENT_NAME" -->`,
		"site/folder/index.shtml": `index <!--#echo var="DOCUMENT_URI" -->`,
		"site/echo.shtml": `<!--#echo var="QUERY_STRING" --> <!--#echo encoding="none" var="QUERY_STRING" --> ` +
			`<!--#echo var="nothing" -->`,
		"site/errmsg.shtml":  `<!--#nothing --><!--#config errmsg="[mine]" --><!--#nothing -->`,
		"site/exec.shtml":    `<!--#exec cmd="echo bad" -->`,
		"site/self.shtml":    `.<!--#include virtual="self.shtml" -->`,
		"site/dynamic.shtml": `[<!--#include virtual="/hello?a=b%20c" -->]`,
	} {
		fapwstest.Write(t, filepath.Join(dir, name), text)
	}
	s := fapwstest.Command{Flags: []string{"--config", filepath.Join(dir, "fapws.toml")}, Dir: dir}.Serve(t,
		fapwstest.Threads)
	for _, c := range []struct{ path, want string }{
		{"/include.shtml", "[part & whole] [part & whole] [inner of include.shtml]"},
		{"/echo.shtml?<b>&x", "&lt;b&gt;&amp;x <b>&x (none)"},
		{"/errmsg.shtml", "[error][mine]"},
		{"/exec.shtml", "[error]"},
		{"/self.shtml", strings.Repeat(".", 11) + "[error]"},
		{"/dynamic.shtml", "[python /hello?a=b%20c]"},
		{"/folder/", "index /folder/index.shtml"},
		{"/other/", "python /other/?"},
	} {
		r := s.Get(c.path, 200).Is(t, c.want)
		if strings.Contains(c.path, ".shtml") {
			r.Field(t, "Content-Type", "text/html; charset=utf-8", "Set-Cookie", "", "ETag", "", "Last-Modified", "")
		}
	}
	for _, line := range []string{"self.shtml:1: cannot include", "exec.shtml:1: exec is not allowed",
		`errmsg.shtml:1: unknown element "nothing"`} {
		s.Says(regexp.QuoteMeta(line))
	}
	fapwstest.Write(t, filepath.Join(dir, "site/errmsg.shtml"), "changed")
	s.Get("/errmsg.shtml", 200).Is(t, "changed")
	r := s.Ask(fapwstest.Request("HEAD", "/echo.shtml?abc", ""))
	fapwstest.Truef(t, r.StatusCode == 200 && r.ContentLength == int64(len("abc abc (none)")), "%d %v", r.StatusCode,
		r.Header)
}

// The directory has no application, so the server does not start Python.
func TestSSIFlagProcessesPagesOfADirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, filepath.Join(dir, "a.shtml"), `<!--#echo var="DOCUMENT_NAME" -->`)
	fapwstest.Write(t, filepath.Join(dir, "index.shtml"), `index`)
	s := fapwstest.Command{Flags: []string{"--ssi", "--config", "off", dir}}.Serve(t, fapwstest.Mode{})
	s.Get("/a.shtml", 200).Is(t, "a.shtml")
	s.Get("/", 200).Is(t, "index")
	s = fapwstest.Command{Flags: []string{"--ssi", "--static", "/=" + dir, "--config", "off"},
		Script: "service.py"}.Serve(t, fapwstest.Mode{})
	s.Get("/a.shtml", 200).Is(t, "a.shtml")
	fapwstest.Command{Flags: []string{"--ssi", "--config", "off"}, Script: "service.py"}.Fails(t, 2,
		"ssi: no directory with pages")
	s = fapwstest.Command{Flags: []string{"--config", "off", dir}}.Serve(t, fapwstest.Mode{})
	s.Get("/a.shtml", 200).Is(t, `<!--#echo var="DOCUMENT_NAME" -->`)
}

func TestSSIRouteHasItsOwnDirectoryAndOptions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, filepath.Join(dir, "docs/a.html"),
		`<!--#config timefmt="%Y" --><!--#echo var="x" -->, <!--#exec cmd="echo $DOCUMENT_URI" -->`)
	fapwstest.Write(t, filepath.Join(dir, "docs/b.html"),
		`<!--#if expr="$QUERY_STRING = /^(a|b)$/" --><!--#include virtual="plain.txt" --><!--#echo var="1" --><!--#endif -->`)
	fapwstest.Write(t, filepath.Join(dir, "docs/plain.txt"), `plain `)
	fapwstest.Write(t, filepath.Join(dir, "docs/index.html"), `<!--#echo var="DOCUMENT_URI" -->`)
	file := fapwstest.Write(t, filepath.Join(dir, "fapws.toml"), `
[[host]]
route = [{ prefix = "/docs/", files = "docs", ssi = { patterns = ["*.html"], exec = true, echomsg = "?", depth = 3 } }]
`)
	s := fapwstest.Command{Flags: []string{"--config", file}}.Serve(t, fapwstest.Mode{})
	s.Get("/docs/a.html", 200).Is(t, "?, /docs/a.html\n")
	s.Get("/docs/b.html?b", 200).Is(t, "plain b")
	s.Get("/docs/", 200).Is(t, "/docs/index.html")
	s.Get("/docs/plain.txt", 200).Is(t, "plain ")
	s.Get("/a.html", 404)
	s.Get("/docs/none.html", 404)

	s = fapwstest.Command{Flags: []string{"--ssi", "--static", "/=" + dir, "--config", "off"},
		Script: "service.py"}.Serve(t, fapwstest.Mode{})
	fapwstest.Write(t, filepath.Join(dir, "old.shtml"), `<!--#if expr="$DOCUMENT_NAME -strmatch 'a*'" -->1<!--#endif -->`)
	s.Get("/old.shtml", 200)
	s.Says(`old\.shtml:1: .*: unknown operator -strmatch; fapws help php-cgi-ssi shows what expressions may contain`)
	fapwstest.Write(t, filepath.Join(dir, "docs/404.shtml"), "")
	for ssi, want := range map[string]string{
		"true\nerror-page = { 404 = '/404.shtml' }": "fapws.toml:4: error-page: 404: /404.shtml is a script or SSI page",
		`{ depth = 11 }`:       "fapws.toml:3: depth = 11",
		`["a/b"]`:              "fapws.toml:3: ssi",
		`{ patern = "*.htm" }`: "fapws.toml:3: unknown key patern of [host.ssi], did you mean patterns?",
	} {
		fapwstest.Write(t, file, "[[host]]\nroot = 'docs'\nssi = "+ssi+"\n")
		fapwstest.Command{Flags: []string{"check", "--config", file}}.Fails(t, 2, want)
	}
}

// A parser with quadratic run time would need hours for these pages.
func TestSSIPagesThatAreHostileToParsersAreAnswered(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pages := map[string]string{
		"starts":     strings.Repeat("<!--#", 200_000),
		"spaces":     strings.Repeat("<!--# ", 170_000),
		"elements":   strings.Repeat("<!--#a-->", 110_000),
		"ifs":        strings.Repeat(`<!--#if expr="true" -->`, 45_000),
		"deep":       strings.Repeat(`<!--#if expr="true" -->`, 5000) + "x" + strings.Repeat("<!--#endif -->", 4900),
		"value":      `<!--#echo var="` + strings.Repeat("x", 1<<20),
		"expression": `<!--#if expr="` + strings.Repeat("(", 1<<20) + `" -->`,
		"doubling":   `<!--#set var="a" value="0123456789" -->` + strings.Repeat(`<!--#set var="a" value="$a$a" -->`, 100),
		"regexp": `<!--#set var="a" value="` + strings.Repeat("a", 50_000) +
			`" --><!--#if expr="v('a') =~ /^(a+)+$/ && v('a') !~ /(a*)*b/" -->found<!--#endif -->`,
		"terms":      `<!--#if expr="` + strings.Repeat("1||", 2700) + `1" -->`,
		"values":     "<!--#a " + strings.Repeat(`x="1" `, 170_000) + "-->",
		"dashes":     "<!--#a " + strings.Repeat("--", 500_000),
		"ampersands": `<!--#echo var="` + strings.Repeat("&", 1_000_000) + `;" -->`,
		"dollars":    `<!--#echo var="` + strings.Repeat("${", 500_000) + `" -->`,
		"binary":     "\x00\xff<!--#\x00 \xff=\"\x00\" -->",
	}
	for name, page := range pages {
		fapwstest.Write(t, filepath.Join(dir, name+".shtml"), page)
	}
	s := fapwstest.Command{Flags: []string{"--ssi", "--config", "off", dir}}.Serve(t, fapwstest.Mode{})
	for name := range pages {
		s.Get("/"+name+".shtml", 200)
	}
	s.Get("/regexp.shtml", 200).Is(t, "found")
	n := strings.Count(s.Stderr.String(), "\n")
	fapwstest.Truef(t, n <= 2+30*len(pages), "%d lines in the log", n)
}
