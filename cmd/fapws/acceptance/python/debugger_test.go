package python_test

import (
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// With --debug, which --dev includes, the debugger may stop at an exception. The server recognizes a debugger by its
// trace function (sys.settrace). A console in a handler sets no trace function, but the handler must not time out,
// either. A handler that hangs outside of the debugger still times out. After "continue" in the debugger, SIGINT stops
// the server instead of calling the debugger.
func TestHandlerAtABreakpointOrConsoleDoesNotTimeOut(t *testing.T) {
	script := fapwstest.Write(t, t.TempDir()+"/app.py", `
import code, pdb, sys, threading, time

class Developer:
    encoding, errors = "utf-8", "strict"

    def fileno(self):
        raise OSError

    def readline(self, *limit):
        time.sleep(2)
        return self.lines.pop(0) if self.lines else ""

sys.stdin = Developer()

def fails():
    try:
        1 / 0
    except ZeroDivisionError:
        pdb.post_mortem(sys.exc_info()[2])

def stops():
    pdb.set_trace()
    return "went on"

def on_thread(function):
    def helped():
        helper = threading.Thread(target=function)
        helper.start()
        helper.join()
    return helped

def traced():
    sys.settrace(lambda frame, event, arg: time.sleep(4))
    (lambda: None)()
    sys.settrace(None)

def waits(function, *lines):
    def handler(environ, start_response):
        Developer.lines = list(lines)
        function()
        return "went on"
    return handler

async def application(scope, receive, send):
    if scope["type"] == "http":
        text = waits(stops, "next\n", "continue\n")(None, None)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text.encode()})

def hangs(environ, start_response):
    time.sleep(120)

PATHS = [
    ("/stops", waits(stops, "next\n", "continue\n")),
    ("/asgi", application),
    ("/post_mortem", waits(fails, "where\n", "quit\n")),
    ("/console", waits(code.interact, "1\n", "2\n")),
    ("/helper", waits(on_thread(stops), "next\n", "continue\n")),
    ("/traced", waits(on_thread(traced))),
    ("/hangs", hangs),
]
`)
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		flags := []string{"--debug=1", "--timeout", "2"}
		if !m.Inline() {
			flags = append(flags, "--threads", "1") // pdb handles SIGINT on the main thread
		}
		s := fapwstest.Command{Script: script, Flags: flags, Complains: true}.Serve(t, m)
		for _, path := range []string{"/stops", "/asgi", "/post_mortem", "/console", "/helper", "/traced"} {
			fapwstest.Eventually(t, "an answer after "+path, func() bool {
				a := s.Ask(fapwstest.Get(path))
				return a.StatusCode == 200 && a.Text == "went on"
			})
		}
		s.Get("/hangs", 504)
		s.Signal(syscall.SIGINT)
		s.EndsWith(0)
	})
}
