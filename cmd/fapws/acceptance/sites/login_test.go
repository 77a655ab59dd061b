package sites_test

import (
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

type visitor struct {
	t      *testing.T
	url    string
	client http.Client
}

func visit(t *testing.T, url string) *visitor {
	t.Helper()
	jar := fapwstest.Try(cookiejar.New(nil)).Must(t)
	return &visitor{t, url, http.Client{
		Jar:           jar,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

type reply struct {
	*http.Response
	body string
}

func (v *visitor) ask(method, path, body string, fields ...string) reply {
	v.t.Helper()
	r := fapwstest.Try(http.NewRequest(method, v.url+path, strings.NewReader(body))).Must(v.t)
	r.Header.Set("Accept", "text/html")
	if method == "POST" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", v.url)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	a := fapwstest.Try(v.client.Do(r)).Must(v.t)
	defer a.Body.Close()
	return reply{a, string(fapwstest.Try(io.ReadAll(a.Body)).Must(v.t))}
}

func (v *visitor) get(path string, fields ...string) reply { return v.ask("GET", path, "", fields...) }

// want checks that the response has this status and contains text. A text "Location: x" checks the field Location.
func (r reply) want(t *testing.T, status int, text string) reply {
	t.Helper()
	got := r.body
	if strings.HasPrefix(text, "Location: ") {
		got = "Location: " + r.Header.Get("Location") + "$"
		text += "$"
	}
	fapwstest.Truef(t, r.StatusCode == status && strings.Contains(got, text), "%s %s: %s %q, want %d %q", r.Request.Method,
		r.Request.URL, r.Status, got, status, text)
	return r
}

var tokenOf = regexp.MustCompile(`name="token" value="([^"]+)"`)

func (v *visitor) logIn(name, password, next string, more ...string) reply {
	v.t.Helper()
	token := tokenOf.FindStringSubmatch(v.get("/_fapws/login").body)
	fapwstest.Needf(v.t, token != nil, "no form")
	form := url.Values{"token": {token[1]}, "name": {name}, "password": {password}, "next": {next}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return v.ask("POST", "/_fapws/login", form.Encode())
}

func (v *visitor) session() *http.Cookie {
	v.t.Helper()
	for _, c := range v.client.Jar.Cookies(fapwstest.Try(url.Parse(v.url)).Must(v.t)) {
		if !strings.HasSuffix(c.Name, "-form") {
			return c
		}
	}
	v.t.Fatal("no session")
	return nil
}

func users(t *testing.T, file, password string, args ...string) string {
	t.Helper()
	cmd := exec.Command(fapwstest.Binary(t), append([]string{"user", "-f", file}, args...)...)
	cmd.Env, cmd.Stdin = fapwstest.CleanEnviron(), strings.NewReader(password+"\n")
	out, err := cmd.CombinedOutput()
	fapwstest.Truef(t, err == nil, "fapws user %v: %v %s", args, err, out)
	return string(out)
}

func TestUserCommandAddsAndRemovesUsers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	users(t, dir+"/users", "long enough", "add", "ann")
	fapwstest.Equal(t, fapwstest.Try(os.Stat(dir+"/users")).Must(t).Mode(), 0o600)
	text := func() string { return fapwstest.Source(t, dir+"/users") }
	hash := strings.TrimSpace(text())
	file := fapwstest.Write(t, dir+"/users", "# people\n\nold:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=:a comment\r\n"+hash)
	fapwstest.Must(t, errors.Join(os.Chmod(file, 0o640), os.Symlink(file, dir+"/link")))
	users(t, dir+"/link", "long enough", "add", "bob")
	before := text()
	for _, wrong := range [][]string{{"passwd", "eve"}, {"add", "eve\nroot"}} {
		code, _, _ := fapwstest.Command{Flags: append([]string{"user", "-f", file}, wrong...)}.Run(t)
		fapwstest.Truef(t, code == 2 && text() == before, "%q: code %d, %s", wrong, code, text())
	}
	users(t, file, "another one", "passwd", "ann")
	users(t, file, "", "remove", "bob")
	got := text()
	fapwstest.Truef(t, strings.HasPrefix(got, "# people\n\nold:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=:a comment\nann:$2y$") &&
		!strings.Contains(got, hash) && strings.Count(got, "\n") == 4, "%s", got)
	fapwstest.Equal(t, fapwstest.Try(os.Stat(file)).Must(t).Mode(), 0o640)
	left, err := os.ReadDir(dir)
	fapwstest.Truef(t, err == nil && len(left) == 2 && left[0].Type() == os.ModeSymlink, "%v %v", left, err)
}

func sha(password string) string {
	sum := sha1.Sum([]byte(password))
	return "{SHA}" + base64.StdEncoding.EncodeToString(sum[:])
}

// If the changed file is damaged, the server keeps the previous users.
func TestUsersOfAFileLogInByBasicAuthentication(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := fapwstest.Write(t, dir+"/users", "one:"+sha("first")+"\r\ntwo:"+sha("a:b")+":Comment\n")
	config := fapwstest.Write(t, dir+"/fapws.toml", `
[[host]]
route = [{ prefix = "/", status = 200, text = "in", auth = { realm = 'the "inner" circle', users = "users" } }]
`)
	s := fapwstest.Command{Flags: []string{"-c", config}, Dir: dir}.Serve(t, fapwstest.Threads)
	s.Get("/", 401).Field(t, "WWW-Authenticate", `Basic realm="the \"inner\" circle", charset="UTF-8"`)
	encoded := func(pair string) string { return base64.StdEncoding.EncodeToString([]byte(pair)) }
	asks := func(credentials string) int {
		return s.Ask(fapwstest.Get("/", "Authorization: "+credentials)).StatusCode
	}
	for range 2 {
		for _, right := range []string{"Basic " + encoded("one:first"), "Basic " + encoded("two:a:b"),
			"bAsIc  " + encoded("one:first")} {
			fapwstest.Equalf(t, asks(right), 200, "%s", right)
		}
		for _, wrong := range []string{
			"Basic " + encoded("one:second"), "Basic " + encoded("one:"), "Basic " + encoded(":first"),
			"Basic " + encoded("three:first"), "Basic", "Basic !", "Bearer abc", "",
			"Basic " + encoded(strings.Repeat("x", 2000)+":first"), "Basic " + encoded("one\n:first"),
		} {
			fapwstest.Equalf(t, asks(wrong), 401, "%s", wrong)
		}
	}
	fapwstest.Replace(t, file, "one:"+sha("third")+"\n")
	fapwstest.Eventually(t, "the new password is right", func() bool { return asks("Basic "+encoded("one:third")) == 200 })
	fapwstest.Equalf(t, asks("Basic "+encoded("one:first")), 401, "the old password")
	fapwstest.Replace(t, file, "one\n")
	damaged := file + ":1: not user:hash; the previous users stay valid"
	fapwstest.Eventually(t, "the damage is reported, and the password is right", func() bool {
		return asks("Basic "+encoded("one:third")) == 200 && strings.Contains(s.Stderr.String(), damaged)
	})
	fapwstest.Equalf(t, strings.Count(s.Stderr.String(), damaged), 1, "reports")
}

func TestWorkersShareSessionsUntilLogout(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, state := filepath.Join(dir, "users"), filepath.Join(dir, "state")
	fapwstest.Write(t, dir+"/www/page.txt", "nothing")
	users(t, file, "correct horse", "add", "ann")
	long, tooLong := strings.Repeat("x", 1000), strings.Repeat("x", 2000)
	fapwstest.Write(t, file, fapwstest.Read(t, file)+"long:"+sha(long)+"\ntoolong:"+sha(tooLong)+"\n")
	command := fapwstest.Command{Script: fapwstest.Write(t, dir+"/app.py", loginScript+socketScript), Dir: dir,
		Flags: []string{"--login", file, "--state-dir", state, "--status", "/_fapws", "--sandbox", "--static", "/f/=" + dir}}
	s := command.Serve(t, fapwstest.Workers)
	ann, guest := visit(t, s.URL), visit(t, s.URL)

	guest.get("/a?b=c&d").want(t, 303, "Location: /_fapws/login?next=%2Fa%3Fb%3Dc%26d")
	for _, other := range []reply{
		guest.get("/a", "Accept", "application/json"), guest.ask("POST", "/a", ""),
		guest.get("/f/www/page.txt", "Accept", "*/*"),
		guest.get("/ws", "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13",
			"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
		guest.get("/a", "Authorization", "Basic YW5uOmNvcnJlY3QgaG9yc2U=", "Accept", "*/*"),
	} {
		fapwstest.Equalf(t, other.want(t, 401, "").Header.Get("WWW-Authenticate"), `Cookie realm="login"`, "%v", other.Header)
	}
	form := guest.get("/_fapws/login?next=%22%3E%3Cscript%3E").want(t, 200, `value="&#34;&gt;&lt;script&gt;"`)
	fapwstest.Truef(t, strings.Contains(form.Header.Get("Content-Security-Policy"), "default-src 'none'") &&
		form.Header.Get("Cache-Control") == "no-store", "%v", form.Header)

	guest.ask("POST", "/_fapws/login", "name=ann&password=correct+horse").want(t, 400, "had expired")
	guest.ask("POST", "/_fapws/login", "name=ann&password=correct+horse", "Origin", "http://evil.test").want(t, 403,
		"another site")
	guest.ask("POST", "/_fapws/login", `{"name":"ann"}`, "Content-Type", "application/json").want(t, 415, "")
	guest.ask("POST", "/_fapws/login", strings.Repeat("x", 100<<10)).want(t, 413, "")
	guest.ask("PUT", "/_fapws/login", "").want(t, 405, "")
	guest.get("/_fapws/login/x").want(t, 404, "")
	guest.logIn("ann", "wrong", "/").want(t, 403, "Wrong name or password")
	guest.logIn("eve", "correct horse", "/").want(t, 403, "Wrong name or password")
	// A password above 1 KiB is wrong, because some hash functions would need a second for a longer password.
	guest.logIn("toolong", tooLong, "/").want(t, 403, "Wrong name or password")
	visit(t, s.URL).logIn("long", long, "/").want(t, 303, "Location: /")
	s.Says(`login: wrong password for (ann|an unknown user)`)

	for _, next := range []string{"//evil.test/", "https://evil.test/", `/\evil.test`, "/\t/evil.test", "", "evil"} {
		visit(t, s.URL).logIn("ann", "correct horse", next).want(t, 303, "Location: /")
	}
	in := ann.logIn(" ann ", "correct horse", "/a?b=c").want(t, 303, "Location: /a?b=c")
	cookie := in.Header.Get("Set-Cookie")
	fapwstest.Truef(t, strings.Contains(cookie, "; Path=/; HttpOnly; SameSite=Lax") && !strings.Contains(cookie, "Secure"),
		"%s", cookie)
	own := ann.session()
	foreign := strings.Repeat(own.Name+"=; ", 100) + strings.Repeat(own.Name+"="+strings.Repeat("x", len(own.Value))+
		"; ", 40)
	visit(t, s.URL).get("/a", "Cookie", foreign+own.Name+"="+own.Value).want(t, 200, "GET ann form")
	for range 4 {
		a := ann.get("/a", "Remote-User", "root", "Auth-Type", "x").want(t, 200, "GET ann form")
		fapwstest.Equalf(t, a.Header.Get("Cache-Control"), "private", "%v", a.Header)
	}
	ann.ask("POST", "/a", "").want(t, 200, "POST ann form")
	ann.ask("POST", "/a", "", "Origin", "http://evil.test").want(t, 403, "another site")
	ann.ask("POST", "/a", "", "Sec-Fetch-Site", "same-site").want(t, 403, "another site")
	ann.get("/_fapws/status.json").want(t, 200, `"workers"`)
	page := ann.get("/f/www/page.txt").want(t, 200, "nothing")
	fapwstest.Equal(t, page.Header.Values("Cache-Control"), []string{"private"})
	for _, private := range []string{"/f/users", "/f/state/login/key", "/f/state/login/ended"} {
		ann.get(private).want(t, 404, "")
	}
	stolen := visit(t, s.URL)
	cookie = ann.session().Name + "=" + ann.session().Value
	stolen.get("/a", "Cookie", cookie+"A").want(t, 303, "")
	stolen.get("/a", "Cookie", cookie).want(t, 200, "GET ann")

	old := s.Workers()
	for _, replace := range []func(){s.Reload, s.Upgrade} {
		replace()
		s.HasWorkers(2, old...)
		ann.get("/a").want(t, 200, "GET ann form")
		old = s.Workers()
	}
	fapwstest.Kill(t, syscall.SIGKILL, old...)
	s.HasWorkers(2, old...)
	ann.get("/a").want(t, 200, "GET ann form")

	// A logout needs a POST from a form of this site. The logout ends the session, so copies of the cookie are no
	// longer valid.
	ann.get("/_fapws/logout").want(t, 200, "You are logged in as ann")
	ann.ask("POST", "/_fapws/logout", "", "Origin", "http://evil.test").want(t, 403, "")
	ann.get("/a").want(t, 200, "GET ann form")
	// On a full disk, the session of the browser ends, and the page says that this is not stored.
	full := visit(t, s.URL)
	full.logIn("ann", "correct horse", "/a").want(t, 303, "")
	fapwstest.Must(t, os.Rename(state, state+".away"))
	fapwstest.Must(t, os.WriteFile(state, nil, 0o600))
	full.ask("POST", "/_fapws/logout", "").want(t, 303, "Location: /_fapws/login?unstored")
	full.get("/_fapws/login?unstored").want(t, 200, "You are logged out in this browser")
	full.get("/a").want(t, 303, "Location: /_fapws/login?next=%2Fa")
	s.Says("login: a session has ended, but other processes and a restarted server still accept it")
	fapwstest.Must(t, os.Remove(state))
	fapwstest.Must(t, os.Rename(state+".away", state))

	ann.ask("POST", "/_fapws/logout", "").want(t, 303, "Location: /_fapws/login?out")
	for range 6 {
		stolen.get("/a", "Cookie", cookie).want(t, 303, "Location: /_fapws/login?next=%2Fa")
	}
	ann.get("/_fapws/login?out").want(t, 200, "You are logged out")

	ann.logIn("ann", "correct horse", "/").want(t, 303, "Location: /")
	second := visit(t, s.URL)
	second.logIn("ann", "correct horse", "/").want(t, 303, "Location: /")
	second.ask("POST", "/_fapws/logout", "all=1").want(t, 303, "")
	for range 4 {
		ann.get("/a").want(t, 303, "")
	}
	ann.logIn("ann", "correct horse", "/").want(t, 303, "Location: /")

	s.Stop()
	s = command.Serve(t, fapwstest.Workers)
	ann.url, stolen.url = s.URL, s.URL
	ann.get("/a").want(t, 200, "GET ann form")
	stolen.get("/a", "Cookie", cookie).want(t, 303, "")
	users(t, file, "another horse", "passwd", "ann")
	ann.get("/a").want(t, 303, "")
	ann.logIn("ann", "correct horse", "/").want(t, 403, "")
	ann.logIn("ann", "another horse", "/").want(t, 303, "")
	ann.get("/a").want(t, 200, "GET ann form")

	// The key file was truncated, for example by a power failure.
	s.Stop()
	fapwstest.Must(t, os.Truncate(filepath.Join(state, "login", "key"), 20))
	command.Complains = true
	s = command.Serve(t, fapwstest.Workers)
	s.Says(`warning the key of sessions, \S+/login/key, was damaged`)
	ann.url = s.URL
	ann.logIn("ann", "another horse", "/").want(t, 303, "Location: /")
	ann.get("/a").want(t, 200, "GET ann form")
	ann.get("/a").want(t, 200, "GET ann form")
	users(t, file, "", "remove", "ann")
	ann.get("/a").want(t, 303, "")
}

const loginScript = `import fapws

def who(environ, start_response):
    return " ".join([
        environ["REQUEST_METHOD"], environ.get("REMOTE_USER", "-"), environ.get("AUTH_TYPE", "-"),
        environ.get("SERVER_PROTOCOL"),
    ])

PATHS = [("/in", fapws.Login(who, "users", title="A & B")), ("/", who)]
`

const socketScript = `
PATHS.insert(0, ("/ws", fapws.WebSocket(on_message=lambda ws, message: ws.send(message))))
`

func TestOnlyTheCodeInTheLogCreatesTheFirstUser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := fapwstest.Command{Script: fapwstest.Write(t, dir+"/app.py", loginScript), Dir: dir,
		Flags: []string{"--state-dir", dir + "/state", "--static", "/f/=" + dir}}.Serve(t, fapwstest.Workers)
	code := s.Says(`has no user yet; .* with the code (\S+),`)[1]
	fapwstest.Equalf(t, strings.Count(s.Stderr.String(), code), 1, "places that show the code")
	s.Says(`or type: fapws user add -f ` + dir + `/\w+\n`)
	v := visit(t, s.URL)
	v.get("/out").want(t, 200, "GET - - HTTP/1.1")
	v.get("/in").want(t, 303, "Location: /_fapws/login?next=%2Fin")
	v.get("/_fapws/login").want(t, 200, "<h1>A &amp; B</h1>").want(t, 200, `name="code"`)
	for _, wrong := range []struct{ code, password, again, want string }{
		{"", "correct horse", "correct horse", "Wrong code"},
		{"AAAA-AAAA-AAAA", "correct horse", "correct horse", "Wrong code"},
		{code, "correct horse", "other", "differ"},
		{code, "short", "short", "at least 8 characters"},
	} {
		v.logIn("ann", wrong.password, "/in", "code", wrong.code, "again", wrong.again).want(t, 403, wrong.want)
		// If the code is right but the server rejects the new password, the form keeps the code and asks for a
		// different password.
		kept := ""
		if wrong.code == code {
			kept = code
		}
		v.logIn("ann", wrong.password, "/in", "code", wrong.code, "again", wrong.again).want(t, 403,
			`name="code" value="`+kept+`"`)
	}
	fapwstest.Truef(t, !fapwstest.Exists(dir+"/users"), "a wrong code has made a user")
	v.logIn("ann", "correct horse", "/in", "code", code, "again", "correct horse").want(t, 303, "Location: /in")
	for range 4 {
		v.get("/in").want(t, 200, "GET ann form HTTP/1.1")
		v.get("/f/users").want(t, 404, "")
	}
	eve := visit(t, s.URL)
	fapwstest.Truef(t, !strings.Contains(eve.get("/_fapws/login").body, `name="code"`), "a second user is made")
	eve.logIn("eve", "correct horse", "/in", "code", code, "again", "correct horse").want(t, 403, "Wrong name or password")
	fapwstest.Equalf(t, strings.Count(fapwstest.Read(t, dir+"/users"), "\n"), 1, "users")
}
