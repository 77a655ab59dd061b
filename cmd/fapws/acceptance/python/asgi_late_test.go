package python_test

import (
	"errors"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

// A task of the application outlives its request.
func TestASGISendAfterTheEndRaises(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "asgi/late.py:app", Complains: true}.Serve(t, fapwstest.Threads)
	said := func(path string, messages int) {
		t.Helper()
		want := strings.TrimSpace(strings.Repeat("RuntimeError ", messages))
		if got := s.Get("/said", 200).Text; got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
	for _, path := range []string{"/nothing", "/head", "/body", "/raise/nothing", "/raise/head", "/raise/body"} {
		s.Ask(fapwstest.Request("GET", path, ""))
		said(path, 4)
	}
	s.Get("/inside", 200).Is(t, "outer")
	said("/inside", 1)
	for path, code := range map[string]int{"/open": 1000, "/open/raise": 1011} {
		c := s.Socket(path)
		var closed *wstest.Closed
		if _, _, err := c.Receive(); !errors.As(err, &closed) || closed.Code != code {
			t.Errorf("%s ended with %v, want it closed with %d", path, err, code)
		}
		c.Conn.Close()
		said(path, 5)
	}
}

// When the server creates the task of a request, Python may run its garbage collector, and finalizers may call the
// event loop. No such call may be lost.
func TestASGIFinalizersMayCallTheEventLoop(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: "asgi/finalizers.py:app"}.Serve(t, m)
		for range 20 {
			s.Get("/", 200)
		}
		if lost := s.Get("/lost", 200).Text; lost != "0" {
			t.Errorf("%s calls were lost", lost)
		}
	})
}

func TestASGIApplicationCannotResumeItsOwnCoroutine(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "asgi/itself.py:app"}.Serve(t, fapwstest.Threads)
	for range 2 {
		if said := s.Get("/", 200).Text; said != "ValueError ValueError ValueError ValueError True" {
			t.Error(said)
		}
	}
}
