package cli_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestHashPasswordOnATerminalAsksTwiceAndShowsNothing(t *testing.T) {
	t.Parallel()
	echoes := func(f *os.File) bool {
		state, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
		fapwstest.Must(t, err)
		return state.Lflag&unix.ECHO != 0
	}
	for _, test := range []struct {
		first, second string
		code          int
		stdout, shown string
	}{
		{"secret", "secret", 0, `^ann:\$2y\$10\$.{53}\n$`, `^Password: \r?\nAgain: \r?\n$`},
		{"secret", "other", 2, `^$`, `the two passwords differ`},
		{"", "", -1, `^$`, `^Password: \r?\n$`},
	} {
		person, program := fapwstest.Terminal(t)
		cmd := exec.Command(fapwstest.Binary(t), "hash-password", "ann")
		var stdout bytes.Buffer
		cmd.Stdin, cmd.Stderr, cmd.Stdout = program, program, &stdout
		fapwstest.Must(t, cmd.Start())
		shown := fapwstest.NewOutput()
		go io.Copy(shown, person)
		shown.Await(t, regexp.MustCompile(`Password: $`))
		fapwstest.Truef(t, !echoes(program), "the password is shown")
		if test.code < 0 {
			cmd.Process.Signal(unix.SIGINT)
			test.code = 130
		} else {
			fmt.Fprintln(person, test.first)
			shown.Await(t, regexp.MustCompile(`Again: $`))
			fmt.Fprintln(person, test.second)
		}
		_ = cmd.Wait()
		shown.Await(t, regexp.MustCompile(test.shown))
		fapwstest.Truef(t, cmd.ProcessState.ExitCode() == test.code && regexp.MustCompile(test.stdout).Match(stdout.Bytes()),
			"%q, %q: code %d, %q, shown: %q", test.first, test.second, cmd.ProcessState.ExitCode(), &stdout, shown)
		fapwstest.Truef(t, !strings.Contains(shown.String(), "secret"), "the password is shown: %q", shown)
		fapwstest.Truef(t, echoes(program), "the terminal stays silent")
	}
}
