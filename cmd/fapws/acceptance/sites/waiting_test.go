package sites_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

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
route = [{ prefix = "/cgi-bin/", cgi = "bin" }, { match = "*.php", php = { children = 2 } }]
`
	unread := func(t *testing.T, s *fapwstest.Server, large, small string) {
		t.Helper()
		all := s.DialMany(6, fapwstest.Get(large))
		other := from(t, s, "127.0.0.2")
		other.Get(small)
		other.Answer().Is(t, "small\n")
		for _, w := range all {
			fapwstest.Equalf(t, len(w.Answer().Want(t, 200).Text), size, "%s", large)
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
		s := fapwstest.Command{Script: script, Flags: []string{"--threads", "2"}}.Serve(t, fapwstest.Forks)
		unread(t, s, "/large", "/small")
	})
}

func from(t *testing.T, s *fapwstest.Server, address string) *fapwstest.Client {
	t.Helper()
	c := fapwstest.Try((&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).Dial("tcp", s.Address)).Must(t)
	return fapwstest.NewClient(t, c)
}

// The server limits how many file descriptors the requests of one client use, so that other clients still get
// responses.
func TestRequestsThatWaitForAnUpstreamLeaveDescriptorsToOthers(t *testing.T) {
	for name, route := range map[string]string{
		"proxy":   `proxy = "http://%s"`,
		"cache":   "cache = true\nproxy = \"http://%s\"",
		"fastcgi": `fastcgi = { address = "%s", connections = 500 }`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			silent := fapwstest.Try(net.Listen("tcp", "127.0.0.1:0")).Must(t) // never accepts; the kernel connects clients
			defer silent.Close()
			dir := t.TempDir()
			upstream := fapwstest.Upstream(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "page") })
			config := fapwstest.Write(t, dir+"/fapws.toml", fmt.Sprintf(
				"[[host]]\n[[host.route]]\nprefix = \"/silent/\"\n"+route+
					"\n[[host.route]]\nprefix = \"/\"\nproxy = %q\n", silent.Addr(), upstream.URL))
			s := fapwstest.Command{Dir: dir, Shell: "ulimit -n 256", Flags: []string{"-c", config}, Complains: true}.
				Serve(t, fapwstest.Mode{})
			s.Get("/page", 200)
			before := len(s.Descriptors())
			all := fapwstest.Repeat(200, func(i int) *fapwstest.Client { return s.DialGet(fmt.Sprint("/silent/", i)) })
			fapwstest.Eventually(t, "they hold descriptors", func() bool { return len(s.Descriptors()) > before+80 })
			for range 20 {
				w := from(t, s, "127.0.0.2")
				w.Fetch("/page").Want(t, 200, "page")
				w.Close()
			}
			for _, c := range all {
				c.Close()
			}
			fapwstest.Eventually(t, "all give their descriptors back", func() bool { return len(s.Descriptors()) < before+10 })
			s.Get("/page", 200)
		})
	}
}

// A trusted proxy that does not forward client addresses has many clients. The server therefore does not limit its
// requests to the share of one client.
func TestTrustedProxyThatForwardsNoAddressHasNoShareOfDescriptors(t *testing.T) {
	t.Parallel()
	silent := fapwstest.Try(net.Listen("tcp", "127.0.0.1:0")).Must(t)
	defer silent.Close()
	dir := t.TempDir()
	config := fapwstest.Write(t, dir+"/fapws.toml", fmt.Sprintf(
		"[[host]]\n[[host.route]]\nprefix = \"/\"\nproxy = \"http://%s\"\n", silent.Addr()))
	s := fapwstest.Command{Dir: dir, Shell: "ulimit -n 256",
		Flags: []string{"-c", config, "--forwarded-allow-ips", "127.0.0.1"}}.Serve(t, fapwstest.Mode{})
	before, clients := len(s.Descriptors()), 85 // the share of one client is 64 descriptors
	for range clients {
		c := s.Dial()
		defer c.Close()
		c.Send(fapwstest.Get("/"))
	}
	fapwstest.Eventually(t, "all requests reach the upstream",
		func() bool { return len(s.Descriptors()) >= before+2*clients })
}

// In inline mode, handlers occupy the event loop, which must still notice between two of them that clients have
// disconnected.
func TestRequestsWhoseClientsLeftWhileTheyWaitedForAPlaceDoNotRun(t *testing.T) {
	fapwstest.InEach(t, fapwstest.Modes[:2], func(t *testing.T, m fapwstest.Mode) {
		s, dir := configured(t, m, "[[host]]\nroute = [{ prefix = \"/\", app = \"app.py:app\", max-active = 1 }]\n",
			map[string]string{"app.py": `import os, time

