package acceptance

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestSSIBesideAnApplication: the elements of pages of a folder, with an application beside it.
func TestSSIBesideAnApplication(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		dir := t.TempDir()
		for name, text := range map[string]string{
			"app.py": `
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Set-Cookie", "a=b")])
    return [("python %s?%s" % (environ["PATH_INFO"], environ["QUERY_STRING"])).encode()]
`,
			"fapws.toml":              "[[host]]\nroot = 'site'\napp = 'app.py'\nssi = { errmsg = '[error]' }\n",
			"site/include.shtml":      `[<!--#include virtual="/part.txt" -->] [<!--#include file="part.txt" -->] [<!--#include virtual="folder/inner.shtml" -->]`,
			"site/part.txt":           "part & whole",
			"site/folder/inner.shtml": `inner of <!--#echo var="DOCUMENT_NAME" -->`,
			"site/folder/index.shtml": `index <!--#echo var="DOCUMENT_URI" -->`,
			"site/echo.shtml":         `<!--#echo var="QUERY_STRING" --> <!--#echo encoding="none" var="QUERY_STRING" --> <!--#echo var="nothing" -->`,
			"site/set.shtml":          `<!--#set var="a" value="b" --><!--#set var="c" value="${a}c" --><!--#echo var="c" -->`,
			"site/if.shtml":           `<!--#if expr="v('QUERY_STRING') == 'one'" -->1<!--#elif expr="v('QUERY_STRING') =~ /t(wo)/" -->2<!--#else -->3<!--#endif -->`,
			"site/fsize.shtml":        `<!--#config sizefmt="bytes" --><!--#fsize file="part.txt" -->|<!--#config sizefmt="abbrev" --><!--#fsize virtual="/part.txt" -->`,
			"site/flastmod.shtml":     `<!--#config timefmt="%Y-%m-%d" --><!--#flastmod file="part.txt" -->`,
			"site/errmsg.shtml":       `<!--#nothing --><!--#config errmsg="[mine]" --><!--#nothing -->`,
			"site/exec.shtml":         `<!--#exec cmd="echo bad" -->`,
			"site/self.shtml":         `.<!--#include virtual="self.shtml" -->`,
			"site/dynamic.shtml":      `[<!--#include virtual="/hello?a=b%20c" -->]`,
		} {
			write(t, filepath.Join(dir, name), text)
		}
		at := time.Date(2020, 2, 3, 12, 0, 0, 0, time.UTC)
		if err := os.Chtimes(filepath.Join(dir, "site/part.txt"), at, at); err != nil {
			t.Fatal(err)
		}
		s := command{flags: []string{"--config", filepath.Join(dir, "fapws.toml")}, dir: dir}.serve(t, m)
		for _, c := range []struct{ path, want string }{
			{"/include.shtml", "[part & whole] [part & whole] [inner of include.shtml]"},
			{"/echo.shtml?<b>&x", "&lt;b&gt;&amp;x <b>&x (none)"},
			{"/set.shtml", "bc"},
			{"/if.shtml?one", "1"},
			{"/if.shtml?two", "2"},
			{"/if.shtml?", "3"},
			{"/fsize.shtml", "12| 12 "},
			{"/flastmod.shtml", "2020-02-03"},
			{"/errmsg.shtml", "[error][mine]"},
			{"/exec.shtml", "[error]"},
			{"/self.shtml", strings.Repeat(".", 11) + "[error]"},
			{"/dynamic.shtml", "[python /hello?a=b%20c]"},
			{"/folder/", "index /folder/index.shtml"},
			{"/other/", "python /other/?"},
		} {
			r := s.get(c.path, 200).is(t, c.want)
			if strings.Contains(c.path, ".shtml") {
				r.field(t, "Content-Type", "text/html; charset=utf-8").field(t, "Set-Cookie", "").field(t, "ETag", "").field(t, "Last-Modified", "")
			}
		}
		for _, line := range []string{"self.shtml:1: cannot include", "exec.shtml:1: exec is not allowed", `errmsg.shtml:1: there is no element "nothing"`} {
			s.says(regexp.QuoteMeta(line))
		}
		changed := filepath.Join(dir, "site/set.shtml")
		write(t, changed, "changed")
		s.get("/set.shtml", 200).is(t, "changed")
		if r := s.ask(request("HEAD", "/echo.shtml?abc", "")); r.StatusCode != 200 || r.ContentLength != int64(len("abc abc (none)")) {
			t.Errorf("%d %v", r.StatusCode, r.Header)
		}
	})
}

