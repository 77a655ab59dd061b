package python_test

import (
	"os"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestDeferredCallsAndTimersRunDuringRequests(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		folder := t.TempDir()
		s := fapwstest.Command{Script: "later.py", Args: []string{folder}, Complains: true}.Serve(t, m)
		ticks := func() int {
			text, _ := os.ReadFile(folder + "/ticks")
			return strings.Count(string(text), "\n")
		}
		fapwstest.Eventually(t, "a timer ticks while the server is idle", func() bool { return ticks() >= 3 })
		s.Get("/later", 200)
		if _, err := os.Stat(folder + "/later"); err == nil {
			t.Error("the answer came after the postponed work")
		}
		s.Get("/forks", 200).Is(t, "0")
		s.Get("/release", 200)
		fapwstest.FileSays(t, folder+"/later", "from a request")
		for before := ticks(); ticks() < before+3; {
			s.Get("/release", 200)
		}
		s.Get("/breaks", 200)
		s.Says(`(?m)^[-\d]+ [:\d]+\.\d{3} [-+]\d{4} error in deferred call int\nTraceback(.*\n)+ValueError: `)

		s.Get("/slowly", 200)
		s.Stop()
		fapwstest.FileSays(t, folder+"/at the end", "yes")
	})
}
