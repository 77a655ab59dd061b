package acceptance

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// Deferred calls and timers run beside requests, idle or not, to the end.
func TestDeferAndTimer(t *testing.T) {
	inOneProcess(t, func(t *testing.T, m mode) {
		folder := t.TempDir()
		s := command{script: "later.py", args: []string{folder}, complains: true}.serve(t, m)
		ticks := func() int {
			text, _ := os.ReadFile(folder + "/ticks")
			return strings.Count(string(text), "\n")
		}
		eventually(t, "a timer ticks while the server is idle", func() bool { return ticks() >= 3 })
		s.get("/later", 200)
		if _, err := os.Stat(folder + "/later"); err == nil {
			t.Error("the answer came after what was put off")
		}
		s.get("/forks", 200).is(t, "0") // and this behind a call that waits
		s.get("/release", 200)
		fileSays(t, folder+"/later", "from a request")
		for before := ticks(); ticks() < before+3; { // under load too
			s.get("/release", 200)
		}
		s.get("/breaks", 200)
		s.says(`fapws: error in deferred call int\nTraceback(.*\n)+ValueError: `)

		s.get("/slowly", 200)
		s.signal(syscall.SIGTERM)
		if code := s.ended(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		fileSays(t, folder+"/at the end", "yes")
	})
}
