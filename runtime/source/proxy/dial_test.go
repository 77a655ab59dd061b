package proxy_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fapws/runtime/backend/backendtest"
	"fapws/runtime/conn/certtest"
	"fapws/runtime/source/proxy"
	"fapws/runtime/waittest"
)

func certificate(t *testing.T, name string, until time.Time) (tls.Certificate, string) {
	t.Helper()
	authority := certtest.NewAuthority(t)
	c := authority.Sign(certtest.Options{Names: []string{name}, Start: until.Add(-time.Hour), End: until})
	pair, err := tls.X509KeyPair(c.Chain, c.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pair, certtest.Write(t, filepath.Join(t.TempDir(), "ca.pem"), authority.PEM)
}

func TestTLSErrorsOfAnUpstreamAreReportedInOneLine(t *testing.T) {
	good, ca := certificate(t, "good.test", time.Now().Add(time.Hour))
	old, oldCA := certificate(t, "good.test", time.Now().Add(-time.Minute))
	secured := func(config *tls.Config) func(net.Conn) {
		return func(c net.Conn) {
			s := tls.Server(c, config)
			if s.Handshake() == nil {
				http.ReadRequest(bufio.NewReader(s))
				io.WriteString(s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		}
	}
	for name, test := range map[string]struct {
		serve   func(net.Conn)
		options proxy.Options
		want    string
		log     string
	}{
		"good": {secured(&tls.Config{Certificates: []tls.Certificate{good}}),
			proxy.Options{CA: ca, TLSName: "good.test"}, "HTTP/1.1 200 ", ""},
		"unchecked": {secured(&tls.Config{Certificates: []tls.Certificate{old}}), proxy.Options{NoVerify: true},
			"HTTP/1.1 200 ", ""},
		"expired": {secured(&tls.Config{Certificates: []tls.Certificate{old}}),
			proxy.Options{CA: oldCA, TLSName: "good.test"}, "HTTP/1.1 502 ",
			"certificate verification failed: x509: certificate has expired or is not yet valid: "},
		"another": {secured(&tls.Config{Certificates: []tls.Certificate{good}}),
			proxy.Options{CA: oldCA, TLSName: "good.test"}, "HTTP/1.1 502 ", "certificate verification failed: x509: "},
		"address": {secured(&tls.Config{Certificates: []tls.Certificate{good}}), proxy.Options{CA: ca},
			"HTTP/1.1 502 ", "certificate verification failed: x509: cannot validate certificate for 127.0.0.1"},
		"old": {secured(&tls.Config{Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS11}),
			proxy.Options{CA: ca, TLSName: "good.test"}, "HTTP/1.1 502 ",
			"the TLS handshake failed: remote error: tls: protocol version not supported"},
		"closes": {func(net.Conn) {}, proxy.Options{}, "HTTP/1.1 502 ", "the TLS handshake failed: "},
		"hangs": {func(c net.Conn) { io.Copy(io.Discard, c) }, proxy.Options{Connect: 300 * time.Millisecond},
			"HTTP/1.1 504 ", "the TLS handshake timed out: "},
	} {
		for kind, request := range map[string]string{"": "GET / HTTP/1.0\r\n\r\n",
			" WebSocket": strings.Replace(handshake, "keep-alive", "close", 1) + "\r\n"} {
			t.Run(name+kind, func(t *testing.T) {
				t.Parallel()
				o := test.options
				url := "https://" + backendtest.Serve(t, func(_ int, c *net.TCPConn) { test.serve(c) })
				o.Targets = []string{url}
				address, logged := front(t, "/", o)
				if got := talk(t, address, request); !strings.HasPrefix(got, test.want) {
					t.Errorf("%q", got)
				}
				if test.log == "" {
					return
				}
				waittest.Eventually(t, "the log is "+test.log, func() bool { return logged() != "" })
				if said := logged(); !strings.Contains(said, "proxy "+url+": "+test.log) ||
					strings.Contains(said, "\n") {
					t.Errorf("the log is %q", said)
				}
			})
		}
	}
}
