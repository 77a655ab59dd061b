package process_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestServerStopsWhenItsTerminalCloses(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	fapwstest.Write(t, folder+"/index.html", "hello")
	fapwstest.Write(t, folder+"/h.py", "def application(environ, start_response):\n    start_response('200 OK', "+
		"[])\n    return [b'hello']\n")
	for _, tt := range []struct{ line, says string }{
		{"fapws -p 0 .", "info stopping; waiting"}, {"fapws -p 0 h.py", "info stopping; waiting"},
		{"fapws -p 0 --dev h.py", "info stopping; waiting"},
		{"fapws -p 0 --workers 1 h.py", "info reloaded"}, {"nohup fapws -p 0 h.py", ""},
		{"nohup fapws -p 0 --dev h.py", "info reloaded"},
	} {
		t.Run(tt.line, func(t *testing.T) {
			t.Parallel()
			person, program := fapwstest.Terminal(t)
			words := strings.Fields(tt.line)
			for i := range words {
				if words[i] == "fapws" {
					words[i] = fapwstest.Binary(t)
				}
			}
			cmd, said := exec.Command(words[0], words[1:]...), fapwstest.NewOutput()
			cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stderr = folder, fapwstest.CleanEnviron(), program, said
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			fapwstest.Must(t, cmd.Start())
			exited := make(chan error, 1)
			go func() {
				err := cmd.Wait()
				said.Close()
				exited <- err
			}()
			t.Cleanup(func() { cmd.Process.Kill() })
			_, port, _ := strings.Cut(said.Await(t, fapwstest.BannerURL)[1], ":")
			fapwstest.Must(t, program.Close(), person.Close())
			if strings.Contains(tt.says, "stopping") {
				err := <-exited
				fapwstest.Truef(t, err == nil && strings.Contains(said.String(), tt.says), "%v, %s", err, said.String())
				return
			}
			if tt.says != "" {
				fapwstest.Eventually(t, tt.says, func() bool { return strings.Contains(said.String(), "info reloaded") })
			}
			fapwstest.Dial(t, "tcp", "127.0.0.1:"+port).Fetch("/").Is(t, "hello")
			fapwstest.Must(t, cmd.Process.Signal(syscall.SIGTERM))
			fapwstest.Equalf(t, <-exited, nil, "%q", said)
		})
	}
}

func TestAddressInUseErrorNamesTheProcessThatListens(t *testing.T) {
	t.Parallel()
	for _, m := range []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers} {
		path := t.TempDir() + "/s"
		s := fapwstest.Serve(t, m, "workers.py", "--bind", "unix:"+path, "--name", "shop")
		_, port, _ := strings.Cut(s.Address, ":")
		for _, address := range []string{s.Address, ":" + port, "unix:" + path} {
			want := fmt.Sprintf("address already in use; stop the other server (shop, pid %d: fapws ctl stop --pid "+
				"%d), or choose another", s.Cmd.Process.Pid, s.Cmd.Process.Pid)
			fapwstest.Command{Flags: []string{"--bind", address}, Script: "workers.py"}.Fails(t, 3, want)
		}
	}
	port := fapwstest.FreePort(t)
	for _, workers := range []string{"0", "2"} {
		twice := []string{"--workers", workers, "--bind", "127.0.0.1:" + port, "--bind", ":" + port}
		fapwstest.Command{Flags: twice, Script: "workers.py"}.Fails(t, 3, "cannot listen on :"+port+
			": address already in use; this server listens on 127.0.0.1:"+port+", too: remove one of the two addresses")
	}
	// Without its control socket, the other server is still found.
	s := fapwstest.Serve(t, fapwstest.Threads, "workers.py", "--ctl-socket", "off")
	fapwstest.Command{Flags: []string{"--bind", s.Address}, Script: "workers.py"}.Fails(t, 3,
		fmt.Sprintf("stop the other server (fapws, pid %d), or choose another", s.Cmd.Process.Pid))
}

var someAddress = regexp.MustCompile(`  (http://\S+)/`)

// outputOf runs a server for look.py and requests each path in paths. After each request, outputOf waits for a log line
// that matches paths[path]. The server's standard error is the file out. The result is all text that arrives at in, the
// other end of out.
func outputOf(t *testing.T, in, out *os.File, env string, paths map[string]string, flags ...string) string {
	t.Helper()
	said, copied := fapwstest.NewOutput(), make(chan struct{})
	go func() {
		io.Copy(said, in)
		close(copied)
	}()
	script := fapwstest.Testdata(t, "look.py")
	cmd := exec.Command(fapwstest.Binary(t), append(flags, "--timeout", "1s", "-b", "127.0.0.1:0", script)...)
	cmd.Env, cmd.Stderr = append(fapwstest.CleanEnviron(), env), out
	fapwstest.Must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	url := said.Await(t, someAddress)[1]
	for path, line := range paths {
		if resp, err := http.Get(url + path); err == nil {
			resp.Body.Close()
		}
		said.Await(t, regexp.MustCompile(line))
	}
	fapwstest.Must(t, cmd.Process.Signal(syscall.SIGTERM))
	fapwstest.Must(t, cmd.Wait())
	out.Close()
	<-copied
	return said.String()
}

