package acceptance

import (
	"strings"
	"testing"
	"time"
)

// TestP19Middleware: what Apache does with modules, PATHS does with any WSGI
// middleware.
func TestP19Middleware(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := serve(t, m, "middleware.py")
		s.get("/chain", 200).is(t, "HELLO THROUGH THROUGH.INNER THROUGH.OUTER").field(t, "X-Through", "outer inner")
		s.get("/checked", 200).is(t, "hello through through.one").field(t, "X-Through", "one")
	})
}

// TestP19ProfilePage: a page says where the time goes, to who may know.
func TestP19ProfilePage(t *testing.T) {
	inOneProcess(t, func(t *testing.T, m mode) {
		s := serve(t, m, "middleware.py")
		const html = "Accept: text/html"
		s.get("/profile", 200).want(t, 200, "nothing yet")
		s.get("/profile", 200, html).want(t, 200, "<form", "Look")
		s.get("/closed", 403)
		s.ask(request("POST", "/profile", "seconds=soon")).want(t, 400, "seconds must be")
		s.ask(request("POST", "/profile", "seconds=600")).want(t, 400)
		s.ask(request("POST", "/profile", "seconds=20")).want(t, 202, "looking")
		s.ask(request("POST", "/profile", "seconds=1", html)).want(t, 409)
		s.get("/profile", 200, html).want(t, 200, "Looking").field(t, "Refresh", "1")
		s.get("/spin", 200)
		found := ""
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if found = s.get("/profile", 200).body; !strings.Contains(found, "still looking") {
				break
			}
		}
		for _, want := range []string{"looks in 20 s", "Lines that ran", "middleware.py:", "spin_here in middleware.py"} {
			if !strings.Contains(found, want) {
				t.Errorf("no %q in %s", want, found)
			}
		}
		s.get("/profile", 200, html).want(t, 200, "<table>", "spin_here")
		s.ask(request("DELETE", "/profile", "")).want(t, 405)
		s.ask(request("POST", "/profile", "seconds=0.1", html)).want(t, 303).field(t, "Location", "/profile")
	})
}
