package process_test

import (
	"os"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestWorkerThatEndsBeforeOthersHaveLoadedIsReplaced(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		path, says string
		flags      []string
	}{
		{"/die", `worker \d+ was killed by SIGKILL; starting a new one`, nil},
		{"/leave", `worker \d+ exited with status 3: .*; starting a new one`, nil},
		{"/leave", `worker \d+ exited with status 3: .*; starting a new one`, []string{"--reload-check", "/"}},
		{"/leave", `worker \d+ exited with status 3: .*; starting a new one`, []string{"--sandbox"}},
		{"/stop", `worker \d+ was stopped by a signal for 10s and was killed; starting a new one`, nil},
		{"/hang", `replacing worker \d+: stuck`, []string{"--threads", "0", "--timeout", "1"}},
		{"/hang", `replacing worker \d+: stuck`, []string{"--timeout", "1"}},
		{"/keeps_gil", `replacing worker \d+: stuck \(GET /keeps_gil .* timed out; a handler has held the GIL`,
			[]string{"--timeout", "1"}},
		{"/keeps_gil", `replacing worker \d+: stuck \(a handler has held the GIL for 10 s\)`, nil},
	} {
		t.Run(tt.path[1:]+" "+strings.Join(tt.flags, " "), func(t *testing.T) {
			t.Parallel()
			folder := fapwstest.PublicFolder(t)
			fapwstest.Must(t, os.Chmod(folder, 0o777))
			c := fapwstest.Command{Script: "slowly.py", Args: []string{folder}, Complains: true,
				Flags: append(tt.flags, "--workers", "3", "--graceful-timeout", "1", "--bind", "unix:"+folder+
					"/socket")}
			s := c.Start(t)
			fapwstest.Eventually(t, "the others load", func() bool {
				others, err := os.ReadFile(folder + "/others")
				return err == nil && len(others) == 2
			})
			ask := func(path string) (*fapwstest.Answer, error) {
				return fapwstest.Dial(t, "unix", folder+"/socket").Tries(fapwstest.Get(path))
			}
			if a, err := ask("/"); err != nil || a.Text != "hello" {
				t.Fatalf("the first worker does not serve: %v", err)
			}
			victim := fapwstest.Dial(t, "unix", folder+"/socket")
			victim.Get(tt.path)
			s.Says(tt.says)
			fapwstest.Write(t, folder+"/go", "")
			s.Says("fapws 0.*3 workers")
			s.HasWorkers(3)
			fapwstest.Eventually(t, "it serves", func() bool {
				a, err := ask("/")
				return err == nil && a.Text == "hello"
			})
		})
	}
}

// The server replaces the worker even without --timeout, so later requests get responses.
func TestWorkerWhoseHandlerKeepsTheGILIsReplaced(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Inline}, func(t *testing.T, m fapwstest.Mode) {
		folder := fapwstest.PublicFolder(t)
		fapwstest.Write(t, folder+"/go", "")
		s := fapwstest.Command{Script: "slowly.py", Args: []string{folder}, Complains: true,
			Flags: []string{"--workers", "2", "--graceful-timeout", "1"}}.Serve(t, m)
		s.Dial().Get("/keeps_gil")
		s.Says(`error a handler holds the GIL in C code, and no other handler can run; all threads:\n` +
			`(.*\n)*  File "[^"]*slowly\.py", line \d+ in keeps_gil\n`)
		s.Says(`replacing worker \d+: stuck \(a handler has held the GIL for 10 s\)`)
		s.HasWorkers(2)
		for range 20 {
			s.Get("/", 200).Is(t, "hello")
		}
	})
}
