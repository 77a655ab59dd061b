package sites_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

const remoteUserApp = `
async def asgi(scope, receive, send):
    users = [value.decode() for name, value in scope["headers"] if name.replace(b"_", b"-") == b"remote-user"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": f"{users}".encode()})

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{[environ[key] for key in ('REMOTE_USER', 'HTTP_REMOTE_USER') if key in environ]}".encode()]
`

const remoteUserSite = `h2c = true
[[host]]
[[host.route]]
prefix = "/asgi/in"
app = "user.py:asgi"
%[1]s
[[host.route]]
prefix = "/asgi/"
app = "user.py:asgi"
[[host.route]]
prefix = "/wsgi/in"
app = "user.py:wsgi"
%[1]s
[[host.route]]
prefix = "/wsgi/"
app = "user.py:wsgi"
[[host.route]]
prefix = "/proxy/in"
proxy = "%[2]s"
%[1]s
[[host.route]]
prefix = "/proxy/"
proxy = "%[2]s"
`

func TestRemoteUserCannotBeForged(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		users := []string{}
		for _, name := range []string{"Remote-User", "Remote_user"} {
			for _, user := range r.Header[name] {
				users = append(users, "'"+user+"'")
			}
		}
		fmt.Fprintf(w, "[%s]", strings.Join(users, ", "))
	}))
	t.Cleanup(upstream.Close)
	files := map[string]string{"user.py": remoteUserApp, "users": "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"}
	const login = "Authorization: Basic YW5uOnNlY3JldA=="
	forged := []string{"Remote-User: root", "REMOTE-USER: root", "remote_user: root", "X: y", "Remote_User: root"}
	t.Run("users", func(t *testing.T) {
		t.Parallel()
		s, _ := configured(t, fapwstest.Threads, fmt.Sprintf(remoteUserSite, `auth = { users = "users" }`,
			upstream.URL), files)
		c := s.Dial()
		for range 2 {
			for _, prefix := range []string{"/asgi/", "/wsgi/", "/proxy/"} {
				for _, fields := range [][]string{nil, forged} {
					c.Send(fapwstest.Get(prefix, fields...))
					c.Answer().Is(t, "[]")
					c.Send(fapwstest.Get(prefix+"in", append(fields, login)...))
					c.Answer().Is(t, "['ann']")
					c.Send(fapwstest.Get(prefix+"?a", append(fields, login)...))
					c.Answer().Is(t, "[]")
				}
			}
		}
		for _, prefix := range []string{"/asgi/", "/wsgi/", "/proxy/"} {
			if out, err := exec.Command("curl", "-s", "--http2-prior-knowledge", "-H", forged[0], "-H", forged[2],
				s.URL+prefix).Output(); err != nil || string(out) != "[]" {
				t.Errorf("HTTP/2: %v %s", err, out)
			}
		}
	})
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		site := "forwarded-allow-ips = \"127.0.0.1\"\n" + fmt.Sprintf(remoteUserSite, "", upstream.URL)
		s, _ := configured(t, fapwstest.Threads, site, files)
		for _, prefix := range []string{"/asgi/", "/wsgi/", "/proxy/"} {
			s.Get(prefix, 200, "Remote-User: ann").Is(t, "['ann']")
		}
	})
}
