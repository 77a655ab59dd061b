package cli_test

import (
	"regexp"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestDebugLevelsLogMoreDetails(t *testing.T) {
	t.Parallel()
	shown := []*regexp.Regexp{
		1: regexp.MustCompile(`debug 127\.0\.0\.1:\d+ connected(.*\n)+.*"GET /x HTTP/1\.1" 200, 7 bytes, [0-9.]+.?s`),
		2: regexp.MustCompile(`debug .*goes to the application`),
		3: regexp.MustCompile(`debug .*sent \d+ bytes: "GET /x HTTP/1\.1\\r\\n`),
	}
	for level := range 4 {
		s := fapwstest.Serve(t, fapwstest.Threads, "entered.py", "--debug", string(rune('0'+level)))
		s.Get("/x", 200, "Connection: close")
		s.Stop()
		said := s.Stderr.String()
		fapwstest.Truef(t, level != 0 || !strings.Contains(said, "debug"), "without DEBUG: %s", said)
		for i, what := range shown {
			fapwstest.Truef(t, what == nil || what.MatchString(said) == (i <= level), "level %d, what level %d shows: %v\n%s",
				level, i, i > level, said)
		}
	}
}
