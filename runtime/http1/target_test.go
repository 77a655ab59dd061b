package http1

import (
	"bytes"
	"net/url"
	"path"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

func TestPathsAreResolvedToTwoForms(t *testing.T) {
	for _, c := range []struct{ raw, resolved, canonical string }{
		{"/", "/", "/"},
		{"//", "//", "/"},
		{"///", "///", "/"},
		{"/a/b", "/a/b", "/a/b"},
		{"/a/b/", "/a/b/", "/a/b/"},
		{"//a", "//a", "/a"},
		{"/a//b//", "/a//b//", "/a/b/"},
		{"/a/./b", "/a/b", "/a/b"},
		{"/./a", "/a", "/a"},
		{"/a/.", "/a/", "/a/"},
		{"/a/..", "/", "/"},
		{"/a/../", "/", "/"},
		{"/a/b/..", "/a/", "/a/"},
		{"/a/b/../../c/", "/c/", "/c/"},
		{"/a/..//b", "//b", "/b"},
		{"/.", "/", "/"},
		{"/./", "/", "/"},
		{"/...", "/...", "/..."},
		{"/.a/..b/c..", "/.a/..b/c..", "/.a/..b/c.."},
		{"/.well-known/x", "/.well-known/x", "/.well-known/x"},
		{"/%61/%2e%2E/b%2Fc", "/b/c", "/b/c"},
		{"/%2fa", "//a", "/a"},
		{"/a%2f%2e%2e%2fb", "/b", "/b"},
		{"/a%252f..", "/a%2f..", "/a%2f.."}, // decoded only once, so this is one segment
		{"/a%252fb", "/a%2fb", "/a%2fb"},
		{"/go/http://h/", "/go/http://h/", "/go/http:/h/"},
		{`/a\b`, `/a\b`, `/a\b`},
		{"/a%5cb/..c", `/a\b/..c`, `/a\b/..c`},
		{"/a;x=1/b;..", "/a;x=1/b;..", "/a;x=1/b;.."},
		// overlong encodings are not valid UTF-8, so these bytes are not "."
		{"/%c0%ae%c0%ae/a", "/\xc0\xae\xc0\xae/a", "/\xc0\xae\xc0\xae/a"},
	} {
		resolved, ok := ResolvePath([]byte("|"), []byte(c.raw))
		if !ok || string(resolved) != "|"+c.resolved {
			t.Errorf("%s: %q %v, want %q", c.raw, resolved, ok, c.resolved)
			continue
		}
		checktest.Equalf(t, string(MergeSlashes(nil, resolved[1:])), c.canonical, "%s: canonical", c.raw)
	}
	for _, raw := range []string{
		"/..", "/../a", "/a/../..", "/a/../../b", "/%2e%2e/a", "/a/b/%2e%2e/../..", "//..", "/a//..", "/a//../b",
		"/a//./..", "/a%2f/../b",
		`/a\..\b`, `/..\a`, `/a/..\`, "/a/..%5cb", `/a\.`, "/a/..;/b", "/a/..;x=1/b", "/a/.;/b", "/a%5c..;/b", `/a/.\b`,
	} {
		got, ok := ResolvePath(nil, []byte(raw))
		checktest.Truef(t, !ok, "%s: %q, want no canonical form", raw, got)
	}
}

func TestCanonicalPathsAreRecognized(t *testing.T) {
	for _, p := range []string{"/", "/a", "/a/", "/a%20b", "/%2e", `/a\b`, "/.well-known/"} {
		checktest.Truef(t, IsCanonicalPath(p), "%s is canonical", p)
	}
	for _, p := range []string{"", "a", "//", "//a", "/a//b", "/a/./b", "/a/..", "/..", `/a\..\b`} {
		checktest.Truef(t, !IsCanonicalPath(p), "%s is not canonical", p)
	}
}

func TestPrefixesOfCanonicalPathsAreRecognized(t *testing.T) {
	for _, p := range []string{"", "/", "/a", "/a/", "/.", "/a/.", "/a%2f"} {
		checktest.Truef(t, IsCanonicalPrefix(p), "%s is a beginning of canonical paths", p)
	}
	for _, p := range []string{"a", "//", "//a", "/a//", "/a/./", "/../", "/a/../b"} {
		checktest.Truef(t, !IsCanonicalPrefix(p), "no canonical path begins with %s", p)
	}
}

func FuzzResolvePath(f *testing.F) {
	for _, s := range []string{"/a/../b", "//x/./", "/..", "/a//..", "/%2e%2e%2fa", `/a\..`, "/a/..;/b", "/a/b/.."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		raw = "/" + raw
		resolved, ok := ResolvePath(nil, []byte(raw))
		if !ok {
			return
		}
		checktest.Truef(t, len(resolved) <= len(raw), "%q became longer: %q", raw, resolved)
		canonical := string(MergeSlashes(nil, resolved))
		decoded := string(DecodePath(nil, []byte(raw)))
		if want := path.Clean(decoded); strings.TrimSuffix(canonical, "/") != strings.TrimSuffix(want, "/") {
			t.Errorf("%q: %q, want %q", raw, canonical, want)
		}
		checktest.Truef(t, IsCanonicalPath(canonical), "%q: %q is not canonical", raw, canonical)
		again, ok := ResolvePath(nil, bytes.ReplaceAll(resolved, []byte("%"), []byte("%25")))
		checktest.Truef(t, ok && bytes.Equal(again, resolved), "%q: %q becomes %q", raw, resolved, again)
		var r Request
		_, err := r.Parse([]byte("GET "+raw+" HTTP/1.1\r\nHost: h\r\n\r\n"), &DefaultLimits)
		checktest.Truef(t, err != nil || !r.Plain || raw == canonical || strings.Contains(raw, "?"),
			"%q is called plain, and is %q", raw, canonical)
	})
}

// Parse rejects these paths.
func TestInvalidEncodingsArePartsOfADecodedPath(t *testing.T) {
	for in, want := range map[string]string{"/%": "/%", "/%4": "/%4", "/%zz": "/%zz", "/%%41": "/%A", "/%4%41": "/%4A"} {
		checktest.Equalf(t, string(DecodePath([]byte("|"), []byte(in))), "|"+want, "%q", in)
	}
}

// FuzzDecodePath compares the result with net/url, which rejects invalid encodings.
func FuzzDecodePath(f *testing.F) {
	for _, in := range []string{"", "/a%20b", "%2f", "/%2F%2f", "/%c3%A4", "/%ff", "/%09%90%99%aA%0f%F0", "/%25%34%31",
		"/%2e%2E/x/../y", "/a+b", "/%00", "/%zz", "%"} {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got := string(DecodePath(nil, []byte(in)))
		want, err := url.PathUnescape(in)
		checktest.Truef(t, err != nil || got == want, "%q: %q, net/url %q", in, got, want)
		checktest.Truef(t, len(got) <= len(in), "%q became longer: %q", in, got)
	})
}
