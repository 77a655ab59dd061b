package python_test

import (
	"io"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// Background tasks and the cleanup of dependencies run, as after a complete response.
func TestTodaysFrameworksEndStreamsWithTheirClientOrTheServer(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "asgi/today.py:app", Env: []string{"VIRTUAL_ENV=" + fapwstest.Today(t)},
		Flags: []string{"--graceful-timeout", "1h"}}.Serve(t, fapwstest.Threads)
	for _, test := range []struct{ path, want string }{
		{"/starlette/waits", "ended background"},
		{"/starlette/produces", "ended background"},
		{"/starlette/spins", "ended background"},
		{"/starlette/late", "ended background"},
		{"/middleware/waits", "ended background"},
		{"/middleware/produces", "ended background"},
		{"/fastapi/waits", "ended background dependency"},
		{"/fastapi/produces", "ended background dependency"},
		{"/fastapi/events", "ended background dependency"},
		{"/sse/events", "ended background"},
		{"/litestar/waits", "ended background"},
		{"/litestar/produces", "ended background"},
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
	before := s.Stdout.String()
	paths := strings.Fields("/starlette/events /middleware/events /fastapi/events /sse/events /litestar/events " +
		"/quart/events /django/events")
	for _, path := range paths {
		w := s.Dial()
		w.Get(path)
		w.Head("GET")
	}
	s.Stop()
	said := strings.TrimPrefix(s.Stdout.String(), before)
	for i, path := range paths {
		if !strings.Contains(said, path[1:]+" ended") || i < 5 && !strings.Contains(said, path[1:]+" background") {
			t.Errorf("%s did not end: %s", path, said)
		}
	}
	if !strings.Contains(said, "fastapi/events dependency\n") || strings.Contains(said, " got ") {
		t.Error(said)
	}
}

// When a stop or a reload begins, the server itself ends all event streams, because their clients reconnect. Other
// responses, and all responses to POST, are sent completely.
func TestEventStreamsEndWithTheServer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		mode  fapwstest.Mode
		ends  syscall.Signal
		paths string
	}{
		{"stop", fapwstest.Threads, syscall.SIGTERM, "/waits /ignores /cleans /yields /wsgi"},
		{"inline", fapwstest.Inline, syscall.SIGTERM, "/waits /yields"},
		{"reload", fapwstest.Mode{Flags: []string{"--workers", "1"}}, syscall.SIGHUP,
			"/waits /ignores /cleans /yields /wsgi"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			file := t.TempDir() + "/go on"
			c := fapwstest.Command{Script: "asgi/endless.py", Env: []string{"GO_ON=" + file},
				Flags: []string{"--graceful-timeout", "1h"}}
			s := c.Serve(t, test.mode)
			streams := map[string]io.Reader{}
			for _, path := range strings.Fields(test.paths) {
				w := s.Dial()
				w.Get(path)
				streams[path] = w.Head("GET").Body
			}
			download, answer := s.Dial(), s.Dial()
			download.Get("/finishes")
			answer.Send(fapwstest.Request("POST", "/finishes", ""))
			bodies := []io.Reader{download.Head("GET").Body, answer.Head("POST").Body}
			s.Signal(test.ends)
			for path, body := range streams {
				if _, err := io.ReadAll(body); err != nil {
					t.Errorf("%s: %v, want its end", path, err)
				}
				s.Stdout.Await(t, regexp.MustCompile(path[1:]+" ended"))
			}
			fapwstest.Write(t, file, "")
			for _, body := range bodies {
				if text, err := io.ReadAll(body); err != nil || !strings.HasSuffix(string(text), "data: last\n\n") {
					t.Errorf("%q, %v", text, err)
				}
			}
			if test.ends == syscall.SIGTERM {
				s.EndsWith(0)
			}
		})
	}
}
