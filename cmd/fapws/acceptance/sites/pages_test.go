package sites_test

import (
	"crypto/sha256"
	"encoding/base64"
	"regexp"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// A site with a strict policy forbids style sheets in pages, and the pages of the server have one.
func TestErrorPageKeepsItsStyleUnderThePolicyOfTheSite(t *testing.T) {
	t.Parallel()
	const config = `headers = { "Content-Security-Policy" = "default-src 'none'; style-src 'self'", "X-Frame-Options" = "DENY" }
[[host]]
error-log = "error.log"
route = [
  { prefix = "/app", app = "app.py:app" },
  { prefix = "/gone", proxy = "unix:/nowhere.sock" },
]
`
	s, _ := configured(t, fapwstest.Threads, config, map[string]string{"app.py": tracedApp})
	c := s.Dial()
	for path, status := range map[string]int{"/app/fails": 500, "/gone": 502, "/nothing": 404} {
		a := c.Fetch(path, "Accept: text/html").Want(t, status)
		found := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(a.Text)
		fapwstest.Needf(t, found != nil, "%s: %s", path, a.Text)
		sum := sha256.Sum256([]byte(found[1]))
		policies := a.Header.Values("Content-Security-Policy")
		fapwstest.Equalf(t, len(policies), 1, "%s: %q", path, policies)
		fapwstest.Has(t, policies[0], "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"';")
		a.Field(t, "X-Frame-Options", "DENY")
	}
	c.Fetch("/app", "Accept: text/html").Want(t, 200).Field(t, "Content-Security-Policy", "default-src 'none'; style-src 'self'")
}
