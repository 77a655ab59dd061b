package process_test

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

const errorDate = `\[\w{3} \w{3} \d\d \d\d:\d\d:\d\d\.\d{6} \d{4}\] `

func TestErrorLogHasEverythingOnStandardError(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		folder := t.TempDir()
		name := folder + "/error_log"
		s := fapwstest.Command{Script: "logs.py", Flags: []string{"--access-log", folder + "/access_log", "--error-log",
			name}, Complains: true}.Serve(t, m)
		s.Get("/raises", 500)
		s.Get("/printed?1", 200)
		s.Get("/child", 200)
		w := s.Dial()
		w.Get("/short")
		w.Rest()
		s.Get("/", 200)
		s.Stop()

		text := fapwstest.Read(t, name)
		fapwstest.Matches(t, text,
			`(?m)^`+errorDate+
				`\[warning\] \[client 127\.0\.0\.1:\d+\] warning in handler short, GET /short HTTP/1\.1 .*3 bytes`,
			`(?m)^`+errorDate+
				`\[error\] \[client 127\.0\.0\.1:\d+\] error in handler raises, GET /raises HTTP/1\.1 .*\n`+
				`Traceback \(most recent call last\):\n(  .*\n)+ValueError: of the handler$`,
			`(?m)^printed by \d+ 1$`,
			`(?m)^a child said this$`,
			`(?m)^`+errorDate+`\[info\] stopping`)
		fapwstest.Lacks(t, text, "GET / HTTP")
		access := strings.Join(logLines(t, folder+"/access_log"), "\n")
		for _, path := range []string{"/raises", "/printed?1", "/child", "/short", "/"} {
			fapwstest.Has(t, access, `"GET `+path+` HTTP/1.1" `)
		}
		fapwstest.Lacks(t, access, "Traceback")
		if said := s.Stderr.String(); strings.Contains(said, "Traceback") || !strings.Contains(said, s.URL) {
			t.Errorf("who started it sees:\n%s", said)
		}
	})
}

func TestErrorLogHasEachErrorOfAConfigurationFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name, file := dir+"/error_log", fapwstest.Write(t, dir+"/fapws.toml",
		"[[host]]\nname = \"a\"\n[[host.route]]\nprefix = \"/\"\nproxy = \"x\"\n[[host.route]]\nprefix = "+
			"\"/b\"\nproxy = \"y\"\n")
	code, _, stderr := fapwstest.Command{Flags: []string{"--error-log", name, "--bind", "127.0.0.1:0", "--config",
		file}, Script: "logs.py"}.Run(t)
	text := textOf(t, name)
	for _, at := range []string{":5: ", ":8: "} {
		fapwstest.Truef(t, regexp.MustCompile(`(?m)^`+errorDate+`\[error\] `+regexp.QuoteMeta(file+at)).MatchString(text) &&
			strings.Contains(stderr, "fapws: "+file+at), "nothing about line %s in %q, %q", at, text, stderr)
	}
	fapwstest.Truef(t, code == 2 && strings.Count(text, "\n") == 2, "code %d, %q", code, text)
}

func TestErrorLogHasTheLastOutputOfACrashedProcess(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		for path, want := range map[string]string{"/aborts": "last words\n", "/fails": "last words of C"} {
			name := t.TempDir() + "/error_log"
			flags := []string{"--error-log", name}
			s := fapwstest.Command{Script: "logs.py", Flags: flags, Complains: true}.Serve(t, m)
			w := s.Dial()
			w.Get(path)
			w.Closed()
			fapwstest.FileSays(t, name, want)
			if m.Workers() {
				s.Get("/", 200)
			} else if code := s.Ended(); code != -1 && code != 2 {
				t.Errorf("code %d", code)
			}
		}
	})
}

func TestErrorLogOnAFullDiskIsReportedOnce(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		name := t.TempDir() + "/error_log"
		c := fapwstest.Command{Script: "logs.py", Flags: []string{"--error-log", name, "--log-max-size", "0"},
			Complains: true,
			// A limit of the file size simulates a full disk. 20 blocks are 10 or 20 KiB, depending on the shell.
			Shell: "ulimit -f 20"}
		s := c.Serve(t, m)
		for range 100 {
			s.Get("/raises", 500)
			s.Get("/", 200)
		}
		var text []byte
		// For a moment, the file may end with a part of a line, because the rest of the line does not fit on the disk.
		fapwstest.Eventually(t, "it is full, without half a line at its end", func() bool {
			var err error
			text, err = os.ReadFile(name)
			return err == nil && len(text) > 9<<10 && bytes.HasSuffix(text, []byte("\n"))
		})
		fapwstest.Must(t, os.Truncate(name, 20<<10))
		s.Signal(syscall.SIGUSR1)
		s.Says(`fapws: error log: .*error_log: file too large; keeping lines in memory while possible`)
		fapwstest.Must(t, os.Truncate(name, 0))
		s.Says(`fapws: error log: .*error_log: can be written again, 0 lines were lost`)
		fapwstest.FileSays(t, name, "reopening the log files")
		s.Get("/raises", 500)
		fapwstest.FileSays(t, name, "ValueError: of the handler")
		fapwstest.Eventually(t, "a process that has lost lines says so", func() bool {
			s.Get("/raises", 500)
			text, err := os.ReadFile(name)
			return err == nil && strings.Contains(string(text), " lines before this one\n")
		})
		fapwstest.Equal(t, strings.Count(s.Stderr.String(), "keeping lines"), 1)
	})
}

func TestErrorLogIsRotatedBySettingsOfTheScript(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		name, script := t.TempDir()+"/error_log", fapwstest.Copied(t, "logs.py")
		text := "LOG_MAX_SIZE, LOG_KEEP = '4K', 2\n" + fapwstest.Source(t, "logs.py")
		if !m.Workers() {
			fapwstest.Replace(t, script, text)
		}
		s := fapwstest.Command{Script: script, Flags: []string{"--error-log", name}}.Serve(t, m)
		if m.Workers() {
			fapwstest.Replace(t, script, text)
			s.Control("reload")
		}
		lines := 0
		fapwstest.Eventually(t, "two files, compressed", func() bool {
			if lines++; lines <= 100 {
				s.Get("/printed?"+strings.Repeat("x", 1000), 200)
			}
			_, err := os.Stat(name + ".2.gz")
			return err == nil
		})
		_, err := os.Stat(name + ".3.gz")
		fapwstest.Truef(t, err != nil, "a third one")
	})
}

func TestFullLogFailsNoRequest(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "fulllog.py", Complains: true}.Serve(t, fapwstest.Threads)
	for _, breaks := range []string{"/fill", "/leave", "/stall"} {
		s.Get(breaks, 200)
		for range 3 {
			s.Get("/say", 200).Is(t, "said")
		}
		s.Get("/raises", 500)
		s.Get("/mend", 200)
		s.Get("/say", 200).Is(t, "said")
		s.Says(`fapws: lost [1-9]\d+ lines before this one\nby print\nby wsgi.errors\nERROR:root:by logging\n`)
	}
}
