package python_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

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
	_, err = fmt.Fprintf(e.conn, "Content-Length: %d\r\n\r\n%s", len(text), text)
	fapwstest.Must(e.t, err)
}

func (e *editor) until(name string) message {
	e.t.Helper()
	for {
		size := 0
		for line := "-"; line != ""; {
			text, err := e.input.ReadString('\n')
			fapwstest.Must(e.t, err)
			line = strings.TrimSpace(text)
			_, _ = fmt.Sscanf(line, "Content-Length: %d", &size)
		}
		text := make([]byte, size)
		_, err := io.ReadFull(e.input, text)
		fapwstest.Must(e.t, err)
		var m message
		fapwstest.Must(e.t, json.Unmarshal(text, &m))
		if m.Type == "event" && m.Event == name || m.Type == "response" && m.Command == name {
			return m
		}
	}
}

// A handler that waits for an editor does not time out. debugpy patches the module threading, as gevent does, but the
// server logs no warning about that.
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
		Env: []string{"VIRTUAL_ENV=" + fapwstest.Today(t), "PYDEVD_DISABLE_FILE_VALIDATION=1"}}.Serve(t,
		fapwstest.Threads)
	s.Get("/waits", 200).Is(t, "went on")
	port, err := os.ReadFile(dir + "/port")
	fapwstest.Must(t, err)
	c, err := net.Dial("tcp", "127.0.0.1:"+string(port))
	fapwstest.Must(t, err)
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
		w := s.Dial()
		w.Send(fapwstest.Get("/"))
		stopped := e.until("stopped").Body.ThreadID
		e.ask("stackTrace", map[string]any{"threadId": stopped})
		frame := e.until("stackTrace").Body.StackFrames[0].ID
		e.ask("evaluate", map[string]any{"expression": "x", "frameId": frame})
		if got := e.until("evaluate").Body.Result; got != "41" {
			t.Errorf("x is %q", got)
		}
		e.ask("continue", map[string]any{"threadId": stopped})
		w.Answer().Want(t, 200).Is(t, "value 42")
	}
	// As long as the editor is connected, debugpy's adapter process keeps the server's standard error open.
	c.Close()
	s.Stop()
	for line := range strings.Lines(s.Stderr.String()) {
		if strings.Contains(line, "warning") && !strings.Contains(line, "is still loading") {
			t.Error(line)
		}
	}
}
