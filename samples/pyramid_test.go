package samples

import (
	"net/url"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestPyramidSampleServesAWiki(t *testing.T) {
	t.Parallel()
	withFramework(t, "pyramid", "pyramid/app.py", func(t *testing.T, s *server) {
		start := s.get("/").want(303).location()
		fapwstest.Equal(t, start, "/wiki/Start")
		s.get(start).want(200, "This wiki is a folder", s.URL+"/static/style.css")

		resp := s.get("/static/style.css").want(200, "color-scheme")
		got := resp.Header.Get("Content-Type")
		fapwstest.Truef(t, strings.HasPrefix(got, "text/css"), "Content-Type %q", got)
		fapwstest.Has(t, resp.Header.Get("Cache-Control"), "max-age=3600")
		s.get("/static/style.css", "If-Modified-Since", resp.Header.Get("Last-Modified")).want(304)

		for _, text := range []string{"Zoë <b> was here\n", "and here\n" + strings.Repeat("a long page\n", 50_000)} {
			form := strings.NewReader(url.Values{"text": {text}}.Encode())
			saved := s.post("/wiki/Visitors/edit", urlencoded, unknownLength{form}).want(303)
			s.get(saved.location()).want(200, strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(text))
		}
		s.get("/pages.json").want(200, `["Start", "Visitors"]`).field("Content-Type", "application/json")
		s.post("/wiki/Visitors/edit", urlencoded, strings.NewReader("other=x")).want(400)
		for _, path := range []string{"/wiki/Nobody", "/wiki/..%2fapp", "/static/../app.py", "/nothing"} {
			s.get(path).want(404)
		}
		s.fails("/fails", "RuntimeError: this view always fails")
	})
}
