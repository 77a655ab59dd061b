package sites_test

import (
	"crypto/md5"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestFastCGIUsesProcessesOfAnotherManager(t *testing.T) {
	t.Parallel()
	need(t, "/usr/bin/php-cgi")
	socket := fapwstest.PublicFolder(t) + "/php.sock"
	s, _ := configured(t, fapwstest.Threads, fmt.Sprintf(`
[[host]]
root = "site"
[[host.route]]
match = "*.php"
fastcgi = { address = "unix:%s", front = "/index.php", `+
		`params = { REDIRECT_STATUS = "200", MINE = "yes" }, connections = 2 }
[[host.route]]
prefix = "/gone/"
fastcgi = "127.0.0.1:1"
`, socket), map[string]string{
		"site/index.php":     `<?php echo "front ", $_SERVER['REQUEST_URI'], ' ', $_SERVER['MINE'];`,
		"site/a.php":         `<?php echo "a", $_SERVER['PATH_INFO'] ?? '', md5(file_get_contents('php://input'));`,
		"site/dir/index.php": `<?php echo "dir";`,
		"site/plain.txt":     "plain",
	})
	s.Get("/a.php", 502)
	s.Says(`site/a.php: dial unix `)
	s.Get("/gone/x", 502)
	program := exec.Command("/usr/bin/php-cgi", "-b", socket)
	program.Env = append(os.Environ(), "PHP_FCGI_CHILDREN=2", "PHP_FCGI_MAX_REQUESTS=0")
	fapwstest.Must(t, program.Start())
	defer func() {
		_ = program.Process.Signal(os.Interrupt)
		_ = program.Wait()
	}()
	fapwstest.Eventually(t, "PHP answers", func() bool { return s.Ask(fapwstest.Get("/a.php")).StatusCode == 200 })
	for _, size := range []int{0, 1, 32 << 10, 32<<10 + 1, 200_000, 3_000_000} {
		body := strings.Repeat("x", size)
		s.Ask(fapwstest.Request("POST", "/a.php/x", body)).Is(t, fmt.Sprintf("a/x%x", md5.Sum([]byte(body))))
	}
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() { s.Get("/a.php", 200) })
	}
	all.Wait()
	s.Get("/dir/", 200).Is(t, "dir")
	s.Get("/no/such/page?q=1", 200).Is(t, "front /no/such/page?q=1 yes")
	s.Get("/plain.txt", 200).Is(t, "plain")
}
