package samples

import (
	"net/http"
	"testing"
)

func TestSiteSampleServesPagesProgramsAndRedirects(t *testing.T) {
	t.Parallel()
	s := startServer(t, []string{"--config"}, "site/fapws.toml", nil)
	for _, want := range []string{"<b>1</b> times", "<b>2</b> times"} {
		s.get("/", "Accept-Language", "de-DE,de;q=0.9").want(200, "<title>A small site</title>", want, "Guten Tag!",
			"<footer>Changed on ").lacks("Good day", "error")
	}
	s.get("/about.shtml").want(200, "<h1>About</h1>", "The style sheet has 266  bytes.")
	s.get("/hello?name=%3CAda%3E").want(200, "Hello &lt;Ada&gt;!")
	s.get("/nothing").want(404, "There is no such page.")
	s.get("/old/page").want(410, "That was the old site.")
	s.get("/home").want(302).field("Location", "/")
	s.get("/style.css").field("Cache-Control", "public, max-age=3600").field("X-Frame-Options", "DENY")
	for path, want := range map[string]string{"/": "readme.txt", "/notes/": "first.txt",
		"/readme.txt": "A file to be listed"} {
		req := s.request("GET", path, nil)
		req.Host = "files.localhost"
		s.do(req).want(http.StatusOK, want)
	}
	s.get("/notes/").want(404) // a directory of a different host
}
