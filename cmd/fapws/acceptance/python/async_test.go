package python_test

import (
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

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
	s.Get("/fails", 500)
	s.Says(`ValueError: boom`)
	s.Get("/bad_result", 500)
	s.Says(`handler \S*bad_result returned 7; it must return`)
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
		for _, line := range []string{"in waits\n    await inner()\n", "in inner\n    await asyncio.sleep(1000)\n"} {
			fapwstest.Has(t, said, line)
		}
		s.Dial().InTime("/text").Want(t, 200)
	})
}

func TestAsyncStackShowsTheAwaitedCall(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "async.py", "--graceful-timeout", "100ms")
	w := s.Dial()
	w.Get("/waits")
	fapwstest.Eventually(t, "the awaited call on the stack", func() bool {
		_, stack, _ := s.Ctl("stack")
		return strings.Contains(stack, "its task awaits") && strings.Contains(stack,
			"in inner\n    await asyncio.sleep(1000)\n")
	})
}

func TestAsyncGeneratorEndsWhenItsClientDisconnects(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "async.py")
	w := s.Dial()
	w.Get("/listens")
	w.Head("GET")
	w.Close()
	fapwstest.Eventually(t, "it ends", func() bool { return s.Get("/plain", 200).Text == "plain, closed" })
}
