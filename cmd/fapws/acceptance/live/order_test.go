package live_test

import (
	"fmt"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// TestOrderOfOneClient checks that subscribers get the events that a client publishes over one connection in its order,
// whichever code publishes them.
func TestOrderOfOneClient(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Workers, "order.py")
	events := listen(s, "/news")
	w := s.Dial()
	kinds := []string{"/sync", "/thread", "/pieces", "/coroutine", "/asgi"}
	const each = 50
	for n := range each * len(kinds) {
		w.Fetch(fmt.Sprintf("%s?%d", kinds[n%len(kinds)], n)).Want(t, 200)
	}
	for n := range each * len(kinds) {
		events.gets(fmt.Sprint(n))
	}
}

// TestPublishWithoutSupervisor checks that a stopped supervisor delays events, but not responses.
func TestPublishWithoutSupervisor(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Workers, "order.py")
	events := listen(s, "/news")
	s.Get("/sync?before", 200)
	s.Signal(syscall.SIGSTOP)
	t.Cleanup(func() { s.Signal(syscall.SIGCONT) })
	kinds := []string{"/sync", "/thread", "/pieces", "/coroutine", "/asgi"}
	for _, kind := range kinds {
		s.Get(kind+"?"+kind, 200)
	}
	s.Signal(syscall.SIGCONT)
	events.gets2(append(kinds, "before")...)
}
