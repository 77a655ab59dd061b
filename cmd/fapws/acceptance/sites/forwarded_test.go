package sites_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

const forwardingApp = `
async def asgi(scope, receive, send):
    text = scope["scheme"] + repr(scope["client"]) + repr(scope["headers"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": text.encode()})

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [repr({key: value for key, value in environ.items() if type(value) is str}).encode()]
`

const forwardingSite = `h2c = true
%[1]s
[[host]]
route = [
  %[3]s
  { prefix = "/asgi/", app = "seen.py:asgi" },
  { prefix = "/wsgi/", app = "seen.py:wsgi" },
  { prefix = "/cgi/", cgi = "cgi" },
  { prefix = "/proxy/", proxy = "%[2]s" },
]
`

// The server removes the field Proxy, because CGI programs would use it as HTTP_PROXY. Only the server itself sets
// Remote-User, if the route of a request has users. Without users, a trusted proxy may set it.
func TestForwardingFieldsOfUntrustedClientsAreRemoved(t *testing.T) {
	t.Parallel()
	upstream := fapwstest.Upstream(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header) })
	files := map[string]string{"seen.py": forwardingApp, "cgi/seen.sh": shell(plain, "env"),
		"users": "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"}
	const login, rule = "Authorization: Basic YW5uOnNlY3JldA==", `{ match = "*.in", auth = { users = "users" } },`
	fields := []string{"X-Honest: mark"}
	for _, name := range []string{
		"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix",
		"X-Forwarded-Ssl", "X-Forwarded-Protocol",
		"X-Forwarded-User", "X-Real-IP", "X-Ingress-Path", "Remote-User", "Forwarded", "Proxy",
	} {
		fields = append(fields, name+": evil", strings.ToLower(name)+": evil", strings.ReplaceAll(name, "-", "_")+
			": evil", strings.ToUpper(name)+": evil")
	}
	paths := []string{"/asgi/", "/wsgi/", "/cgi/seen.sh", "/proxy/"}
	s, _ := configured(t, fapwstest.Threads, fmt.Sprintf(forwardingSite, "", upstream.URL, rule), files)
	c := s.Dial()
	for range 3 {
		for _, path := range paths {
			c.Send(fapwstest.Get(path, append(fields, "X-Last: still here")...), fapwstest.Get(path, "X-Next: whole"))
			for _, mark := range []string{"still here", "whole"} {
				got := c.Answer().Want(t, 200).Text
				fapwstest.Truef(t, !strings.Contains(got, "evil") && strings.Contains(got, mark), "%s: %s", path, got)
			}
			for target, users := range map[string]int{path: 0, strings.TrimSuffix(path, "/") + "/x.in": 1} {
				c.Send(fapwstest.Get(target, append(fields, login)...))
				if got := c.Answer().Want(t, 200).Text; strings.Contains(got, "evil") || strings.Count(got, "ann") != users {
					t.Errorf("%s with a login: %s", target, got)
				}
			}
		}
	}
	for _, path := range paths {
		args := []string{"--http2-prior-knowledge", s.URL + path}
		for _, field := range fields {
			args = append(args, "-H", field)
		}
		out := curl(t, args...)
		fapwstest.Truef(t, !strings.Contains(out, "evil") && strings.Contains(out, "mark"), "HTTP/2 %s: %s", path, out)
	}
	s.Says(`X-Forwarded-\*, X-Real-IP and Remote-User are removed, because 127\.0\.0\.1 is not a trusted proxy; ` +
		`.* --forwarded-allow-ips 127\.0\.0\.1`)
	lines := strings.Count(s.Stderr.String(), "are removed")
	fapwstest.Truef(t, lines <= 1, "%d log lines", lines)
	s, _ = configured(t, fapwstest.Threads, fmt.Sprintf(forwardingSite, `forwarded-allow-ips = "127.0.0.1"`,
		upstream.URL, ""), files)
	for i, path := range paths {
		got := s.Get(path, 200, "X-Forwarded-Ssl: good", "X-Real-IP: good", "Remote-User: good").Text
		fapwstest.Truef(t, (i >= 3 || strings.Count(got, "good") == 3) && strings.Contains(got, "good"), "%s: %s", path, got)
	}
}

