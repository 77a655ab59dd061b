package acceptance

import (
	"path/filepath"
	"strings"
	"testing"
)

// The complete example does what its comments say.
func TestWholeSite(t *testing.T) {
	t.Parallel()
	file, err := filepath.Abs("../../../samples/whole/fapws.toml")
	if err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := command{flags: []string{"check", "-c", file}}.run(t)
	if code != 0 || stderr != "" {
		t.Fatalf("check: code %d: %s%s", code, stdout, stderr)
	}
	s := command{flags: []string{"-c", file}}.serve(t, mode{"one worker", []string{"--workers", "1"}})
	ask := func(path string, fields ...string) *answer { return s.ask(get(path, fields...)) }
	ask("/").want(t, 200, "A whole site").field(t, "Cache-Control", "public, max-age=300").field(t, "X-Frame-Options", "DENY")
	ask("/css/style.css").want(t, 200).field(t, "Cache-Control", "public, max-age=2592000")
	ask("/new/").want(t, 200).is(t, "a page of the blog\n").field(t, "Referrer-Policy", "same-origin")
	ask("/cgi-bin/hello?x").want(t, 200).is(t, "Hello 127.0.0.1, you asked for /cgi-bin/hello with x\n")
	ask("/old/page").want(t, 301).field(t, "Location", "/new/")
	ask("/secret/x").want(t, 403)
	ask("/.well-known/security.txt").want(t, 200).is(t, "Contact: mailto:security@example.org\n")
	ask("/admin/").want(t, 401)
	ask("/admin/", "Authorization: Basic YWRtaW46c2VjcmV0").want(t, 200, "notes.txt")
	s.ask(request("POST", "/feed", "x")).want(t, 405)
	first := ask("/feed").want(t, 200, "made at ")
	second := ask("/feed").want(t, 200)
	if first.body != second.body {
		t.Errorf("not kept: %q, %q", first.body, second.body)
	}
}

// Rules at the top of the file are for its application and for all hosts that do not have the key themselves.
func TestRulesAtTheTop(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s, _ := configured(t, m, `
app = "app.py"
auth = { realm = "device", users = "htpasswd" }
headers = { X-Rule = "top" }
allow = ["10.0.0.0/8", "127.0.0.1"]

[[host]]
name = "files.lan"
root = "www"

[[host]]
name = "open.lan"
root = "www"
headers = { X-Rule = "host" }

[[host]]
name = "closed.lan"
root = "www"
allow = ["10.0.0.0/8"]

[[host.route]]
prefix = "/all/"
files = "www"
allow = ["all"]
`, map[string]string{
			"www/index.html": "index",
			"htpasswd":       "anna:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n", // secret
			"app.py":         "def handler(environ, start_response):\n    return environ['REMOTE_USER']\n\nPATHS = [('/', handler)]\n",
		})
		const right = "Authorization: Basic YW5uYTpzZWNyZXQ="
		s.get("/", 401).field(t, "X-Rule", "top")
		s.ask(get("/", right)).want(t, 200).is(t, "anna").field(t, "X-Rule", "top")
		s.ask(get("http://files.lan/")).want(t, 401)
		s.ask(get("http://files.lan/", right)).want(t, 200).is(t, "index").field(t, "X-Rule", "top")
		s.ask(get("http://open.lan/", right)).want(t, 200).field(t, "X-Rule", "host")
		s.ask(get("http://closed.lan/", right)).want(t, 403)
		s.ask(get("http://closed.lan/all/")).want(t, 401)
		s.ask(get("http://closed.lan/all/", right)).want(t, 200).is(t, "index")
	})
}

// A route without a kind has rules for what answers below its prefix, or where its pattern matches, anyway: files, other
// routes, programs and the application of the host. Each other path is as it was.
func TestRouteOfRules(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s, _ := configured(t, m, `
[[host]]
root = "www"
app = "app.py"

[[host.route]]
prefix = "/private/"
auth = { realm = "private", users = "htpasswd" }
headers = { X-Rule = "private" }

[[host.route]]
match = "*.key"
auth = { realm = "keys", users = "htpasswd" }

[[host.route]]
prefix = "/private/moved"
redirect = "/elsewhere"

[[host.route]]
prefix = "/bin/"
cgi = "bin"
`, map[string]string{
			"www/index.html": "index", "www/private/a.txt": "secret", "www/public.txt": "public", "www/a.key": "key", "www/dir/index.key": "key",
			"bin/x.key": shell(plain, "printf '%s' $PATH_INFO"), "bin/y": shell(plain, "printf '%s' $PATH_INFO"),
			"htpasswd": "anna:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n", // secret
			"app.py":   "def handler(environ, start_response):\n    return environ['PATH_INFO']\n\nPATHS = [('/', handler)]\n",
		})
		const right = "Authorization: Basic YW5uYTpzZWNyZXQ="
		for target, want := range map[string]int{"/private/a.txt": 200, "/private/b": 200, "/private/moved": 302, "//private/a.txt": 200} {
			s.get(target, 401).field(t, "Www-Authenticate", `Basic realm="private", charset="UTF-8"`)
			s.get(target, want, right).field(t, "X-Rule", "private")
		}
		for target, want := range map[string]int{"/a.key": 200, "//a.key": 200, "/a%2ekey": 200, "/none.key": 200, "/bin/x.key": 200, "/bin/x.key/more": 200,
			"/app.key/more": 200, "/dir/index.key": 200, "/private/a.key": 200} {
			a := s.get(target, 401)
			if got, private := a.Header.Get("Www-Authenticate"), strings.HasPrefix(target, "/private/"); !strings.Contains(got, map[bool]string{false: "keys", true: "private"}[private]) {
				t.Errorf("%s: %s", target, got)
			}
			s.get(target, want, right)
		}
		s.get("/bin/y/more", 200).is(t, "/more")
		s.get("/app.keys", 200).is(t, "/app.keys")
		s.get("/public.txt", 200).is(t, "public").field(t, "X-Rule", "")
		s.get("/other", 200).is(t, "/other")
	})
}
