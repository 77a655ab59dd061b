package http2_test

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestStreamsOfAClientHoldOnlyAShareOfTheDescriptors(t *testing.T) {
	t.Parallel()
	const limit, streams = 256, 100
	upstream := serve(t, fapwstest.Threads, "sockets.py", "--lifespan", "off")
	dir := t.TempDir()
	large := strings.Repeat("f", 100<<10)
	for i := range 3 * streams {
		fapwstest.Write(t, fmt.Sprintf("%s/files/%d.bin", dir, i), large)
	}
	fapwstest.Write(t, dir+"/sends.py", `
import os
FILES = os.path.dirname(os.path.abspath(__file__)) + "/files/"

def sendfile(environ, start_response):
    start_response("200 OK", [("X-Sendfile", FILES + os.path.basename(environ["PATH_INFO"]))])
    return []

def wrapped(environ, start_response):
    start_response("200 OK", [("Content-Length", "102400")])
    return environ["wsgi.file_wrapper"](open(FILES + os.path.basename(environ["PATH_INFO"]), "rb"))

PATHS = [("/sendfile/", sendfile), ("/wrapped/", wrapped)]
`)
	site := fapwstest.Write(t, dir+"/fapws.toml", fmt.Sprintf(`
[[host]]
route = [
  { prefix = "/files/", files = "files" },
  { prefix = "/python/", app = "sends.py" },
  { prefix = "/", proxy = %q },
]
`, upstream.URL))
	s := fapwstest.Command{Dir: dir, Shell: fmt.Sprint("ulimit -n ", limit),
		Flags: []string{"--h2c", "-c", site, "--x-sendfile", dir + "/files"}, Complains: true}.Serve(t, fapwstest.Mode{})
	s.Get("/page", 200)
	s.Get("/files/0.bin", 200)
	before := len(s.Descriptors())
	for _, c := range []struct {
		name, path string
	}{
		{"tunnels", ""},
		{"X-Sendfile", "/python/sendfile/%d.bin"},
		{"files of handlers", "/python/wrapped/%d.bin"},
		{"files", "/files/%d.bin"},
	} {
		var all []*frames
		for k := range 3 {
			f := dialFrames(t, s, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
			for i := range streams {
				if id := uint32(2*i + 1); c.path == "" {
					f.connect(id, "/asgi", false)
				} else {
					f.request(id, fmt.Sprintf(c.path, k*streams+i))
				}
			}
			all = append(all, f)
		}
		fapwstest.Eventually(t, c.name+" hold descriptors", func() bool { return len(s.Descriptors()) > before+40 })
		for range 5 {
			w := s.DialFrom("127.0.0.2")
			w.Fetch("/page").Want(t, 200, "page")
			w.Fetch("/files/299.bin").Is(t, large)
			w.Close()
		}
		n := len(s.Descriptors()) - before
		fapwstest.Truef(t, n <= limit/2, "%s: %d descriptors", c.name, n)
		for _, f := range all {
			f.Close()
		}
	}
	fapwstest.Eventually(t, "all give their descriptors back", func() bool { return len(s.Descriptors()) < before+10 })
	ask(t, client(t), "GET", s.URL+"/page", nil).Is(t, "page")
}

func TestProxiedWebSocketOnAStreamCountsTowardsMaxClients(t *testing.T) {
	t.Parallel()
	upstream := serve(t, fapwstest.Threads, "sockets.py", "--lifespan", "off")
	s := fapwstest.ServeProxy(t, upstream.URL, "", "--h2c", "--max-clients", "5", "--max-clients-action", "503")
	f := dialFrames(t, s)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for i, want := range []string{"200", "200", "200", "200", "503"} {
		id := uint32(2*i + 1)
		f.connect(id, "/asgi", false)
		status, _ := f.outcome(id)
		fapwstest.Equalf(t, status, want, "%d", i)
	}
	fapwstest.Eventually(t, "there is no place", func() bool { return s.Ask(fapwstest.Get("/page")).StatusCode == 503 })
	f.Close()
	fapwstest.Eventually(t, "there is a place again", func() bool {
		return s.Ask(fapwstest.Get("/page")).StatusCode == 200
	})
}
