package tls_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/conn/certtest"
)

func ofClient(t *testing.T, ca *certtest.Authority, o certtest.Options) tls.Certificate {
	t.Helper()
	o.Usages = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	c := ca.Sign(o)
	return fapwstest.Try(tls.X509KeyPair(c.Certificate, c.Key)).Must(t)
}

// showing returns a client that sends certificate to every server, even if the server asks for certificates of other
// authorities. The client sends sni as the host name in the TLS handshake, and keeps its connections.
func showing(t *testing.T, s *fapwstest.Server, roots *x509.CertPool, sni string, certificate *tls.Certificate,
	protocol string) *http.Client {
	t.Helper()
	config := &tls.Config{RootCAs: roots, ServerName: sni, NextProtos: []string{protocol},
		ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if certificate == nil {
			return new(tls.Certificate), nil
		}
		return certificate, nil
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: protocol == "h2"}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: fapwstest.Patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func TestClientCertificatesAreRequiredByRules(t *testing.T) {
	t.Parallel()
	ca, ofA, ofB := certtest.NewAuthority(t), certtest.NewAuthority(t), certtest.NewAuthority(t)
	upstream := fapwstest.Upstream(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Client-Cert %q, Client-Cert-Chain %q", r.Header["Client-Cert"], r.Header["Client-Cert-Chain"])
	})
	dir := t.TempDir()
	ofServer := ca.For("a.test", "b.test", "c.test")
	ofServer.Write(dir)
	lost := ofClient(t, ofA, certtest.Options{Common: "Lost"})
	certtest.Write(t, dir+"/a.pem", append(ofA.Revoke(time.Now().Add(24*time.Hour), lost.Leaf), ofA.PEM...))
	certtest.Write(t, dir+"/b.pem", ofB.PEM)
	fapwstest.Write(t, dir+"/files/index.html", "open")
	fapwstest.Write(t, dir+"/files/admin/index.html", "admin")
	fapwstest.Write(t, dir+"/asgi.py", `import json
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(scope["extensions"]["tls"]).encode()})
`)
	file := fapwstest.Write(t, dir+"/fapws.toml", fmt.Sprintf(`
certfile = "cert.pem"
keyfile = "key.pem"

[[host]]
name = "a.test"
ca-certs = "a.pem"
root = "files"
route = [
  { prefix = "/admin/", client-cert = "required" },
  { prefix = "/optional", status = 200, text = "optional", client-cert = "optional" },
  { prefix = "/tls", app = "asgi:app", client-cert = "unverified" },
  { prefix = "/shown", proxy = %[1]q, proxy-client-cert = true },
  { prefix = "/proxied", proxy = %[1]q },
]

[[host]]
name = "b.test"
ca-certs = "b.pem"
client-cert = "required"
route = [
  { prefix = "/health", status = 200, text = "healthy", client-cert = "none" },
  { prefix = "/", status = 200, text = "b" },
]

[[host]]
name = "c.test"
route = [{ prefix = "/", status = 200, text = "c" }]
`, upstream.URL))
	s := fapwstest.Command{Dir: dir, Flags: append(fapwstest.Asleep.Flags, "--config", file, "--bind",
		"https://127.0.0.1:0", "--bind", "127.0.0.1:0")}.Start(t)
	at := s.Says(`(?m)^  https://(\S+)/\n  http://(\S+)/$`)
	s.Address = at[1]
	ann, bob := ofClient(t, ofA, certtest.Options{Common: "Ann"}), ofClient(t, ofB, certtest.Options{Common: "Bob"})
	late := ofClient(t, ofA, certtest.Options{Common: "Late", Start: time.Now().Add(-48 * time.Hour),
		End: time.Now().Add(-24 * time.Hour)})
	field := "Client-Cert [\":" + base64.StdEncoding.EncodeToString(ann.Certificate[0]) + ":\"], Client-Cert-Chain []"
	own := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ann.Certificate[0]}))
	quoted := func(text string) string { return strings.ReplaceAll(text, "\n", `\n`) }
	const none, required, stranger = "Client-Cert [], Client-Cert-Chain []", "a client certificate is required",
		"certificate signed by unknown authority"
	for _, c := range []struct {
		sni, host   string
		certificate *tls.Certificate
		path        string
		status      int
		text        string
	}{
		{"a.test", "a.test", nil, "/", 200, "open"},
		{"a.test", "a.test", &ann, "/", 200, "open"},
		{"a.test", "a.test", &bob, "/", 200, "open"},
		{"a.test", "a.test", nil, "/admin/", 403, required},
		{"a.test", "a.test", &ann, "/admin/", 200, "admin"},
		{"a.test", "a.test", &bob, "/admin/", 403, "the client certificate is refused: " + stranger},
		{"a.test", "a.test", &late, "/admin/", 403, "certificate has expired"},
		{"a.test", "a.test", &lost, "/admin/", 403, "the client certificate is refused: the certificate is revoked"},
		{"a.test", "a.test", nil, "/x/../admin//index.html", 403, required},
		{"a.test", "a.test", nil, "/optional", 200, "optional"},
		{"a.test", "a.test", &ann, "/optional", 200, "optional"},
		{"a.test", "a.test", &bob, "/optional", 403, stranger},
		{"a.test", "a.test", nil, "/tls", 200, `{"server_cert": "` + quoted(string(ofServer.Certificate)) +
			`", "client_cert_chain": [], "client_cert_name": null, "client_cert_error": null, "tls_version": 772, `},
		{"a.test", "a.test", &ann, "/tls", 200, `"client_cert_chain": ["` + quoted(own) +
			`"], "client_cert_name": "CN=Ann", "client_cert_error": null`},
		{"a.test", "a.test", &bob, "/tls", 200, `"client_cert_name": "CN=Bob", "client_cert_error": "` + stranger},
		{"a.test", "a.test", &ann, "/shown", 200, field},
		{"a.test", "a.test", &bob, "/shown", 200, none},
		{"a.test", "a.test", nil, "/shown", 200, none},
		{"a.test", "a.test", &ann, "/proxied", 200, none},
		{"b.test", "b.test", nil, "/", 403, required},
		{"b.test", "b.test", &bob, "/", 200, "b"},
		{"b.test", "b.test", &ann, "/", 403, stranger},
		{"b.test", "b.test", nil, "/health", 200, "healthy"},
		{"c.test", "c.test", &ann, "/", 200, "c"},

		// A connection cannot be used for a second host that requires different client certificates.
		{"a.test", "b.test", &ann, "/", 421, "this connection was opened for another host"},
		{"c.test", "b.test", &bob, "/", 421, "this connection was opened for another host"},
		{"c.test", "a.test", &ann, "/admin/", 421, "this connection was opened for another host"},
		{"b.test", "c.test", &bob, "/", 200, "c"},
	} {
		for _, protocol := range []string{"http/1.1", "h2"} {
			client := showing(t, s, ca.Pool(), c.sni, c.certificate, protocol)
			for range 2 {
				r := fapwstest.Try(http.NewRequest("GET", "https://"+s.Address+c.path, nil)).Must(t)
				r.Host = c.host
				r.Header.Set("Client-Cert", ":forged:")
				r.Header.Set("Client-Cert-Chain", ":forged:")
				res, err := client.Do(r)
				fapwstest.Mustf(t, err, "%s %s %s", protocol, c.host, c.path)
				text, err := io.ReadAll(res.Body)
				res.Body.Close()
				private := res.StatusCode == 200 && slices.Contains([]string{"/admin/", "/optional", "b.test/"}, strings.TrimPrefix(c.host, "a.test")+c.path)
				fapwstest.Truef(t, private == (res.Header.Get("Cache-Control") == "private") || res.StatusCode != 200, "%s%s: %v",
					c.host, c.path, res.Header)
				fapwstest.Truef(t, err == nil && res.StatusCode == c.status && strings.Contains(string(text), c.text),
					"%s of %s for %s, %s: status %d, %q, %v, want %d, %q", protocol, c.sni, c.host, c.path, res.StatusCode, text, err,
					c.status, c.text)
			}
			client.CloseIdleConnections()
		}
	}
	s.Says(`info .*GET of "/admin/" got 403: a client certificate is required`)

	plain := fapwstest.Dial(t, "tcp", at[2])
	plain.Send("GET /admin/ HTTP/1.1\r\nHost: a.test\r\nSSL-Client-Verify: SUCCESS\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
	plain.Answer().Want(t, 403, "a client certificate is required, so only HTTPS connections to this server are accepted")
	plain.Answer().Want(t, 200, "open")

	// When the client resumes the TLS session of a.test, the server verifies the certificate again. The session is
	// not valid for b.test, because b.test accepts certificates of different authorities.
	client := showing(t, s, ca.Pool(), "a.test", &ann, "http/1.1")
	for _, resumed := range []bool{false, true} {
		r, _ := http.NewRequest("GET", "https://"+s.Address+"/admin/", nil)
		r.Host, r.Close = "a.test", true
		res := fapwstest.Try(client.Do(r)).Must(t)
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		fapwstest.Truef(t, res.StatusCode == 200 && res.TLS.DidResume == resumed, "status %d, resumed %v, want %v",
			res.StatusCode, res.TLS.DidResume, resumed)
	}
	config := client.Transport.(*http.Transport).TLSClientConfig
	for _, c := range []struct {
		host   string
		status int
	}{{"a.test", 200}, {"b.test", 421}} {
		w, _ := dial(t, s, config)
		w.Ask("GET /admin/ HTTP/1.1\r\nHost: "+c.host+"\r\n\r\n").Want(t, c.status)
		w.Close()
	}
	counted(t, s, ofServer.Leaf)
}

