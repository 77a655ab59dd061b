package sites_test

import (
	"fmt"
	"net"
	"path/filepath"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestUnreadResponsesHoldNeitherProgramsNorUpstreams(t *testing.T) {
	t.Parallel()
	const size = 8_000_000
	files := map[string]string{
		"bin/large":      shell(plain, fmt.Sprintf("head -c %d /dev/zero", size)),
		"bin/small":      shell(plain, "echo small"),
		"site/large.php": fmt.Sprintf("<?php for ($i = 0; $i < 1000; $i++) echo str_repeat(\"\\0\", %d);", size/1000),
		"site/small.php": "<?php echo \"small\\n\";",
		"app.py": fmt.Sprintf(`
def large(environ, start_response):
    for i in range(1000):
        yield bytes(%d)


def small(environ, start_response):
    return "small\n"


PATHS = [("/large", large), ("/small", small)]
`, size/1000),
	}
	const config = `
max-cgi = 2
[[host]]
root = "site"
[[host.route]]
prefix = "/cgi-bin/"
cgi = "bin"
[[host.route]]
match = "*.php"
php = { children = 2 }
`
	unread := func(t *testing.T, s *fapwstest.Server, large, small string) {
		t.Helper()
		var all []*fapwstest.Client
		for range 6 {
			w := s.Dial()
			w.Get(large)
			all = append(all, w)
		}
		other := from(t, s, "127.0.0.2")
		other.Get(small)
		other.Answer().Is(t, "small\n")
		for _, w := range all {
			if a := w.Answer().Want(t, 200); len(a.Text) != size {
				t.Errorf("%s: %d bytes, %v", large, len(a.Text), a.Err)
			}
		}
	}
	t.Run("cgi", func(t *testing.T) {
		s, _ := configured(t, fapwstest.Threads, config, files)
		unread(t, s, "/cgi-bin/large", "/cgi-bin/small")
	})
	t.Run("php", func(t *testing.T) {
		need(t, "/usr/bin/php-cgi")
		s, _ := configured(t, fapwstest.Threads, config, files)
		unread(t, s, "/large.php", "/small.php")
	})
	t.Run("fork", func(t *testing.T) {
		script := fapwstest.Write(t, filepath.Join(t.TempDir(), "app.py"), files["app.py"])
		s := fapwstest.Command{Script: script, Flags: []string{"--max-forks", "2"}}.Serve(t, fapwstest.Forks)
		unread(t, s, "/large", "/small")
	})
}

func from(t *testing.T, s *fapwstest.Server, address string) *fapwstest.Client {
	t.Helper()
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).Dial("tcp", s.Address)
	fapwstest.Must(t, err)
	return fapwstest.NewClient(t, c)
}
