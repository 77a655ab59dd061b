package acceptance

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

func lifespanOf(name string, flags ...string) command {
	return command{script: "asgi/lifespan.py:app", env: []string{"CASE=" + name}, flags: flags, complains: true}
}

// Lifespans that let the server run (ASGI 3, "Lifespan Protocol").
func TestASGILifespan(t *testing.T) {
	const none = "None, import"
	inOneProcess(t, func(t *testing.T, m mode) {
		for i, test := range []struct {
			name, answer string
			flags        []string
			says         string // on stderr, of its lifespan
			not          string
		}{
			{"plain", "from the lifespan, import", nil, `(?s)scope \['asgi', 'state', 'type'\] \{'version': '3.0', 'spec_version': '2.0'\} \{\}.*shutting down\nshut down\n.*atexit`, "Traceback"},
			{"plain", "from the lifespan, import", []string{"--lifespan", "on"}, `shut down`, "Traceback"},
			{"plain", none, []string{"--lifespan", "off"}, `atexit`, "shut down"},
			{"slow", "from the lifespan, import", nil, `shut down`, "Traceback"},
			{"asserts", none, nil, `atexit`, "Traceback"},
			{"ignores", none, nil, `atexit`, "Traceback"},
			{"returns", none, nil, `atexit`, "Traceback"},
			{"ends early", "from the lifespan, import", nil, `atexit`, "shutting down"},
			{"raises after", "from the lifespan, import", nil, `atexit`, "shutting down"},
			{"shutdown raises", "from the lifespan, import", nil, `(?s)Traceback.*lifespan\.py", line \d+, in lifespan\n.*ValueError: cannot stop.*atexit`, ""},
			{"shutdown failed", "from the lifespan, import", nil, `(?s)lost something.*atexit`, "Traceback"},
			{"shutdown slow", "from the lifespan, import", nil, `(?s)shut down.*atexit`, "Traceback"},
		} {
			if m.inline() && i%3 > 0 { // one start after the other: some of them do
				continue
			}
			s := lifespanOf(test.name, test.flags...).serve(t, m)
			s.get("/", 200).is(t, test.answer)
			s.signal(syscall.SIGTERM)
			if code := s.ended(); code != 0 {
				t.Errorf("%s: it ends with %d", test.name, code)
			}
			s.says(test.says)
			if said := s.stderr.String(); test.not != "" && strings.Contains(said, test.not) {
				t.Errorf("%s: %s", test.name, said)
			}
		}
	})
}

// Lifespans with which the server does not start: it says why, and ends with 3.
func TestASGILifespanFails(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, says, not string }{
		{"raises", "ValueError: cannot start", "fapws/_"},
		{"exits", "enough", ""},
		{"failed", "no database", "Traceback"},
		{"failed silently", "the application: lifespan.startup.failed (during lifespan.startup)", "Traceback"},
		{"ignores", "--lifespan on: the application does not serve lifespans", "Traceback"},
		{"asserts", "AssertionError", "fapws/_"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var flags []string
			if test.name == "ignores" || test.name == "asserts" {
				flags = []string{"--lifespan", "on"}
			}
			for i, m := range modes {
				if i > 0 && test.name != "raises" && test.name != "failed" {
					break // it is the same for the others
				}
				c := lifespanOf(test.name)
				c.flags = append(append([]string{"--bind", "127.0.0.1:0"}, m.flags...), flags...)
				code, _, said := c.run(t)
				if code != 3 || !strings.Contains(said, test.says) || test.not != "" && strings.Contains(said, test.not) {
					t.Errorf("%s: code %d: %s", m.name, code, said)
				}
				if strings.Contains(said, "http://") {
					t.Errorf("%s: it has listened: %s", m.name, said)
				}
			}
		})
	}
}

// A signal ends a startup that hangs, and a shutdown that does.
func TestASGILifespanHangs(t *testing.T) {
	inOneProcess(t, func(t *testing.T, m mode) {
		c := lifespanOf("hangs")
		c.flags = append([]string{"--bind", "127.0.0.1:0"}, m.flags...)
		s := c.start(t)
		s.says(`hanging`)
		s.signal(syscall.SIGTERM)
		s.ended()
		s = lifespanOf("shutdown hangs", "--graceful-timeout", "1s").serve(t, m)
		s.signal(syscall.SIGTERM)
		s.ended()
		s.says(`shutdown of the application has taken longer`)
	})
}

// What is in flight is answered before the lifespan ends; what does not end is
// cancelled when the time is up.
func TestASGIStops(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := lifespanOf("plain").serve(t, m)
		w := s.dial()
		w.get("/slow")
		s.says(`in flight`)
		s.signal(syscall.SIGTERM)
		a := w.answer().want(t, 200)
		if !a.Close {
			t.Error("no Connection: close while it stops")
		}
		if code := s.ended(); code != 0 {
			t.Errorf("it ends with %d", code)
		}
		s.says(`(?s)answered /slow\nshutting down\nshut down\n`)

		s = lifespanOf("plain", "--graceful-timeout", "1s").serve(t, m)
		w = s.dial()
		w.get("/forever")
		s.says(`in flight`)
		s.signal(syscall.SIGTERM)
		s.ended()
		s.says(`(?s)cancelled\n.*shut down\n`)
	})
}

// A reload starts the new lifespan before the old one ends, and one that fails
// changes nothing.
func TestASGILifespanReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := func(text string) string {
		return write(t, dir+"/app.py", fmt.Sprintf(`
import sys
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        %s
        sys.stderr.write("up\n")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        sys.stderr.write("down\n")
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
    await send({"type": "http.response.body", "body": b%q})
`, text, "one"))
	}
	path := script("pass")
	s := command{script: path, flags: []string{"--workers", "1", "--bind", "127.0.0.1:0"}, complains: true}.start(t)
	s.address = s.stderr.await(t, bannerURL)[1]
	s.get("/", 200).is(t, "one")
	s.signal(syscall.SIGHUP)
	s.says(`(?s)up\n.*up\n.*down\n`)
	s.get("/", 200).is(t, "one")
	script(`raise ValueError("not again")`)
	s.signal(syscall.SIGHUP)
	s.says(`ValueError: not again`)
	s.get("/", 200).is(t, "one")
}
