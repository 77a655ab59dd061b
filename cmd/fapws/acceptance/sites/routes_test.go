package sites_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

const routesApp = `
from fapws import HTTPError

def deep():
    raise HTTPError(404, "no such <thing>")

def app(environ, start_response):
    if environ["PATH_INFO"] == "/fails":
        raise ValueError("on purpose")
    if environ["PATH_INFO"] == "/raises":
        deep()
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-App", "1")])
    body = environ["wsgi.input"].read()
    return [("%(REQUEST_METHOD)s script=%(SCRIPT_NAME)s path=%(PATH_INFO)s query=%(QUERY_STRING)s "
             "uri=%(REQUEST_URI)s" % environ
             + " user=%s body=%d" % (environ.get("REMOTE_USER", "-"), len(body))).encode()]
`

func TestErrorPagesOfASiteReplaceThoseOfTheServer(t *testing.T) {
	t.Parallel()
	dir := fapwstest.Files(t, map[string]string{"app.py": routesApp, "site/file.txt": "content"})
	statuses := []int{400, 403, 404, 405, 408, 411, 413, 414, 416, 431, 500, 501, 503, 505}
	conf := "max-body-size = 10\n[[host]]\nroot = \"site\"\n"
	var pages []string
	for _, status := range statuses {
		fapwstest.Write(t, fmt.Sprintf("%s/site/errors/%d.html", dir, status), fmt.Sprintf("<p>our own %d", status))
		pages = append(pages, fmt.Sprintf("%d = \"/errors/%d.html\"", status, status))
	}
	routes := `
route = [
  { prefix = "/app", app = "app.py:app" },
  { prefix = "/secret", status = 200, deny = ["all"] },
  { prefix = "/said", status = 404, text = "said" },
  { prefix = "/length", status = 411 },
  { prefix = "/busy", status = 503 },
  { prefix = "/moved", status = 402 },
  { prefix = "/lost", status = 409 },
]
`
	requests := map[int]string{
		400: "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
		403: "GET /secret HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		404: "GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		405: "POST /file.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		408: "POST /app HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab",
		411: "POST /length HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		413: "POST /app HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 11\r\n\r\n01234567890",
		414: "GET /" + strings.Repeat("a", 9000) + " HTTP/1.1\r\nHost: x\r\n\r\n",
		416: "GET /file.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\nRange: bytes=100-\r\n\r\n",
		431: "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 33_000) + "\r\n\r\n",
		500: "GET /app/fails HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		501: "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		503: "GET /busy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		505: "GET / HTTP/3.0\r\nHost: x\r\n\r\n",
	}
	own := fapwstest.Command{Flags: []string{"--body-timeout", "2", "-c",
		fapwstest.Write(t, dir+"/own.toml",
			conf+"charset = 'iso-8859-1'\nerror-page = { 402 = 'https://example.org/pay', 409 = '/none.html', "+
				strings.Join(pages, ", ")+" }\n"+routes)}, Complains: true}.Serve(t, fapwstest.Threads)
	plain := fapwstest.Command{Flags: []string{"--body-timeout", "2", "-c",
		fapwstest.Write(t, dir+"/plain.toml", conf+routes)}, Complains: true}.Serve(t, fapwstest.Threads)
	for _, status := range statuses {
		for range 2 {
			has(own.Ask(requests[status]).Want(t, status), t, fmt.Sprintf("<p>our own %d", status)).Field(t,
				"Content-Type", "text/html; charset=iso-8859-1", "ETag", "")
		}
		plain.Ask(requests[status]).Want(t, status).Field(t, "Content-Type", "text/plain; charset=utf-8")
		ownPage(t, plain.Ask(strings.Replace(requests[status], "Host: x\r\n",
			"Host: x\r\nAccept: text/html,*/*;q=0.8\r\n", 1)).Want(t, status))
	}
	own.Ask(requests[405]).Field(t, "Allow", "GET, HEAD")
	large := strings.Repeat("our own 403", 10000)
	fapwstest.Write(t, dir+"/site/errors/403.html", large)
	fapwstest.Eventually(t, "the large page", func() bool { return own.Ask(requests[403]).Want(t, 403).Text == large })
	own.Get("/moved", 302).Field(t, "Location", "https://example.org/pay")
	own.Get("/lost", 409).Want(t, 409, "Conflict")
	has(own.Get("/said", 404), t, "said")
	own.Ask("GET /app/raises HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").Want(t, 404,
		"<p>no such &lt;thing&gt;</p>")
	has(plain.Ask("GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").Want(t, 404), t, "404 Not Found\n")
	head := own.Ask("HEAD /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	fapwstest.Truef(t, head.StatusCode == 404 && head.Header.Get("Content-Length") == "14", "HEAD: %d %v", head.StatusCode,
		head.Header)
}

