package proxy_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fapws/runtime/backend/backendtest"
	"fapws/runtime/checktest"
	"fapws/runtime/conn/certtest"
	"fapws/runtime/source/proxy"
	"fapws/runtime/websocket"
)

const (
	key       = "dGhlIHNhbXBsZSBub25jZQ=="
	handshake = "GET /ws?a=%zz HTTP/1.1\r\nHost: outside.example\r\nConnection: keep-alive, Upgrade\r\n" +
		"Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\n"
)

func accepted(key string) string {
	accept := websocket.AcceptKey([]byte(key))
	return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		string(accept[:]) + "\r\n"
}

func server(t *testing.T, serve func(c *net.TCPConn, r *bufio.Reader, request *http.Request)) (url string,
	connections *atomic.Int64) {
	t.Helper()
	connections = new(atomic.Int64)
	return "http://" + backendtest.Serve(t, func(_ int, c *net.TCPConn) {
		connections.Add(1)
		c.SetDeadline(time.Now().Add(patience))
		r := bufio.NewReader(c)
		if request, err := http.ReadRequest(r); err == nil {
			serve(c, r, request)
		}
	}), connections
}

func client(t *testing.T, address, text string) (*net.TCPConn, *bufio.Reader) {
	t.Helper()
	c := backendtest.Dial(t, address)
	checktest.Try(io.WriteString(c, text)).Must(t)
	return c, bufio.NewReader(c)
}

func status(t *testing.T, r *bufio.Reader, want int) *http.Response {
	t.Helper()
	response, err := http.ReadResponse(r, nil)
	checktest.Needf(t, err == nil && response.StatusCode == want, "%+v, %v, want %d", response, err, want)
	return response
}

func reads(t *testing.T, r io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(r, got)
	checktest.Needf(t, err == nil && string(got) == want, "%q, %v, want %q", got[:n], err, want)
}

func TestInvalidHandshakeNeverReachesTheUpstream(t *testing.T) {
	url, connections := server(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) {
		io.WriteString(c, accepted(key)+"\r\n")
	})
	address, _ := front(t, "/", proxy.Options{Targets: []string{url}})
	for _, test := range []struct{ old, new, want string }{
		{"Version: 13", "Version: 12", "HTTP/1.1 426 "},
		{key, "short", "HTTP/1.1 400 "},
		{"Sec-WebSocket-Key: " + key + "\r\n", "", "HTTP/1.1 400 "},
		{"Host: ", "Content-Length: 1\r\nHost: ", "HTTP/1.1 400 "},
	} {
		const last = "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\n\r\n"
		got := talk(t, address, strings.Replace(handshake, test.old, test.new, 1)+"\r\n\r\n"+last)
		checktest.Truef(t, strings.HasPrefix(got, test.want), "%s: %q", test.new, got)
	}
	checktest.Equalf(t, connections.Load(), 0, "requests to the server")
}

// See RFC 9110 §7.8.
func TestIgnoredUpgradeIsForwardedAsAPlainRequest(t *testing.T) {
	url, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, request *http.Request) {
		text := request.Method + request.Header.Get("Upgrade")
		io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: "+strconv.Itoa(len(text))+"\r\n\r\n"+text)
	})
	address, _ := front(t, "/", proxy.Options{Targets: []string{url}})
	for _, test := range []struct{ old, new, want string }{
		{"GET ", "POST ", "POST"},
		{"GET ", "PURGE ", "PURGE"},
		{"keep-alive, Upgrade\r\n", "close\r\n", "GET"},
		{"HTTP/1.1", "HTTP/1.0", "GET"},
	} {
		_, r := client(t, address, strings.Replace(handshake, test.old, test.new, 1)+"\r\n")
		response := checktest.Try(http.ReadResponse(r, nil)).Must(t)
		got, err := io.ReadAll(response.Body)
		checktest.Truef(t, err == nil && string(got) == test.want, "%s: %d %q, %v", test.new, response.StatusCode, got, err)
	}
}

