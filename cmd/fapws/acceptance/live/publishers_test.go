package live_test

import (
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// TestPublishWithoutSupervisor: a stopped supervisor delays no response, and the events arrive when it goes on.
func TestPublishWithoutSupervisor(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Workers, "publishers.py")
	events := listen(s, "/news")
	s.Get("/sync?before", 200)
	s.Signal(syscall.SIGSTOP)
	t.Cleanup(func() { s.Signal(syscall.SIGCONT) })
	kinds := []string{"/sync", "/thread", "/pieces", "/coroutine", "/asgi"}
	w := s.Dial()
	for _, kind := range kinds {
		w.Get(kind + "?" + kind)
		w.Answer().Want(t, 200)
	}
	s.Signal(syscall.SIGCONT)
	events.gets("before")
	events.gets2(kinds...)
}
