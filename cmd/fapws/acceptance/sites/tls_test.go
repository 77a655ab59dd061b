package sites_test

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket"
)

// secure starts an HTTPS server for example.com and 127.0.0.1. The file ca contains its certificate. The response
// to a request contains the method, the host and the body of the request.
func secure(t *testing.T) (behind *httptest.Server, ca string, connections *atomic.Int64) {
	t.Helper()
	connections = new(atomic.Int64)
	behind = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			fmt.Fprintf(w, "%s host=%s name=%s proto=%s ", r.Method, r.Host, r.TLS.ServerName,
				r.Header.Get("X-Forwarded-Proto"))
			io.Copy(w, r.Body)
			return
		}
		c, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		accept := websocket.AcceptKey([]byte(r.Header.Get("Sec-WebSocket-Key")))
		fmt.Fprintf(c, "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: "+
			"%s\r\n\r\nwelcome", accept[:])
		io.Copy(c, buffered)
		c.(*tls.Conn).CloseWrite()
	}))
	behind.Config.ErrorLog = log.New(io.Discard, "", 0)
	behind.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	behind.StartTLS()
	t.Cleanup(behind.Close)
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: behind.Certificate().Raw})
	return behind, fapwstest.Write(t, t.TempDir()+"/ca.pem", string(text)), connections
}

func TestProxyKeepsTLSConnectionsToAnUpstream(t *testing.T) {
	t.Parallel()
	behind, ca, connections := secure(t)
	dir := t.TempDir()
	route := func(host, more string) string {
		return "[[host]]\nname = \"" + host + "\"\nerror-log = \"" + dir + "/" + host + "\"\n" +
			"[[host.route]]\nprefix = \"/\"\nproxy = \"" + behind.URL + "\"\n" + more
	}
	s := fapwstest.Command{Flags: []string{"-c", fapwstest.Write(t, dir+"/fapws.toml",
		route("strict", "")+
			route("trusting", "proxy-tls-verify = false\n")+
			route("knowing", "proxy-idle = \"1m\"\nproxy-tls-ca = \""+ca+"\"\n")+
			route("named", "proxy-tls-ca = \""+ca+
				"\"\nproxy-tls-name = \"example.com\"\nproxy-preserve-host = false\n")+
			route("misled", "proxy-tls-ca = \""+ca+"\"\nproxy-tls-name = \"other.test\"\n")+
			strings.Replace(route("plain", "proxy-tls-ca = \""+ca+"\"\n"), behind.URL, "https://"+plainServer(t), 1))},
		Complains: true}.Serve(t, fapwstest.Threads)
	ask := func(host string) *fapwstest.Answer {
		return s.Ask("POST / HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody")
	}
	address := strings.TrimPrefix(behind.URL, "https://")
	has(ask("trusting").Want(t, 200), t, "POST host=trusting name= proto=http body")
	has(ask("knowing").Want(t, 200), t, "POST host=knowing name= proto=http body")
	has(ask("named").Want(t, 200), t, "POST host="+address+" name=example.com proto=http body")
	for host, want := range map[string]string{"strict": "x509: certificate signed by unknown authority",
		"misled": "not other.test", "plain": "the server does not speak TLS"} {
		ask(host).Want(t, 502)
		fapwstest.FileSays(t, dir+"/"+host, want)
	}

	before := connections.Load()
	w := s.Dial()
	for range 20 {
		w.Send("GET / HTTP/1.1\r\nHost: knowing\r\n\r\n")
		w.Answer().Want(t, 200)
	}
	n := connections.Load() - before
	fapwstest.Truef(t, n <= 1, "%d more connections for 20 requests", n)

	w = s.Dial()
	w.Send("GET / HTTP/1.1\r\nHost: knowing\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: " +
		"13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	got := w.Head("GET")
	fapwstest.Needf(t, got.StatusCode == 101, "%v", got)
	text := strings.Repeat("0123456789", 200_000)
	go func() {
		io.WriteString(w, text)
		w.Conn.(*net.TCPConn).CloseWrite()
	}()
	fapwstest.Equal(t, w.Rest(), "welcome"+text)
}

func plainServer(t *testing.T) string {
	behind := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(behind.Close)
	return behind.Listener.Addr().String()
}

// The certificate files of the system are outside of the chroot directory.
func TestProxyInAChrootKnowsTheCertificatesOfTheSystem(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("only root can do this; see TestChrootLoadsOutsideAndServesInside for other users")
		return
	}
	behind, ca, _ := secure(t)
	folder, outside := fapwstest.PublicFolder(t), fapwstest.PublicFolder(t)
	ca = fapwstest.Write(t, filepath.Join(outside, "ca.pem"), fapwstest.Read(t, ca))
	fapwstest.Must(t, os.Chmod(ca, 0o644))
	file := fapwstest.Write(t, filepath.Join(folder, "fapws.toml"),
		"[[host]]\n[[host.route]]\nprefix = \"/\"\nproxy = \""+behind.URL+"\"\n")
	fapwstest.Must(t, os.Chmod(file, 0o644))
	s := fapwstest.Command{Flags: []string{"--user", "daemon", "--chroot", folder, "-c", file},
		Env: []string{"SSL_CERT_FILE=" + ca, "SSL_CERT_DIR=/nowhere"}}.ForOtherUsers(t).Serve(t, fapwstest.Mode{})
	s.Get("/", 200).Is(t, "GET host=test name= proto=http ")
	fapwstest.Truef(t, !strings.Contains(s.Stderr.String(), "warning"), "a warning about nothing")

	file = fapwstest.Write(t, filepath.Join(folder, "other.toml"),
		"[[host]]\n[[host.route]]\nprefix = \"/\"\nproxy = \"http://localhost:1\"\n")
	fapwstest.Must(t, os.Chmod(file, 0o644))
	s = fapwstest.Command{Flags: []string{"--user", "daemon", "--chroot", folder, "-c", file}}.ForOtherUsers(t).Serve(t,
		fapwstest.Mode{})
	s.Says(
		`warning proxy http://localhost:1: the address of localhost cannot be looked up in the chroot, as \S+ has ` +
			`neither etc/hosts nor etc/resolv\.conf \(\S+:4\)\n`)
	s.Get("/", 502)
}
