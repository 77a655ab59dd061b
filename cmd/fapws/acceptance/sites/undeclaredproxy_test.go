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
[[host.route]]
prefix = "/asgi/"
app = "seen.py:asgi"
[[host.route]]
prefix = "/wsgi/"
app = "seen.py:wsgi"
[[host.route]]
prefix = "/cgi/"
cgi = "cgi"
[[host.route]]
prefix = "/proxy/"
proxy = "%[2]s"
`

// The server removes the field Proxy, because CGI programs would use it as HTTP_PROXY.
func TestForwardingFieldsOfUntrustedClientsAreRemoved(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header)
	}))
	t.Cleanup(upstream.Close)
	files := map[string]string{"seen.py": forwardingApp, "cgi/seen.sh": shell(plain, "env")}
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
	s, _ := configured(t, fapwstest.Threads, fmt.Sprintf(forwardingSite, "", upstream.URL), files)
	c := s.Dial()
	for range 3 {
		for _, path := range paths {
			c.Send(fapwstest.Get(path, append(fields, "X-Last: still here")...), fapwstest.Get(path, "X-Next: whole"))
			for _, mark := range []string{"still here", "whole"} {
				if got := c.Answer().Want(t, 200).Text; strings.Contains(got, "evil") || !strings.Contains(got, mark) {
					t.Errorf("%s: %s", path, got)
				}
			}
		}
	}
	for _, path := range paths {
		curl := []string{"-s", "--http2-prior-knowledge", s.URL + path}
		for _, field := range fields {
			curl = append(curl, "-H", field)
		}
		out, err := exec.Command("curl", curl...).Output()
		if err != nil || strings.Contains(string(out), "evil") || !strings.Contains(string(out), "mark") {
			t.Errorf("HTTP/2 %s: %v %s", path, err, out)
		}
	}
	s.Says(
		`X-Forwarded-\*, X-Real-IP and Remote-User are removed, because 127\.0\.0\.1 is not a trusted proxy; ` +
			`.* --forwarded-allow-ips 127\.0\.0\.1`)
	if lines := strings.Count(s.Stderr.String(), "are removed"); lines > 1 {
		t.Errorf("%d log lines", lines)
	}
	s, _ = configured(t, fapwstest.Threads, fmt.Sprintf(forwardingSite, `forwarded-allow-ips = "127.0.0.1"`,
		upstream.URL), files)
	for _, path := range paths[:3] {
		if got := s.Get(path, 200, "X-Forwarded-Ssl: good", "X-Real-IP: good", "Remote-User: good").
			Text; strings.Count(got, "good") != 3 {
			t.Errorf("%s: %s", path, got)
		}
	}
}
