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

func TestBackPressureOfChannelsMakesPublishersWait(t *testing.T) {
	const script = `
from time import monotonic
from fapws import channel, publish

def flood(environ, start_response):
    try:
        for i in range(60000):
            began = monotonic()
            publish("news", "x" * 400)
    except RuntimeError as error:
        return f"{error}, said {'after a second' if monotonic() - began >= 1 else 'at once'}"
    return "all"

PATHS = [("/flood", flood), ("/news", channel("news"))]
`
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, fapwstest.Write(t, t.TempDir()+"/app.py", script), "--channel-buffer", "64M")
		l := listen(s, "/news")
		go func() {
			for {
				if _, err := l.next(); err != nil {
					return
				}
			}
		}()
		const behind = "publish: queue full: 8 MiB of events are waiting, said "
		for range 2 {
			switch got := s.Get("/flood", 200).Text; {
			// Inline, the event loop cannot send while it runs a handler, so publish fails at once.
			case m.Inline() && got == behind+"at once":
			case !m.Inline() && (got == "all" || got == behind+"after a second"):
			default:
				t.Error(got)
			}
		}
	})
}
