package samples

import (
	"net/http"
	"strings"
	"testing"
)

func TestSite(t *testing.T) {
	t.Parallel()
	s := startServer(t, []string{"--config"}, "site/fapws.toml", nil)
	for count, want := range []string{"<b>1</b> times", "<b>2</b> times"} {
		resp, body := s.get("/", "Accept-Language", "de-DE,de;q=0.9")
		s.want(resp, body, 200, "<title>A small site</title>", want, "Guten Tag!", "<footer>Changed on ")
		if strings.Contains(body, "Good day") || strings.Contains(body, "error") {
			t.Errorf("%d: %s", count, body)
		}
	}
	resp, body := s.get("/about.shtml")
	s.want(resp, body, 200, "<h1>About</h1>", "The style sheet has 266  bytes.")
	resp, body = s.get("/hello?name=%3CAda%3E")
	s.want(resp, body, 200, "Hello &lt;Ada&gt;!")
	resp, body = s.get("/nothing")
	s.want(resp, body, 404, "There is no such page.")
	resp, body = s.get("/old/page")
	s.want(resp, body, 410, "That was the old site.")
	if resp, _ = s.get("/home"); resp.StatusCode != 302 || resp.Header.Get("Location") != "/" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	if resp, _ = s.get("/style.css"); resp.Header.Get("Cache-Control") != "public, max-age=3600" || resp.Header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	for path, want := range map[string]string{"/": "readme.txt", "/notes/": "first.txt", "/readme.txt": "A file to be listed"} {
		req := s.request("GET", path, nil)
		req.Host = "files.localhost"
		resp, body := s.do(req)
		s.want(resp, body, http.StatusOK, want)
	}
	if resp, _ = s.get("/notes/"); resp.StatusCode != 404 {
		t.Errorf("the files of the other host: %s", resp.Status)
	}
}
