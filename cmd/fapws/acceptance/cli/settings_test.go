package cli_test

import (
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// Capital globals are settings; the environment wins over them, flags over both.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		env   []string
		flags []string
		most  int // size of the largest body
	}{
		{"script", nil, nil, 100},
		{"environment", []string{"FAPWS_MAX_BODY_SIZE=200"}, nil, 200},
		{"flag", []string{"FAPWS_MAX_BODY_SIZE=200"}, []string{"--max-body-size", "300"}, 300},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := fapwstest.Command{Script: "settings.py", Env: c.env, Flags: c.flags}.Started(t) // the address is the script's
			s.Says(`up to 3 threads`)
			s.Ask(fapwstest.Request("POST", "/", strings.Repeat("b", c.most))).Want(t, 200)
			fapwstest.TooBig(t, s, fapwstest.Request("POST", "/", strings.Repeat("b", c.most+1)), "")
			s.Ask(fapwstest.Get("/"+strings.Repeat("a", 100))).Want(t, 414)
			w := s.Dial()
			w.Get("/")
			w.Answer().Want(t, 200)
			w.Closed()
		})
	}
}

// DEBUG shows more with each level, and nothing of requests without it.
func TestDebug(t *testing.T) {
	t.Parallel()
	shown := []*regexp.Regexp{
		1: regexp.MustCompile(`debug 127\.0\.0\.1:\d+ connected(.*\n)+.*"GET /x HTTP/1\.1" 200, 7 bytes, [0-9.]+.?s`),
		2: regexp.MustCompile(`debug .*goes to the application`),
		3: regexp.MustCompile(`debug .*sent \d+ bytes: "GET /x HTTP/1\.1\\r\\n`),
	}
	for level := range 4 {
		s := fapwstest.Serve(t, fapwstest.Threads, "entered.py", "--debug", string(rune('0'+level)))
		s.Get("/x", 200, "Connection: close")
		s.Signal(syscall.SIGTERM)
		s.Ended()
		said := s.Stderr.String()
		if level == 0 && strings.Contains(said, "debug") {
			t.Errorf("without DEBUG: %s", said)
		}
		for i, what := range shown {
			if what != nil && what.MatchString(said) != (i <= level) {
				t.Errorf("level %d, what level %d shows: %v\n%s", level, i, i > level, said)
			}
		}
	}
}

// The access log is in Apache's combined format, a line for each
// answer, whatever its source; nothing that a client sends breaks a line.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	name := t.TempDir() + "/log"
	s := fapwstest.Command{Script: "returns.py", Flags: []string{"--access-log", name}, Complains: true}.Serve(t, fapwstest.Threads)
	w := s.Dial()
	w.Send(fapwstest.Get("/str?a=\"b\"", "Referer: http://r/\"x\"", "User-Agent: agent\t\x80 1"), fapwstest.Request("HEAD", "/str", ""), fapwstest.Get("/no\\thing"),
		fapwstest.Get("/generator"), fapwstest.Get("/big"), fapwstest.Get("/none"), fapwstest.Request("POST", "/str", "body"), "bad\x01line\r\n\r\n")
	for _, method := range []string{"GET", "HEAD", "GET", "GET", "GET", "GET", "POST", "GET"} {
		w.AnswerTo(method)
	}
	w.Closed()
	s.Signal(syscall.SIGTERM)
	s.Ended()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(strings.TrimSuffix(string(text), "\n"), "\n")
	want := []string{
		`"GET /str\?a=\\"b\\" HTTP/1\.1" 200 10 "http://r/\\"x\\"" "agent\\t\\x80 1"`,
		`"HEAD /str HTTP/1\.1" 200 - "-" "-"`,
		`"GET /no\\\\thing HTTP/1\.1" 404 \d+ "-" "-"`,
		`"GET /generator HTTP/1\.1" 200 14 "-" "-"`,
		`"GET /big HTTP/1\.1" 200 2097152 "-" "-"`,
		`"GET /none HTTP/1\.1" 500 \d+ "-" "-"`,
		`"POST /str HTTP/1\.1" 200 10 "-" "-"`,
		`"[^"]*" 400 \d+ "-" "-"`,
	}
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d:\n%s", len(lines), len(want), text)
	}
	for i, line := range lines {
		whole := regexp.MustCompile(`^127\.0\.0\.1 - - \[(\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] ` + want[i] + `\n?$`)
		match := whole.FindStringSubmatch(line)
		if match == nil {
			t.Errorf("%q is not %s", line, whole)
			continue
		}
		at, err := time.Parse("02/Jan/2006:15:04:05 -0700", match[1])
		if off := time.Since(at).Abs(); err != nil || off > time.Minute {
			t.Errorf("%s: %v, off by %v", match[1], err, off)
		}
	}
}
