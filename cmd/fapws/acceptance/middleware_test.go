package acceptance

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestMiddleware: what Apache does with modules, PATHS does with any WSGI
// middleware.
func TestMiddleware(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := serve(t, m, "middleware.py")
		s.get("/chain", 200).is(t, "HELLO THROUGH THROUGH.INNER THROUGH.OUTER").field(t, "X-Through", "outer inner")
		s.get("/checked", 200).is(t, "hello through through.one").field(t, "X-Through", "one")
	})
}

// TestProfilePage: a page says where the time goes, to who may know.
func TestProfilePage(t *testing.T) {
	inOneProcess(t, func(t *testing.T, m mode) {
		s := serve(t, m, "middleware.py")
		const html = "Accept: text/html"
		s.get("/profile", 200).want(t, 200, "nothing yet")
		s.get("/profile", 200, html).want(t, 200, "<form", "Look")
		s.get("/closed", 403)
		s.ask(request("POST", "/profile", "seconds=soon")).want(t, 400, "seconds must be")
		s.ask(request("POST", "/profile", "seconds=600")).want(t, 400)
		found, late := "", time.Now().Add(patience)
		for seconds := 2; found == ""; seconds = min(2*seconds, 60) { // on a busy machine, a look may be over before the next request
			s.ask(request("POST", "/profile", fmt.Sprint("seconds=", seconds))).want(t, 202, "looking")
			second := s.ask(request("POST", "/profile", "seconds=0.1", html))
			page := s.get("/profile", 200, html)
			s.get("/spin", 200)
			text := ""
			eventually(t, "the look is over", func() bool {
				text = s.get("/profile", 200).body
				return !strings.Contains(text, "still looking")
			})
			if second.StatusCode == 409 && strings.Contains(page.body, "Looking") && strings.Contains(text, "spin_here") {
				page.field(t, "Refresh", "1")
				found = strings.Replace(text, fmt.Sprintf("looks in %d s", seconds), "looks in all", 1)
			} else if time.Now().After(late) {
				t.Fatalf("in %d s: %s, %s\n%s", seconds, second.Status, page.body, text)
			}
		}
		for _, want := range []string{"looks in all", "Lines that ran", "middleware.py:", "spin_here in middleware.py"} {
			if !strings.Contains(found, want) {
				t.Errorf("no %q in %s", want, found)
			}
		}
		s.get("/profile", 200, html).want(t, 200, "<table>", "spin_here")
		s.ask(request("DELETE", "/profile", "")).want(t, 405)
		s.ask(request("POST", "/profile", "seconds=0.1", html)).want(t, 303).field(t, "Location", "/profile")
	})
}