// TestSSIFlag: a folder with --ssi has pages, without an application and its
// Python; without the flag they are files like others.
func TestSSIFlag(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.shtml"), `<!--#echo var="DOCUMENT_NAME" -->`)
	write(t, filepath.Join(dir, "index.shtml"), `index`)
	s := command{flags: []string{"--ssi", "--config", "off", dir}}.serve(t, mode{})
	s.get("/a.shtml", 200).is(t, "a.shtml")
	s.get("/", 200).is(t, "index")
	s = command{flags: []string{"--ssi", "--static", "/=" + dir, "--config", "off"}, script: "service.py"}.serve(t, mode{})
	s.get("/a.shtml", 200).is(t, "a.shtml")
	code, _, stderr := command{flags: []string{"--ssi", "--config", "off"}, script: "service.py"}.run(t)
	if code == 0 || !strings.Contains(stderr, "ssi: there is no folder with pages") {
		t.Errorf("%d %q", code, stderr)
	}
	s = command{flags: []string{"--config", "off", dir}}.serve(t, mode{})
	s.get("/a.shtml", 200).is(t, `<!--#echo var="DOCUMENT_NAME" -->`)
}

// TestSSIOfARoute: pages of a route with a folder and options of its own, and
// mistakes in the file.
func TestSSIOfARoute(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "docs/a.html"), `<!--#config timefmt="%Y" --><!--#echo var="x" -->, <!--#exec cmd="echo $DOCUMENT_URI" -->`)
	write(t, filepath.Join(dir, "docs/b.html"), `<!--#if expr="$QUERY_STRING = /^(a|b)$/" --><!--#include virtual="plain.txt" --><!--#echo var="1" --><!--#endif -->`)
	write(t, filepath.Join(dir, "docs/plain.txt"), `plain `)
	write(t, filepath.Join(dir, "docs/index.html"), `<!--#echo var="DOCUMENT_URI" -->`)
	file := write(t, filepath.Join(dir, "fapws.toml"), `
[[host]]
[[host.route]]
prefix = "/docs/"
files = "docs"
ssi = { patterns = ["*.html"], exec = true, legacy = true, echomsg = "?", depth = 3 }
`)
	s := command{flags: []string{"--config", file}}.serve(t, mode{})
	s.get("/docs/a.html", 200).is(t, "?, /docs/a.html\n")
	s.get("/docs/b.html?b", 200).is(t, "plain b")
	s.get("/docs/", 200).is(t, "/docs/index.html")
	s.get("/docs/plain.txt", 200).is(t, "plain ")
	s.get("/a.html", 404)
	s.get("/docs/none.html", 404)
	for ssi, want := range map[string]string{
		"true\nerror-page = { 404 = '/404.shtml' }": "404: /404.shtml would be sent as it is",
		`{ depth = 11 }`:       "ssi",
		`["a/b"]`:              "ssi",
		`{ patern = "*.htm" }`: "did you mean patterns?",
	} {
		write(t, file, "[[host]]\nroot = 'docs'\nssi = "+ssi+"\n")
		code, _, stderr := command{flags: []string{"check", "--config", file}}.run(t)
		if code == 0 || !strings.Contains(stderr, "fapws.toml:") || !strings.Contains(stderr, want) {
			t.Errorf("%s: %d %q", ssi, code, stderr)
		}
	}
}

// TestSSIHostilePages: pages that a slow parser would be busy with for hours
// are answered, and the server lives on. What it makes of any bytes, package
// ssi fuzzes.
func TestSSIHostilePages(t *testing.T) {
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
		"regexp":     `<!--#set var="a" value="` + strings.Repeat("a", 50_000) + `" --><!--#if expr="v('a') =~ /^(a+)+$/ && v('a') !~ /(a*)*b/" -->found<!--#endif -->`,
		"binary":     "\x00\xff<!--#\x00 \xff=\"\x00\" -->",
	}
	for name, page := range pages {
		write(t, filepath.Join(dir, name+".shtml"), page)
	}
	s := command{flags: []string{"--ssi", "--config", "off", dir}}.serve(t, mode{})
	for name := range pages {
		s.get("/"+name+".shtml", 200)
	}
	s.get("/regexp.shtml", 200).is(t, "found")
	if n := strings.Count(s.stderr.String(), "\n"); n > 2+30*len(pages) {
		t.Errorf("%d lines in the log", n)
	}
}
