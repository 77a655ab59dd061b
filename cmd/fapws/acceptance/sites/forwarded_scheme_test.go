package sites_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

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
[[host.route]]
prefix = "/asgi"
app = "app.py:asgi"
[[host.route]]
prefix = "/proxy/"
proxy = "%s"
[[host.route]]
prefix = "/"
app = "app.py:PATHS"
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
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("X-Forwarded-Proto"), " ", r.Header.Get("Forwarded"))
	}))
	t.Cleanup(upstream.Close)
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
		if got := s.Get("/proxy/", 200, field).Text; !strings.HasPrefix(got, scheme+" ") ||
			!strings.Contains(got, ";proto="+scheme+";") {
			t.Errorf("%s: the upstream gets %s", field, got)
		}
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
	if token == nil {
		t.Fatal(form.Text)
	}
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
	if n := strings.Count(s.Stderr.String(), "ignored the field"); n != 2 {
		t.Errorf("%d lines about two fields:\n%s", n, s.Stderr.String())
	}
	for i := range 100 {
		s.Get("/", 200, fmt.Sprint("X-Forwarded-Proto: x", i))
	}
	if n := strings.Count(s.Stderr.String(), "ignored the field"); n > 16 {
		t.Errorf("%d lines", n)
	}
}

func cookiesOf(r *http.Response) string {
	var pairs []string
	for _, c := range r.Cookies() {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	return strings.Join(pairs, "; ")
}
