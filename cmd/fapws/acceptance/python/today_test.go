package python_test

import (
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// The newest frameworks end a stream when its client disconnects, whether its generator waits or produces, and go on as
// after any other response: with background tasks and the ends of dependencies, without an exception.
func TestTodaysFrameworksNoticeDisconnects(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "asgi/today.py:app", Env: []string{"VIRTUAL_ENV=" + fapwstest.Today(t)}}.Serve(t, fapwstest.Threads)
	for _, test := range []struct{ path, want string }{
		{"/starlette/waits", "ended background"},
		{"/starlette/produces", "background"}, // the collector ends the generator
		{"/starlette/spins", "background"},
		{"/starlette/late", "ended background"},
		{"/middleware/waits", "ended background"},
		{"/middleware/produces", "background"},
		{"/fastapi/waits", "ended background dependency"},
		{"/fastapi/produces", "background dependency"},
		{"/fastapi/events", "ended background dependency"},
		{"/sse/events", "ended background"},
		{"/litestar/waits", "ended background"},
		{"/litestar/produces", "background"},
		{"/litestar/events", "ended background"},
		{"/quart/waits", "ended"},
		{"/quart/produces", "ended"},
		{"/django/waits", "ended"},
		{"/django/produces", "ended"},
	} {
		const clients = 3
		var ws [clients]*fapwstest.Client
		for i := range ws {
			ws[i] = s.Dial()
			ws[i].Get(test.path)
		}
		happened := func(words ...string) func() bool {
			return func() bool {
				noted := s.Get("/noted"+test.path, 200).Text
				for _, word := range words {
					if strings.Count(noted, `"`+word+`"`) < clients {
						return false
					}
				}
				return true
			}
		}
		fapwstest.Eventually(t, test.path+" begins", happened("began"))
		for _, w := range ws {
			w.Reset()
		}
		fapwstest.Eventually(t, test.path+": "+test.want, happened(strings.Fields(test.want)...))
		if noted := s.Get("/noted"+test.path, 200).Text; strings.Contains(noted, " got ") {
			t.Errorf("%s: %s", test.path, noted)
		}
	}
}
