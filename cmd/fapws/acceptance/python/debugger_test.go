package python_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

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

type editor struct {
	t     *testing.T
	conn  net.Conn
	input *bufio.Reader
	asked int
}

type message struct {
	Type, Event, Command string
	Body                 struct {
		ThreadID    int
		Result      string
		StackFrames []struct{ ID int }
	}
}

func (e *editor) ask(command string, arguments any) {
	e.asked++
	text, err := json.Marshal(map[string]any{"seq": e.asked, "type": "request", "command": command,
		"arguments": arguments})
	fapwstest.Must(e.t, err)
	fapwstest.Try(fmt.Fprintf(e.conn, "Content-Length: %d\r\n\r\n%s", len(text), text)).Must(e.t)
}

func (e *editor) until(name string) message {
	e.t.Helper()
	for {
		size := 0
		for line := "-"; line != ""; {
			line = strings.TrimSpace(fapwstest.Try(e.input.ReadString('\n')).Must(e.t))
			_, _ = fmt.Sscanf(line, "Content-Length: %d", &size)
		}
		text := make([]byte, size)
		fapwstest.Try(io.ReadFull(e.input, text)).Must(e.t)
		var m message
		fapwstest.Must(e.t, json.Unmarshal(text, &m))
		if m.Type == "event" && m.Event == name || m.Type == "response" && m.Command == name {
			return m
		}
	}
}

// A handler that waits for an editor does not time out. debugpy patches the module threading, as gevent does. The
// server must not warn about debugpy.
func TestEditorStopsHandlerOverDebugpy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := fapwstest.Write(t, dir+"/app.py", `import threading

import debugpy

with open("port", "w") as file:
    file.write(str(debugpy.listen(("127.0.0.1", 0))[1]))

def handler(environ, start_response):
    x = 41
    x += 1
    return "value %d" % x

def waits(environ, start_response):
    threading.Timer(5, debugpy.wait_for_client.cancel).start()
    debugpy.wait_for_client()
    return "went on"

PATHS = [("/waits", waits), ("/", handler)]
`)
	s := fapwstest.Command{Script: path, Dir: dir, Flags: []string{"--debug=1", "--timeout", "2"},
		Env: []string{"VIRTUAL_ENV=" + fapwstest.Today(t), "PYDEVD_DISABLE_FILE_VALIDATION=1"}}.Serve(t, fapwstest.Threads)
	s.Get("/waits", 200).Is(t, "went on")
	port := fapwstest.Try(os.ReadFile(dir + "/port")).Must(t)
	c := fapwstest.Try(net.Dial("tcp", "127.0.0.1:"+string(port))).Must(t)
	defer c.Close()
	c.SetDeadline(time.Now().Add(fapwstest.Patience))
	e := &editor{t: t, conn: c, input: bufio.NewReader(c)}
	e.ask("initialize", map[string]any{"adapterID": "test"})
	e.until("initialize")
	e.ask("attach", map[string]any{"justMyCode": true})
	e.until("initialized")
	e.ask("setBreakpoints", map[string]any{"source": map[string]any{"path": path},
		"breakpoints": []any{map[string]any{"line": 10}}})
	e.until("setBreakpoints")
	e.ask("configurationDone", nil)
	e.until("attach")
	for range 2 {
		w := s.DialGet("/")
		stopped := e.until("stopped").Body.ThreadID
		e.ask("stackTrace", map[string]any{"threadId": stopped})
		e.ask("evaluate", map[string]any{"expression": "x", "frameId": e.until("stackTrace").Body.StackFrames[0].ID})
		fapwstest.Equalf(t, e.until("evaluate").Body.Result, "41", "x")
		e.ask("continue", map[string]any{"threadId": stopped})
		w.Answer().Want(t, 200).Is(t, "value 42")
	}
	// As long as the editor is connected, debugpy's adapter process keeps the server's standard error open.
	c.Close()
	s.Stop()
	for line := range strings.Lines(s.Stderr.String()) {
		fapwstest.Truef(t, !strings.Contains(line, "warning") || strings.Contains(line, "is still loading"), "%q", line)
	}
}

// Coverage tools, profilers and debuggers call threading.settrace and threading.setprofile. These functions have no
// effect on the main thread, which needs sys.settrace.
func TestTracersFollowEachThreadOfTheServer(t *testing.T) {
	t.Parallel()
	script := fapwstest.Write(t, t.TempDir()+"/app.py", `import threading
traced, profiled, all_run = set(), set(), threading.Barrier(3)
threading.settrace(lambda *event: traced.add(threading.get_ident()))
threading.setprofile(lambda *event: profiled.add(threading.get_ident()))
def show(environ, start_response):
    all_run.wait()
    me = threading.get_ident()
    return "seen" if me == threading.main_thread().ident or me in traced and me in profiled else "not seen"
PATHS = [("/", show)]
`)
	for _, c := range fapwstest.Serve(t, fapwstest.Threads, script).DialMany(3, fapwstest.Get("/")) {
		c.Answer().Is(t, "seen")
	}
}
