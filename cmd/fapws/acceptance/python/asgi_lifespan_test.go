package python_test

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func lifespanOf(name string, flags ...string) fapwstest.Command {
	return fapwstest.Command{Script: "asgi/lifespan.py:app", Env: []string{"CASE=" + name}, Flags: flags, Complains: true}
}

func TestASGILifespanThatStartsOrIsUnsupportedServes(t *testing.T) {
	t.Parallel()
	const (
		none  = "None, import"
		value = "from the lifespan, import"
	)
	for _, test := range []struct {
		mode                          fapwstest.Mode
		name, flag, answer, says, not string
	}{
		{fapwstest.Inline, "plain", "auto", value,
			`(?s)scope \['asgi', 'state', 'type'\] \{'version': '3.0', 'spec_version': '2.0'\} \{\}` +
				`.*shutting down\nshut down\n.*atexit`, "Traceback"},
		{fapwstest.Threads, "slow", "on", value, `shut down`, "Traceback"},
		{fapwstest.Threads, "plain", "off", none, `atexit`, "shut down"},
		{fapwstest.Threads, "asserts", "auto", none, `atexit`, "Traceback"},
		{fapwstest.Threads, "ignores", "auto", none, `atexit`, "Traceback"},
		{fapwstest.Inline, "returns", "auto", none, `atexit`, "Traceback"},
		{fapwstest.Threads, "ends early", "auto", value, `atexit`, "shutting down"},
		{fapwstest.Threads, "raises after", "auto", value, `atexit`, "shutting down"},
		{fapwstest.Inline, "shutdown raises", "auto", value,
			`(?s)Traceback.*lifespan\.py", line \d+, in lifespan\n.*ValueError: cannot stop.*atexit`, "lost"},
		{fapwstest.Threads, "shutdown failed", "auto", value, `(?s)lost something.*atexit`, "Traceback"},
		{fapwstest.Threads, "shutdown slow", "auto", value, `(?s)shut down.*atexit`, "Traceback"},
	} {
		s := lifespanOf(test.name, "--lifespan", test.flag).Serve(t, test.mode)
		s.Get("/", 200).Is(t, test.answer)
		s.Stop()
		s.Says(test.says)
		said := s.Stderr.String()
		fapwstest.Truef(t, !strings.Contains(said, test.not), "%s: %s", test.name, said)
	}
}

func TestASGILifespanThatFailsEndsTheStart(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, says, not string }{
		{"raises", "ValueError: cannot start", "fapws/_"},
		{"exits", "enough", "http://"},
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
			modes := []fapwstest.Mode{fapwstest.Threads}
			if test.name == "failed" {
				modes = fapwstest.Modes
			}
			for _, m := range modes {
				code, _, said := lifespanOf(test.name, slices.Concat(m.Flags, []string{"-b", "127.0.0.1:0"}, flags)...).Run(t)
				if code != 3 || !strings.Contains(said, test.says) || strings.Contains(said, test.not) ||
					strings.Contains(said, "http://") { // it has listened
					t.Errorf("%s: code %d: %s", m.Name, code, said)
				}
			}
		})
	}
}

// TERM cancels the application's startup, which can still clean up. If the application ignores the cancellation, it
// gets the shutdown event after its startup. The graceful timeout limits both startup and shutdown.
func TestASGILifespanThatHangsIsCancelledByTERM(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		for _, test := range []struct{ name, grace, says string }{
			{"hangs", "1h", `(?s)stopping.*cleaned up\n.*atexit`},
			{"goes on", "1h", `(?s)not cancelled\n.*shut down\n.*atexit`},
			{"stays", "1s", `(?s)stopping.*startup of the application did not end`},
		} {
			c := lifespanOf(test.name, "-b", "127.0.0.1:0", "--graceful-timeout", test.grace)
			c.Flags = append(c.Flags, m.Flags...)
			s := c.Start(t)
			s.Says(`hanging`)
			s.Stop()
			s.Says(test.says)
			said := s.Stderr.String()
			fapwstest.Truef(t, !strings.Contains(said, "Traceback"), "%s: %s", test.name, said)
		}
		s := lifespanOf("shutdown hangs", "--graceful-timeout", "1s").Serve(t, m)
		s.Stop()
		s.Says(`shutdown of the application took longer`)
	})
}

func TestASGILifespanThatHangsAtAWakeIsCancelledByTERM(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, grace, says string }{
		{"hangs later", "1h", `(?s)hanging.*stopping.*cleaned up\n.*atexit`},
		{"goes on later", "1h", `(?s)hanging.*not cancelled\n.*shut down\n.*atexit`},
		{"stays later", "1s", `(?s)hanging.*stopping.*startup of the application did not end`},
	} {
		c := lifespanOf(test.name, "--graceful-timeout", test.grace, "--idle-stop", "50ms", "--start-wait", "1h")
		file := t.TempDir() + "/go on"
		c.Env = append(c.Env, "GO_ON="+file)
		s := c.Serve(t, fapwstest.Threads)
		s.Says(`the application sleeps`)
		fapwstest.Write(t, file, "")
		s.Dial().Get("/")
		s.Says(`hanging`)
		s.Stop()
		s.Says(test.says)
		said := s.Stderr.String()
		fapwstest.Truef(t, !strings.Contains(said, "Traceback"), "%s: %s", test.name, said)
	}
}

func TestASGILifespanThatHangsIsLogged(t *testing.T) {
	t.Parallel()
	s := lifespanOf("hangs", "--bind", "127.0.0.1:0").Start(t)
	s.Says(`warning the startup of the lifespan has not ended after 10s; until then, requests wait\n`)
	s.Stop()
}

func TestASGILifespanEndsAfterActiveRequests(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		c := lifespanOf("plain")
		file := t.TempDir() + "/go on"
		c.Env = append(c.Env, "GO_ON="+file)
		s := c.Serve(t, m)
		w := s.DialGet("/slow")
		pid := s.Says(`in flight in (\d+)`)[1]
		// The worker closes this idle connection when the stop begins.
		idle := s.Dial()
		for idle.Get("/pid"); idle.Answer().Text != pid; idle.Get("/pid") {
			idle = s.Dial()
		}
		s.Signal(syscall.SIGTERM)
		idle.Gone()
		fapwstest.Write(t, file, "")
		fapwstest.Truef(t, w.Answer().Want(t, 200).Close, "no Connection: close while it stops")
		s.EndsWith(0)
		s.Says(`(?s)answered /slow\n.*shutting down\n.*shut down\n`)

		s = lifespanOf("plain", "--graceful-timeout", "1s").Serve(t, m)
		s.DialGet("/forever")
		s.Says(`in flight`)
		s.Stop()
		s.Says(`(?s)cancelled\n.*shut down\n`)
	})
}

func TestASGILifespanOfNewCodeStartsBeforeTheOldOneEnds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := func(text string) string {
		return fapwstest.Write(t, dir+"/app.py", fmt.Sprintf(`
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
	s := fapwstest.Command{Script: script("pass"), Flags: []string{"--workers", "1", "--bind", "127.0.0.1:0"},
		Complains: true}.Started(t)
	s.Get("/", 200).Is(t, "one")
	s.SignalLogs(syscall.SIGHUP, `(?s)up\n.*up\n.*down\n`)
	s.Get("/", 200).Is(t, "one")
	script(`raise ValueError("not again")`)
	s.SignalLogs(syscall.SIGHUP, `ValueError: not again`)
	s.Get("/", 200).Is(t, "one")
}
