package sites_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// The upstream accepts one host only, as Django does with ALLOWED_HOSTS.
func TestHealthChecksSendTheNameOfTheHost(t *testing.T) {
	t.Parallel()
	checked := make(chan string, 100)
	upstream := fapwstest.Upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			checked <- r.Host
			if r.Host != "www.example.org" {
				w.WriteHeader(http.StatusBadRequest)
			}
		}
	})
	address := strings.TrimPrefix(upstream.URL, "http://")
	for _, c := range []struct{ lines, host string }{
		{`name = ["*.example.org", "www.example.org", "example.org"]`, "www.example.org"},
		{`name = "example.org"`, "example.org"},
		{"", address},
		{"name = \"www.example.org\"\nproxy-preserve-host = false", address},
		{`proxy-health = "http://www.example.org/healthz"`, "www.example.org"},
		{"name = \"other.example\"\nproxy-health = \"http://www.example.org:80/healthz\"", "www.example.org:80"},
	} {
		if !strings.Contains(c.lines, "proxy-health") {
			c.lines += "\nproxy-health = \"/healthz\""
		}
		s, _ := configured(t, fapwstest.Threads, fmt.Sprintf("[[host]]\n%s\nroute = [{ prefix = \"/\", proxy = %q }]\n", c.lines,
			upstream.URL), nil)
		s.Get("/", 200)
		fapwstest.Equalf(t, <-checked, c.host, "%s", c.lines)
		if c.host != "www.example.org" {
			s.Says("the health check .*/healthz failed: status 400 to Host: " + c.host + ` .*; it gets no requests`)
			s.Get("/", 503)
		}
	}
}
