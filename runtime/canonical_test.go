package runtime

import (
	"path"
	"strings"
	"testing"
)

func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		"/": "/", "": "/", "//": "/", "/a": "/a", "/a/": "/a/", "//a": "/a", "/a//b": "/a/b", "/./a": "/a", "/a/.": "/a/", "/a/..": "/",
		"/a/../b": "/b", "/../a": "/a", "/a/b/../../c/": "/c/", "/...": "/...", "/.a": "/.a", "/a/b/..": "/a/", "/a/./": "/a/",
	} {
		if got := string(canonical([]byte(in))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"/a/../b", "//x/./", "/..", "", "a/b", "/a/b/.."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got := string(canonical([]byte(in)))
		want := path.Clean("/" + in)
		if strings.TrimSuffix(got, "/") != strings.TrimSuffix(want, "/") || !strings.HasPrefix(got, "/") {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	})
}

// No spelling of a path gets past a mount that guards what is below it.
func TestGuardsHold(t *testing.T) {
	mounts := tree(t, map[string]string{"private/x": "secret", "public/x": "free", "x.inc": "secret"})
	root := mounts[0].Static
	denied := mustRules(t, RuleOptions{Deny: mustPrefixes("0.0.0.0/0", "::/0")})
	hidden, err := NewFixed(FixedOptions{Status: 404})
	if err != nil {
		t.Fatal(err)
	}
	files := func(prefix string, r *Rules) Mount { return Mount{Prefix: prefix, Static: root, Rules: r} }
	s := serveSites(t, Config{}, newApp(true, echo), Site{Table: []Mount{
		files("/private/", denied), {Prefix: "/", Match: "*.inc", Fixed: hidden}, {Prefix: "/app/admin", Rules: denied}, {Prefix: "/app"},
		mustRewrite(t, "/to/", "/${rest}"), files("/inner/private", denied), files("/", nil),
	}})
	for _, target := range []string{
		"/private/x", "//private/x", "///private//x", "/./private/x", "/public/../private/x", "/%2e/private/x", "/%2fprivate/x", "/public/%2e%2e/private/x",
		"/app/admin", "/app//admin", "//app/admin/", "/app/x/../admin", "/x.inc", "//x.inc", "/public/..//x.inc", "/to//inner//private",
	} {
		if got := s.talk(t, "GET "+target+" HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 403") && !strings.HasPrefix(got, "HTTP/1.1 404") || strings.Contains(got, "secret") {
			t.Errorf("%s: %q", target, got)
		}
	}
	for target, want := range map[string]string{
		"/public/x": "free", "//public/x": "free", "/app//x/./y": "path=//x/./y", "/app/x/../y": "path=/x/../y",
	} {
		if got := s.talk(t, "GET "+target+" HTTP/1.0\r\n\r\n"); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %s", target, got, want)
		}
	}
}
