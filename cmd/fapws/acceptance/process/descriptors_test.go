package process_test

import (
	"regexp"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// An application that closes the descriptors of Go's runtime by a direct system call, which the server
// cannot refuse, ends the process with one line, without a dump. A supervisor replaces the worker.
func TestClosingBySystemCall(t *testing.T) {
	fapwstest.InModes(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: "descriptors.py", Complains: true, Crashes: true}.Serve(t, m)
		w := s.Dial()
		w.Get("/close?range")
		w.Gone()
		if m.Workers() { // on a busy machine the supervisor may find it first
			s.Says(`worker \d+ (exited with status 1: the application closed descriptor \d+, .*; ` +
				`|cannot answer requests \(the application closed descriptor \d+, .*\) and was killed(: .*)?; )starting a new one`)
			fapwstest.Eventually(t, "there are two workers again", func() bool { return len(s.Workers()) == 2 })
			s.Get("/pid", 200)
		} else {
			s.Says(`(?m)^fapws: the application closed descriptor \d+, which belongs to the server; .`)
			if code := s.Ended(); code != 1 {
				t.Errorf("code %d", code)
			}
		}
		if text := s.Stderr.String(); regexp.MustCompile(`goroutine \d`).MatchString(text) {
			t.Errorf("a dump of Go:\n%.2000s", text)
		}
	})
}
