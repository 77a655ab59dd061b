package sites_test

import (
	"io"
	"net/http"
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
)

// haproxyConfig returns the configuration of HAProxy in docs/cluster.md with other addresses.
func haproxyConfig(t *testing.T, addresses ...string) string {
	t.Helper()
	page := fapwstest.Read(t, "../../../../docs/cluster.md")
	_, text, _ := strings.Cut(page, "```ini haproxy.cfg\n")
	text, _, found := strings.Cut(text, "```")
	if !found {
		t.Fatal("docs/cluster.md has no haproxy.cfg")
	}
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
	var log strings.Builder
	proxy := exec.Command("haproxy", "-db", "-f", haproxyConfig(t, front, one, two))
	proxy.Stdout, proxy.Stderr = &log, &log
	fapwstest.Must(t, proxy.Start())
	t.Cleanup(func() {
		_ = proxy.Process.Kill()
		_ = proxy.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return front, one, two, func(address string) *fapwstest.Server {
		s := fapwstest.Command{Script: app, Dir: dir, Flags: append(flags, "--bind", address, "--health", "/healthz"),
			Complains: true}.Start(t)
		s.Address = address
		s.Says("http://" + address)
		return s
	}
}

// The killed server may have processed the POST before its end, so repeating the POST would process it twice.
func TestHAProxyDoesNotRepeatAPOST(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	front, one, two, start := behindHAProxy(t, dir, "--workers", "1")
	start(one)
	start(two)
	fapwstest.Eventually(t, "haproxy has found a server", func() bool { return ready(front) })
	r, err := http.Post("http://"+front+"/die", "text/plain", strings.NewReader("pay"))
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if died, err := os.ReadFile(dir + "/died"); r.StatusCode != 502 || string(died) != "died " {
		t.Errorf("status %d, %q, %v", r.StatusCode, died, err)
	}
}

func TestServersBehindHAProxyLoseNoRequest(t *testing.T) {
	t.Parallel()
	front, one, two, start := behindHAProxy(t, t.TempDir())
	a, b := start(one), start(two)
	fapwstest.Eventually(t, "haproxy has found a server", func() bool { return ready(front) })

	var answered atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
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
	}
	more := func() {
		t.Helper()
		before := answered.Load()
		fapwstest.Eventually(t, "200 more are answered", func() bool {
			return t.Failed() || answered.Load() > before+200
		})
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
	clients.Wait()
}

func ready(address string) bool {
	r, err := http.Get("http://" + address + "/healthz/ready")
	if err != nil {
		return false
	}
	r.Body.Close()
	return r.StatusCode == 200
}
