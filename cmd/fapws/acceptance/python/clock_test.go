package python_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// The application sets a different time zone, as Django does.
func TestLogKeepsTheZoneOfTheServer(t *testing.T) {
	t.Parallel()
	script := fapwstest.Write(t, t.TempDir()+"/app.py", `
import os, time
os.environ["TZ"] = "TEST-9:30"
time.tzset()

def fails(environ, start_response):
    raise ValueError(time.tzname[0])

PATHS = [("/", fails)]
`)
	log := t.TempDir() + "/access"
	s := fapwstest.Command{Script: script, Env: []string{"TZ=TEST5"}, Flags: []string{"--access-log", log},
		Complains: true}.Serve(t, fapwstest.Threads)
	begun := time.Now().Truncate(time.Millisecond)
	s.Get("/", 500)
	s.Says("ValueError: TEST")
	s.Stop()
	fapwstest.FileSays(t, log, "-0500]")
	lines := regexp.MustCompile(`(?m)^\d{4}-\S+ \d\d:\d\d:\d\d\.\d{3} -0500 (error|info)`).
		FindAllString(s.Stderr.String(), -1)
	if len(lines) < 2 {
		t.Errorf("lines %q", lines)
	}
	for _, line := range lines {
		stamp, _, _ := strings.Cut(line, " e")
		stamp, _, _ = strings.Cut(stamp, " i")
		at, err := time.Parse("2006-01-02 15:04:05.000 -0700", stamp)
		if err != nil || at.Before(begun) || at.After(time.Now()) {
			t.Errorf("%q, %v; the requests began at %v", line, err, begun)
		}
	}
}
