package static

import "testing"

func TestPathsAreCleanedOrRejected(t *testing.T) {
	for _, c := range []struct {
		path     string
		want     string
		dotFiles string
	}{
		{path: "", want: ""},
		{path: "/", want: "/"},
		{path: "//", want: "/"},
		{path: "/a", want: "/a"},
		{path: "/a/", want: "/a/"},
		{path: "/a/b.txt", want: "/a/b.txt"},
		{path: "///a//b///", want: "/a/b/"},
		{path: "a", want: "/a"},
		{path: "/a b\x7f\xff\n", want: "/a b\x7f\xff\n"},
		{path: "/a:b", want: "/a:b"},
		{path: "/.", want: "-"},
		{path: "/..", want: "-"},
		{path: "..", want: "-"},
		{path: "/../", want: "-"},
		{path: "/a/../b", want: "-"},
		{path: "/a/..", want: "-"},
		{path: "/./a", want: "-"},
		{path: "/a\x00.txt", want: "-"},
		{path: "/\x00", want: "-"},
		{path: "/..\\secret", want: "-"},
		{path: "/a\\b", want: "-"},
		{path: "/.env", want: "-", dotFiles: "/.env"},
		{path: "/.git/config", want: "-", dotFiles: "/.git/config"},
		{path: "/a/.b/c", want: "-", dotFiles: "/a/.b/c"},
		{path: "/...", want: "-", dotFiles: "/..."},
		{path: "/..a", want: "-", dotFiles: "/..a"},
		{path: "/a..", want: "/a.."},
		{path: "/a.", want: "/a."},
		{path: "/.well-known/security.txt", want: "/.well-known/security.txt"},
		{path: "/.well-known", want: "/.well-known"},
		{path: "/a/.well-known/x", want: "-", dotFiles: "/a/.well-known/x"},
		{path: "/.well-known/.git", want: "-", dotFiles: "/.well-known/.git"},
	} {
		for _, dotFiles := range []bool{false, true} {
			want := c.want
			if dotFiles && c.dotFiles != "" {
				want = c.dotFiles
			}
			got, ok := cleanPath(nil, []byte(c.path), dotFiles)
			if !ok {
				got = []byte("-")
			}
			if string(got) != want {
				t.Errorf("%q, dot files %v: %q, not %q", c.path, dotFiles, got, want)
			}
			again, ok := cleanPath(nil, got, dotFiles)
			if want != "-" && (!ok || string(again) != want) {
				t.Errorf("%q is not stable: %q", got, again)
			}
		}
	}
}

func TestSlashRedirectStaysOnItsHost(t *testing.T) {
	for _, c := range []struct{ prefix, path, query, want string }{
		{"", "/a", "", "/a/"},
		{"", "/a/b", "x=1&y=%20", "/a/b/?x=1&y=%20"},
		{"", "/a%20b", "", "/a%20b/"},
		{"", "//evil.example", "", "/evil.example/"},
		{"", "///evil.example/..", "", "/evil.example/../"},
		{"", "/\\evil.example", "", "/evil.example/"},
		{"", "\\\\evil.example", "", "/evil.example/"},
		{"", "/a\\b", "", "/a%5Cb/"},
		{"", "/a\r\nSet-Cookie:x", "q\r\n<\">", "/a%0D%0ASet-Cookie:x/?q%0D%0A%3C%22%3E"},
		{"", "/\xff", "", "/%FF/"},
		{"", "", "", "/"},
		{"", "/", "", "/"},
		{"", "https://evil.example", "", "/https://evil.example/"},
		{"/app", "/a", "x=1", "/app/a/?x=1"},
		{"/app", "", "", "/app/"},
		{"//evil.example", "/a", "", "/evil.example/a/"},
		{"/caf\xc3\xa9 100%?#\r\n\\", "/a", "", "/caf%C3%A9%20100%25%3F%23%0D%0A%5C/a/"},
	} {
		if got := string(slashLocation(nil, c.prefix, []byte(c.path), []byte(c.query))); got != c.want {
			t.Errorf("%q, %q: %q, not %q", c.prefix, c.path, got, c.want)
		}
	}
}
