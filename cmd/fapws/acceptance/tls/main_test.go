// Package tls_test checks HTTPS: certificates and their renewal, redirects from HTTP, and sessions.
package tls_test

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/conn/certtest"
)

func TestMain(m *testing.M) { fapwstest.Main(m) }

func serve(t *testing.T, m fapwstest.Mode, c fapwstest.Command) *fapwstest.Server {
	t.Helper()
	if c.Script == "" {
		c.Script = "environ.py"
	}
	c.Flags = slices.Concat([]string{"--bind", "https://127.0.0.1:0"}, m.Flags, c.Flags)
	s := c.Start(t)
	s.Address = s.Says(`(?m)^  https://(\S+)/$`)[1]
	s.URL = "https://" + s.Address
	return s
}

func flagsFor(c *certtest.Certificate, dir string) []string {
	cert, key := c.Write(dir)
	return []string{"--certfile", cert, "--keyfile", key}
}

// dial connects to s with TLS, for the server name example.org unless config has another name.
func dial(t *testing.T, s *fapwstest.Server, config *tls.Config) (*fapwstest.Client, tls.ConnectionState) {
	t.Helper()
	c := fapwstest.Try(tryDial(t, s, config)).Must(t)
	return fapwstest.NewClient(t, c), c.ConnectionState()
}

func tryDial(t *testing.T, s *fapwstest.Server, config *tls.Config) (*tls.Conn, error) {
	t.Helper()
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName = "example.org"
	}
	raw := s.Dial()
	c := tls.Client(raw.Conn, config)
	c.SetDeadline(time.Now().Add(fapwstest.Patience))
	err := c.Handshake()
	if err != nil {
		raw.Close()
	}
	return c, err
}

func leaf(t *testing.T, s *fapwstest.Server, name string) *x509.Certificate {
	t.Helper()
	w, state := dial(t, s, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	w.Close()
	return state.PeerCertificates[0]
}

func becomes(t *testing.T, s *fapwstest.Server, c *certtest.Certificate) {
	t.Helper()
	fapwstest.Eventually(t, "the new certificate is in use", func() bool {
		return leaf(t, s, "example.org").Equal(c.Leaf)
	})
}
