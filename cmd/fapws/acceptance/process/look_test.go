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

var someAddress = regexp.MustCompile(`  (http://\S+)/`)

const lookScript = `
import time
import fapws

def broken(environ, start_response):
    raise ValueError("broken\n<0>line")

def short(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"abc"]

def late(environ, start_response):
    while True:
        time.sleep(0.01)

def missing():
    raise KeyError("deferred")

def deferred(environ, start_response):
    fapws.defer(missing)
    return "hello"

PATHS = [("/broken", broken), ("/short", short), ("/late", late), ("/deferred", deferred)]
`

// outputOf runs a server for a script and requests each path in paths. After each request, outputOf waits for a log
// line that matches paths[path]. The server's standard error is the file out. The result is all text that arrives at
// in, the other end of out.
func outputOf(t *testing.T, in, out *os.File, script, env string, paths map[string]string, flags ...string) string {
	t.Helper()
	folder, said, copied := t.TempDir(), fapwstest.NewOutput(), make(chan struct{})
	fapwstest.Write(t, folder+"/app.py", script)
	go func() {
		io.Copy(said, in)
		close(copied)
	}()
	cmd := exec.Command(fapwstest.Binary(t), append(flags, "-b", "127.0.0.1:0", "app.py")...)
	cmd.Dir, cmd.Env, cmd.Stderr = folder, append(fapwstest.CleanEnviron(), env), out
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

const lookHello = "PATHS = [('/', lambda environ, start_response: 'hello')]\n"

func TestTerminalShowsAddressAndLevelsInColors(t *testing.T) {
	t.Parallel()
	const stamp = `\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [+-]\d{4} `
	for _, flags := range [][]string{nil, {"--dev"}, {"-w", "1"}} {
		for env, want := range map[string]string{
			"TERM=xterm": `^\x1b\[2mfapws \S+, Python [^\n]*, pid \d+\x1b\[0m\r\n` +
				`\x1b\[1m  http://127\.0\.0\.1:\d+/\x1b\[0m\r\n\x1b\[2m  PATHS, 1 entry\x1b\[0m\r\n` +
				`\x1b\[2m` + stamp + `\x1b\[0m\x1b\[36minfo\x1b\[0m stopping; [^\n]*\n` +
				`\x1b\[2m` + stamp + `\x1b\[0m\x1b\[36minfo\x1b\[0m stopped\r\n$`,
			"NO_COLOR=1": `^fapws \S+, Python [^\n]*, pid \d+\r\n  http://127\.0\.0\.1:\d+/\r\n  PATHS, 1 entry\r\n` +
				stamp + `info stopping; [^\n]*\n` + stamp + `info stopped\r\n$`,
		} {
			person, program := fapwstest.Terminal(t)
			if said := outputOf(t, person, program, lookHello, env, nil, flags...); !regexp.MustCompile(want).MatchString(said) {
				t.Errorf("%v with %s:\n%q", flags, env, said)
			}
		}
	}
}

// systemd sets JOURNAL_STREAM to the device and the inode of standard error (systemd.exec(5)).
func TestJournalGetsPrioritiesAndNoSecondTime(t *testing.T) {
	t.Parallel()
	for _, own := range []bool{true, false} {
		in, out, err := os.Pipe()
		fapwstest.Must(t, err)
		defer in.Close()
		var st syscall.Stat_t
		fapwstest.Must(t, syscall.Fstat(int(out.Fd()), &st))
		want := `\n<6>info stopping; [^\n]*\n<6>info stopped\n$`
		if !own {
			st.Ino++
			want = `\n\d{4}-\S+ \S+ \S+ info stopping; [^\n]*\n\d{4}-\S+ \S+ \S+ info stopped\n$`
		}
		said := outputOf(t, in, out, lookHello, fmt.Sprintf("JOURNAL_STREAM=%d:%d", st.Dev, st.Ino), nil)
		if !regexp.MustCompile(want).MatchString(said) {
			t.Errorf("%q", said)
		}
	}
}

// linesAboutHandlers maps each path of lookScript to a pattern. begin matches the text before the level ("error").
// The function level returns the pattern of a level with its color.
func linesAboutHandlers(begin string, level func(name string) string) map[string]string {
	begin = `\n` + begin
	return map[string]string{
		"/broken":   begin + level("error") + ` in handler broken, GET /broken HTTP/1\.1 from [^\n]*\n`,
		"/short":    begin + level("warning") + ` in handler short, [^\n]* Content-Length is 5\r?\n`,
		"/late":     begin + level("error") + ` GET /late HTTP/1\.1 from [^\n]* timed out after [^\n]*; stack:\r?\n`,
		"/deferred": begin + level("error") + ` in [^\n]* missing\r?\n(?s:.*)KeyError: 'deferred'\r?\n`,
	}
}

func TestTerminalShowsLevelsOfLinesAboutHandlersInColors(t *testing.T) {
	t.Parallel()
	const stamp = `\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [+-]\d{4} `
	paint := func(name string) string {
		return map[string]string{"error": `\x1b\[31merror`, "warning": `\x1b\[33mwarning`}[name] + `\x1b\[0m`
	}
	plain := func(name string) string { return name }
	for env, lines := range map[string]map[string]string{
		"TERM=xterm": linesAboutHandlers(`\x1b\[2m`+stamp+`\x1b\[0m`, paint),
		"NO_COLOR=1": linesAboutHandlers(stamp, plain),
	} {
		person, program := fapwstest.Terminal(t)
		said := outputOf(t, person, program, lookScript, env, lines, "--timeout", "1s")
		if !strings.Contains(said, "\nTraceback (most recent call last):\r\n") {
			t.Errorf("%s: the tracebacks differ from those of Python:\n%q", env, said)
		}
	}
}

// Without a priority of its own, a line of a traceback would be missing in "journalctl -p warning".
func TestJournalGetsPrioritiesOfAllLinesAboutHandlers(t *testing.T) {
	t.Parallel()
	in, out, err := os.Pipe()
	fapwstest.Must(t, err)
	defer in.Close()
	var st syscall.Stat_t
	fapwstest.Must(t, syscall.Fstat(int(out.Fd()), &st))
	lines := linesAboutHandlers(`<[34]>`, func(name string) string { return name })
	said := outputOf(t, in, out, lookScript, fmt.Sprintf("JOURNAL_STREAM=%d:%d", st.Dev, st.Ino), lines, "--timeout", "1s")
	_, after, _ := strings.Cut(said, "  PATHS, 4 entries\n")
	for line := range strings.Lines(after) {
		if want := regexp.MustCompile(`^<[346]>`); !want.MatchString(line) {
			t.Errorf("%q has no priority in\n%s", line, said)
		}
	}
	for _, want := range []string{"\n<4>warning in ", "\n<3>ValueError: broken\n<3>  <0>line\n",
		"\n<3>Traceback (most recent call last):\n", "\n<3>KeyError: 'deferred'\n"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
}
