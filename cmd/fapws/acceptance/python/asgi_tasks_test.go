package python_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

// A task of the application outlives its request.
func TestASGISendAfterTheEndRaises(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "asgi/late.py:app", Complains: true}.Serve(t, fapwstest.Threads)
	said := func(path string, messages int) {
		t.Helper()
		want := strings.TrimSpace(strings.Repeat("RuntimeError ", messages))
		fapwstest.Equalf(t, s.Get("/said", 200).Text, want, "%s", path)
	}
	for _, path := range []string{"/nothing", "/head", "/body", "/raise/nothing", "/raise/head", "/raise/body"} {
		s.Ask(fapwstest.Request("GET", path, ""))
		said(path, 4)
	}
	s.Get("/inside", 200).Is(t, "outer")
	said("/inside", 1)
	for path, code := range map[string]int{"/open": 1000, "/open/raise": 1011} {
		c := s.Socket(path)
		var closed *wstest.Closed
		if _, _, err := c.Receive(); !errors.As(err, &closed) || closed.Code != code {
			t.Errorf("%s ended with %v, want it closed with %d", path, err, code)
		}
		c.Conn.Close()
		said(path, 5)
	}
}

// When the server creates the task of a request, Python may run its garbage collector, and finalizers may call the
// event loop. No such call may be lost.
func TestASGIFinalizersMayCallTheEventLoop(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: "asgi/finalizers.py:app"}.Serve(t, m)
		for range 20 {
			s.Get("/", 200)
		}
		fapwstest.Equalf(t, s.Get("/lost", 200).Text, "0", "lost calls")
	})
}

// While applications are imported, the current event loop is that of the requests, also if the application has set it.
// A task that a module creates on it runs.
func TestTaskOfTheImportRunsOnTheLoopOfTheRequests(t *testing.T) {
	t.Parallel()
	const tail = `
loops = []

async def work():
    loops.append(asyncio.get_running_loop())
    await asyncio.sleep(3600)

async def text():
    await asyncio.sleep(0)
    loops.append(asyncio.get_running_loop())
    return f"{len(loops)} {set(loops) == {loop}} {isinstance(loop, getattr(uvloop, 'Loop', ()))}"

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        loops.append(asyncio.get_running_loop())
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return await send({"type": "lifespan.shutdown.complete"})
    body = (await text()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})

async def handler(environ, start_response):
    return await text()

task = loop.create_task(work())
`
	const get, set = "loop = asyncio.get_event_loop()\n", "loop = asyncio.new_event_loop()\nasyncio.set_event_loop(loop)\n"
	const begin = "import asyncio, uvloop\n"
	for name, c := range map[string]struct{ script, loop, want, says string }{
		"ASGI":              {begin + get + tail, "asyncio", "3 True False", ""},
		"ASGI, uvloop":      {begin + get + tail, "auto", "3 True True", ""},
		"async handler":     {begin + get + tail + "PATHS = [('/', handler)]\n", "uvloop", "2 True True", ""},
		"loop has run":      {begin + get + "loop.run_until_complete(asyncio.sleep(0))\n" + tail, "asyncio", "3 True False", ""},
		"asyncio.run":       {begin + get + "asyncio.run(asyncio.sleep(0))\n" + tail, "asyncio", "3 True False", ""},
		"own loop":          {begin + set + tail, "auto", "3 True False", ""},
		"own loop, refused": {begin + set + tail, "uvloop", "3 True False", "warning --loop uvloop has no effect: .*EventLoop"},
		"two loops": {begin + get + tail + set, "auto", "2 True False",
			`warning tasks that the application created on asyncio.get_event_loop\(\) never run`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			// a replacement of uvloop, which may not be installed
			fapwstest.Write(t, folder+"/uvloop.py", "import asyncio\nclass Loop(asyncio.SelectorEventLoop): pass\n")
			fapwstest.Write(t, folder+"/main.py", c.script)
			s := fapwstest.Command{Script: folder + "/main.py", Flags: []string{"--loop", c.loop}}.Serve(t, fapwstest.Workers)
			s.Get("/", 200).Is(t, c.want)
			if c.says != "" {
				s.Says(c.says)
			}
		})
	}
}

func TestASGIApplicationCannotResumeItsOwnCoroutine(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "asgi/itself.py:app"}.Serve(t, fapwstest.Threads)
	for range 2 {
		fapwstest.Equal(t, s.Get("/", 200).Text, "ValueError ValueError ValueError ValueError True")
	}
}