func TestIndexFollowsTheRulesOfItsFile(t *testing.T) {
	t.Parallel()
	dir := fapwstest.Files(t, map[string]string{"site/a/index.html": "secret", "site/b/index.html": "secret",
		"site/c/index.htm": "public"})
	s := fapwstest.Command{Flags: []string{"-c", fapwstest.Write(t, dir+"/fapws.toml", `
[[host]]
root = "site"
route = [
  { prefix = "/a/", match = "*.html", files = "site/a", deny = ["all"] },
  { prefix = "/b/index.html", status = 410 },
  { prefix = "/c/index.htm", redirect = "/c/" },
]
`)}}.Serve(t, fapwstest.Threads)
	for range 2 {
		for path, status := range map[string]int{"/a/": 403, "/a/index.html": 403, "/b/": 410, "/b/index.html": 410,
			"/a": 301, "/c/": 200, "/c/index.htm": 302} {
			s.Ask(fapwstest.Get(path)).Want(t, status)
		}
		s.Ask(fapwstest.Get("/c/")).Is(t, "public")
	}
}

func TestRoutesOfAllKindsFollowTheirRules(t *testing.T) {
	t.Parallel()
	_, err := exec.LookPath("htpasswd")
	fapwstest.Mustf(t, err, "htpasswd is missing: install apache2-utils (./build.sh does)")
	behind := fapwstest.Upstream(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s for=%s host=%s", r.Method, r.RequestURI, r.Header.Get("X-Forwarded-For"), r.Host)
		io.Copy(w, r.Body)
	})
	dir := fapwstest.Files(t, map[string]string{"app.py": routesApp, "site/file.txt": "content"})
	users := fapwstest.Try(exec.Command("htpasswd", "-nbB", "ann", "secret").Output()).Must(t)
	fapwstest.Write(t, dir+"/users", string(users))
	s := fapwstest.Command{Flags: []string{"-c", fapwstest.Write(t, dir+"/fapws.toml", `
[[host]]
root = "site"
app = "app.py:app"
headers = { "X-Frame-Options" = "DENY" }
route = [
  { prefix = "/old/", redirect = "https://${host}/new/$1?${query}", status = 301 },
  { prefix = "/written/", rewrite = "/app/${rest}" },
  { prefix = "/gone", status = 410, text = "it is gone", headers = { X-Frame-Options = "SAMEORIGIN", X-Gone = "yes" } },
  { prefix = "/admin", app = "app.py:app", auth = { realm = "admin", users = "users" } },
  { prefix = "/elsewhere", app = "app.py:app", allow = ["192.0.2.0/24"] },
  { prefix = "/read", app = "app.py:app", methods = ["GET"], remove-headers = ["X-App", "Server"] },
  { prefix = "/small", app = "app.py:app", max-body-size = 3 },
  { prefix = "/behind/", proxy = "`+behind.URL+`" },
]
`)}}.Serve(t, fapwstest.Threads)
	ask := func(text string) *fapwstest.Answer {
		return s.Ask(text + "Host: Site.example:80\r\nConnection: close\r\n\r\n")
	}
	post := func(target, body string) *fapwstest.Answer {
		return s.Ask(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
			target, len(body), body))
	}
	has(ask("GET /file.txt HTTP/1.1\r\n").Want(t, 200), t, "content").Field(t, "X-Frame-Options", "DENY")
	has(ask("GET /page HTTP/1.1\r\n").Want(t, 200), t, "GET script= path=/page query= uri=/page user=- body=0").Field(t,
		"X-Frame-Options", "DENY")
	post("/page", "hello").Want(t, 200, "POST", "body=5")
	ask("GET /old/a%0d%0aX-Evil:1?q HTTP/1.1\r\n").Want(t, 301).Field(t, "Location",
		"https://site.example/new/a%0d%0aX-Evil:1?q", "X-Evil", "")
	has(ask("GET /written/a%20b?q HTTP/1.1\r\n").Want(t, 200), t,
		"GET script= path=/app/a b query=q uri=/written/a%20b?q user=- body=0")
	has(ask("GET /gone HTTP/1.1\r\n").Want(t, 410), t, "it is gone").Field(t, "X-Gone", "yes", "X-Frame-Options",
		"SAMEORIGIN")
	ask("GET /admin/x HTTP/1.1\r\n").Want(t, 401).Field(t, "WWW-Authenticate", `Basic realm="admin", charset="UTF-8"`)
	ask("GET /admin/x HTTP/1.1\r\nAuthorization: Basic YW5uOndyb25n\r\n").Want(t, 401)
	for range 3 {
		ask("GET /admin/x HTTP/1.1\r\nAuthorization: Basic YW5uOnNlY3JldA==\r\n").Want(t, 200, "script= path=/admin/x",
			"user=ann")
	}
	ask("GET /elsewhere HTTP/1.1\r\n").Want(t, 403)
	ask("GET /read HTTP/1.1\r\n").Want(t, 200).Field(t, "X-App", "", "Server", "")
	ask("DELETE /read HTTP/1.1\r\n").Want(t, 405).Field(t, "Allow", "GET, HEAD")
	post("/small", "abc").Want(t, 200)
	post("/small", "abcd").Want(t, 413)
	has(ask("GET /behind/x?y HTTP/1.1\r\n").Want(t, 200), t, "GET /behind/x?y for=127.0.0.1 host=Site.example:80")
	has(ask("GET /behind/x? HTTP/1.1\r\n").Want(t, 200), t, "GET /behind/x? for=127.0.0.1 host=Site.example:80")
	post("/behind/z", "body").Want(t, 200, "POST /behind/z", "body")
	behind.Close()
	ask("GET /behind/x HTTP/1.1\r\n").Want(t, 502)
}

