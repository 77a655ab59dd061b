package process_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestForkedChildrenSendQueuedDataOfExporters(t *testing.T) {
	t.Parallel()
	packages, err := filepath.Glob(fapwstest.Today(t) + "/lib/python3*/site-packages")
	fapwstest.Needf(t, err == nil && len(packages) == 1, "%q, %v", packages, err)
	var exceptions, spans atomic.Int64
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/api/1/envelope/":
			exceptions.Add(1)
		case "/v1/traces":
			spans.Add(1)
		}
	}))
	defer collector.Close()
	s := fapwstest.Command{Flags: []string{"--fork"}, Script: "exporters.py", Complains: true,
		Args: []string{collector.Listener.Addr().String()},
		Env:  []string{"PYTHONPATH=" + packages[0]}}.Serve(t, fapwstest.Threads)
	s.Get("/exception", 200)
	s.Get("/span", 200)
	s.Get("/raises", 500)
	w := s.Dial()
	w.Get("/breaks")
	text := w.Rest()
	fapwstest.Truef(t, strings.HasSuffix(text, "first piece\n\r\n"), "the response is not aborted: %q", text)
	fapwstest.Eventually(t, "all exceptions and spans have arrived", func() bool {
		return exceptions.Load() == 3 && spans.Load() == 3
	})
	fapwstest.Lacks(t, s.Stderr.String(), "has closed its connection")
}

// Children run the threads, deferred calls and atexit functions of their handler, but not the atexit functions of the
// application. If a function does not return, the server ends the child and logs its stack.
func TestForkedChildrenRunAtexitFunctionsOfTheirHandler(t *testing.T) {
	t.Parallel()
	s, folder := forked(t, fapwstest.Threads)
	s.Get("/later", 200)
	s.Get("/exits", 200)
	for _, note := range []string{"deferred", "thread", "atexit of the handler"} {
		fapwstest.FileSays(t, folder+"/notes", note)
	}
	s.Get("/exits?never", 200)
	s.Says(`exits: +File "[^"]*fork\.py", line \d+ in wait_for`)
	fapwstest.Eventually(t, "the process has ended", func() bool {
		return len(fapwstest.ChildrenOf(t, loaders(s)...)) == 1
	})
	fapwstest.Truef(t, !slices.Contains(notesIn(folder), "atexit_in_child"),
		"the application's function has run in the process of a request")
}

func TestForkedChildrenMayFinishWhenTheServerStops(t *testing.T) {
	t.Parallel()
	s, folder := forked(t, fapwstest.Threads)
	s.Get("/exits?go", 200)
	s.Signal(syscall.SIGTERM)
	s.Says("info stopping")
	fapwstest.Write(t, filepath.Join(folder, "go"), "")
	s.EndsWith(0)
	notes := notesIn(folder)
	fapwstest.Truef(t, slices.Contains(notes, "atexit_of_the_handler"), "notes: %q", notes)
}