const emptyHostSite = `
[[host]]
route = [
  { prefix = "/wsgi/", app = "seen.py:wsgi" },
  { prefix = "/cgi/", cgi = "cgi" },
  { prefix = "/proxy/", proxy = "%s" },
  { prefix = "/files/", files = "cgi" },
]
[[host]]
name = "other.test"
app = "seen.py:wsgi"
`

// The field Host is then the last field of the head, behind a field that the server removes, and is empty (RFC 9110
// §7.2).
func TestRequestWithAnEmptyHostAfterARemovedFieldIsServed(t *testing.T) {
	upstream := fapwstest.Upstream(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header) })
	files := map[string]string{"seen.py": forwardingApp, "cgi/seen.sh": shell(plain, "env")}
	modes := append(slices.Clone(fapwstest.Modes), fapwstest.Forks, fapwstest.Mode{Name: "dev", Flags: []string{"--dev"}},
		fapwstest.Mode{Name: "ids", Flags: []string{"--request-id", "--trace"}})
	fapwstest.InEach(t, modes, func(t *testing.T, m fapwstest.Mode) {
		s, _ := configured(t, m, fmt.Sprintf(emptyHostSite, upstream.URL), files)
		for _, path := range []string{"/wsgi/", "/cgi/seen.sh", "/proxy/", "/files/seen.sh"} {
			for _, removed := range []string{"X-Forwarded-For", "x_real_ip", "Forwarded", "Proxy", "traceparent",
				"X-Request-ID", "Remote-User"} {
				for _, rest := range []string{"Host:\r\n", "Host: \t \r\n", "Upgrade: \r\nHost:\r\n", "Host:\r\nUpgrade:\r\n"} {
					got := s.Ask("GET " + path + " HTTP/1.1\r\nConnection: close\r\n" + removed + ": evil\r\n" + rest + "\r\n")
					fapwstest.Truef(t, got.StatusCode == 200, "%s, %s, %q: %d %s", path, removed, rest, got.StatusCode, got.Text)
				}
			}
		}
		fapwstest.Lacks(t, s.Stderr.String(), "bug")
	})
}

const schemeApp = `import fapws

async def asgi(scope, receive, send):
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": scope["scheme"]})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["scheme"].encode()})

def wsgi(environ, start_response):
    return environ["wsgi.url_scheme"] + " " + environ.get("HTTPS", "off")

PATHS = [("/ws", fapws.WebSocket(on_open=lambda ws: ws.send(ws.environ["wsgi.url_scheme"]))), ("/", wsgi)]
`

const schemeSite = `forwarded-allow-ips = "127.0.0.1"
[[host]]
name = "scheme.test"
default = true
route = [
  { prefix = "/asgi", app = "app.py:asgi" },
  { prefix = "/proxy/", proxy = "%s" },
  { prefix = "/", app = "app.py:PATHS" },
]
[[host]]
name = "redirect.test"
https-redirect = true
app = "app.py:PATHS"
[[host]]
name = "login.test"
login = "users"
app = "app.py:PATHS"
`

