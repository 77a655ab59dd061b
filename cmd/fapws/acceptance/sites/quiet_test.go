package sites_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

var loggedPath = regexp.MustCompile(`"GET (\S+) HTTP/[12]`)

func TestRouteWithoutAccessLogIsCountedButNotLogged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/app.py", `
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode()]
`)
	fapwstest.Write(t, dir+"/site/file.txt", "content")
	fapwstest.Write(t, dir+"/fapws.toml", `
bind = "127.0.0.1:0"
access-log = "access.log"
log-flush = "1ms"
health = "/healthz"
status = "/_fapws"
h2c = true

[[host]]
root = "site"
app = "app:app"

[[host.route]]
prefix = "/poll/loud"
access-log = true

[[host.route]]
prefix = "/poll"
access-log = false

[[host.route]]
prefix = "/fixed"
status = 204
access-log = false

[[host.route]]
match = "*.txt"
access-log = false
`)
	s := fapwstest.Command{Dir: dir}.Started(t)
	cleartext := &http.Transport{Protocols: new(http.Protocols)}
	cleartext.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(cleartext.CloseIdleConnections)
	for _, c := range []http.Client{{}, {Transport: cleartext}} {
		for _, path := range []string{"/first", "/poll", "/poll/quick?a", "/poll/loud", "/fixed", "/file.txt",
			"/healthz", "/healthz/ready", "/last"} {
			answer, err := c.Get(s.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode >= 400 {
				t.Errorf("%s: %s", path, answer.Status)
			}
		}
	}
	counts := s.Ask("GET /_fapws/metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").Want(t, 200).Text
	if !regexp.MustCompile(`route="/poll"[^\n]* 4\n`).MatchString(counts) {
		t.Errorf("requests that are not logged are not counted:\n%s", counts)
	}
	s.Stop()
	var paths []string
	for _, m := range loggedPath.FindAllStringSubmatch(fapwstest.Read(t, dir+"/access.log"), -1) {
		paths = append(paths, m[1])
	}
	const want = "/first /poll/loud /last /first /poll/loud /last /_fapws/metrics"
	if got := strings.Join(paths, " "); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
