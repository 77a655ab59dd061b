package process_test

import (
	"os"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// TestIdleStop: the process with the application ends when no request needs it, and comes back for the next request, also if that has to
// wait; files and subscribers stay with the server.
func TestIdleStop(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, {Name: fapwstest.Workers.Name, Flags: []string{"--workers", "1"}}}, func(t *testing.T, m fapwstest.Mode) {
		folder := t.TempDir()
		file := folder + "/loads"
		fapwstest.Write(t, folder+"/a.txt", "a file")
		fapwstest.Write(t, file+".go", "")
		s := fapwstest.Command{Script: "sleeps.py", Args: []string{file}, Complains: true, Flags: []string{
			"--fork", "--idle-stop", "50ms", "--start-wait", "1h", "--static", "/files=" + folder,
		}}.Serve(t, m)
		asleep := func() {
			t.Helper()
			fapwstest.Eventually(t, "the application has ended", func() bool {
				_, said, _ := s.Ctl("status")
				return strings.Contains(said, "asleep") && len(forkServers(s)) == 0
			})
		}
		goes := func(why string) {
			t.Helper()
			if err := os.Rename(fapwstest.Write(t, file+".why", why), file+".go"); err != nil {
				t.Fatal(err)
			}
		}
		news := s.Dial()
		news.Get("/news")
		if r := news.Head("GET"); r.StatusCode != 200 {
			t.Fatalf("status %d", r.StatusCode)
		}
		asleep()
		s.Get("/files/a.txt", 200).Is(t, "a file")
		asleep()

		large := strings.Repeat("x", 1<<20)
		s.Ask(fapwstest.Request("POST", "/publish", large)).Is(t, "1048576")
		for line := ""; line != "data: from POST\n"; {
			var err error
			if line, err = news.In.ReadString('\n'); err != nil {
				t.Fatalf("the subscriber: %v", err)
			}
		}
		asleep()

		if err := os.Remove(file + ".go"); err != nil {
			t.Fatal(err)
		}
		w := s.Dial()
		w.Get("/")
		s.Get("/", 503, page).Field(t, "Retry-After", "1").Want(t, 503, refresh)
		goes("")
		w.Answer().Is(t, "hello")
		asleep()

		goes("no database")
		s.Get("/", 503).Want(t, 503, "the application failed to load")
		s.Says("RuntimeError: no database")
		goes("")
		fapwstest.Eventually(t, "it has loaded again", func() bool { return s.Ask(fapwstest.Get("/")).StatusCode == 200 })
	})
}
