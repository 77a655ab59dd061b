package http_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

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
	fapwstest.FileSays(t, log, ` +0530] "GET /zone`)
	s.Stop()
	stamp := regexp.MustCompile(`(?m)^(\S+ \S+ \+0530) info stopping`).FindStringSubmatch(s.Stderr.String())
	fapwstest.Needf(t, stamp != nil, "%v", s.Stderr)
	at, err := time.Parse("2006-01-02 15:04:05.000 -0700", stamp[1])
	age := time.Since(at)
	fapwstest.Truef(t, err == nil && age >= 0 && age <= time.Hour, "%s is %v ago, %v", stamp[1], age, err)
}

// The test sets a time zone in which the local time is 00:30. In this zone, a log from an hour ago is from the previous
// day, so the server rotates the log. In UTC, the log would nearly always be from the same day.
func TestPOSIXRuleInTZSetsTheDayOfLogsAndTheTimesOfPages(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC()
	east := 30 - now.Hour()*60 - now.Minute()
	if east < -12*60 {
		east += 24 * 60
	}
	sign, west := "", -east // the sign of POSIX is positive west of Greenwich
	if west < 0 {
		sign, west = "-", east
	}
	dir := t.TempDir()
	log := fapwstest.Write(t, filepath.Join(dir, "access"), "of yesterday\n")
	fapwstest.Write(t, filepath.Join(dir, "site", "page.shtml"),
		`<!--#config timefmt="%z %H" --><!--#echo var="DATE_LOCAL" -->|`+
			`<!--#flastmod virtual="page.shtml" -->|<!--#echo var="LAST_MODIFIED" -->`)
	page := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	for name, at := range map[string]time.Time{log: now.Add(-time.Hour), filepath.Join(dir, "site", "page.shtml"): page} {
		fapwstest.Must(t, os.Chtimes(name, at, at))
	}
	zone := time.FixedZone("", east*60)
	s := fapwstest.Command{
		Env:   []string{fmt.Sprintf("TZ=<LOCAL>%s%d:%02d", sign, west/60, west%60)},
		Flags: []string{"--static", "/=" + filepath.Join(dir, "site"), "--ssi", "--access-log", log, "--log-rotate", "daily"},
	}.Serve(t, fapwstest.Mode{})
	modified := page.In(zone).Format("-0700 15")
	got := strings.Split(s.Get("/page.shtml", 200).Text, "|")
	fapwstest.Truef(t, len(got) == 3 && got[0] == page.In(zone).Format("-0700")+" 00" && got[1] == modified &&
		got[2] == modified, "%q, modified at %s", got, modified)
	fapwstest.FileSays(t, log+".1.gz", "")
}

func TestTZThatCannotBeReadIsOneWarning(t *testing.T) {
	t.Parallel()
	script := fapwstest.Write(t, t.TempDir()+"/app.py", `PATHS = [("/", lambda environ, start_response: "")]`)
	env := []string{"TZ=CET-1CEST,M3.5.0"}
	for _, flags := range [][]string{nil, {"--workers", "2"}, {"--fork"}} {
		s := fapwstest.Command{Script: script, Env: env, Flags: flags}.Serve(t, fapwstest.Mode{})
		s.Stop()
		fapwstest.Equalf(t, strings.Count(s.Stderr.String(), "TZ=CET-1CEST,M3.5.0 is unknown"), 1, "%q: warnings", flags)
	}
}
