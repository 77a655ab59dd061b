package sites_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

const identifiedApp = `
def app(environ, start_response):
    if environ["PATH_INFO"] == "/fails":
        raise ValueError("on purpose")
    fields = [("Content-Type", "text/plain")]
    if environ["PATH_INFO"] == "/sets":
        fields.append(("X-Request-ID", "mine"))
    if environ["PATH_INFO"] == "/echoes":
        fields.append(("X-Request-ID", environ["fapws.request_id"]))
    start_response("200 OK", fields)
    return [" ".join(environ.get(key, "-") for key in ("HTTP_X_REQUEST_ID", "fapws.request_id")).encode()]

async def asgi(scope, receive, send):
    if scope["path"] == "/asgi/fails":
        raise ValueError("on purpose")
    fields = [value.decode() for name, value in scope["headers"] if name == b"x-request-id"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": " ".join([*fields, scope["fapws.request_id"]]).encode()})

PATHS = [("/", app)]
`

const identifiedSite = `request-id = true
trace = %v
h2c = true
forwarded-allow-ips = %q
access-log = "access.log"
access-log-format = "json"
[[host]]
error-log = "error.log"
[[host.route]]
prefix = "/wsgi"
app = "identified.py:app"
[[host.route]]
prefix = "/asgi"
app = "identified.py:asgi"
[[host.route]]
prefix = "/cached"
app = "identified.py:app"
cache = "60s"
[[host.route]]
prefix = "/proxy"
proxy = "%s"
[[host.route]]
prefix = "/gone"
proxy = "unix:/nowhere.sock"
[[host.route]]
prefix = "/cgi/"
cgi = "bin"
`

const (
	theirID   = "Ab0._~:/+=-"
	sendsID   = "X-Request-ID: " + theirID
	sendsFake = "X-Request-ID: fake"
)

var madeID = regexp.MustCompile(`^[0-9a-f]{32}$`)

func identified(t *testing.T, proxies string, trace bool) (s *fapwstest.Server, folder string) {
	t.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ids := r.Header.Values("X-Request-Id")
		io.WriteString(w, strings.Join(append(ids, ids...), " "))
	}))
	t.Cleanup(upstream.Close)
	return configured(t, fapwstest.Threads, fmt.Sprintf(identifiedSite, trace, proxies, upstream.URL), map[string]string{
		"identified.py": identifiedApp,
		"bin/env":       shell(plain, `printf '%s %s' "$HTTP_X_REQUEST_ID" "$HTTP_X_REQUEST_ID"`),
	})
}

// idOf returns the id that a handler has written twice.
func idOf(t *testing.T, text string) string {
	t.Helper()
	first, second, _ := strings.Cut(text, " ")
	if first != second {
		t.Fatalf("the handler gets %q", text)
	}
	return first
}

func TestRequestIDOfATrustedProxyReachesTheSourceAndTheClient(t *testing.T) {
	t.Parallel()
	for _, trusted := range []bool{true, false} {
		proxies := map[bool]string{true: "127.0.0.1", false: "192.0.2.1"}[trusted]
		s, folder := identified(t, proxies, false)
		c, seen := s.Dial(), map[string]bool{}
		ask := func(path string, fields ...string) (id string) {
			t.Helper()
			c.Send(fapwstest.Get(path, fields...))
			a := c.Answer().Want(t, 200)
			id = idOf(t, a.Text)
			a.Field(t, "X-Request-Id", id)
			return id
		}
		for _, path := range []string{"/wsgi", "/asgi", "/proxy", "/cgi/env"} {
			if id := ask(path, sendsID, "X-Behind: 1"); (id == theirID) != trusted {
				t.Errorf("%s: %q, trusted: %v", path, id, trusted)
			}
			for _, fields := range [][]string{{}, {sendsFake, sendsFake}, {"X-Request-ID: a b"}, {"X-Request-ID: "},
				{"X-Request-ID: " + strings.Repeat("a", 129)}, {`X-Request-ID: "`}, {"X_Request_ID: fake"}} {
				id := ask(path, fields...)
				if !madeID.MatchString(id) || seen[id] {
					t.Errorf("%s with %q: %q", path, fields, id)
				}
				seen[id] = true
				fapwstest.FileSays(t, folder+"/access.log", fmt.Sprintf(`"request_id":"%s"}`, id))
			}
		}
		if curl, err := exec.LookPath("curl"); err != nil {
			t.Error("no curl: sudo apt-get install curl")
		} else if out, err := exec.Command(curl, "-si", "--http2-prior-knowledge", "-H", sendsID, s.URL+"/wsgi").
			Output(); err != nil || strings.Contains(string(out), "x-request-id: "+theirID+"\r") != trusted {
			t.Errorf("HTTP/2: %v %s", err, out)
		}
		for path, status := range map[string]int{"/wsgi/fails": 500, "/asgi/fails": 500, "/gone": 502} {
			c.Send(fapwstest.Get(path, sendsID))
			id := c.Answer().Want(t, status).Header.Get("X-Request-Id")
			if (id == theirID) != trusted {
				t.Errorf("%s: %q, trusted: %v", path, id, trusted)
			}
			want := regexp.MustCompile(`\[(?:error|warning)\] \[client 127\.0\.0\.1:\d+\] \[request ` +
				regexp.QuoteMeta(id) + `\] .*` + map[int]string{500: "fails", 502: "nowhere"}[status])
			fapwstest.Eventually(t, path+" is in the error log with its id", func() bool {
				text, _ := os.ReadFile(folder + "/error.log")
				return want.Match(text)
			})
		}
	}
}

