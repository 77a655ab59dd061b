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
		for _, want := range []string{
			`(?m)^` + errorDate +
				`\[warning\] \[client 127\.0\.0\.1:\d+\] warning in handler short, GET /short HTTP/1\.1 .*3 bytes`,
			`(?m)^` + errorDate +
				`\[error\] \[client 127\.0\.0\.1:\d+\] error in handler raises, GET /raises HTTP/1\.1 .*\n` +
				`Traceback \(most recent call last\):\n(  .*\n)+ValueError: of the handler$`,
			`(?m)^printed by \d+ 1$`,
			`(?m)^a child said this$`,
			`(?m)^` + errorDate + `\[info\] stopping`,
		} {
			if !regexp.MustCompile(want).MatchString(text) {
				t.Errorf("no %s in\n%s", want, text)
			}
		}
		if strings.Contains(text, "GET / HTTP") {
			t.Errorf("requests in the error log:\n%s", text)
		}
		access := strings.Join(logLines(t, folder+"/access_log"), "\n")
		for _, path := range []string{"/raises", "/printed?1", "/child", "/short", "/"} {
			if !strings.Contains(access, `"GET `+path+` HTTP/1.1" `) {
				t.Errorf("no %s in\n%s", path, access)
			}
		}
		if strings.Contains(access, "Traceback") {
			t.Errorf("errors in the access log:\n%s", access)
		}
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
		if !regexp.MustCompile(`(?m)^`+errorDate+`\[error\] `+regexp.QuoteMeta(file+at)).MatchString(text) ||
			!strings.Contains(stderr, "fapws: "+file+at) {
			t.Errorf("nothing about line %s in %q, %q", at, text, stderr)
		}
	}
	if code != 2 || strings.Count(text, "\n") != 2 {
		t.Errorf("code %d, %q", code, text)
	}
}

func TestErrorLogHasTheLastOutputOfACrashedProcess(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{"/aborts": "last words\n",
		"/fails": "Fatal Python error: .*last words of C"} {
		t.Run(path, func(t *testing.T) {
			fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers},
				func(t *testing.T, m fapwstest.Mode) {
					name := t.TempDir() + "/error_log"
					flags := []string{"--error-log", name}
					s := fapwstest.Command{Script: "logs.py", Flags: flags, Complains: true}.Serve(t, m)
					w := s.Dial()
					w.Get(path)
					w.Closed()
					fapwstest.Eventually(t, "last words", func() bool {
						text, _ := os.ReadFile(name)
						return regexp.MustCompile(want).Match(text)
					})
					if m.Workers() {
						s.Get("/", 200)
						return
					}
					if code := s.Ended(); code != -1 && code != 2 {
						t.Errorf("code %d", code)
					}
				})
		})
	}
}

func TestErrorLogIsReopenedOnUSR1(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		name := t.TempDir() + "/error_log"
		s := fapwstest.Command{Script: "logs.py", Flags: []string{"--error-log", name}}.Serve(t, m)
		s.Get("/printed?before", 200)
		if m.Workers() {
			s.Signal(syscall.SIGUSR2)
			fapwstest.FileSays(t, name, "upgraded")
		}
		fapwstest.Must(t, os.Rename(name, name+".old"))
		s.Signal(syscall.SIGUSR1)
		fapwstest.Eventually(t, "the next file", func() bool { _, err := os.Stat(name); return err == nil })
		pids := map[string]bool{}
		fapwstest.Eventually(t, "lines of every process in it", func() bool {
			pid := s.Get("/printed?after", 200).Text
			text, _ := os.ReadFile(name)
			if strings.Contains(string(text), "printed by "+pid+" after") {
				pids[pid] = true
			}
			return len(pids) == len(s.Handlers())
		})
		old, err := os.ReadFile(name + ".old")
		if err != nil || !bytes.Contains(old, []byte(" before\n")) {
			t.Errorf("%v\n%s", err, old)
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
		if err := os.Truncate(name, 20<<10); err != nil {
			t.Fatal(err)
		}
		s.Signal(syscall.SIGUSR1)
		s.Says(`fapws: error log: .*error_log: file too large; keeping lines in memory while possible`)
		if err := os.Truncate(name, 0); err != nil {
			t.Fatal(err)
		}
		s.Says(`fapws: error log: .*error_log: can be written again, 0 lines were lost`)
		fapwstest.FileSays(t, name, "reopening the log files")
		s.Get("/raises", 500)
		fapwstest.FileSays(t, name, "ValueError: of the handler")
		fapwstest.Eventually(t, "a process that has lost lines says so", func() bool {
			s.Get("/raises", 500)
			text, err := os.ReadFile(name)
			return err == nil && strings.Contains(string(text), " lines before this one\n")
		})
		if n := strings.Count(s.Stderr.String(), "keeping lines"); n != 1 {
			t.Errorf("said %d times", n)
		}
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
		if _, err := os.Stat(name + ".3.gz"); err == nil {
			t.Error("a third one")
		}
	})
}
