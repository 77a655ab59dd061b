package http_test

import (
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// The rule applies to handlers, messages and the access log.
func TestPOSIXRuleInTZSetsTheLocalTime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := filepath.Join(dir, "access")
	script := fapwstest.Write(t, filepath.Join(dir, "app.py"), `
import time


def zone(environ, start_response):
    return time.strftime("%z")


PATHS = [("/zone", zone)]
`)
	s := fapwstest.Command{Script: script, Env: []string{"TZ=<+0530>-5:30"},
		Flags: []string{"--access-logfile", log}}.Serve(t, fapwstest.Threads)
	s.Get("/zone", 200).Is(t, "+0530")
	fapwstest.Eventually(t, "a line with the zone", func() bool {
		return regexp.MustCompile(`\[.* \+0530\] "GET /zone`).MatchString(fapwstest.Read(t, log))
	})
	s.Stop()
	stamp := regexp.MustCompile(`(?m)^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.\d+ info stopping`).
		FindStringSubmatch(s.Stderr.String())
	if stamp == nil {
		t.Fatal(s.Stderr)
	}
	at, err := time.ParseInLocation(time.DateTime, stamp[1], time.FixedZone("", 5*3600+1800))
	if age := time.Since(at); err != nil || age < -time.Minute || age > 2*time.Hour {
		t.Errorf("%s is %v ago, %v", stamp[1], age, err)
	}
}
