package python_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestWSGIMiddlewareWrapsEntriesOfPATHS(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "middleware.py")
	s.Get("/chain", 200).Is(t, "HELLO THROUGH THROUGH.INNER THROUGH.OUTER").Field(t, "X-Through", "outer inner")
	s.Get("/checked", 200).Is(t, "hello through through.one").Field(t, "X-Through", "one")
}

func TestProfilePageIsShownToAllowedClients(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "middleware.py")
	const html = "Accept: text/html"
	s.Get("/profile", 200).Want(t, 200, "nothing yet")
	s.Get("/profile", 200, html).Want(t, 200, "<form", "Look")
	s.Get("/closed", 403)
	s.Ask(fapwstest.Request("POST", "/profile", "seconds=soon")).Want(t, 400, "seconds must be")
	s.Ask(fapwstest.Request("POST", "/profile", "seconds=600")).Want(t, 400)
	found, late := "", time.Now().Add(fapwstest.Patience)
	// On a busy machine, the profile may end before the next request runs.
	for seconds := 2; found == ""; seconds = min(2*seconds, 60) {
		s.Ask(fapwstest.Request("POST", "/profile", fmt.Sprint("seconds=", seconds))).Want(t, 202, "profiling")
		second := s.Ask(fapwstest.Request("POST", "/profile", "seconds=0.1", html))
		page := s.Get("/profile", 200, html)
		s.Get("/spin", 200)
		text := ""
		fapwstest.Eventually(t, "the look is over", func() bool {
			text = s.Get("/profile", 200).Text
			return !strings.Contains(text, "still looking")
		})
		if second.StatusCode == 409 && strings.Contains(page.Text, "Looking") && strings.Contains(text, "spin_here") {
			page.Field(t, "Refresh", "1")
			found = strings.Replace(text, fmt.Sprintf("looks in %d s", seconds), "looks in all", 1)
		} else if time.Now().After(late) {
			t.Fatalf("in %d s: %s, %s\n%s", seconds, second.Status, page.Text, text)
		}
	}
	for _, want := range []string{"looks in all", "Lines that ran", "middleware.py:",
		"spin_here in middleware.py"} {
		fapwstest.Has(t, found, want)
	}
	s.Get("/profile", 200, html).Want(t, 200, "<table>", "spin_here")
	s.Ask(fapwstest.Request("DELETE", "/profile", "")).Want(t, 405)
	s.Ask(fapwstest.Request("POST", "/profile", "seconds=0.1", html)).Want(t, 303).Field(t, "Location", "/profile")
}
