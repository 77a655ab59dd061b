package python_test

import (
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestCodeThatGeventHasPatchedWorksOnlyInline(t *testing.T) {
	t.Parallel()
	serve := func(m fapwstest.Mode, patch string) *fapwstest.Server {
		script := fapwstest.Write(t, t.TempDir()+"/app.py", "from gevent import monkey\nmonkey."+patch+`()
import queue, subprocess, threading, time

def application(environ, start_response):
    start_response("200 OK", [])
    done = queue.Queue()
    thread = threading.Thread(target=lambda: done.put(time.sleep(0.01)))
    thread.start()
    thread.join()
    return [subprocess.check_output(["echo", str(done.get())])]
`)
		return fapwstest.Command{Script: script, Env: []string{"VIRTUAL_ENV=" + fapwstest.Today(t)}}.Serve(t, m)
	}
	for _, patch := range []string{"patch_all", "patch_subprocess"} {
		serve(fapwstest.Threads, patch).Says("warning gevent has patched Python's standard library .*--threads 0")
	}
	s := serve(fapwstest.Inline, "patch_all")
	for range 5 {
		s.Get("/", 200).Is(t, "None\n")
	}
	s.Stop()
	if said := s.Stderr.String(); strings.Contains(said, "gevent has patched") {
		t.Errorf("%s", said)
	}
}