func counted(t *testing.T, s *fapwstest.Server, of *x509.Certificate) {
	t.Helper()
	tryDial(t, s, &tls.Config{ServerName: "a.test", RootCAs: x509.NewCertPool()})
	s.Dial().Send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
	want := []*regexp.Regexp{
		regexp.MustCompile(`(?m)^fapws_tls_handshakes_total\{kind="full"\} [1-9]\d+$`),
		regexp.MustCompile(`(?m)^fapws_tls_handshakes_total\{kind="resumed"\} [1-9]\d*$`),
		regexp.MustCompile(`(?m)^fapws_tls_handshake_failures_total\{reason="refused"\} 1$`),
		regexp.MustCompile(`(?m)^fapws_tls_handshake_failures_total\{reason="plain_http"\} 1$`),
		regexp.MustCompile(`(?m)^fapws_tls_handshake_failures_total\{reason="timeout"\} 0$`),
		regexp.MustCompile(`(?m)^fapws_tls_connections \d+$`),
		regexp.MustCompile(`(?m)^fapws_tls_certificate_expiry_timestamp_seconds\{name="a.test"\} ` +
			regexp.QuoteMeta(strconv.FormatFloat(float64(of.NotAfter.Unix()), 'g', -1, 64)) + `$`),
	}
	fapwstest.Eventually(t, "the metrics are right", func() bool {
		stdout := s.Control("metrics")
		for _, line := range want {
			if !line.MatchString(stdout) {
				return false
			}
		}
		return true
	})
	code, stdout, stderr := s.Ctl("top", "--once", "--json")
	var view struct {
		TLS struct{ Certificates, Handshakes, Failures map[string]float64 }
	}
	err := json.Unmarshal([]byte(stdout), &view)
	fapwstest.Truef(t, code == 0 && err == nil && view.TLS.Handshakes["full"] >= 10 && view.TLS.Failures["refused"] == 1 &&
		view.TLS.Certificates["a.test"] >= 86400, "top: code %d, %s, %v, %+v", code, stderr, err, view)
}

