package process_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

var someAddress = regexp.MustCompile(`  http://\S+/`)

// outputOf runs a server until it ends. The parameter out is the standard error of the server. The result is the text
// that can be read from in.
func outputOf(t *testing.T, in, out *os.File, env string, flags ...string) string {
	t.Helper()
	folder, said, copied := t.TempDir(), fapwstest.NewOutput(), make(chan struct{})
	fapwstest.Write(t, folder+"/app.py", "PATHS = [('/', lambda environ, start_response: 'hello')]\n")
	go func() {
		io.Copy(said, in)
		close(copied)
	}()
	cmd := exec.Command(fapwstest.Binary(t), append(flags, "-b", "127.0.0.1:0", "app.py")...)
	cmd.Dir, cmd.Env, cmd.Stderr = folder, append(fapwstest.CleanEnviron(), env), out
	fapwstest.Must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	said.Await(t, someAddress)
	fapwstest.Must(t, cmd.Process.Signal(syscall.SIGTERM))
	fapwstest.Must(t, cmd.Wait())
	out.Close()
	<-copied
	return said.String()
}

// The address has its own line. All text is dim except levels. A message says when the server has stopped.
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
			if said := outputOf(t, person, program, env, flags...); !regexp.MustCompile(want).MatchString(said) {
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
		said := outputOf(t, in, out, fmt.Sprintf("JOURNAL_STREAM=%d:%d", st.Dev, st.Ino))
		if !regexp.MustCompile(want).MatchString(said) {
			t.Errorf("%q", said)
		}
	}
}
