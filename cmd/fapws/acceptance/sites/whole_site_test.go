package sites_test

import (
	"path/filepath"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestWholeExampleWorksAsItsCommentsSay(t *testing.T) {
	t.Parallel()
	file := fapwstest.Try(filepath.Abs(fapwstest.Repository + "/samples/whole/fapws.toml")).Must(t)
	code, stdout, stderr := fapwstest.Command{Flags: []string{"check", "-c", file, "--bind", "127.0.0.1:0"}}.Run(t)
	fapwstest.Needf(t, code == 0 && stderr == "", "check: code %d: %s%s", code, stdout, stderr)
	s := fapwstest.Command{Flags: []string{"-c", file}}.Serve(t,
		fapwstest.Mode{Name: "one worker", Flags: []string{"--workers", "1"}})
	ask := func(path string, fields ...string) *fapwstest.Answer { return s.Ask(fapwstest.Get(path, fields...)) }
	ask("/").Want(t, 200, "A whole site").Field(t, "Cache-Control", "max-age=300", "X-Frame-Options", "DENY")
	ask("/css/style.css").Want(t, 200).Field(t, "Cache-Control", "max-age=2592000")
	ask("/new/").Want(t, 200).Is(t, "a page of the blog\n").Field(t, "Referrer-Policy", "same-origin")
	ask("/cgi-bin/hello?x").Want(t, 200).Is(t, "Hello 127.0.0.1, you asked for /cgi-bin/hello with x\n")
	ask("/old/page").Want(t, 301).Field(t, "Location", "/new/")
	ask("/secret/x").Want(t, 403)
	ask("/.well-known/security.txt").Want(t, 200).Is(t, "Contact: mailto:security@example.org\n")
	ask("/admin/").Want(t, 401)
	ask("/admin/", "Authorization: Basic YWRtaW46c2VjcmV0").Want(t, 200, "notes.txt")
	s.Ask(fapwstest.Request("POST", "/feed", "x")).Want(t, 405)
	first := ask("/feed").Want(t, 200, "made at ")
	fapwstest.Equalf(t, first.Text, ask("/feed").Want(t, 200).Text, "not kept")
}

func TestRulesAtTheTopApplyToAllHostsWithoutTheKey(t *testing.T) {
	t.Parallel()
	s, _ := configured(t, fapwstest.Threads, `
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

route = [{ prefix = "/all/", files = "www", allow = ["all"] }]
`, map[string]string{
		"www/index.html": "index",
		"htpasswd":       "anna:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n", // hash of the password "secret"
		"app.py": "def handler(environ, start_response):\n    return environ['REMOTE_USER']\n\nPATHS = " +
			"[('/', handler)]\n",
	})
	const right = "Authorization: Basic YW5uYTpzZWNyZXQ="
	s.Get("/", 401).Field(t, "X-Rule", "top")
	s.Ask(fapwstest.Get("/", right)).Want(t, 200).Is(t, "anna").Field(t, "X-Rule", "top")
	s.Ask(fapwstest.Get("http://files.lan/")).Want(t, 401)
	s.Ask(fapwstest.Get("http://files.lan/", right)).Want(t, 200).Is(t, "index").Field(t, "X-Rule", "top")
	s.Ask(fapwstest.Get("http://open.lan/", right)).Want(t, 200).Field(t, "X-Rule", "host")
	s.Ask(fapwstest.Get("http://closed.lan/", right)).Want(t, 403)
	s.Ask(fapwstest.Get("http://closed.lan/all/")).Want(t, 401)
	s.Ask(fapwstest.Get("http://closed.lan/all/", right)).Want(t, 200).Is(t, "index")
}

// A route that names no source of responses has only rules, such as auth. The rules apply to paths that match the
// prefix or the pattern of the route, whether the response comes from a file, a program, the application, or another
// route.
func TestRouteWithoutAKindHasRulesForOtherSources(t *testing.T) {
	t.Parallel()
	s, _ := configured(t, fapwstest.Threads, `
[[host]]
root = "www"
app = "app.py"

route = [
  { prefix = "/private/", auth = { realm = "private", users = "htpasswd" }, headers = { X-Rule = "private" } },
  { match = "*.key", auth = { realm = "keys", users = "htpasswd" } },
  { prefix = "/private/moved", redirect = "/elsewhere" },
  { prefix = "/bin/", cgi = "bin" },
]
`, map[string]string{
		"www/index.html": "index", "www/private/a.txt": "secret", "www/public.txt": "public", "www/a.key": "key",
		"www/dir/index.key": "key",
		"bin/x.key":         shell(plain, "printf '%s' $PATH_INFO"), "bin/y": shell(plain, "printf '%s' $PATH_INFO"),
		"htpasswd": "anna:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n",
		"app.py":   "def handler(environ, start_response):\n    return environ['PATH_INFO']\n\nPATHS = [('/', handler)]\n",
	})
	const right = "Authorization: Basic YW5uYTpzZWNyZXQ="
	for target, want := range map[string]int{"/private/a.txt": 200, "/private/b": 200, "/private/moved": 302,
		"//private/a.txt": 200} {
		s.Get(target, 401).Field(t, "Www-Authenticate", `Basic realm="private", charset="UTF-8"`)
		s.Get(target, want, right).Field(t, "X-Rule", "private")
	}
	for target, want := range map[string]int{"/a.key": 200, "//a.key": 200, "/a%2ekey": 200, "/none.key": 200,
		"/bin/x.key": 200, "/bin/x.key/more": 200, "/app.key/more": 200, "/dir/index.key": 200, "/private/a.key": 200} {
		got, private := s.Get(target, 401).Header.Get("Www-Authenticate"), strings.HasPrefix(target, "/private/")
		fapwstest.Truef(t, strings.Contains(got, map[bool]string{false: "keys", true: "private"}[private]), "%s: %s", target,
			got)
		s.Get(target, want, right)
	}
	s.Get("/bin/y/more", 200).Is(t, "/more")
	s.Get("/app.keys", 200).Is(t, "/app.keys")
	s.Get("/public.txt", 200).Is(t, "public").Field(t, "X-Rule", "")
	s.Get("/other", 200).Is(t, "/other")
}
