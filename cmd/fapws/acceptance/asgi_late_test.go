package acceptance

import (
	"strings"
	"testing"
)

// A task that outlives its request may send when the server has ended that, in
// whatever state its response was: it is told so.
func TestASGISendsTooLate(t *testing.T) {
	inOneProcess(t, func(t *testing.T, m mode) {
		s := command{script: "asgi/late.py:app", complains: true}.serve(t, m)
		said := func(path string, messages int) {
			t.Helper()
			want := strings.TrimSpace(strings.Repeat("RuntimeError ", messages))
			if got := s.get("/said", 200).body; got != want {
				t.Errorf("%s: %s", path, got)
			}
		}
		for _, path := range []string{"/nothing", "/head", "/body", "/raise/nothing", "/raise/head", "/raise/body"} {
			s.ask(request("GET", path, ""))
			said(path, 4)
		}
		for path, code := range map[string]int{"/open": 1000, "/open/raise": 1011} {
			closesWith(t, s.room(path), code, "")
			said(path, 5)
		}
	})
}

// Making the task of a request may set the collector off: what finalizers then ask
// the event loop for is done, too.
func TestASGIFinalizers(t *testing.T) {
	inOneProcess(t, func(t *testing.T, m mode) {
		s := command{script: "asgi/finalizers.py:app"}.serve(t, m)
		for range 20 {
			s.get("/", 200)
		}
		if lost := s.get("/lost", 200).body; lost != "0" {
			t.Errorf("%s calls were lost", lost)
		}
	})
}

func TestASGIDrivesItself(t *testing.T) {
	inOneProcess(t, func(t *testing.T, m mode) {
		s := command{script: "asgi/itself.py:app"}.serve(t, m)
		for range 2 {
			if said := s.get("/", 200).body; said != "ValueError ValueError ValueError ValueError True" {
				t.Error(said)
			}
		}
	})
}
