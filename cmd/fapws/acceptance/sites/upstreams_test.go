package sites_test

import (
	"bufio"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/backend/backendtest"
	"fapws/runtime/websocket"
)

// load runs h2load over HTTP/2, and at the same time over HTTP/1.1, again and again. Each request must get 200. The
// first result is a function that waits until each h2load has run two more times.
func load(t *testing.T, url string) (more, stop func()) {
	t.Helper()
	const n = 200
	var ended [2]atomic.Int64
	var stopped atomic.Bool
	var loads sync.WaitGroup
	for i, flags := range [][]string{{}, {"--h1"}} {
		loads.Go(func() {
			for !stopped.Load() && !t.Failed() {
				out, err := exec.Command("h2load", append(flags, "-n", fmt.Sprint(n), "-c", "3", "-m", "4",
					url)...).CombinedOutput()
				fapwstest.Truef(t, err == nil && strings.Contains(string(out), fmt.Sprintf("status codes: %d 2xx", n)),
					"h2load %v: %v\n%s", flags, err, out)
				ended[i].Add(1)
			}
		})
	}
	t.Cleanup(func() { stopped.Store(true) })
	more = func() {
		t.Helper()
		one, two := ended[0].Load()+2, ended[1].Load()+2
		fapwstest.Eventually(t, "more requests are answered", func() bool {
			return t.Failed() || ended[0].Load() >= one && ended[1].Load() >= two
		})
	}
	return more, func() {
		stopped.Store(true)
		loads.Wait()
	}
}

func TestNoRequestIsLostWhenUpstreamsFail(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	app := fapwstest.Write(t, filepath.Join(dir, "app.py"),
		"def page(environ, start_response):\n    return 'hello'\n\nPATHS = [('/', page)]\n")
	start := func(address string) *fapwstest.Server {
		s := fapwstest.Command{Script: app, Dir: dir, Flags: []string{"--bind", address}}.Start(t)
		s.Says("http://" + address)
		return s
	}
	var addresses, urls []string
	var servers []*fapwstest.Server
	for i := range 4 {
		addresses = append(addresses, backendtest.Unused(t))
		urls = append(urls, "http://"+addresses[i])
		servers = append(servers, start(addresses[i]))
	}
	// With an application, the routes are built once more when it has loaded.
	file := fapwstest.Write(t, t.TempDir()+"/fapws.toml",
		fmt.Sprintf("h2c = true\n[[host]]\n[[host.route]]\nprefix = \"/own/\"\napp = \"%s\"\n[[host.route]]\nprefix = \"/\"\n"+
			"timeout = \"10s\"\nproxy = [\"%s\"]\n", app, strings.Join(urls, `", "`)))
	front := fapwstest.Command{Flags: []string{"-c", file}}.Serve(t, fapwstest.Mode{})

	more, stop := load(t, front.URL)
	more()
	servers[0].Signal(syscall.SIGKILL)
	servers[0].Ended()
	more()
	front.Says("proxy " + urls[0] + ": .*; it gets no requests for 10s")
	servers[1].Signal(syscall.SIGSTOP)
	t.Cleanup(func() { servers[1].Signal(syscall.SIGCONT) })
	more()
	servers[2].Stop()
	start(addresses[2])
	more()
	start(addresses[0])
	front.Says("proxy " + urls[0] + ": responds again")
	more()
	stop()
}

func TestCheckLooksUpEachUpstream(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/fapws.toml", "[[host]]\n[[host.route]]\nprefix = \"/\"\n"+
		"proxy = [\"http://127.0.0.1:1\", \"http://localhost:1\", \"http://nosuch.invalid:1\"]\n")
	code, _, stderr := fapwstest.Command{Flags: []string{"check", "--bind", "127.0.0.1:0"}, Dir: dir}.Run(t)
	fapwstest.Truef(t, code == 0 && strings.Count(stderr, "\n") == 1 && strings.Contains(stderr,
		"fapws.toml:4: proxy: ") && strings.Contains(stderr, "nosuch.invalid"), "code %d, %s", code, stderr)
}

// atOnce sends n requests at the same time, and then a few requests one after the other.
func atOnce(s *fapwstest.Server, n int, target string) {
	s.T.Helper()
	fapwstest.AtOnce(n, func(int) { s.Get(target, 200) })
	for range 6 {
		s.Get(target, 200)
	}
}

func begin(t *testing.T, program *exec.Cmd) (line string) {
	t.Helper()
	out := fapwstest.Try(program.StdoutPipe()).Must(t)
	fapwstest.StartProgram(t, program)
	line, _ = bufio.NewReader(out).ReadString('\n')
	return strings.TrimSpace(line)
}

func TestIdleUpstreamConnectionDelaysNoOtherRequest(t *testing.T) {
	t.Parallel()
	port := begin(t, exec.Command(fapwstest.Python, fapwstest.Testdata(t, "single.py")))
	atOnce(fapwstest.ServeProxy(t, "http://127.0.0.1:"+port, "timeout = \"30s\"\n", "--workers", "2"), 6, "/")
}

