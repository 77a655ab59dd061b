package sites_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// atOnce sends n requests at the same time, and then a few requests one after the other.
func atOnce(s *fapwstest.Server, n int, target string) {
	s.T.Helper()
	var all sync.WaitGroup
	for range n {
		all.Go(func() { s.Get(target, 200) })
	}
	all.Wait()
	for range 6 {
		s.Get(target, 200)
	}
}

func begin(t *testing.T, program *exec.Cmd) (line string) {
	t.Helper()
	out, err := program.StdoutPipe()
	fapwstest.Must(t, err)
	fapwstest.Must(t, program.Start())
	t.Cleanup(func() {
		_ = program.Process.Kill()
		_ = program.Wait()
	})
	line, _ = bufio.NewReader(out).ReadString('\n')
	return strings.TrimSpace(line)
}

func TestIdleUpstreamConnectionDelaysNoOtherRequest(t *testing.T) {
	t.Parallel()
	for _, workers := range []string{"1", "2"} {
		port := begin(t, exec.Command(fapwstest.Python, fapwstest.Testdata(t, "single.py")))
		s := fapwstest.ServeProxy(t, "http://127.0.0.1:"+port, "timeout = \"30s\"\n", "--workers", workers)
		atOnce(s, 6, "/")
	}
}

func TestIdleFastCGIConnectionDelaysNoOtherRequest(t *testing.T) {
	t.Parallel()
	need(t, "/usr/bin/php-cgi")
	for _, m := range []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers} {
		socket := fapwstest.PublicFolder(t) + "/php.sock"
		program := exec.Command("/usr/bin/php-cgi", "-b", socket)
		program.Env = append(os.Environ(), "PHP_FCGI_CHILDREN=2", "PHP_FCGI_MAX_REQUESTS=0")
		fapwstest.Must(t, program.Start())
		t.Cleanup(func() {
			_ = program.Process.Signal(os.Interrupt)
			_ = program.Wait()
		})
		s, _ := configured(t, m, fmt.Sprintf(`
[[host]]
[[host.route]]
match = "*.php"
root = "site"
fastcgi = { address = "unix:%s", params = { REDIRECT_STATUS = "200" } }
`, socket), map[string]string{"site/a.php": "<?php usleep(50000); echo 'ok';"})
		fapwstest.Eventually(t, "PHP answers", func() bool { return s.Ask(fapwstest.Get("/a.php")).StatusCode == 200 })
		atOnce(s, 10, "/a.php")
	}
}
