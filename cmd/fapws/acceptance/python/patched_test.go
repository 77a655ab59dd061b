package python_test

import (
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestCodeThatGeventHasPatchedWorksOnlyInline(t *testing.T) {
	script := fapwstest.Write(t, t.TempDir()+"/app.py", `
from gevent import monkey
monkey.patch_all()
import queue, subprocess, threading, time

def application(environ, start_response):
    start_response("200 OK", [])
    done = queue.Queue()
    thread = threading.Thread(target=lambda: done.put(time.sleep(0.01)))
    thread.start()
    thread.join()
    return [subprocess.check_output(["echo", str(done.get())])]
`)
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: script, Env: []string{"VIRTUAL_ENV=" + fapwstest.Today(t)}}.Serve(t, m)
		if !m.Inline() {
			s.Says("warning gevent has patched Python's standard library .*--threads 0")
			return
		}
		for range 5 {
			s.Get("/", 200).Is(t, "None\n")
		}
		s.Stop()
		if said := s.Stderr.String(); strings.Contains(said, "gevent has patched") {
			t.Errorf("%s", said)
		}
	})
}

func TestCodeWhoseProcessesGeventHasPatchedCausesAWarningAtTheStart(t *testing.T) {
	t.Parallel()
	script := fapwstest.Write(t, t.TempDir()+"/app.py", `
from gevent import monkey
monkey.patch_subprocess()
PATHS = [("/", lambda environ, start_response: "hello")]
`)
	c := fapwstest.Command{Script: script, Env: []string{"VIRTUAL_ENV=" + fapwstest.Today(t)}}
	s := c.Serve(t, fapwstest.Threads)
	s.Says("warning gevent has patched Python's standard library .*--threads 0")
}
