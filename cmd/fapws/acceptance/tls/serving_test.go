package tls_test

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/conn/certtest"
)

// secured starts a server with serving.py. The second result is a TLS configuration for clients that trust the server.
func secured(t *testing.T, m fapwstest.Mode, flags ...string) (*fapwstest.Server, *tls.Config) {
	t.Helper()
	ca := certtest.NewAuthority(t)
	s := serve(t, m, fapwstest.Command{Script: "serving.py", Flags: append(flagsFor(ca.For("example.org"), t.TempDir()),
		flags...)})
	return s, &tls.Config{RootCAs: ca.Pool(), ServerName: "example.org", NextProtos: []string{"http/1.1"}}
}

// serves sends a request over the connection of w, which must still be open.
func serves(w *fapwstest.Client) {
	w.T.Helper()
	w.Ask(fapwstest.Request("POST", "/length", "x")).Want(w.T, 200)
}

func TestTLSBodiesOfAnySizeArriveInBothDirections(t *testing.T) {
	t.Parallel()
	s, config := secured(t, fapwstest.Threads)
	w, _ := dial(t, s, config)
	for _, n := range []int{1, 5000, 16 << 10, 3_000_000} {
		body := bytes.Repeat([]byte{'x'}, n)
		w.Ask(fapwstest.Request("POST", "/length", string(body))).Want(t, 200).Is(t, fmt.Sprint(n, " ", n*'x'%65536))
		w.Ask(fapwstest.Chunked("POST", "/length", string(body), 10_000)).Want(t, 200).Is(t, fmt.Sprint(n, " ", n*'x'%65536))
	}
	a := w.Fetch("/large").Want(t, 200)
	for i := range 5_000_000 {
		if a.Text[i] != byte(i/100_000%251) {
			t.Fatalf("byte %d is %d", i, a.Text[i])
		}
	}
}

// WSGI applications get the variables of mod_ssl. ASGI applications get the TLS extension.
func TestApplicationGetsTheClientCertificate(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Forks}, func(t *testing.T, m fapwstest.Mode) {
		ca := certtest.NewAuthority(t)
		dir := t.TempDir()
		pair := ofClient(t, ca, certtest.Options{Common: "Ann"})
		flags := append(flagsFor(ca.For("example.org"), dir), "--ca-certs", certtest.Write(t, dir+"/ca.pem", ca.PEM),
			"--cert-reqs", "optional")
		s := serve(t, m, fapwstest.Command{Flags: flags})
		for _, shows := range []bool{true, false, true} {
			config := &tls.Config{RootCAs: ca.Pool()}
			want := map[string]any{"SSL_CLIENT_VERIFY": "NONE", "SSL_CLIENT_S_DN": nil, "SSL_CLIENT_CERT": nil,
				"SSL_PROTOCOL": "TLSv1.3", "HTTPS": "on"}
			if shows {
				config.Certificates = []tls.Certificate{pair}
				want["SSL_CLIENT_VERIFY"], want["SSL_CLIENT_S_DN"], want["SSL_CLIENT_CERT"] = "SUCCESS", "CN=Ann",
					string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}))
			}
			w, _ := dial(t, s, config)
			for range 3 {
				got := w.Fetch("/show/x").Want(t, 200).Object(t)
				for name, value := range want {
					fapwstest.Equalf(t, got[name], value, "shows %v: %s", shows, name)
				}
			}
			w.Close()
		}
	})
}

func TestRawSocketOfALibraryUsesTLS(t *testing.T) {
	t.Parallel()
	s, config := secured(t, fapwstest.Threads)
	w, _ := dial(t, s, config)
	w.Send(fapwstest.Get("/shout", "Connection: Upgrade", "Upgrade: websocket"))
	fapwstest.Equal(t, w.Head("GET").StatusCode, 101)
	for i := range 100 {
		w.Send(fmt.Sprintf("line %d %s\n", i, strings.Repeat("x", i*100)))
		line := fapwstest.Try(w.In.ReadString('\n')).Must(t)
		fapwstest.Equal(t, line, fmt.Sprintf("LINE %d %s\n", i, strings.Repeat("X", i*100)))
	}
	w.Send("quit\n")
	w.Closed()
}

