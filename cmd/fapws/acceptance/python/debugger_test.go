package python_test

import (
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// The exception from the timeout needs --debug, which --dev includes. A handler that hangs times out. After "continue",
// SIGINT stops the server and no longer calls the debugger.
func TestHandlerAtABreakpointDoesNotTimeOut(t *testing.T) {
	script := fapwstest.Write(t, t.TempDir()+"/app.py", `
import io, pdb, time

class Developer:
    lines = ["next\n", "continue\n"]

    def readline(self):
        time.sleep(3)
        return self.lines.pop(0)

def stops(environ, start_response):
    Developer.lines = ["next\n", "continue\n"]
    debugger = pdb.Pdb(stdin=Developer(), stdout=io.StringIO())
    debugger.set_trace()
    text = "went on"
    return text

async def application(scope, receive, send):
    if scope["type"] == "http":
        text = stops(None, None)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text.encode()})

def hangs(environ, start_response):
    time.sleep(120)

PATHS = [("/stops", stops), ("/hangs", hangs), ("/asgi", application)]
`)
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		flags := []string{"--debug=1", "--timeout", "2"}
		if !m.Inline() {
			flags = append(flags, "--threads", "1") // pdb handles SIGINT on the main thread
		}
		s := fapwstest.Command{Script: script, Flags: flags, Complains: true}.Serve(t, m)
		for _, path := range []string{"/stops", "/asgi"} {
			fapwstest.Eventually(t, "an answer after the breakpoint", func() bool {
				a := s.Ask(fapwstest.Get(path))
				return a.StatusCode == 200 && a.Text == "went on"
			})
		}
		s.Get("/hangs", 504)
		s.Signal(syscall.SIGINT)
		s.EndsWith(0)
	})
}
