package tls_test

import (
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestHTTPSRedirectPrecedesThePassword(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/users", "x:$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC\n")
	file := fapwstest.Write(t, dir+"/fapws.toml", `
forwarded-allow-ips = "127.0.0.1"
https-redirect = 8443
hsts = "1y"

[[host]]
name = "a.test"
auth = { realm = "x", users = "users" }
route = [
  { prefix = "/.well-known/", status = 404 },
  { prefix = "/", status = 200, text = "a" },
]

[[host]]
name = "b.test"
https-redirect = false
hsts = { max-age = "180d", subdomains = true }
route = [
  { prefix = "/none", status = 200, text = "none", hsts = 0 },
  { prefix = "/", status = 200, text = "b" },
]
`)
	s := fapwstest.Command{Flags: []string{"--config", file}, Dir: dir}.Serve(t, fapwstest.Threads)
	const secure = "X-Forwarded-Proto: https"
	for _, c := range []struct {
		request        string
		status         int
		location, hsts string
	}{
		{fapwstest.Request("GET", "/x/y?z=1", "", "Host: a.test"), 308, "https://a.test:8443/x/y?z=1", ""},
		{fapwstest.Request("POST", "/x", "body", "Host: a.test:80"), 308, "https://a.test:8443/x", ""},
		{fapwstest.Request("GET", "/.well-known/acme-challenge/token", "", "Host: a.test"), 401, "", ""},
		{fapwstest.Request("GET", "/", "", "Host: a.test", secure), 401, "", "max-age=31536000"},
		{fapwstest.Request("GET", "/", "", "Host: b.test"), 200, "", ""},
		{fapwstest.Request("GET", "/", "", "Host: b.test", secure), 200, "", "max-age=15552000; includeSubDomains"},
		{fapwstest.Request("GET", "/none", "", "Host: b.test", secure), 200, "", "max-age=0"},
	} {
		a := s.Ask(strings.Replace(c.request, "Host: test\r\n", "", 1))
		fapwstest.Truef(t, a.StatusCode == c.status && a.Header.Get("Location") == c.location &&
			a.Header.Get("Strict-Transport-Security") == c.hsts, "%.60q: status %d, Location %q, Strict-Transport-Security %q",
			c.request, a.StatusCode, a.Header.Get("Location"), a.Header.Get("Strict-Transport-Security"))
	}
	for flag, want := range map[string]string{
		"--https-redirect":       "https-redirect (flag --https-redirect) requires HTTPS: add --certfile",
		"--https-redirect=70000": "must be yes, no, or a port from 2 to 65535",
	} {
		fapwstest.Command{Flags: []string{flag}, Script: "environ.py"}.Fails(t, 2, want)
	}
}
