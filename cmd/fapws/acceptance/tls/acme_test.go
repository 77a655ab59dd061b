package tls_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/conn/certtest"
)

// A pebble is a running Pebble, the ACME test server of Let's Encrypt. Its DNS server resolves every name to this
// machine.
type pebble struct {
	directory   string
	trust       string
	http, https string
	dns         string
	records     string // URL at which records are added and removed
}

func startPebble(t *testing.T) *pebble {
	t.Helper()
	for _, program := range []string{"pebble", "pebble-challtestsrv"} {
		_, err := exec.LookPath(program)
		fapwstest.Mustf(t, err, "install it with: sudo apt-get install pebble")
	}
	dir := t.TempDir()
	ca := certtest.NewAuthority(t)
	cert, key := ca.For("localhost", "127.0.0.1").Write(dir)
	ports := make([]string, 6)
	for i := range ports {
		ports[i] = fapwstest.FreePort(t)
	}
	p := &pebble{directory: "https://127.0.0.1:" + ports[0] + "/dir", trust: certtest.Write(t, dir+"/ca.pem", ca.PEM),
		http: ports[2], https: ports[3], dns: "127.0.0.1:" + ports[4], records: "http://127.0.0.1:" + ports[5]}
	number := func(port string) int { n, _ := strconv.Atoi(port); return n }
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": "127.0.0.1:" + ports[0], "managementListenAddress": "127.0.0.1:" + ports[1],
		"certificate": cert, "privateKey": key, "httpPort": number(p.http), "tlsPort": number(p.https),
	}})
	fapwstest.Must(t, err)
	fapwstest.Write(t, dir+"/config.json", string(config))
	names := []string{"-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", p.dns, "-http01", "", "-https01", "",
		"-tlsalpn01", "", "-management", "127.0.0.1:" + ports[5]}
	// Before version 2.10 of pebble-challtestsrv, the flag -dns01 was called -dnsserver.
	if usage, _ := exec.Command("pebble-challtestsrv", "-help").CombinedOutput(); !strings.Contains(string(usage),
		"-dns01 ") {
		names[4] = "-dnsserver"
	}
	run(t, "127.0.0.1:"+ports[5], "pebble-challtestsrv", names...)
	run(t, "127.0.0.1:"+ports[0], "pebble", "-config", dir+"/config.json", "-dnsserver", p.dns)
	return p
}

func run(t *testing.T, address, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0")
	fapwstest.StartProgram(t, cmd)
	fapwstest.Eventually(t, program+" listens", func() bool { return fapwstest.Listens("tcp", address) })
}

// serve starts a server that orders certificates from p. If flags is nil, the hosts are example.org and
// www.example.org.
func (p *pebble) serve(t *testing.T, m fapwstest.Mode, state, http, https string, flags ...string) *fapwstest.Server {
	t.Helper()
	c := fapwstest.Command{Script: "environ.py", Env: []string{"SSL_CERT_FILE=" + p.trust, "SECRET=of the application"}}
	if flags == nil {
		flags = []string{"--acme-hosts", "example.org,www.example.org"}
	}
	c.Flags = slices.Concat(m.Flags, flags, []string{"--bind", "https://127.0.0.1:" + https, "--bind",
		"127.0.0.1:" + http, "--https-redirect", "--tls", "acme", "--acme-email", "root@example.org",
		"--acme-directory", p.directory, "--state-dir", state})
	s := c.Start(t)
	s.Address = s.Says(`(?m)^  https://(\S+)/$`)[1]
	return s
}