func TestIdleFastCGIConnectionDelaysNoOtherRequest(t *testing.T) {
	t.Parallel()
	need(t, "/usr/bin/php-cgi")
	socket := fapwstest.PublicFolder(t) + "/php.sock"
	runPHP(t, socket)
	s, _ := configured(t, fapwstest.Workers, fmt.Sprintf(`
[[host]]
route = [{ match = "*.php", root = "site", fastcgi = { address = "unix:%s", params = { REDIRECT_STATUS = "200" } } }]
`, socket), map[string]string{"site/a.php": "<?php usleep(50000); echo 'ok';"})
	fapwstest.Eventually(t, "PHP answers", func() bool { return s.Ask(fapwstest.Get("/a.php")).StatusCode == 200 })
	atOnce(s, 10, "/a.php")
}

// haproxyConfig returns the configuration of HAProxy in docs/cluster.md with other addresses.
func haproxyConfig(t *testing.T, addresses ...string) string {
	t.Helper()
	_, text, _ := strings.Cut(fapwstest.Read(t, "../../../../docs/cluster.md"), "```ini haproxy.cfg\n")
	text, _, found := strings.Cut(text, "```")
	fapwstest.Needf(t, found, "docs/cluster.md has no haproxy.cfg")
	for i, of := range []string{"127.0.0.1:8000", "127.0.0.1:8001", "127.0.0.1:9000"} {
		text = strings.ReplaceAll(text, of, addresses[i])
	}
	return fapwstest.Write(t, filepath.Join(t.TempDir(), "haproxy.cfg"), text)
}

func behindHAProxy(t *testing.T, dir string, flags ...string) (front, one, two string,
	start func(address string) *fapwstest.Server) {
	t.Helper()
	one, two, front = backendtest.Unused(t), backendtest.Unused(t), backendtest.Unused(t)
	app := fapwstest.Write(t, filepath.Join(dir, "app.py"), `import os


def page(environ, start_response):
    return 'hello'


def die(environ, start_response):
    with open('died', 'a') as log:
        log.write('died ')
    os.kill(os.getpid(), 9)


PATHS = [('/die', die), ('/', page)]
`)
	fapwstest.StartProgram(t, exec.Command("haproxy", "-db", "-f", haproxyConfig(t, front, one, two)))
	return front, one, two, func(address string) *fapwstest.Server {
		s := fapwstest.Command{Script: app, Dir: dir, Flags: append(flags, "--bind", address, "--health", "/healthz"),
			Complains: true}.Start(t)
		s.Address = address
		s.Says("http://" + address)
		return s
	}
}

// The killed server may already have processed the POST. A second attempt would then process the POST twice.
func TestHAProxyDoesNotRepeatAPOST(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	front, one, two, start := behindHAProxy(t, dir, "--workers", "1")
	start(one)
	start(two)
	fapwstest.Eventually(t, "haproxy has found a server", func() bool { return ready(front) })
	r := fapwstest.Try(http.Post("http://"+front+"/die", "text/plain", strings.NewReader("pay"))).Must(t)
	r.Body.Close()
	died, err := os.ReadFile(dir + "/died")
	fapwstest.Truef(t, r.StatusCode == 502 && string(died) == "died ", "status %d, %q, %v", r.StatusCode, died, err)
}

func TestServersBehindHAProxyLoseNoRequest(t *testing.T) {
	t.Parallel()
	front, one, two, start := behindHAProxy(t, t.TempDir())
	a, b := start(one), start(two)
	fapwstest.Eventually(t, "haproxy has found a server", func() bool { return ready(front) })

	var answered atomic.Int64
	stop := make(chan struct{})
	wait := fapwstest.InBackground(4, func(int) {
		for {
			select {
			case <-stop:
				return
			// During this pause, the other processes can use the CPU.
			case <-time.After(2 * time.Millisecond):
			}
			r, err := http.Get("http://" + front + "/")
			if err != nil {
				t.Error(err)
				return
			}
			text, err := io.ReadAll(r.Body)
			r.Body.Close()
			if err != nil || string(text) != "hello" {
				t.Errorf("%s %q %v", r.Status, text, err)
				return
			}
			answered.Add(1)
		}
	})
	more := func() {
		t.Helper()
		before := answered.Load()
		fapwstest.Eventually(t, "200 more are answered", func() bool { return t.Failed() || answered.Load() > before+200 })
	}
	more()
	a.Signal(syscall.SIGKILL)
	a.Ended()
	more()
	start(one)
	more()
	b.Stop()
	more()
	close(stop)
	wait()
}

func ready(address string) bool {
	r, err := http.Get("http://" + address + "/healthz/ready")
	if err != nil {
		return false
	}
	r.Body.Close()
	return r.StatusCode == 200
}

// secure starts an HTTPS server for example.com and 127.0.0.1. The file ca contains its certificate. The response
// to a request contains the method, the host and the body of the request.
func secure(t *testing.T) (behind *httptest.Server, ca string, connections *atomic.Int64) {
	t.Helper()
	connections = new(atomic.Int64)
	behind = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			fmt.Fprintf(w, "%s host=%s name=%s proto=%s ", r.Method, r.Host, r.TLS.ServerName, r.Header.Get("X-Forwarded-Proto"))
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
		w.Ask("GET / HTTP/1.1\r\nHost: knowing\r\n\r\n").Want(t, 200)
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