func TestRouteErrorsAreReportedWithFileLineAndKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Must(t, os.Mkdir(dir+"/site", 0o755))
	fapwstest.Write(t, dir+"/users", "ann:plain\n")
	fapwstest.Write(t, dir+"/app.py", "")
	mistakes := map[string]string{
		`redirect = "nowhere"`:               `: redirect: "nowhere" is neither a URL nor an absolute path`,
		`redirect = "javascript:x"`:          `"javascript:x" is neither a URL nor an absolute path`,
		`redirect = "/${what}"`:              `$ must be followed by one of {path}`,
		`redirect = "/x"` + "\nstatus = 200": `200 is not a redirect status`,
		`rewrite = "http://x/"`:              `is not an absolute path`,
		`proxy = "localhost"`: `"localhost" is not one of http://host:port, ` +
			`https://host:port, unix:/path`,
		"proxy = 'http://[::1]'\nproxy-sticky = true":  `proxy-sticky: requires several servers in proxy`,
		"proxy = 'http://[::1]'\nproxy-health = 'a b'": `proxy-health: "a b" is not a path, such as "/healthz"`,
		"proxy = 'http://[::1]'\nproxy-health = 'http://a b/'": `proxy-health: "http://a b/" is not a path, such as "/healthz", ` +
			`and not "http://host/path"`,
		"proxy = 'http://[::1]'\nproxy-health = 'https://a'": `proxy-health: "https://a" is not a path`,
		"status = 204\nproxy-idle = '20s'":                   `proxy-idle: requires proxy, such as proxy = "http://`,
		`proxy = ["http://a", "b"]`:                          `"b" is not one of http://host:port, https://host:port`,
		`proxy = ["http://[::1]", "http://[::1]"]`:           `proxy: http://[::1] is listed twice`,

		"proxy = \"https://localhost\"\nproxy-tls-ca = \"missing\"": `: proxy-tls-ca: open `,
		"proxy = \"https://localhost\"\nproxy-tls-ca = \"users\"":   `users: no PEM certificate found`,
		"proxy = \"https://localhost\"\nproxy-tls-ca = " +
			"\"users\"\nproxy-tls-verify = false": `has no effect with proxy-tls-verify = false`,
		"proxy = \"http://localhost\"\nproxy-tls-verify = false": `http://localhost does not use TLS`,
		"proxy = \"https://localhost\"\nproxy-tls-verify = \"no\"": `proxy-tls-verify = "no", a string: ` +
			`must be true or false`,
		"proxy = \"https://localhost\"\nproxy-tls-nam = \"x\"": `unknown key proxy-tls-nam of [[host.route]], ` +
			`did you mean proxy-tls-name?`,
		"proxy = \"https://localhost\"\nproxy-tls-name = \"a b\"":       `the name that a certificate is for`,
		"proxy = \"http://localhost\"\nproxy-tunnel-timeout = \"soon\"": `must be seconds, or a time`,
		`status = 99`: `status = 99, an integer: must be an integer from 100 to 599`,
		"status = 200\nheaders = { \"Content-Length\" = \"1\" }": `only the server sets Content-Length`,
		"status = 200\nmethods = [\"get\"]":                      `"get" is not a method`,
		"status = 200\nauth = { users = \"users\" }":             `users:1: user ann: unknown kind of hash`,
		"status = 200\nauth = { users = \"missing\" }":           `no such file`,
		"status = 200\nearly-hints = [\"</a.css>\"]":             `early-hints: has no effect with status`,
		"proxy = \"http://localhost\"\nearly-hints = [\"a\"]":    `"a" is not a link`,
		"app = \"app.py\"\nearly-hints = []\nmax-active = 1":     `early-hints = [], an array: must be an array that`,

		"status = 204\nmax-active = 2": "max-active: has no effect with status",

		"max-active = 2": "max-active: has no effect: no application, program or proxy serves its paths",

		"proxy = \"http://localhost\"\nmax-active = 0": "max-active = 0, an integer: must be",

		"status = 204\nrate = \"20r/s\"":                               `rate: must be a rate such as "20/s"`,
		"status = 204\nrate = { rate = \"5/s\", burst = 0 }":           `burst = 0, an integer: must be`,
		"status = 204\nrate = { rate = \"5/s\", by = \"ip\" }":         `by: must be "address", "user" or "header NAME"`,
		"status = 204\nrate = { rate = \"5/s\", by = \"header X Y\" }": `by: must be "address", "user" or "header NAME"`,
		"status = 204\nrate = { rate = \"5/s\", nodelay = true }":      `unknown key nodelay`,
		"status = 204\nrate = { rate = \"5/s burst 9\", burst = 3 }":   `burst: rate = "5/s burst 9" already contains it`,
		"status = 204\nrate = []":                                      `must be at least one limit, or false`,
	}
	config := ""
	for text := range mistakes {
		config += fmt.Sprintf("[[host]]\nname = \"host%d\"\nroot = \"site\"\n", len(config)) +
			"[[host.route]]\nprefix = \"/x\"\n" + text + "\n"
	}
	fapwstest.Write(t, dir+"/fapws.toml", config)
	code, _, stderr := fapwstest.Command{Flags: []string{"check", "--bind", "127.0.0.1:0"}, Dir: dir}.Run(t)
	for text, want := range mistakes {
		fapwstest.Truef(t, strings.Contains(stderr, want), "%s: no %s", text, want)
	}
	if lines := strings.Split(strings.TrimSpace(stderr), "\n"); code != 2 || len(lines) != len(mistakes) {
		t.Errorf("code %d, %d lines for %d mistakes: %s", code, len(lines), len(mistakes), stderr)
	}
}