// The connection of a handshake is not used for another request, and an idle connection is not used for a handshake.
func TestHandshakeUsesItsOwnConnection(t *testing.T) {
	url, connections := server(t, func(c *net.TCPConn, r *bufio.Reader, request *http.Request) {
		for err := error(nil); err == nil; request, err = http.ReadRequest(r) {
			if request.URL.Path == "/ws" {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno")
			} else {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain")
			}
		}
	})
	address, _ := front(t, "/", proxy.Options{Targets: []string{url}})
	for i := range 3 {
		_, r := client(t, address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"+handshake+"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
		for _, want := range []string{"plain", "no", "plain"} {
			reads(t, status(t, r, 200).Body, want)
		}
		checktest.Equalf(t, connections.Load(), int64(2+i), "connections after %d rounds", i+1)
	}
}

// If the upstream does not respond in time, the status is 504. If the upstream stops during a response, the response is
// aborted.
func TestUpstreamFailuresGet502Or504AndALogLine(t *testing.T) {
	ok, upgrade := accepted(key), strings.Replace(handshake, "keep-alive", "close", 1)+"\r\n"
	const plain, large = "GET / HTTP/1.0\r\n\r\n", 100 << 10
	for name, test := range map[string]struct{ request, answer, want, log string }{
		"no answer":        {plain, "hang", "504", "timeout"},
		"no http":          {plain, "nonsense\r\n\r\n", "502", "malformed"},
		"another protocol": {plain, "SSH-2.0-server\r\nhang", "502", "malformed"},
		"a large head": {plain, "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", large) + "\r\n\r\n", "502",
			"exceeds 65536 bytes"},
		"unasked upgrade": {plain, "HTTP/1.1 101 Switching Protocols\r\n\r\n", "502", "status 101"},
		"cut": {plain, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart", "200",
			"aborted: unexpected EOF"},
		"pause": {plain, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhang", "200", "(proxy-read-timeout)"},

		"no Upgrade": {upgrade, strings.Replace(ok, "Upgrade: websocket\r\n", "", 1) + "\r\n", "502",
			"101 without Upgrade: websocket"},
		"another Upgrade": {upgrade, strings.Replace(ok, "websocket", "h2c", 1) + "\r\n", "502",
			"101 without Upgrade: websocket"},
		"several Upgrades": {upgrade, strings.Replace(ok, "websocket\r\n", "websocket\r\nUpgrade: h2c\r\n", 1) + "\r\n",
			"502", "101 without Upgrade: websocket"},
		"no Connection": {upgrade, strings.Replace(ok, "Connection: Upgrade\r\n", "", 1) + "\r\n", "502",
			"101 without Connection: Upgrade"},
		"no Accept": {upgrade, "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "502",
			"101 without a valid Sec-WebSocket-Accept"},
		"wrong Accept": {upgrade, accepted("x3JJHMbDL1EzLkh9GBhXDw==") + "\r\n", "502",
			"101 without a valid Sec-WebSocket-Accept"},
		"two Accepts": {upgrade, ok + "Sec-WebSocket-Accept: x\r\n\r\n", "502", "101 without a valid Sec-WebSocket-Accept"},
		"control":     {upgrade, ok + "X: a\x01b\r\n\r\n", "502", "malformed field"},
		"a frame":     {upgrade, "\x81\x05hello\r\n\r\n", "502", "malformed HTTP"},
		"nothing":     {upgrade, "", "502", "without a response"},
		"half a head": {upgrade, "HTTP/1.1 101 Swi", "502", "without a response"},
		"large head":  {upgrade, ok + "X: " + strings.Repeat("x", large), "502", "exceeds 65536 bytes"},
		"interim": {upgrade, strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 200), "502",
			"more than 100 responses of 1xx"},
		"hangs":         {upgrade, "hang", "504", "timeout"},
		"status 99":     {upgrade, "HTTP/1.1 099 X\r\n\r\n", "502", "status 99"},
		"body of a 101": {upgrade, ok + "Content-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n", "101", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, _ := server(t, func(c *net.TCPConn, r *bufio.Reader, _ *http.Request) {
				answer, hangs := strings.CutSuffix(test.answer, "hang")
				io.WriteString(c, answer)
				if hangs {
					io.Copy(io.Discard, r)
				}
			})
			try := func(timeout time.Duration) (wrong string) {
				address, logged := front(t, "/", proxy.Options{Targets: []string{url}, Timeout: timeout, Pause: timeout})
				_, r := client(t, address, test.request)
				all, _ := io.ReadAll(r)
				if !strings.HasPrefix(string(all), "HTTP/1.1 "+test.want) ||
					strings.Count(string(all), "HTTP/1.1") != 1 || strings.Contains(string(all), "h2c") {
					return fmt.Sprintf("%.300q", all)
				}
				logged.Says(t, test.log)
				return ""
			}
			if strings.HasSuffix(test.answer, "hang") {
				checktest.InItsTime(t, try)
			} else if wrong := try(patience); wrong != "" {
				t.Error(wrong)
			}
		})
	}
	for target, log := range map[string]string{"http://" + backendtest.Unused(t): "connection refused",
		"unix:/nowhere/x.sock": "no such file or directory"} {
		address, logged := front(t, "/", proxy.Options{Targets: []string{target}})
		got := talk(t, address, plain)
		checktest.Truef(t, strings.HasPrefix(got, "HTTP/1.1 502 "), "%s: %q", target, got)
		checktest.Truef(t, strings.Contains(got, "\r\n\r\nthe service behind this page has failed\n"), "%s: %q", target, got)
		logged.Says(t, "proxy "+target+": cannot connect: "+log+" (GET /)")
	}
}

