package applications_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/conn/certtest"
)

// pair serves the same applications mounted and in processes of their own. lines are further settings, and secure is
// true if they contain a certificate.
func pair(t *testing.T, lines string, secure bool) (mounted, apart *fapwstest.Server) {
	t.Helper()
	script := fapwstest.Testdata(t, "seen.py")
	users := filepath.Join(t.TempDir(), "users")
	fapwstest.Write(t, users, "joe:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n") // the password is secret
	const hosts = `
[[host]]
%s = "WSGI"
  [[host.route]]
  prefix = "/sub/"
  %s = "WSGI"
  [[host.route]]
  prefix = "/asgi"
  %s = "ASGI"
  [[host.route]]
  prefix = "/private"
  %s = "WSGI"
  auth = { realm = "x", users = "USERS" }
`
	serve := func(key, wsgi, asgi, tables string) *fapwstest.Server {
		text := strings.NewReplacer("%s", key, "WSGI", wsgi, "ASGI", asgi, "USERS", users).Replace(
			"error-log-format = \"json\"\n" + lines + tables + hosts)
		dir := t.TempDir()
		file := fapwstest.Write(t, dir+"/fapws.toml", text)
		address, banner := "127.0.0.1:0", fapwstest.BannerURL
		if secure {
			address, banner = "https://127.0.0.1:0", regexp.MustCompile(`(?m)^  https://(\S+)/$`)
		}
		s := fapwstest.Command{Flags: []string{"--bind", address, "-c", file}, Dir: dir}.Start(t)
		s.Address = s.Stderr.Await(t, banner)[1]
		return s
	}
	mounted = serve("app", script+":wsgi", script+":asgi", "")
	apart = serve("application", "one", "two", "\n[application.one]\napp = \""+script+":wsgi\"\n\n"+
		"[application.two]\napp = \""+script+":asgi\"\n")
	return mounted, apart
}

// seen returns the parts of a response of seen.py, in which the ports of both ends of c are replaced.
func seen(c net.Conn, text string) []string {
	for _, one := range []struct {
		end  net.Addr
		word string
	}{{c.LocalAddr(), "CLIENT"}, {c.RemoteAddr(), "SERVER"}} {
		_, port, _ := net.SplitHostPort(one.end.String())
		text = regexp.MustCompile(`\b`+port+`\b`).ReplaceAllString(text, one.word)
	}
	return strings.Split(text, "], [")
}

// equal compares what handlers in a process of their own see with what mounted handlers see.
func equal(t *testing.T, apart, mounted []string, request string) {
	t.Helper()
	for i := range max(len(apart), len(mounted)) {
		var got, want string
		if i < len(apart) {
			got = apart[i]
		}
		if i < len(mounted) {
			want = mounted[i]
		}
		if got != want {
			t.Errorf("%.90q: part %d is %.300q, mounted %.300q", request, i, got, want)
			return
		}
	}
}

// same compares what the handlers of both servers see of a request over plain TCP.
func same(t *testing.T, mounted, apart *fapwstest.Server, request string) {
	t.Helper()
	var texts [2][]string
	for i, s := range []*fapwstest.Server{mounted, apart} {
		w := s.Dial()
		a := w.Ask(strings.ReplaceAll(request, "HOST", s.Address))
		texts[i] = seen(w, a.Want(t, 200).Text)
		w.Close()
	}
	equal(t, texts[1], texts[0], request)
}