// The proxy removes hop-by-hop fields such as Connection, and the fields that control channels of fapws. It discards
// bytes after a response.
func TestProxyForwardsFieldsAndBodies(t *testing.T) {
	t.Parallel()
	behind := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "behind")
		w.Header().Set("Keep-Alive", "timeout=5")
		w.Header().Set("Fapws-Channel", "news")
		switch r.URL.Path {
		case "/base/fields":
			for _, name := range []string{"Forwarded", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Te",
				"Keep-Alive", "X-Named", "X_other", "User-Agent", "Cookie"} {
				fmt.Fprintf(w, "%s=%q ", name, r.Header[name])
			}
			fmt.Fprint(w, r.RequestURI, " ", r.Host)
		case "/base/body":
			if r.ContentLength < 0 {
				w.WriteHeader(411)
			}
			io.Copy(w, r.Body)
		default:
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
			io.Copy(io.Discard, c)
		}
	}))
	socket := t.TempDir() + "/s"
	ln := fapwstest.Try(net.Listen("unix", socket)).Must(t)
	behind.Listener.Close()
	behind.Listener = ln
	behind.Start()
	t.Cleanup(behind.Close)
	log := t.TempDir() + "/errors"
	s := fapwstest.ServeProxy(t, "unix:"+socket+":/base/", "", "--error-log", log)
	a := s.Get("/fields?a=%zz", 200, "Cookie: a", "Keep-Alive: 1", "TE: gzip", "Connection: X-Named", "X-Named: 1",
		"X_Other: 1")
	a.Is(t, `Forwarded=["for=127.0.0.1;proto=http;host=\"test\""] X-Forwarded-Host=["test"] X-Forwarded-Proto=["http"] `+
		`X-Real-Ip=["127.0.0.1"] `+
		`Te=[] Keep-Alive=[] X-Named=[] X_other=[] User-Agent=[] Cookie=["a"] /base/fields?a=%zz test`)
	a.Field(t, "Server", "behind", "Fapws-Channel", "", "Keep-Alive", "", "Content-Type", "text/plain; charset=utf-8")
	fapwstest.Truef(t, len(a.Header["Date"]) == 1 && len(a.Header["Server"]) == 1, "%q", a.Header)
	for _, size := range []int{5, 2 << 20} {
		body := strings.Repeat("x", size)
		s.Ask(fapwstest.Request("POST", "/body", body)).Is(t, body)
		s.Ask(fmt.Sprintf("POST /body HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: "+
			"chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", size, body)).Is(t, body)
	}
	wanted := regexp.MustCompile(`(?m)^\[[^]]*\] \[warning\] \[client [^]]*\] \[request \w{8}\] proxy unix:\S+: closed the connection: ` +
		`unexpected data after a response: ".*evil"`)
	fapwstest.Eventually(t, "the log has it", func() bool {
		s.Get("/none", 204)
		return wanted.MatchString(fapwstest.TextOf(t, log))
	})
}