// This test covers only resets; the tests of package conn check that bytes and the end of the input are forwarded.
func TestTunnelClosesTheOtherSide(t *testing.T) {
	t.Run("client, before the answer", func(t *testing.T) {
		asked, ended := make(chan bool), make(chan bool)
		url, _ := server(t, func(c *net.TCPConn, r *bufio.Reader, _ *http.Request) {
			close(asked)
			io.Copy(io.Discard, r)
			close(ended)
		})
		address, logged := front(t, "/", proxy.Options{Targets: []string{url}})
		c, _ := client(t, address, handshake+"\r\n")
		<-asked
		c.SetLinger(0)
		c.Close()
		<-ended
		checktest.Equalf(t, logged.String(), "", "it is the fault of nobody")
	})
	t.Run("server", func(t *testing.T) {
		opened := make(chan bool)
		url, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) {
			io.WriteString(c, accepted(key)+"\r\n")
			<-opened
			c.SetLinger(0)
		})
		address, logged := front(t, "/", proxy.Options{Targets: []string{url}})
		_, r := client(t, address, handshake+"\r\n")
		status(t, r, 101)
		close(opened)
		all, _ := io.ReadAll(r)
		checktest.Truef(t, len(all) == 0, "%q", all)
		logged.Says(t, "WebSocket closed: the upstream broke off")
	})
}

func certificate(t *testing.T, name string, until time.Time) (tls.Certificate, string) {
	t.Helper()
	authority := certtest.NewAuthority(t)
	c := authority.Sign(certtest.Options{Names: []string{name}, Start: until.Add(-time.Hour), End: until})
	pair := checktest.Try(tls.X509KeyPair(c.Chain, c.Key)).Must(t)
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
		serve     func(net.Conn)
		options   proxy.Options
		want, log string
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
		"hangs": {func(c net.Conn) { io.Copy(io.Discard, c) }, proxy.Options{Connect: 2 * time.Second},
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
				got := talk(t, address, request)
				checktest.Truef(t, strings.HasPrefix(got, test.want), "%q", got)
				if test.log == "" {
					return
				}
				logged.Says(t, "proxy "+url+": "+test.log)
				said := logged.String()
				checktest.Truef(t, !strings.Contains(said, "\n"), "the log is %q", said)
			})
		}
	}
}
