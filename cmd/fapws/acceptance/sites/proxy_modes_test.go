package sites_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/conn/certtest"
)

// behind is an upstream: /echo returns the size and the digest of the body, /large sends 3 MB, /parts sends two pieces, the
// second one after the client has got the first, /none and /half reset the connection in place of a response and within
// it, and /fields returns what it got.
func behind(got chan bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/echo":
			sum := sha256.New()
			n, err := io.Copy(sum, r.Body)
			fmt.Fprintf(w, "%d %x %v", n, sum.Sum(nil), err)
		case "/large":
			http.ServeContent(w, r, "large", time.Time{}, bytes.NewReader(bytes.Repeat([]byte("0123456789abcdef"), 3<<16)))
		case "/parts":
			w.Header().Set("Trailer", "X-Sum")
			io.WriteString(w, "first")
			w.(http.Flusher).Flush()
			<-got
			io.WriteString(w, "second")
			w.Header().Set("X-Sum", "sum")
		case "/none", "/half":
			if r.URL.Path == "/half" {
				w.Header().Set("Content-Length", "10")
				io.WriteString(w, "first")
				w.(http.Flusher).Flush()
			}
			c, _, _ := w.(http.Hijacker).Hijack()
			defer c.Close()
			if secured, ok := c.(*tls.Conn); ok {
				c = secured.NetConn()
				defer c.Close()
			}
			if c, ok := c.(*net.TCPConn); ok {
				c.SetLinger(0)
			}
		default:
			fmt.Fprintf(w, "%s %s %s %s", r.Method, r.URL, r.Host, r.Header.Get("X-Forwarded-Proto"))
		}
	}
}

func TestProxyOverAllProtocolsAndModes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	got := make(chan bool)
	plain := httptest.NewServer(behind(got))
	defer plain.Close()
	secure := httptest.NewTLSServer(behind(got))
	defer secure.Close()
	socket := httptest.NewUnstartedServer(behind(got))
	ln, err := net.Listen("unix", filepath.Join(dir, "behind.sock"))
	fapwstest.Equal(t, err, nil)
	socket.Listener = ln
	socket.Start()
	defer socket.Close()
	cert, key := certtest.NewAuthority(t).For("localhost").Write(dir)
	app := fapwstest.Write(t, filepath.Join(dir, "app.py"), "def application(environ, start_response):\n"+
		"    start_response('200 OK', [])\n    return [b'app']\n")
	file := "h2c = true\nmax-body-size = '100M'\n[[host]]\napp = \"" + app + "\"\n"
	for name, target := range map[string]string{"plain": plain.URL, "secure": secure.URL, "socket": "unix:" + dir + "/behind.sock"} {
		for buffering := range 2 {
			file += fmt.Sprintf("[[host.route]]\nprefix = \"/%s%d/\"\nproxy = \"%s%s/\"\nproxy-request-buffering = %v\n", name,
				buffering, target, map[bool]string{true: ":"}[name == "socket"], buffering == 1)
			if name == "secure" {
				file += "proxy-tls-verify = false\n"
			}
		}
	}
	config := fapwstest.Write(t, filepath.Join(dir, "fapws.toml"), file)
	body := strings.Repeat("fapws ", 200_000)
	for _, flags := range [][]string{{}, {"--threads", "0"}, {"--workers", "2"}} {
		for _, secured := range []bool{false, true} {
			t.Run(fmt.Sprint(flags, secured), func(t *testing.T) {
				all, scheme := append([]string{"-c", config, "--bind", "127.0.0.1:0"}, flags...), "http"
				if secured {
					all, scheme = append([]string{"-c", config, "--bind", "https://127.0.0.1:0", "--certfile", cert, "--keyfile", key},
						flags...), "https"
				}
				address := fapwstest.Command{Flags: all}.Start(t).Says(`  https?://(127\.0\.0\.1:\d+)/`)[1]
				for _, second := range []bool{false, true} {
					transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Protocols: new(http.Protocols)}
					defer transport.CloseIdleConnections()
					transport.Protocols.SetHTTP1(!second)
					transport.Protocols.SetHTTP2(second)
					transport.Protocols.SetUnencryptedHTTP2(second)
					ask := func(method, path, body string) (*http.Response, string) {
						t.Helper()
						r, err := http.NewRequest(method, scheme+"://"+address+path, strings.NewReader(body))
						fapwstest.Equal(t, err, nil)
						r.Header.Set("TE", "trailers")
						response, err := transport.RoundTrip(r)
						if err != nil {
							t.Fatal(err)
						}
						defer response.Body.Close()
						if strings.HasSuffix(path, "/parts") {
							first := make([]byte, len("first"))
							_, err := io.ReadFull(response.Body, first)
							fapwstest.Equal(t, err, nil)
							got <- true
						}
						text, err := io.ReadAll(response.Body)
						whole := !strings.HasSuffix(path, "/half")
						fapwstest.Truef(t, (err == nil) == whole && response.ProtoMajor == map[bool]int{true: 2, false: 1}[second], "%s %s: %v, %s",
							method, path, err, response.Proto)
						return response, string(text)
					}
					for _, to := range []string{"plain", "secure", "socket"} {
						for buffering := range 2 {
							at := fmt.Sprintf("/%s%d", to, buffering)
							_, text := ask("GET", at+"/fields?a=b", "")
							fapwstest.Equal(t, text, fmt.Sprintf("GET /fields?a=b %s %s", address, scheme))
							for range 3 {
								_, text = ask("POST", at+"/echo", body)
								fapwstest.Equal(t, text, fmt.Sprintf("%d %x <nil>", len(body), sha256.Sum256([]byte(body))))
								r, text := ask("GET", at+"/large", "")
								fapwstest.Truef(t, len(text) == 3<<20 && r.StatusCode == 200, "%d bytes", len(text))
							}
							r, text := ask("HEAD", at+"/large", "")
							fapwstest.Truef(t, text == "" && r.ContentLength == 3<<20, "HEAD: %q, %d", text, r.ContentLength)
							r, text = ask("GET", at+"/parts", "")
							fapwstest.Truef(t, text == "second" && r.Trailer.Get("X-Sum") == "sum", "parts: %q, %v", text, r.Trailer)
							r, _ = ask("POST", at+"/none", "body")
							fapwstest.Equal(t, r.StatusCode, 502)
							ask("GET", at+"/half", "") // is incomplete
						}
					}
					_, text := ask("GET", "/", "")
					fapwstest.Equal(t, text, "app")
				}
			})
		}
	}
}