// ownPageForm matches pages that the server itself makes for browsers, which have a sentence and a link back.
var ownPageForm = regexp.MustCompile(`(?s)^<!doctype html>.*color-scheme:light dark.*<h1>[A-Z][^<]+</h1>\n` +
	`<p>[^<]+</p>\n<p>(<a class="do" href="">Try again</a> )?<a class="do" href="/">Home page</a></p>`)

func ownPage(t *testing.T, a *fapwstest.Answer) {
	t.Helper()
	a.Field(t, "Content-Type", "text/html; charset=utf-8")
	fapwstest.Truef(t, ownPageForm.MatchString(a.Text), "%d is %q", a.StatusCode, a.Text)
}

func TestErrorsOfAllSourcesHaveTheSamePage(t *testing.T) {
	gone := fapwstest.Try(net.Listen("tcp", "127.0.0.1:0")).Must(t)
	fapwstest.Must(t, gone.Close())
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Forks}, func(t *testing.T, m fapwstest.Mode) {
		dir := t.TempDir()
		fapwstest.Write(t, dir+"/app.py", `
import time

from fapws import HTTPError


def application(environ, start_response):
    what = environ["PATH_INFO"]
    if what == "/waits":
        time.sleep(3)
    if what == "/missing":
        raise HTTPError(404)
    if what == "/wrong":
        return 5
    raise ValueError(what)
`)
		fapwstest.Write(t, dir+"/cgi/empty", "#!/bin/sh\n")
		fapwstest.Must(t, os.Chmod(dir+"/cgi/empty", 0o755))
		conf := fapwstest.Write(t, dir+"/fapws.toml", `
[[host]]
route = [
  { prefix = "/app", app = "app.py:application" },
  { prefix = "/cgi", cgi = "cgi" },
  { prefix = "/gone", proxy = "http://`+gone.Addr().String()+`" },
  { prefix = "/none", status = 404 },
]
`)
		s := fapwstest.Command{Flags: []string{"--timeout", "1", "-c", conf}, Dir: dir, Complains: true}.Serve(t, m)
		for target, status := range map[string]int{"/app/raises": 500, "/app/wrong": 500, "/app/waits": 504,
			"/cgi/empty": 502, "/gone/": 502} {
			ownPage(t, s.Get(target, status, "Accept: text/html"))
			s.Get(target, status, "Accept: application/json").Field(t, "Content-Type", "text/plain; charset=utf-8")
		}
		own, raised := s.Get("/none", 404, "Accept: text/html"), s.Get("/app/missing", 404, "Accept: text/html")
		fapwstest.Equalf(t, own.Text, raised.Text, "HTTPError")
	})
}

func TestErrorsOfASGIApplicationsHaveTheSamePage(t *testing.T) {
	script := fapwstest.Write(t, t.TempDir()+"/app.py", `
import asyncio


async def application(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    if scope["path"] == "/waits":
        await asyncio.sleep(5)
    if scope["path"] == "/raises":
        raise ValueError
`)
	s := fapwstest.Command{Flags: []string{"--timeout", "1"}, Script: script, Complains: true}.Serve(t, fapwstest.Threads)
	for target, status := range map[string]int{"/raises": 500, "/nothing": 500, "/waits": 504} {
		ownPage(t, s.Get(target, status, "Accept: text/html"))
		s.Get(target, status).Field(t, "Content-Type", "text/plain; charset=utf-8")
	}
}
