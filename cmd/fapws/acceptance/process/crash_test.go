package process_test

import (
	"regexp"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// crashes lists the ways in which crashes.py ends its process. Each has a pattern for the last line that the server
// must log.
var crashes = []struct {
	way, says string
	stack     bool
}{
	{"segv", `segmentation fault \(SIGSEGV\) in C code`, true},
	{"thread", `segmentation fault \(SIGSEGV\) in C code`, true},
	{"enabled", `segmentation fault \(SIGSEGV\) in C code`, true},
	{"abort", `abort \(SIGABRT\) in C code`, true},
	{"heap", `abort \(SIGABRT\) in C code`, true},
	{"leave", `\S+crashes\.py:\d+: os\._exit\(1\) was called`, false},
	{"succeed", `\S+crashes\.py:\d+: os\._exit\(0\) was called`, false},
}

func TestCrashWhileLoadingIsReportedInOneLine(t *testing.T) {
	t.Parallel()
	for _, tt := range crashes {
		t.Run(tt.way, func(t *testing.T) {
			fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers, fapwstest.Forks},
				func(t *testing.T, m fapwstest.Mode) {
					code, stdout, stderr := fapwstest.Command{Script: "crashes.py", Crashes: true,
						Flags: append([]string{"--bind", "127.0.0.1:0"}, m.Flags...),
						Env:   []string{"CRASH=" + tt.way}}.Run(t)
					lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
					want := regexp.MustCompile(`^fapws: ` + tt.says + ` while \S*crashes\.py was loading: .*; .`)
					if code != 3 || !want.MatchString(lines[len(lines)-1]) {
						t.Errorf("code %d, want %s at the end:\n%s", code, want, stderr)
					}
					if n := strings.Count(stderr, "fapws: "); n != 1 || strings.Contains(stderr, "goroutine") {
						t.Errorf("%d lines of the server:\n%s", n, stderr)
					}
					if tt.stack && !regexp.MustCompile(`crashes\.py", line \d+ in `+
						strings.NewReplacer("thread", "segv").
							Replace(tt.way)).MatchString(stderr) {
						t.Errorf("no stack of Python:\n%s", stderr)
					}
					if !strings.Contains(stdout, "loading") {
						t.Errorf("stdout %q", stdout)
					}
				})
		})
	}
}

func TestCrashInAHandlerIsReportedInOneLine(t *testing.T) {
	t.Parallel()
	for _, tt := range crashes {
		t.Run(tt.way, func(t *testing.T) {
			fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers},
				func(t *testing.T, m fapwstest.Mode) {
					s := fapwstest.Command{Script: "crashes.py", Complains: true, Crashes: true}.Serve(t, m)
					w := s.Dial()
					w.Get("/" + tt.way)
					w.Closed()
					s.Says(`fapws: ` + tt.says)
					if m.Workers() {
						s.Says(`worker \d+ (was killed by SIG(SEGV|ABRT)|exited with status [01]): ` + tt.says +
							`.*; starting a new one`)
						fapwstest.Eventually(t, "there are two workers again", func() bool {
							return len(s.Workers()) == 2
						})
						s.Get("/hello", 200)
					} else {
						s.Ended()
					}
					if text := s.Stderr.String(); strings.Contains(text, "goroutine") {
						t.Errorf("a dump of Go:\n%s", text)
					}
				})
		})
	}
}