func TestRequestIDOfAResponseIsNotCached(t *testing.T) {
	t.Parallel()
	s, _ := identified(t, "127.0.0.1", false)
	c := s.Dial()
	for _, id := range []string{"one", "two"} {
		c.Send(fapwstest.Get("/cached", "X-Request-ID: "+id))
		c.Answer().Is(t, "one one").Field(t, "X-Request-Id", id)
		c.Send(fapwstest.Get("/cached/echoes", "X-Request-ID: "+id))
		c.Answer().Is(t, "one one").Field(t, "X-Request-Id", id)
	}
	c.Send(fapwstest.Get("/wsgi/sets", "X-Request-ID: theirs"))
	c.Answer().Is(t, "theirs theirs").Field(t, "X-Request-Id", "mine")
}

func TestRequestIDIsTheTraceThatTheServerBegins(t *testing.T) {
	t.Parallel()
	s, folder := identified(t, "", true)
	c := s.Dial()
	for _, begins := range []bool{true, false} {
		fields := []string{}
		if !begins {
			fields = append(fields, theirs)
		}
		c.Send(fapwstest.Get("/wsgi", fields...))
		id := idOf(t, c.Answer().Want(t, 200).Text)
		trace := id
		if !begins {
			trace = theirTrace
		}
		if !madeID.MatchString(id) || id == theirTrace {
			t.Errorf("%q", id)
		}
		fapwstest.FileSays(t, folder+"/access.log", fmt.Sprintf(`"trace_id":"%s","request_id":"%s"}`, trace, id))
	}
	c.Send(fapwstest.Get("/wsgi/fails", theirs))
	id := c.Answer().Want(t, 500).Header.Get("X-Request-Id")
	fapwstest.FileSays(t, folder+"/error.log", "] [request "+id+"] [trace "+theirTrace+"] error in")
}

func TestEveryModeGivesRequestsAnID(t *testing.T) {
	modes := append(slices.Clone(fapwstest.Modes), fapwstest.Forks)
	fapwstest.InEach(t, modes, func(t *testing.T, m fapwstest.Mode) {
		script := fapwstest.Write(t, t.TempDir()+"/identified.py", identifiedApp)
		s := fapwstest.Serve(t, m, script, "--request-id", "--forwarded-allow-ips", "127.0.0.1")
		c := s.Dial()
		for range 3 {
			c.Send(fapwstest.Get("/", sendsID))
			c.Answer().Is(t, theirID+" "+theirID).Field(t, "X-Request-Id", theirID)
			c.Send(fapwstest.Get("/"))
			if id := idOf(t, c.Answer().Want(t, 200).Text); !madeID.MatchString(id) {
				t.Errorf("%q", id)
			}
		}
		c.Send(fapwstest.Get("/fails", sendsID))
		c.Answer().Want(t, 500).Field(t, "X-Request-Id", theirID)
		s.Complains = true
		s.Says(`request ` + regexp.QuoteMeta(theirID) + `: .*fails`)
	})
}

func TestRequestIDIsAnOrdinaryFieldWithoutTheSetting(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	script := fapwstest.Write(t, folder+"/identified.py", identifiedApp)
	s := fapwstest.Serve(t, fapwstest.Threads, script, "--access-log", folder+"/access.log", "--access-log-format", "json")
	s.Ask(fapwstest.Get("/", sendsID)).Is(t, theirID+" -").Field(t, "X-Request-Id", "")
	var line struct {
		ID *string `json:"request_id"`
	}
	fapwstest.FileSays(t, folder+"/access.log", "}\n")
	fapwstest.Must(t, json.Unmarshal([]byte(fapwstest.Read(t, folder+"/access.log")), &line))
	if line.ID != nil {
		t.Errorf("%q", *line.ID)
	}
}
