package python_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

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
	s := fapwstest.Command{Script: script}.Serve(t, fapwstest.Threads)
	var clients []*fapwstest.Client
	for range 3 {
		c := s.Dial()
		c.Get("/")
		clients = append(clients, c)
	}
	for _, c := range clients {
		c.Answer().Is(t, "seen")
	}
}