def app(environ, start_response):
    path = environ["PATH_INFO"]
    with open("ran", "a") as f:
        f.write(path + "\n")
    while path != "/last" and not os.path.exists(path.strip("/")):
        time.sleep(0.01)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ran"]
`})
		ran := func() string {
			text, _ := os.ReadFile(dir + "/ran")
			return string(text)
		}
		first := s.DialGet("/first")
		fapwstest.Eventually(t, "the first runs", func() bool { return ran() == "/first\n" })
		others := s.DialMany(8, fapwstest.Get("/other"))
		fapwstest.Write(t, dir+"/first", "")
		first.Answer().Want(t, 200)
		fapwstest.Eventually(t, "another runs", func() bool { return ran() == "/first\n/other\n" })
		for _, w := range others {
			w.Reset()
		}
		fapwstest.Write(t, dir+"/other", "")
		s.Get("/last", 200)
		fapwstest.Equal(t, ran(), "/first\n/other\n/last\n")
	})
}

// In inline mode, the time limit of waiting requests counts although handlers occupy the event loop.
func TestRequestsThatWaitTooLongForAPlaceGet503(t *testing.T) {
	fapwstest.InEach(t, fapwstest.Modes[:2], func(t *testing.T, m fapwstest.Mode) {
		// The loop checks the limit once a second, so requests start in about two seconds; all would take ten.
		const requests, most = 40, 24
		s, dir := configured(t, m, "timeout = \"1s\"\n[[host]]\nroute = [{ prefix = \"/\", app = \"app.py:app\", "+
			"max-active = 1 }]\n", map[string]string{"app.py": `import time

def app(environ, start_response):
    with open("ran", "a") as f:
        f.write("x")
    time.sleep(0.25)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ran"]
`})
		served := 0
		for _, w := range s.DialMany(requests, fapwstest.Get("/")) {
			a := w.Answer()
			fapwstest.Truef(t, a.StatusCode == 200 || a.StatusCode == 503, "%+v", a)
			if a.StatusCode == 200 {
				served++
			}
		}
		text := fapwstest.Try(os.ReadFile(dir + "/ran")).Must(t)
		fapwstest.Truef(t, served == len(text) && served >= 1 && served <= most, "%d served, %d ran", served, len(text))
	})
}

func TestTimeoutOf0OfARouteEndsThatOfTheServer(t *testing.T) {
	t.Parallel()
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(3 * time.Second)
	}))
	t.Cleanup(behind.Close)
	s, _ := configured(t, fapwstest.Threads, fmt.Sprintf(`
timeout = "1s"
[[host]]
[[host.route]]
prefix = "/proxy/short/"
proxy = %[1]q
[[host.route]]
prefix = "/proxy/"
proxy = %[1]q
timeout = 0
[[host.route]]
prefix = "/app/"
app = "app.py"
timeout = 0
`, behind.URL), map[string]string{"app.py": "import time\n\ndef application(environ, start_response):\n" +
		"    time.sleep(3)\n    start_response('200 OK', [])\n    return []\n"})
	targets := []string{"/proxy/", "/app/", "/proxy/short/"}
	fapwstest.AtOnce(len(targets), func(i int) { s.Get(targets[i], []int{200, 200, 504}[i]) })
}
