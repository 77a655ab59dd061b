package sites_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

var loggedPath = regexp.MustCompile(`"GET (\S+) HTTP/[12]`)

func TestRouteWithoutAccessLogIsCountedButNotLogged(t *testing.T) {
	t.Parallel()
	s := limited(t, `
[[host]]
root = "site"
app = "app:app"
route = [
  { prefix = "/poll/loud", access-log = true },
  { prefix = "/poll", access-log = false },
  { prefix = "/fixed", status = 204, access-log = false },
  { match = "*.txt", access-log = false },
]
`)
	cleartext := &http.Transport{Protocols: new(http.Protocols)}
	cleartext.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(cleartext.CloseIdleConnections)
	for _, c := range []http.Client{{}, {Transport: cleartext}} {
		for _, path := range []string{"/first", "/poll", "/poll/quick?a", "/poll/loud", "/fixed", "/part.txt",
			"/healthz", "/healthz/ready", "/last"} {
			answer := fapwstest.Try(c.Get(s.URL + path)).Must(t)
			answer.Body.Close()
			fapwstest.Truef(t, answer.StatusCode < 400, "%s: %s", path, answer.Status)
		}
	}
	counts := s.Ask("GET /_fapws/metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").Want(t, 200).Text
	fapwstest.Truef(t, regexp.MustCompile(`route="/poll"[^\n]* 4\n`).MatchString(counts),
		"requests that are not logged are not counted:\n%s", counts)
	s.Stop()
	var paths []string
	for _, m := range loggedPath.FindAllStringSubmatch(fapwstest.Read(t, s.Cmd.Dir+"/access.log"), -1) {
		paths = append(paths, m[1])
	}
	const want = "/first /poll/loud /last /first /poll/loud /last /_fapws/metrics"
	fapwstest.Equal(t, strings.Join(paths, " "), want)
}

const timedApp = `
import asyncio, time

def app(environ, start_response):
    time.sleep(0.05)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Server-Timing", "db;dur=1")])
    if environ["QUERY_STRING"] == "stream":
        return iter([b"one", b"two"])
    return [b"done"]

async def asgi(scope, receive, send):
    await asyncio.sleep(0.05)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})
`

const timedSite = `h2c = true
server-timing = true
access-log = "access.log"
access-log-format = "json_timed"
[[host]]
route = [
  { prefix = "/wsgi", app = "timed.py:app" },
%s
  { prefix = "/cached", app = "timed.py:app", cache = "60s" },
  { prefix = "/proxy", proxy = "%s" },
  { prefix = "/files", files = "files" },
]
`

const asgiRoute = `  { prefix = "/asgi", app = "timed.py:asgi" },`

// parts contains the times in one log line of the format json_timed. A pointer is nil if the log line has null.
type parts struct {
	Duration  int64  `json:"duration_us"`
	Wait      *int64 `json:"wait_us"`
	Python    *int64 `json:"python_us"`
	FirstByte *int64 `json:"first_byte_us"`
	Send      *int64 `json:"send_us"`
	Upstream  *int64 `json:"upstream_us"`
}

// In the log, the time of a phase that did not happen is null.
func TestTimesOfARequestAreInTheLogAndInServerTiming(t *testing.T) {
	modes := []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers, fapwstest.Forks}
	fapwstest.InEach(t, modes, func(t *testing.T, m fapwstest.Mode) {
		upstream := fapwstest.Upstream(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "upstream") })
		route := asgiRoute
		if m.Forks() {
			route = ""
		}
		s, folder := configured(t, m, fmt.Sprintf(timedSite, route, upstream.URL), map[string]string{
			"timed.py": timedApp, "files/a.txt": "file"})
		c, lines := s.Dial(), 0
		const python, program, own = "wait;dur=[0-9.]+, app;dur=[0-9]{2,}[.][0-9]{3}", "upstream;dur=[0-9.]+", "db;dur=1"
		tests := []struct{ path, timing string }{
			{"/wsgi", own + ", " + python},
			{"/wsgi?stream", own + ", " + python},
			{"/asgi", python},
			{"/cached", own + ", " + python},
			{"/cached", own + ", cache;desc=hit"},
			{"/proxy", program},
			{"/files/a.txt", ""},
		}
		for _, tt := range tests {
			if m.Forks() && tt.path == "/asgi" {
				continue
			}
			want := tt.timing
			if m.Forks() {
				want = strings.ReplaceAll(want, python, program)
			}
			timing := strings.Join(c.Fetch(tt.path).Want(t, 200).Header.Values("Server-Timing"), ", ")
			fapwstest.Truef(t, regexp.MustCompile("^"+want+"$").MatchString(timing), "%s: Server-Timing %q, want %q", tt.path,
				timing, want)
			lines++
			var p parts
			fapwstest.Eventually(t, tt.path+" is logged", func() bool {
				text, _ := os.ReadFile(folder + "/access.log")
				all := strings.SplitAfter(string(text), "\n")
				return len(all) == lines+1 && json.Unmarshal([]byte(all[lines-1]), &p) == nil
			})
			inPython := strings.Contains(want, "app;")
			fapwstest.Truef(t, (p.Python != nil) == inPython && (p.Wait != nil) == inPython &&
				(p.Upstream != nil) == strings.Contains(want, "upstream;"), "%s: %+v", tt.path, p)
			if p.FirstByte == nil || p.Send == nil {
				t.Errorf("%s has no head: %+v", tt.path, p)
			} else if sum := *p.FirstByte + *p.Send; sum > p.Duration || sum < p.Duration-1 {
				t.Errorf("%s: first byte %d and send %d of %d", tt.path, *p.FirstByte, *p.Send, p.Duration)
			}
			if p.Python != nil && (*p.Python < 50000 || *p.Python+*p.Wait > p.Duration) {
				t.Errorf("%s: wait %d and Python %d of %d", tt.path, *p.Wait, *p.Python, p.Duration)
			}
		}
		fapwstest.Equalf(t, strings.Count(curl(t, "-i", "--http2-prior-knowledge", s.URL+"/wsgi"), "\nserver-timing: "), 2,
			"HTTP/2")
	})
}

// If a handler times out, the log has a dash instead of the handler's times.
func TestTimesOfAFormatString(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	script := fapwstest.Write(t, folder+"/timed.py", `
import time
def late(environ, start_response):
    while True:
        time.sleep(0.01)
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"done"]
PATHS = [("/late", late), ("/", app)]
`)
	s := fapwstest.Serve(t, fapwstest.Threads, script, "--timeout", "1", "--access-log", folder+"/access.log",
		"--access-log-format", "%>s %{fapws.wait}e %{fapws.python}e %{fapws.upstream}e %({fapws.send}e)s")
	s.Ask(fapwstest.Get("/")).Is(t, "done").Field(t, "Server-Timing", "")
	s.Ask(fapwstest.Get("/late")).Want(t, 504)
	fapwstest.FileMatches(t, folder+"/access.log", `^200 \d+ \d+ - \d+\n504 - - - \d+\n$`)
}