// Each part of the server treats the scheme wss as https and ws as http, because Traefik uses wss and ws in the fields
// of a WebSocket handshake.
func TestForwardedSchemeWSSIsHTTPS(t *testing.T) {
	t.Parallel()
	upstream := fapwstest.Upstream(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("X-Forwarded-Proto"), " ", r.Header.Get("Forwarded"))
	})
	s, folder := configured(t, fapwstest.Threads, fmt.Sprintf(schemeSite, upstream.URL),
		map[string]string{"app.py": schemeApp, "users": ""})
	users(t, folder+"/users", "correct horse", "add", "ann")
	for field, secure := range map[string]bool{
		"X-Forwarded-Proto: wss": true, "X-Forwarded-Proto: ws": false, "X-Forwarded-Proto: WSS": true,
		"X-Forwarded-Proto: https":           true,
		"Forwarded: for=192.0.2.7;proto=wss": true, "Forwarded: for=192.0.2.7;proto=ws": false,
	} {
		scheme, webSocket, https := "http", "ws", "off"
		if secure {
			scheme, webSocket, https = "https", "wss", "on"
		}
		fapwstest.Hears(t, s.Socket("/asgi", field), webSocket)
		fapwstest.Hears(t, s.Socket("/ws", field), scheme)
		s.Get("/asgi", 200, field).Is(t, scheme)
		s.Get("/", 200, field).Is(t, scheme+" "+https)
		got := s.Get("/proxy/", 200, field).Text
		fapwstest.Truef(t, strings.HasPrefix(got, scheme+" ") && strings.Contains(got, ";proto="+scheme+";"),
			"%s: the upstream gets %s", field, got)
		to := field + "\r\nX-Forwarded-Host: redirect.test"
		if strings.HasPrefix(field, "Forwarded") {
			to = field + ";host=redirect.test"
		}
		if secure {
			fapwstest.Hears(t, s.Socket("/ws", to), scheme)
		} else {
			fapwstest.DeniesSocket(t, s.Address, 308, "", "/ws", to)
		}
	}

	// A session that began over https is also valid for a WebSocket handshake with the scheme wss.
	const secure, insecure = "X-Forwarded-Proto: wss", "X-Forwarded-Proto: ws"
	form := s.Get("/_fapws/login", 200, "X-Forwarded-Host: login.test", "X-Forwarded-Proto: https")
	token := tokenOf.FindStringSubmatch(form.Text)
	fapwstest.Needf(t, token != nil, "%q", form.Text)
	body := url.Values{"token": {token[1]}, "name": {"ann"}, "password": {"correct horse"}, "next": {"/"}}.Encode()
	in := s.Ask(fapwstest.Request("POST", "/_fapws/login", body, "X-Forwarded-Host: login.test",
		"X-Forwarded-Proto: https", "Origin: https://login.test",
		"Content-Type: application/x-www-form-urlencoded", "Cookie: "+cookiesOf(form.Response))).Want(t, 303)
	cookie := "Cookie: " + cookiesOf(in.Response)
	fapwstest.Hears(t, s.Socket("/ws", secure, "X-Forwarded-Host: login.test", "Origin: https://login.test", cookie),
		"https")
	fapwstest.DeniesSocket(t, s.Address, 401, "", "/ws", insecure, "X-Forwarded-Host: login.test", cookie)

	for range 3 {
		s.Get("/", 200, "X-Forwarded-Proto: gopher").Is(t, "http off")
		s.Get("/", 200)
		s.Get("/", 200, "Forwarded: for=192.0.2.7;proto=wsss").Is(t, "http off")
	}
	s.Says(`warning client \S+: ignored the field X-Forwarded-Proto: "gopher" of a trusted proxy`)
	s.Says(`warning client \S+: ignored the field Forwarded: "wsss" of a trusted proxy`)
	fapwstest.Equalf(t, strings.Count(s.Stderr.String(), "ignored the field"), 2, "lines about two fields")
	for i := range 100 {
		s.Get("/", 200, fmt.Sprint("X-Forwarded-Proto: x", i))
	}
	n := strings.Count(s.Stderr.String(), "ignored the field")
	fapwstest.Truef(t, n <= 16, "%d lines", n)
}

func cookiesOf(r *http.Response) string {
	var pairs []string
	for _, c := range r.Cookies() {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	return strings.Join(pairs, "; ")
}