func TestClientCertificateRulesThatConflictAreReportedInOneLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := certtest.NewAuthority(t)
	flagsFor(ca.For("a.test"), dir)
	certtest.Write(t, dir+"/ca.pem", ca.PEM)
	const pair = "certfile = \"cert.pem\"\nkeyfile = \"key.pem\"\n"
	const host = "[[host]]\nname = \"a.test\"\nroot = \".\"\n"
	for text, want := range map[string]string{
		pair + host + "client-cert = \"required\"\n": "fapws.toml:6: client-cert: needs ca-certs, the CAs of the " +
			"client certificates",
		pair + host +
			"ca-certs = \"ca.pem\"\n": `fapws.toml:6: ca-certs: no rule uses these CAs; add client-cert = "required"`,
		host + "client-cert = \"required\"\nca-certs = " +
			"\"ca.pem\"\n": "fapws.toml:4: client-cert: clients show certificates only over HTTPS",
		pair + host +
			"client-cert = \"always\"\n": "client-cert = \"always\", a string: must be one of required, optional, " +
			"unverified, none",
		pair + host + "ca-certs = \"none.pem\"\nclient-cert = " +
			"\"required\"\n": "fapws.toml:6: ca-certs: cannot read the CAs " + dir + "/none.pem: no such file or directory",
		pair + "ca-certs = \"ca.pem\"\ncert-reqs = \"optional\"\n" + host +
			"client-cert = \"unverified\"\n": "fapws.toml:8: client-cert: with cert-reqs, clients with a bad " +
			"certificate are not connected; remove cert-reqs",
	} {
		file := fapwstest.Write(t, dir+"/fapws.toml", text)
		for _, flags := range [][]string{{"-p", "0", "-c", file}, {"check", "-c", file}} {
			code, _, stderr := fapwstest.Command{Flags: flags, Dir: dir}.Run(t)
			fapwstest.Truef(t, code != 0, "%q: code %d", text, code)
			fapwstest.OneLine(t, stderr, want)
		}
	}
}