func issued(t *testing.T, s *fapwstest.Server, name string) (c *x509.Certificate) {
	t.Helper()
	fapwstest.Eventually(t, "there is a certificate for "+name, func() bool {
		tc, err := tryDial(t, s, &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err != nil {
			return false
		}
		defer tc.Close()
		c = tc.ConnectionState().PeerCertificates[0]
		return strings.Contains(c.Issuer.CommonName, "Pebble") && c.VerifyHostname(name) == nil
	})
	return c
}

func TestACMECertificatesAreOrderedKeptRenewedAndShared(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		p := startPebble(t)
		state := t.TempDir()
		s := p.serve(t, m, state, p.http, p.https)
		first := issued(t, s, "example.org")
		issued(t, s, "www.example.org")
		if m.Workers() {
			s.Control("reload")
		}
		fapwstest.Truef(t, leaf(t, s, "example.org").Equal(first), "another certificate without need")
		s.Stop()
		s = p.serve(t, m, state, p.http, p.https)
		fapwstest.Truef(t, issued(t, s, "example.org").Equal(first), "another certificate after a restart")
		s.Stop()
		old := certtest.NewAuthority(t).Sign(certtest.Options{Names: []string{"example.org"},
			Start: time.Now().Add(-80 * 24 * time.Hour), End: time.Now().Add(10 * 24 * time.Hour)})
		certtest.Write(t, state+"/acme/example.org", append(append([]byte{}, old.Key...), old.Chain...))
		s = p.serve(t, m, state, p.http, p.https)
		s.Says("info ordering a certificate for example.org from " + p.directory +
			", because two thirds of its time are over")
		fapwstest.Truef(t, !issued(t, s, "example.org").Equal(first), "the certificate was not renewed")
		info, err := os.Stat(state + "/acme/example.org")
		fapwstest.Truef(t, err == nil && info.Mode().Perm() == 0o600, "%v, %v", info, err)
	})
}

func TestACMEAuthorityFallsBackFromHTTPSToHTTP(t *testing.T) {
	t.Parallel()
	p := startPebble(t)
	s := p.serve(t, fapwstest.Workers, t.TempDir(), p.http, fapwstest.FreePort(t))
	issued(t, s, "example.org")
	s.Stop()
	s = p.serve(t, fapwstest.Workers, t.TempDir(), fapwstest.FreePort(t), fapwstest.FreePort(t))
	const refused = `error example.org: the CA refused: .*connection refused.*; the name must lead to port 80 or 443 ` +
		`of this machine; next try at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d, or at a reload\n`
	line := s.Says(refused)
	fapwstest.Truef(t, len(line[0]) <= 1500, "a long line: %s", line[0])
	s.Control("reload")
	s.Says(`(?s)` + refused + `.*` + refused)
	_, err := tryDial(t, s, &tls.Config{ServerName: "example.org", InsecureSkipVerify: true})
	fapwstest.Truef(t, err != nil && strings.Contains(err.Error(), "unrecognized name"), "without a certificate: %v", err)
	w := fapwstest.Dial(t, "tcp", strings.TrimSuffix(strings.TrimPrefix(s.Says(`http://(\S+)/`)[1], "http://"), "/"))
	w.Send(fapwstest.Get("/.well-known/acme-challenge/..%2fexample.org"),
		fapwstest.Get("/.well-known/acme-challenge/none"))
	for range 2 {
		a := w.Answer()
		fapwstest.Truef(t, a.StatusCode == 404 || a.StatusCode == 308, "status %d: %s", a.StatusCode, a.Text)
	}
}

func TestACMESettingsChangeAtAReload(t *testing.T) {
	t.Parallel()
	p := startPebble(t)
	dir := t.TempDir()
	cert, key := certtest.NewAuthority(t).For("other.example").Write(dir)
	file := dir + "/fapws.toml"
	write := func(more string) {
		fapwstest.Write(t, file, fmt.Sprintf("bind = ['https://127.0.0.1:%s', '127.0.0.1:%s']\ncertfile = "+
			"'%s'\nkeyfile = '%s'\nstate-dir = '%s'\n%s", p.https, p.http, cert, key, dir, more))
	}
	write("")
	s := fapwstest.Command{Script: "environ.py", Env: []string{"SSL_CERT_FILE=" + p.trust},
		Flags: []string{"-w", "1", "-c", file}}.Start(t)
	s.Address = s.Says(`(?m)^  https://(\S+)/$`)[1]
	for _, directory := range []string{"https://127.0.0.1:" + fapwstest.FreePort(t) + "/dir", p.directory} {
		write(fmt.Sprintf("tls = 'acme'\nacme-hosts = 'example.org'\nacme-directory = '%s'\n", directory))
		s.Control("reload")
		s.Says("info ordering a certificate for example.org from " + directory)
		if directory != p.directory {
			s.Says("error example.org: cannot reach the CA")
		}
	}
	issued(t, s, "example.org")
}