// linesAboutHandlers maps each path of look.py to a pattern. begin matches the text before the level ("error"), and end
// the text after the level.
func linesAboutHandlers(begin, end string) map[string]string {
	failed, warning := `\n`+begin+`(\x1b\[31m)?error`+end, `\n`+begin+`(\x1b\[33m)?warning`+end
	return map[string]string{
		"/broken":   failed + ` request \w+: error in handler broken, GET /broken HTTP/1\.1 from [^\n]*\n`,
		"/short":    warning + ` request \w+: warning in handler short, [^\n]* Content-Length is 5\r?\n`,
		"/late":     failed + ` request \w+: GET /late HTTP/1\.1 from [^\n]* timed out after [^\n]*; stack:\r?\n`,
		"/deferred": failed + ` in [^\n]* missing\r?\n(?s:.*)KeyError: 'deferred'\r?\n`,
	}
}

func TestTerminalShowsAddressAndLevelsInColors(t *testing.T) {
	t.Parallel()
	const stamp = `\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [+-]\d{4} `
	for _, flags := range [][]string{nil, {"--dev"}, {"-w", "1"}} {
		for _, tt := range []struct{ env, banner, begin, end string }{
			{"TERM=xterm", `^\x1b\[2mfapws \S+, Python [^\n]*, pid \d+\x1b\[0m\r\n` +
				`\x1b\[1m  http://127\.0\.0\.1:\d+/\x1b\[0m\r\n\x1b\[2m  PATHS, 4 entries\x1b\[0m\r\n`,
				`\x1b\[2m` + stamp + `\x1b\[0m`, `\x1b\[0m`},
			{"NO_COLOR=1", `^fapws \S+, Python [^\n]*, pid \d+\r\n  http://127\.0\.0\.1:\d+/\r\n  PATHS, 4 entries\r\n`,
				stamp, ""},
		} {
			lines := linesAboutHandlers(tt.begin, tt.end)
			if flags != nil {
				lines = nil
			}
			person, program := fapwstest.Terminal(t)
			said := outputOf(t, person, program, tt.env, lines, flags...)
			info := tt.begin + `(\x1b\[36m)?info` + tt.end
			want := tt.banner + `(?s:.*)` + info + ` stopping; [^\n]*\n` + info + ` stopped\r\n$`
			fapwstest.Truef(t, regexp.MustCompile(want).MatchString(said) && (tt.end != "" || !strings.Contains(said, "\x1b")),
				"%v with %s:\n%q", flags, tt.env, said)
			fapwstest.Truef(t, lines == nil || strings.Contains(said, "\nTraceback (most recent call last):\r\n"),
				"%s: the tracebacks differ from those of Python:\n%q", tt.env, said)
		}
	}
}

// systemd sets JOURNAL_STREAM to the device and the inode of standard error (systemd.exec(5)). Without a priority of
// its own, a line of a traceback would be missing in "journalctl -p warning".
func TestJournalGetsPrioritiesAndNoSecondTime(t *testing.T) {
	t.Parallel()
	for _, own := range []bool{true, false} {
		in, out, err := os.Pipe()
		fapwstest.Must(t, err)
		defer in.Close()
		var st syscall.Stat_t
		fapwstest.Must(t, syscall.Fstat(int(out.Fd()), &st))
		lines, wants := linesAboutHandlers(`<[34]>`, ""), []string{"\n<4>warning request ",
			"\n<3>ValueError: broken\n<3>  <0>line\n", "\n<3>Traceback (most recent call last):\n",
			"\n<3>KeyError: 'deferred'\n", "\n<6>info stopping; ", "\n<6>info stopped\n"}
		if !own {
			st.Ino++
			lines, wants = nil, []string{" info stopping; ", " info stopped\n"}
		}
		said := outputOf(t, in, out, fmt.Sprintf("JOURNAL_STREAM=%d:%d", st.Dev, st.Ino), lines)
		_, after, _ := strings.Cut(said, "  PATHS, 4 entries\n")
		for line := range strings.Lines(after) {
			fapwstest.Truef(t, regexp.MustCompile(`^<[346]>`).MatchString(line) == own, "%q: priority wanted: %v in\n%s", line,
				own, said)
		}
		fapwstest.Has(t, said, wants...)
	}
}
