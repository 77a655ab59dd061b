package sites_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/http1"
)

// A site with a strict policy forbids style sheets in pages, and the pages of the server and of HTTPError have one.
func TestErrorPageKeepsItsStyleUnderThePolicyOfTheSite(t *testing.T) {
	const config = `headers = { "Content-Security-Policy" = "default-src 'none'; style-src 'self'", "X-Frame-Options" = "DENY" }
%s[[host]]
error-log = "error.log"
route = [
  { prefix = "/app", app = "app.py:app" },
  { prefix = "/refuses", app = "app.py:refuses" },
  { prefix = "/gone", proxy = "unix:/nowhere.sock" },
]
`
	app := tracedApp + `
from fapws import HTTPError
def refuses(environ, start_response):
    raise HTTPError(403)
`
	for name, line := range map[string]string{"serve": "", "develop": "dev = true\n", "fork": "fork = true\n",
		"fork develop": "fork = true\ndev = true\n", "debug": "debug = 1\n", "fork debug": "fork = true\ndebug = 1\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := configured(t, fapwstest.Threads, fmt.Sprintf(config, line), map[string]string{"app.py": app})
			c := s.Dial()
			for path, status := range map[string]int{"/app/fails": 500, "/refuses": 403, "/gone": 502, "/nothing": 404} {
				c.Send("GET " + path + " HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nSec-Fetch-Dest: document\r\n\r\n")
				a := c.Answer().Want(t, status)
				a.Field(t, "X-Frame-Options", "DENY")
				policies := a.Header.Values("Content-Security-Policy")
				fapwstest.Equalf(t, len(policies), 1, "%s: %q", path, policies)
				if strings.Contains(name, "develop") || strings.Contains(name, "debug") && path == "/app/fails" {
					// the script that copies the traceback or loads the page again must be permitted, too
					fapwstest.Equalf(t, policies[0], http1.Policy(true), "%s", path)
					continue
				}
				found := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(a.Text)
				fapwstest.Needf(t, found != nil, "%s: %s", path, a.Text)
				sum := sha256.Sum256([]byte(found[1]))
				fapwstest.Has(t, policies[0], "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"';")
			}
			c.Fetch("/app", "Accept: text/html").Want(t, 200).Field(t, "Content-Security-Policy", "default-src 'none'; style-src 'self'")
		})
	}
}
