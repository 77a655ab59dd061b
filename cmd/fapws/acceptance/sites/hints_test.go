package sites_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// heads returns the status line of each response that curl receives, with its Link fields.
func heads(t *testing.T, args ...string) (seen string) {
	t.Helper()
	for line := range strings.Lines(curl(t, append([]string{"-D", "-", "-o", "/dev/null"}, args...)...)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "HTTP/") {
			seen += strings.Fields(line)[1] + " "
		} else if _, value, is := strings.Cut(line, "ink: "); is {
			seen += value + " "
		}
	}
	return seen
}

const asBrowser = "Sec-Fetch-Mode: navigate"

// A proxy that takes a 1xx response for the final response waits for its body, so HTTP/1.1 clients get none by default,
// even if the request comes from a browser.
func TestInterimResponsesOfUpstreamsReachClientsThatUnderstandThem(t *testing.T) {
	t.Parallel()
	upstream := fapwstest.Upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusProcessing)
		w.Header().Set("Link", "</a.css>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.Write([]byte("page"))
	})
	const all = "102 103 </a.css> 200 "
	for _, flags := range [][]string{{"--h2c"}, {"--h2c", "--http1-early-hints"}} {
		s := fapwstest.ServeProxy(t, upstream.URL, "", flags...)
		browser := "200 "
		if len(flags) > 1 {
			browser = all
		}
		for _, c := range []struct {
			want string
			args []string
		}{
			{"200 ", []string{"--http1.1"}},
			{"200 ", []string{"--http1.1", "-H", "Sec-Fetch-Mode: cors"}},
			{"200 ", []string{"--http1.0", "-H", asBrowser}},
			{browser, []string{"--http1.1", "-H", asBrowser}},
			{all, []string{"--http2-prior-knowledge"}},
		} {
			fapwstest.Equalf(t, heads(t, append(c.args, s.URL)...), c.want, "%q %q", flags, c.args)
		}
	}
}

// The server sends no early hints before a cached response, because the response is available at once.
func TestRouteSendsItsEarlyHintsBeforeTheSourceAnswers(t *testing.T) {
	t.Parallel()
	upstream := fapwstest.Upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Write([]byte("page"))
	})
	const file = `h2c = true
http1-early-hints = true
[[host]]
early-hints = ["</a.css>; rel=preload; as=style"]
root = "www"
route = [
  { prefix = "/app", app = "app.py" },
  { prefix = "/own", app = "app.py", early-hints = ["</b.css>", "</c.css>"] },
  { prefix = "/cached", proxy = "%[1]s", cache = true },
  { prefix = "/proxy", proxy = "%[1]s" },
]
`
	s, _ := configured(t, fapwstest.Threads, fmt.Sprintf(file, upstream.URL), map[string]string{
		"www/file": "file",
		"app.py":   "def application(environ, start_response):\n    return 'page'\n",
	})
	const hint = "103 </a.css>; rel=preload; as=style "
	for target, want := range map[string]string{"/app": hint + "200 ", "/own": "103 </b.css> </c.css> 200 ",
		"/proxy": hint + "200 ", "/file": "200 ", "/none": "404 "} {
		for _, args := range [][]string{{"--http1.1", "-H", asBrowser}, {"--http2-prior-knowledge"}} {
			fapwstest.Equalf(t, heads(t, append(args, s.URL+target)...), want, "%s %q", target, args)
		}
		got := heads(t, "--http1.1", s.URL+target)
		fapwstest.Truef(t, len(got) == len("200 ") && strings.HasSuffix(want, got), "%s: %q", target, got)
	}
	for i, want := range []string{hint + "200 ", "200 "} {
		fapwstest.Equalf(t, heads(t, "--http2-prior-knowledge", s.URL+"/cached"), want, "cached, request %d", i)
	}
}

func TestEarlyHintsDoNotExtendTheTimeout(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for {
			w.Header().Set("Link", "</a>")
			w.WriteHeader(http.StatusEarlyHints)
			select {
			case <-stop:
				return
			case <-time.After(300 * time.Millisecond):
			}
		}
	}))
	t.Cleanup(func() { close(stop); upstream.Close() })
	got := heads(t, "--http2-prior-knowledge", fapwstest.ServeProxy(t, upstream.URL, "", "--h2c", "--timeout", "2s").URL)
	fapwstest.Truef(t, strings.HasSuffix(got, "103 </a> 504 "), "%q", got)
}
