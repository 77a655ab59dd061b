package cli_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func readAll(r *http.Response) string {
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

func TestSilentControlClientsDelayNoOtherClient(t *testing.T) {
	t.Parallel()
	path := filepath.Join(fapwstest.PublicFolder(t), "ctl")
	s := fapwstest.Command{Script: "metrics.py", Flags: []string{"--ctl-socket", path}}.Serve(t, fapwstest.Workers)
	slow := fapwstest.Try(net.Dial("unix", path)).Must(t)
	defer slow.Close()
	flood := exec.Command(fapwstest.Python, "-c",
		"import socket, sys\nall = [socket.socket(socket.AF_UNIX) for i in range(100)]\n"+
			"for s in all: s.connect(sys.argv[1])\nprint('connected', flush=True); sys.stdin.read()", path)
	held, _ := flood.StdinPipe()
	defer flood.Wait()
	defer held.Close()
	connected, _ := flood.StdoutPipe()
	fapwstest.Must(t, flood.Start())
	fapwstest.Try(io.ReadFull(connected, make([]byte, len("connected")))).Must(t)
	command := exec.Command(fapwstest.Binary(t), "ctl", "--socket", path, "status")
	begin := time.Now()
	out, err := command.CombinedOutput()
	fapwstest.Truef(t, err == nil && strings.Contains(string(out), strconv.Itoa(s.Cmd.Process.Pid)), "%v after %v: %s",
		err, time.Since(begin), out)
	io.WriteString(slow, `{"command":"status"}`+"\n")
	answer, err := io.ReadAll(slow)
	fapwstest.Truef(t, err == nil && strings.Contains(string(answer), strconv.Itoa(s.Cmd.Process.Pid)),
		"the slow client: %v, %s", err, answer)
}

func TestFirstCtlTopShowsEarlierRequests(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		release := filepath.Join(t.TempDir(), "release")
		s := fapwstest.Command{Script: "metrics.py", Env: []string{"RELEASE=" + release}}.Serve(t, m)
		done := make(chan error, 1)
		go func() {
			r, err := http.Get(s.URL + "/waits")
			if err == nil {
				readAll(r)
			}
			done <- err
		}()
		fapwstest.Eventually(t, "the handler runs", func() bool { return strings.Contains(s.Control("stack"), "in waits") })
		var seen struct {
			InFlight float64 `json:"in_flight"`
			Active   []struct{ Request string }
		}
		fapwstest.Must(t, json.Unmarshal([]byte(s.Control("top", "--once", "--json")), &seen))
		fapwstest.Truef(t, seen.InFlight == 1 && len(seen.Active) == 1, "%+v", seen)
		if !m.Inline() {
			samples(t, s, "fapws_requests_in_flight", 1)
		}
		fapwstest.Write(t, release, "")
		fapwstest.Must(t, <-done)
		samples(t, s, "fapws_requests_in_flight", 0)
		text := metricsOf(t, s)
		fapwstest.Truef(t, !strings.Contains(text, `fapws_request_duration_seconds_count{host="",route="/waits"`),
			"a request whose beginning was not noted has a duration:\n%s", text)
	})
}

func TestProfileMayTakeLongerThanTheTimeout(t *testing.T) {
	for _, script := range []string{"metrics.py", "version.py"} {
		s := fapwstest.Serve(t, fapwstest.Threads, script, "--status", "/_fapws", "--timeout", "2s")
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			answerTo(s, "POST", "/_fapws/profile").Want(t, 200, "No Python code has run.")
		})
	}
}

// The keys of "fapws top" are: s sorts by the next column, p pauses, q ends the command and restores the terminal's
// mode.
func TestTopFitsTheTerminalAndObeysKeys(t *testing.T) {
	t.Parallel()
	release := filepath.Join(t.TempDir(), "release")
	s := fapwstest.Command{Script: "metrics.py", Env: []string{"RELEASE=" + release}}.Serve(t, fapwstest.Workers)
	go http.Get(s.URL + "/waits?" + strings.Repeat("long", 100))
	fapwstest.Eventually(t, "the handler runs", func() bool { return strings.Contains(s.Control("stack"), "in waits") })
	styles := regexp.MustCompile(`\x1b\[[0-9;]*[A-Za-z]`)
	for _, columns := range []uint16{80, 60, 20} {
		person, program := fapwstest.Terminal(t)
		fapwstest.Must(t, unix.IoctlSetWinsize(int(person.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}))
		cmd := exec.Command(fapwstest.Binary(t), "ctl", "top", "--pid", strconv.Itoa(s.Cmd.Process.Pid))
		cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
		fapwstest.Must(t, cmd.Start())
		shown := fapwstest.NewOutput()
		go io.Copy(shown, person)
		frame := shown.Await(t, regexp.MustCompile(`(?s)^.*?q: quit`))[0]
		for line := range strings.SplitSeq(frame, "\n") {
			line = strings.TrimRight(styles.ReplaceAllString(line, ""), "\r")
			fapwstest.Truef(t, utf8.RuneCountInString(line) <= int(columns), "%d columns: %q", columns, line)
		}
		fapwstest.Truef(t, columns <= 20 || (strings.Contains(frame, "metrics.py:2") &&
			strings.Contains(frame, "\x1b[1mWORKER")), "%q", frame)
		if columns > 20 {
			fmt.Fprint(person, "sp")
			shown.Await(t, regexp.MustCompile("now by errors"))
			shown.Await(t, regexp.MustCompile("paused"))
		}
		fmt.Fprint(person, "q")
		fapwstest.Must(t, cmd.Wait())
		mode, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
		fapwstest.Truef(t, err == nil && mode.Lflag&unix.ECHO != 0, "the terminal no longer echoes %v", err)
	}
	fapwstest.Write(t, release, "")
}