func TestRequestWithoutTLSGetsTheRightAddress(t *testing.T) {
	t.Parallel()
	s, _ := secured(t, fapwstest.Threads)
	for _, c := range []struct{ request, want string }{
		{"GET /a?b=1&c HTTP/1.1\r\nHost: example.org:8443\r\n\r\n",
			"This is an HTTPS port. Use https://example.org:8443/a?b=1&c\n"},
		{"GET /a?b=1&c HTTP/1.1\r\nHost: example.org\r\nAccept: text/html,*/*\r\n\r\n",
			`<a href="https://example.org/a?b=1&amp;c">`},
		{"GET /%22%3e<script> HTTP/1.1\r\nHost: example.org\r\nAccept: text/html\r\n\r\n", "This is an HTTPS port."},
		{"POST /a HTTP/1.1\r\nHost: example.org\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 1000),
			"Use https://example.org/a\n"},
		{"HEAD / HTTP/1.0\r\n\r\n", "This is an HTTPS port.\n"},
		{"GARBAGE\r\n\r\n", "This is an HTTPS port.\n"},
		{strings.Repeat("A", 20_000), "This is an HTTPS port.\n"},
	} {
		for _, size := range []int{len(c.request), 1} {
			w := s.Dial()
			for piece := range slices.Chunk([]byte(c.request), size) {
				if _, err := w.Write(piece); err != nil {
					break
				}
			}
			got, err := io.ReadAll(w)
			fapwstest.Truef(t, (err == nil || size <= 1) && strings.HasPrefix(string(got), "HTTP/1.1 400 Bad Request\r\n") &&
				strings.Contains(string(got), c.want) && !strings.Contains(string(got), "<script>"), "%.50q: %q, %v", c.request,
				got, err)
		}
	}
	s.Says("info .*plain HTTP on an HTTPS port: answered 400")
	// A plain port rejects a TLS handshake, also a port that expects a trusted proxy's forwarding fields.
	for _, flags := range [][]string{nil, {"--trusted-proxy", "127.0.0.1"}} {
		plain := fapwstest.Serve(t, fapwstest.Threads, "environ.py", flags...)
		_, err := tryDial(t, plain, &tls.Config{})
		fapwstest.Truef(t, err != nil, "a handshake on a port without TLS")
		plain.Says("info .*a TLS handshake on a port without TLS")
		plain.Get("/show/x", 200)
	}
}

// fewHandshakes starts a server that has as many handshakes in progress as it may (an eighth of its open files), each
// with a client that sends nothing.
func fewHandshakes(t *testing.T, before func(s *fapwstest.Server)) (s *fapwstest.Server, config *tls.Config,
	silent []*fapwstest.Client) {
	t.Helper()
	ca := certtest.NewAuthority(t)
	s = serve(t, fapwstest.Threads, fapwstest.Command{Script: "serving.py", Shell: "ulimit -n 80",
		Flags: append(flagsFor(ca.For("example.org"), t.TempDir()), "--tls-timeout", "1h")})
	before(s)
	silent = fapwstest.Repeat(10, func(int) *fapwstest.Client { return s.Dial() })
	return s, &tls.Config{RootCAs: ca.Pool(), ServerName: "example.org", NextProtos: []string{"http/1.1"}}, silent
}

func TestClientWithoutAHandshakeIsDisconnectedForAnotherClient(t *testing.T) {
	t.Parallel()
	s, config, silent := fewHandshakes(t, func(*fapwstest.Server) {})
	w, _ := dial(t, s, config)
	serves(w)
	silent[0].Closed()
	serves(w)
}

func TestClientWithMostHandshakesIsDisconnectedFirst(t *testing.T) {
	t.Parallel()
	var slow net.Conn
	s, config, silent := fewHandshakes(t, func(s *fapwstest.Server) {
		from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
		slow = fapwstest.Try(from.Dial("tcp", s.Address)).Must(t)
	})
	defer slow.Close()
	w, _ := dial(t, s, config)
	serves(w)
	silent[0].Closed()
	fapwstest.Must(t, tls.Client(slow, config).Handshake())
	fapwstest.Must(t, tls.Client(silent[9].Conn, config).Handshake())
}

func TestUnfinishedClientHelloNeedsOneDescriptorAndLittleMemory(t *testing.T) {
	t.Parallel()
	s, config := secured(t, fapwstest.Threads)
	descriptors, memory := len(s.Descriptors()), s.RSS()
	for i := range 1000 {
		c := s.Dial()
		// The TLS record has 16,000 bytes, and contains the beginning of a ClientHello of 60,000 or 16,380 bytes.
		size := [2][2]byte{{0xea, 0x60}, {0x3f, 0xfc}}[i%2]
		record := append([]byte{22, 3, 1, 0x3e, 0x80, 1, 0, size[0], size[1]}, make([]byte, 16000-4)...)
		for range 3 - 2*(i%2) {
			_, _ = c.Write(record)
		}
	}
	w, _ := dial(t, s, config)
	serves(w)
	n := len(s.Descriptors()) - descriptors
	fapwstest.Truef(t, n <= 1010, "%d descriptors", n)
	grown := s.RSS() - memory
	fapwstest.Truef(t, grown <= 80<<20, "%d MiB", grown>>20)
}

// dotted replaces the last letter of the host name in a ClientHello by a dot.
type dotted struct{ net.Conn }

func (d dotted) Write(b []byte) (int, error) {
	_, err := d.Conn.Write(bytes.ReplaceAll(b, []byte("example.orgx"), []byte("example.org.")))
	return len(b), err
}

func TestLogExplainsAHostNameWithADotAtTheEnd(t *testing.T) {
	t.Parallel()
	s, config := secured(t, fapwstest.Threads)
	named := config.Clone()
	named.ServerName = "example.orgx"
	fapwstest.Truef(t, tls.Client(dotted{s.Dial().Conn}, named).Handshake() != nil, "the handshake succeeded")
	s.Says("TLS handshake failed: a message of the client is malformed; perhaps the host name in it ends with a dot")
}

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
		"--https-redirect":       "https-redirect (flag --https-redirect) requires HTTPS: add --tls auto or --certfile",
		"--https-redirect=70000": "must be yes, no, or a port from 2 to 65535",
	} {
		fapwstest.Command{Flags: []string{flag}, Script: "environ.py"}.Fails(t, 2, want)
	}
}