// If a background task raises SystemExit or KeyboardInterrupt, asyncio's run_forever() ends. It also ends if the
// application calls stop() of the event loop. The server must run the event loop again.
func TestASGIThreadSurvivesExitsOfBackgroundTasks(t *testing.T) {
	t.Parallel()
	for _, loop := range []string{"asyncio", "auto"} {
		s := fapwstest.Command{Script: "asgi/exits.py:app", Flags: []string{"--loop", loop},
			Complains: true}.Serve(t, fapwstest.Threads)
		for _, path := range []string{"/task", "/callback", "/stop", "/ok"} {
			s.Get(path, 200).Is(t, "ok")
		}
		s.GetLogs("/cancelled", 500, `a task has left`)
		s.Says(`a callback has left`)
		for _, path := range []string{"/told", "/told/begun"} { // they return after a half-close
			w := s.DialGet(path)
			_ = w.Conn.(*net.TCPConn).CloseWrite()
			w.Closed()
		}
		s.Get("/ok", 200).Is(t, "ok")
	}
}

// The timeout does not apply while a task waits for its client.
func TestASGITimeoutCancelsATaskAndLogsItsPosition(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: "asgi/deadline.py:app", Flags: []string{"--timeout", "1s"},
			Complains: true}.Serve(t, m)
		w := s.DialSend("POST /receives HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhello")
		s.Until504("/hangs", `cancelled /hangs`)
		s.Says(`deadline\.py", line \d+, in deeper|deadline\.py:\d+`)
		// On a busy machine, the request may time out before its task starts.
		for {
			text, _ := io.ReadAll(s.DialSend(fapwstest.Get("/begun", "Connection: close")).In)
			if strings.HasSuffix(string(text), "\r\n\r\n5\r\nbegun\r\n") {
				break
			} else if !strings.HasPrefix(string(text), "HTTP/1.1 504 ") {
				t.Fatalf("a response that hangs: %q", text)
			}
		}
		s.Says(`cancelled /begun`)
		s.Dial().InTime("/ok").Is(t, "ok")
		fapwstest.Truef(t, !strings.Contains(s.Stderr.String(), "cancelled /receives"),
			"it was cancelled while its client was waited for")
		w.Reset()
		s.Says(`disconnected`)
	})
}

func TestAsyncHandlersMayBeEntriesOfPATHS(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "async.py", Complains: true}.Serve(t, fapwstest.Inline)
	for target, body := range map[string]string{
		"/text/a": "/a on fapws-asyncio", "/counts": "0,1,2,3,4,", "/plain": "plain, ", "/app/x": "/app /app/x",
		"/json": `{"a":1}`, "/generator": "0,1,2,3,4,", "/verbs": "got", "/file": fapwstest.Source(t, "async.py"),
	} {
		s.Get(target, 200).Is(t, body)
	}
	s.Get("/fields", 201).Want(t, 201, "onetwo").Field(t, "X-A", "b")
	s.Get("/http_error", 418).Want(t, 418, "tea")
	s.Ask(fapwstest.Request("POST", "/verbs", "a body")).Is(t, "a body")
	s.Ask(fapwstest.Request("DELETE", "/verbs", "")).Want(t, 405)
	s.Ask(fapwstest.Request("HEAD", "/counts", "")).Is(t, "")
	s.GetLogs("/fails", 500, `ValueError: boom`)
	s.GetLogs("/bad_result", 500, `handler \S*bad_result \(\S+, line \d+\) returned 7; it must return`)
	a := s.Ask(fapwstest.Get("/bad_piece"))
	fapwstest.Truef(t, a.Err != nil && a.Text == "begun", "%q, %v", a.Text, a.Err)
	s.Says(`a response must consist of str or bytes, not int: 7`)
}

func TestAsyncHandlerThatTimesOutIsCancelled(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Flags: []string{"--timeout", "2s"}, Script: "async.py", Complains: true}.Serve(t, m)
		said := s.Until504("/waits",
			`GET /waits HTTP/1\.1 from \S+ port \d+ timed out after \S+ s in handler \S*waits, which is canceled; `+
				`stack:\n((?:  .*\n)+)`)[1]
		fapwstest.Has(t, said, "in waits\n    await inner()\n", "in inner\n    await asyncio.sleep(1000)\n")
		s.Dial().InTime("/text").Want(t, 200)
	})
}

func TestAsyncStackShowsTheAwaitedCall(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "async.py", "--graceful-timeout", "100ms")
	s.DialGet("/waits")
	fapwstest.Eventually(t, "the awaited call on the stack", func() bool {
		_, stack, _ := s.Ctl("stack")
		return strings.Contains(stack, "awaits without a thread") && strings.Contains(stack,
			"in inner\n    await asyncio.sleep(1000)\n")
	})
}

func TestAsyncGeneratorEndsWhenItsClientDisconnects(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "async.py")
	w := s.DialGet("/listens")
	w.Head("GET")
	w.Close()
	fapwstest.Eventually(t, "it ends", func() bool { return s.Get("/plain", 200).Text == "plain, closed" })
}
