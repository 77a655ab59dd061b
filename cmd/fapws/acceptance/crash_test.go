package acceptance

import (
	"regexp"
	"strings"
	"testing"
)

// crashes are ways of crashes.py to end its process, and what the last line says of them. Those with a stack
// show the Python code.
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

// A crash while the application loads is one line after what Python has written, and exit 3.
func TestCrashWhileLoading(t *testing.T) {
	for _, tt := range crashes {
		t.Run(tt.way, func(t *testing.T) {
			inModesAndForks(t, func(t *testing.T, m mode) {
				code, stdout, stderr := command{script: "crashes.py", crashes: true, flags: append([]string{"--bind", "127.0.0.1:0"}, m.flags...),
					env: []string{"CRASH=" + tt.way}}.run(t)
				lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
				want := regexp.MustCompile(`^fapws: ` + tt.says + ` while \S*crashes\.py was loading: .*; .`)
				if code != 3 || !want.MatchString(lines[len(lines)-1]) {
					t.Errorf("code %d, want %s at the end:\n%s", code, want, stderr)
				}
				if n := strings.Count(stderr, "fapws: "); n != 1 || strings.Contains(stderr, "goroutine") {
					t.Errorf("%d lines of the server:\n%s", n, stderr)
				}
				if tt.stack && !regexp.MustCompile(`crashes\.py", line \d+ in `+strings.NewReplacer("thread", "segv").Replace(tt.way)).MatchString(stderr) {
					t.Errorf("no stack of Python:\n%s", stderr)
				}
				if !strings.Contains(stdout, "loading") {
					t.Errorf("stdout %q", stdout)
				}
			})
		})
	}
}

// A crash in a handler is such a line, too. A supervisor repeats it, and replaces the worker.
func TestCrashInHandler(t *testing.T) {
	for _, tt := range crashes {
		t.Run(tt.way, func(t *testing.T) {
			inModes(t, func(t *testing.T, m mode) {
				s := command{script: "crashes.py", complains: true, crashes: true}.serve(t, m)
				w := s.dial()
				w.get("/" + tt.way)
				w.closed()
				s.says(`fapws: ` + tt.says)
				if m.workers() {
					s.says(`worker \d+ (was killed by SIG(SEGV|ABRT)|has ended with code [01]): ` + tt.says + `.*; a new one is started`)
					eventually(t, "there are two workers again", func() bool { return len(s.workers()) == 2 })
					s.get("/hello", 200)
				} else {
					s.ended()
				}
				if text := s.stderr.String(); strings.Contains(text, "goroutine") {
					t.Errorf("a dump of Go:\n%s", text)
				}
			})
		})
	}
}
