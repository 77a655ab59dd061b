package sites_test

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// heads returns the status lines of all responses that curl receives, and the fields Link after each.
func heads(t *testing.T, args ...string) (seen string) {
	t.Helper()
	out, err := exec.Command("curl", append([]string{"-sS", "-D", "-", "-o", "/dev/null"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("curl %q: %v\n%s", args, err, out)
	}
	for line := range strings.Lines(string(out)) {
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

func TestEarlyHintsOfUpstreamsReachClientsThatUnderstandThem(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusProcessing)
		w.Header().Set("Link", "</a.css>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.Write([]byte("page"))
	}))
	t.Cleanup(upstream.Close)
	s := fapwstest.ServeProxy(t, upstream.URL, "", "--h2c")
	for _, c := range []struct {
		want string
		args []string
	}{
		{"102 200 ", []string{"--http1.1"}},
		{"102 200 ", []string{"--http1.1", "-H", "Sec-Fetch-Mode: cors"}},
		{"200 ", []string{"--http1.0", "-H", asBrowser}},
		{"102 103 </a.css> 200 ", []string{"--http1.1", "-H", asBrowser}},
		{"102 103 </a.css> 200 ", []string{"--http2-prior-knowledge"}},
	} {
		if got := heads(t, append(c.args, s.URL)...); got != c.want {
			t.Errorf("%q: %q, want %q", c.args, got, c.want)
		}
	}
}

func TestEarlyHintsDoNotExtendTheTimeout(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for {
			w.WriteHeader(http.StatusEarlyHints)
			select {
			case <-stop:
				return
			case <-time.After(300 * time.Millisecond):
			}
		}
	}))
	t.Cleanup(func() { close(stop); upstream.Close() })
	s := fapwstest.ServeProxy(t, upstream.URL, "", "--h2c", "--timeout", "2s")
	if got := heads(t, "--http2-prior-knowledge", s.URL); !strings.HasSuffix(got, "103 504 ") {
		t.Errorf("%q", got)
	}
}
