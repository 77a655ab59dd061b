package process_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// tightLine matches the message about a limit that prevents the start: the message has the limit, its value, and
// advice.
const tightLine = `^fapws: [^\n]*%s[^\n]*; [^\n]+\n$`

// Without the checks of fapws, Go's runtime would write a dump of all threads, and Python a traceback.
func TestTightLimitsEitherServeOrEndTheStartInOneLine(t *testing.T) {
	t.Parallel()
	var users atomic.Int64
	// any means that the result depends on the machine and on Python: the server starts, or exits with a message about
	// the limit.
	const any = "any"
	for _, tt := range []struct {
		limit string
		says  string
	}{
		{"-v 200000", `address space limit of 200000 KiB is too low \(ulimit -v\)`},
		{"-v 1500000", `address space limit of 1500000 KiB`},
		{"-v 1600000", any}, {"-v 1750000", any}, {"-v 1900000", any},
		{"-v 4000000", ""},
		{"-d 100000", `data limit of 100000 KiB is too low \(ulimit -d\)`},
		{"-d 220000", any}, {"-d 280000", any},
		{"-d 1000000", ""},
		{"-s 100", `stack limit of 100 KiB is too low \(ulimit -s\)`},
		{"-s 256", ""}, {"-s unlimited", ""},
		{"-s 1000000000", `stack limit of 1000000000 KiB is too high \(ulimit -s\)`},
		{"-n 6", `limit of 6 open files is too low \(ulimit -n\)`},
		{"-n 16", `limit of 16 open files`},
		{"-n 40", ""},
		{"-f 0", ""},
		{"-u 1", `cannot start 12 threads, only 0: `},
		{"-u 12", `cannot start 12 threads, only [01]?[0-9]: `},
	} {
		t.Run(tt.limit, func(t *testing.T) {
			fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers, fapwstest.Forks},
				func(t *testing.T, m fapwstest.Mode) {
					c := fapwstest.Command{Script: "hello.py", Shell: "ulimit " + tt.limit}.ForOtherUsers(t)
					if n, is := strings.CutPrefix(tt.limit, "-u "); is {
						c.Shell = "{ ulimit -u " + n + " 2>/dev/null || ulimit -p " + n + "; }" // -u: bash, -p: dash
					}
					if strings.HasPrefix(tt.limit, "-u") && os.Geteuid() == 0 { // the limit does not apply to root
						script := fapwstest.Source(t, c.Script)
						c.Script = fapwstest.Write(t, fapwstest.PublicFolder(t)+"/app.py", script)
						// The limit counts the processes of all modes, so each mode gets its own user.
						c.Shell += fmt.Sprintf(` && set -- setpriv --reuid %d --clear-groups "$@"`, 54300+users.Add(1))
					}
					c.Complains = true
					c.Flags = append([]string{"--bind", "127.0.0.1:0"}, m.Flags...)
					s := c.Start(t)
					if tt.says == "" || tt.says == any && startsOrEnds(s) {
						s.Address = s.Stderr.Await(t, fapwstest.BannerURL)[1]
						for range 5 {
							s.Get("/hello", 200)
						}
						s.Stop()
						return
					}
					want := regexp.MustCompile(strings.ReplaceAll(tightLine, "%s", strings.TrimPrefix(tt.says, any)))
					if code := s.Ended(); code != 3 || !want.MatchString(s.Stderr.String()) {
						t.Errorf("code %d, want %s:\n%.2000s", code, want, s.Stderr.String())
					}
				})
		})
	}
}

func startsOrEnds(s *fapwstest.Server) (started bool) {
	fapwstest.Eventually(s.T, "the server serves or ends", func() bool {
		select {
		case <-s.Exited:
			started = fapwstest.BannerURL.MatchString(s.Stderr.String())
			return true
		default:
			started = fapwstest.BannerURL.MatchString(s.Stderr.String())
			return started
		}
	})
	return started
}
