package acceptance

import (
	"regexp"
	"testing"
)

// An application that closes the descriptors of Go's runtime by a system call of its own, which the server
// cannot refuse, ends the process with one line, without a dump. A supervisor replaces the worker.
func TestClosingBySystemCall(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := command{script: "descriptors.py", complains: true, crashes: true}.serve(t, m)
		w := s.dial()
		w.get("/close?range")
		w.gone()
		if m.workers() { // on a busy machine the supervisor may find it first
			s.says(`worker \d+ (has ended with code 1: the application has closed descriptor \d+ by a system call of its own, .*; ` +
				`|can answer no requests \(the application has closed descriptor \d+, .*\) and was killed: )a new one is started`)
			eventually(t, "there are two workers again", func() bool { return len(s.workers()) == 2 })
			s.get("/pid", 200)
		} else {
			s.says(`(?m)^fapws: the application has closed descriptor \d+ by a system call of its own, which belongs to the server; .`)
			if code := s.ended(); code != 1 {
				t.Errorf("code %d", code)
			}
		}
		if text := s.stderr.String(); regexp.MustCompile(`goroutine \d`).MatchString(text) {
			t.Errorf("a dump of Go:\n%.2000s", text)
		}
	})
}