// Requests over plain HTTP are rejected, because their clients cannot send a certificate.
func TestCertReqsRequiredRejectsClientsWithoutAValidCertificate(t *testing.T) {
	t.Parallel()
	ca, strangers := certtest.NewAuthority(t), certtest.NewAuthority(t)
	dir := t.TempDir()
	ann, bob := ofClient(t, ca, certtest.Options{Common: "Ann"}), ofClient(t, strangers, certtest.Options{Common: "Bob"})
	lost := ofClient(t, ca, certtest.Options{Common: "Lost"})
	cas := certtest.Write(t, dir+"/ca.pem", append(ca.Revoke(time.Now().Add(24*time.Hour), lost.Leaf), ca.PEM...))
	flags := append(flagsFor(ca.For("example.org"), dir), "--ca-certs", cas, "--cert-reqs", "required",
		"--bind", "127.0.0.1:0", "--bind", dir+"/socket")
	s := serve(t, fapwstest.Threads, fapwstest.Command{Flags: flags})
	at := s.Says(`https://\S+/\n  http://(\S+)/\n  unix:(\S+)\n`)
	for _, c := range []struct {
		certificate *tls.Certificate
		served      bool
	}{{&ann, true}, {&bob, false}, {&lost, false}, {nil, false}} {
		r, err := showing(t, s, ca.Pool(), "example.org", c.certificate, "http/1.1").Get(s.URL + "/show/x")
		fapwstest.Equalf(t, err == nil, c.served, "certificate %v: %v", c.certificate != nil, err)
		if err == nil {
			r.Body.Close()
		}
	}
	s.Says("TLS handshake failed: failed to verify certificate: the certificate is revoked")
	fapwstest.Eventually(t, "the failures are counted", func() bool {
		_, stdout, _ := s.Ctl("metrics")
		return strings.Contains(stdout, "fapws_tls_handshake_failures_total{reason=\"client_certificate\"} 3\n")
	})
	for i, network := range []string{"tcp", "unix"} {
		fapwstest.Dial(t, network, at[i+1]).Fetch("/show/x").Want(t, 403, "a client certificate is required")
	}
}
