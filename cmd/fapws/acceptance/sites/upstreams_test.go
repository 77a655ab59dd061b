package sites_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/backend/backendtest"
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
				if err != nil || !strings.Contains(string(out), fmt.Sprintf("status codes: %d 2xx", n)) {
					t.Errorf("h2load %v: %v\n%s", flags, err, out)
				}
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
		"def page(environ, start_response):\n    return 'hello'\n\n"+
			"PATHS = [('/', page)]\n")
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
	file := fapwstest.Write(t, t.TempDir()+"/fapws.toml",
		fmt.Sprintf("h2c = true\n[[host]]\n[[host.route]]\nprefix = \"/\"\n"+
			"timeout = \"10s\"\nproxy = [\"%s\"]\n", strings.Join(urls, `", "`)))
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
	code, _, stderr := fapwstest.Command{Flags: []string{"check"}, Dir: dir}.Run(t)
	if code != 0 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "fapws.toml:4: proxy: ") ||
		!strings.Contains(stderr, "nosuch.invalid") {
		t.Errorf("code %d, %s", code, stderr)
	}
}