func TestHandlersSeeARequestAsIfMounted(t *testing.T) {
	t.Parallel()
	mounted, apart := pair(t, "forwarded-allow-ips = \"127.0.0.1\"\nrequest-id = true\ntrace = true\n", false)
	const fields = "X-B: 1\r\nx-a:  2 \r\nX-B: 3\r\nCookie: a=b\r\nAccept-Encoding: gzip\r\nTE: trailers\r\n" +
		"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nX-Request-Id: abc\r\n" +
		"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n"
	auth := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("joe:secret")) + "\r\n"
	for _, path := range []string{"/", "/sub/a%20b/%C3%A4?x=1&y=%20", "/sub/", "/sub/../asgi/x", "/asgi", "/asgi/a%2Fb?q"} {
		for _, request := range []string{
			"GET " + path + " HTTP/1.1\r\nHost: HOST\r\n\r\n",
			"GET " + path + " HTTP/1.0\r\n\r\n",
			"POST " + path + " HTTP/1.1\r\nHost: other.test\r\nContent-Type: text/x\r\nContent-Length: 5\r\n\r\nhello",
			"POST " + path + " HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\nX-Last: 1\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
			"PUT " + path + " HTTP/1.1\r\nHost: HOST\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		} {
			same(t, mounted, apart, request)
		}
	}
	for _, path := range []string{"/x", "/asgi/x"} {
		same(t, mounted, apart, "GET "+path+" HTTP/1.1\r\nHost: a.test\r\n"+fields+"\r\n")
	}
	same(t, mounted, apart, "GET /private/x HTTP/1.1\r\nHost: HOST\r\n"+auth+"\r\n")
}

func TestWebSocketsReachAnApplicationAsIfMounted(t *testing.T) {
	t.Parallel()
	mounted, apart := pair(t, "", false)
	var texts [2][]string
	for i, s := range []*fapwstest.Server{mounted, apart} {
		c := s.Socket("/asgi/ws?x=1", "X-One: 1")
		scope := regexp.MustCompile(`"b sec-websocket-key", "[^"]*"`).ReplaceAllString(fapwstest.Received(t, c), "KEY")
		texts[i] = seen(c.Conn, scope)
		fapwstest.Must(t, c.Send(1, []byte("echo")))
		fapwstest.Hears(t, c, "echo")
	}
	equal(t, texts[1], texts[0], "the scope of a WebSocket")
}

func TestHandlersSeeTLSAsIfMounted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := certtest.NewAuthority(t)
	cert, key := ca.For("localhost", "127.0.0.1").Write(dir)
	clients := certtest.NewAuthority(t)
	certtest.Write(t, dir+"/clients.pem", clients.PEM)
	own := clients.Sign(certtest.Options{Common: "Joe", Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	certificate := fapwstest.Try(tls.X509KeyPair(own.Certificate, own.Key)).Must(t)
	mounted, apart := pair(t, "certfile = \""+cert+"\"\nkeyfile = \""+key+"\"\nca-certs = \""+dir+
		"/clients.pem\"\ncert-reqs = \"optional\"\n", true)
	for _, protocol := range []string{"http/1.1", "h2"} {
		for _, path := range []string{"/x?y", "/asgi/x", "/sub/z"} {
			for _, body := range []string{"", "hello"} {
				var texts [2][]string
				for i, s := range []*fapwstest.Server{mounted, apart} {
					c := fapwstest.Try(tls.Dial("tcp", s.Address, &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost",
						Certificates: []tls.Certificate{certificate}, NextProtos: []string{protocol}})).Must(t)
					texts[i] = seen(c, string(overTLS(t, c, protocol, path, body)))
					c.Close()
				}
				equal(t, texts[1], texts[0], protocol+" "+path+" with "+body)
			}
		}
	}
}

// overTLS sends a request over c, and returns the body of the response. A body is sent without its length.
func overTLS(t *testing.T, c *tls.Conn, protocol, path, body string) []byte {
	t.Helper()
	request := fapwstest.Try(http.NewRequest("GET", "https://localhost"+path, nil)).Must(t)
	if body != "" {
		request = fapwstest.Try(http.NewRequest("POST", "https://localhost"+path, io.MultiReader(strings.NewReader(body)))).Must(t)
	}
	request.Header.Set("X-One", "1")
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(protocol == "h2")
	transport := &http.Transport{Protocols: &protocols, DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
		return c, nil
	}}
	response := fapwstest.Try(transport.RoundTrip(request)).Must(t)
	defer response.Body.Close()
	fapwstest.Equalf(t, response.StatusCode, 200, "%s %s", protocol, path)
	return fapwstest.Try(io.ReadAll(response.Body)).Must(t)
}
