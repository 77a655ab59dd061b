package live_test

import (
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// TestPublishWithoutSupervisor: a stopped supervisor delays events, and no request.
func TestPublishWithoutSupervisor(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Workers, "publishes.py")
	events := listen(s, "/news")
	s.Get("/sync?before", 200)
	events.gets("before")
	s.Signal(syscall.SIGSTOP)
	t.Cleanup(func() { s.Signal(syscall.SIGCONT) })
	for _, kind := range []string{"/sync", "/thread", "/pieces", "/coroutine", "/asgi"} {
		s.Get(kind+"?"+kind, 200)
		s.Get("/pid", 200)
	}
	s.Signal(syscall.SIGCONT)
	events.gets2("/sync", "/thread", "/pieces", "/coroutine", "/asgi")
}
