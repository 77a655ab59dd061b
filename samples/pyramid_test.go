package samples

import (
	"net/url"
	"strings"
	"testing"
)

func TestPyramid(t *testing.T) {
	t.Parallel()
	withFramework(t, "pyramid", "pyramid/app.py", func(t *testing.T, s *server) {
		resp, body := s.get("/")
		s.want(resp, body, 303)
		start := s.location(resp)
		if start != "/wiki/Start" {
			t.Errorf("sent to %s", start)
		}
		resp, body = s.get(start)
		s.want(resp, body, 200, "This wiki is a folder", s.URL+"/static/style.css")

		resp, body = s.get("/static/style.css")
		s.want(resp, body, 200, "color-scheme")
		if got := resp.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/css") {
			t.Errorf("Content-Type %q", got)
		}
		if got := resp.Header.Get("Cache-Control"); !strings.Contains(got, "max-age=3600") {
			t.Errorf("Cache-Control %q", got)
		}
		resp, body = s.get("/static/style.css", "If-Modified-Since", resp.Header.Get("Last-Modified"))
		s.want(resp, body, 304)

		for _, text := range []string{"Zoë <b> was here\n", "and here\n" + strings.Repeat("a long page\n", 50_000)} {
			resp, body = s.post("/wiki/Visitors/edit", urlencoded, strings.NewReader(url.Values{"text": {text}}.Encode()))
			s.want(resp, body, 303)
			resp, body = s.get(s.location(resp))
			s.want(resp, body, 200, strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(text))
		}
		resp, body = s.get("/pages.json")
		s.want(resp, body, 200, `["Start", "Visitors"]`)
		if got := resp.Header.Get("Content-Type"); got != "application/json" {
			t.Errorf("Content-Type %q", got)
		}
		resp, body = s.post("/wiki/Visitors/edit", urlencoded, strings.NewReader("other=x"))
		s.want(resp, body, 400)
		for _, path := range []string{"/wiki/Nobody", "/wiki/..%2fapp", "/static/../app.py", "/nothing"} {
			resp, body = s.get(path)
			s.want(resp, body, 404)
		}
		s.fails("/fails", "RuntimeError: this view always fails")
	})
}
