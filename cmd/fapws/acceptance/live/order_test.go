package live_test

import (
	"fmt"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestEventsOfOneClientArriveInItsOrder(t *testing.T) {
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

func TestStoppedSupervisorDelaysEventsButNotResponses(t *testing.T) {
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
