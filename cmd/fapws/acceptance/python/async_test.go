package python_test

import (
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// TestAsyncHandlers: entries of PATHS may be async def, of any kind, beside others.
func TestAsyncHandlers(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "async.py")
		for target, body := range map[string]string{
			"/text/a": "/a on fapws-asyncio", "/counts": "0,1,2,3,4,", "/plain": "plain, ", "/app/x": "/app /app/x",
		} {
			s.Get(target, 200).Is(t, body)
		}
	})
}

// TestAsyncOverdue: --timeout cancels a task, and the log says where it stood; others
// go on.
func TestAsyncOverdue(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Flags: []string{"--timeout", "2s"}, Script: "async.py", Complains: true}.Serve(t, m)
		said := s.Until504("/waits", `GET /waits HTTP/1\.1 from \S+ port \d+ timed out after \S+ s in handler \S*waits, which is canceled; stack:\n((?:  .*\n)+)`)[1]
		for _, line := range []string{"in waits\n    await inner()\n", "in inner\n    await asyncio.sleep(1000)\n"} {
			if !strings.Contains(said, line) {
				t.Errorf("%q is not in\n%s", line, said)
			}
		}
		s.Dial().InTime("/text").Want(t, 200)
	})
}

// TestAsyncStack: fapws ctl stack shows the awaited call of a task.
func TestAsyncStack(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "async.py", "--graceful-timeout", "100ms")
		w := s.Dial()
		w.Get("/waits")
		fapwstest.Eventually(t, "the awaited call on the stack", func() bool {
			_, stack, _ := s.Ctl("stack")
			return strings.Contains(stack, "its task awaits") && strings.Contains(stack, "in inner\n    await asyncio.sleep(1000)\n")
		})
	})
}

// TestAsyncGeneratorIsLeft: one that waits for news ends when its client leaves.
func TestAsyncGeneratorIsLeft(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "async.py")
		w := s.Dial()
		w.Get("/listens")
		w.Head("GET")
		w.Close()
		fapwstest.Eventually(t, "it ends", func() bool { return s.Get("/plain", 200).Text == "plain, closed" })
	})
}
