package cli_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// TestCtlStack: a handler that hangs is seen with file and line, from outside,
// while it does.
func TestCtlStack(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		release := filepath.Join(t.TempDir(), "release")
		s := fapwstest.Command{Script: "control.py", Env: []string{"RELEASE=" + release}}.Serve(t, m)
		answer := make(chan string, 1)
		go func() {
			status, body := 0, ""
			if r, err := http.Get(s.URL + "/hangs?a=b"); err == nil {
				status, body = r.StatusCode, readAll(r)
			}
			answer <- strconv.Itoa(status) + " " + body
		}()
		stack := regexp.MustCompile(`(?s)GET /hangs\?a=b.*control\.py", line 15, in hangs\n.*control\.py", line 8, in deep\n.*control\.py", line (9|10), in deep\n`)
		fapwstest.Eventually(t, "the stack of the handler", func() bool {
			code, stdout, stderr := s.Ctl("stack")
			if code != 0 {
				t.Fatalf("code %d: %s", code, stderr)
			}
			return stack.MatchString(stdout)
		})
		fapwstest.Write(t, release, "")
		if got := <-answer; got != "200 released" {
			t.Errorf("the handler answers %q", got)
		}
	})
}

func TestCtlStatus(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "control.py")
		for range 3 {
			r, err := http.Get(s.URL + "/")
			if err != nil {
				t.Fatal(err)
			}
			readAll(r)
		}
		type status struct {
			PID       int
			App       string
			Addresses []string
			Workers   []struct {
				PID      int
				State    string
				RSS      int64
				Requests int64
			}
		}
		var report status
		requests := int64(0)
		fapwstest.Eventually(t, "three requests are counted", func() bool { // when they have ended, which a client may see before
			code, stdout, stderr := s.Ctl("status", "--json")
			if code != 0 {
				t.Fatal(stderr)
			}
			report, requests = status{}, 0
			if err := json.Unmarshal([]byte(stdout), &report); err != nil {
				t.Fatal(err)
			}
			for _, w := range report.Workers {
				requests += w.Requests
			}
			return requests >= 3
		})
		if report.PID != s.Cmd.Process.Pid || !strings.HasSuffix(report.App, "control.py") || !slices.Equal(report.Addresses, []string{s.URL + "/"}) {
			t.Errorf("%+v", report)
		}
		want := 1
		if m.Name == "workers" {
			want = 2
		}
		for _, w := range report.Workers {
			if w.PID == 0 || w.State != "serving" || w.RSS < 1<<20 {
				t.Errorf("%+v", w)
			}
		}
		if len(report.Workers) != want || requests != 3 {
			t.Errorf("%d workers and %d requests, want %d and 3: %+v", len(report.Workers), requests, want, report)
		}
	})
}

// TestCtlStop: the command returns when the server has exited and removed its socket.
func TestCtlStop(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		socket := filepath.Join(socketDir(t), "ctl")
		s := fapwstest.Serve(t, m, "control.py", "--ctl-socket", socket)
		if code, stdout, stderr := (fapwstest.Command{Flags: []string{"ctl", "--socket", socket, "stop"}}).Run(t); code != 0 || stdout != "stopped\n" {
			t.Errorf("code %d, %q, %s", code, stdout, stderr)
		}
		if code := s.Ended(); code != 0 {
			t.Errorf("the server ends with code %d", code)
		}
		if _, err := os.Lstat(socket); err == nil {
			t.Error("the socket is still there")
		}
	})
}

// readAll returns the body of a response.
func readAll(r *http.Response) string {
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

// socketDir is a folder whose name is short enough for a socket in it.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "fapws")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestCtlSilentClients: clients that connect and send nothing keep no other from its answer, also one that needs some time to send its request.
func TestCtlSilentClients(t *testing.T) {
	t.Parallel()
	path := filepath.Join(socketDir(t), "ctl")
	s := fapwstest.Command{Script: "control.py", Flags: []string{"--ctl-socket", path}}.Serve(t, fapwstest.Workers)
	slow, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	flood := exec.Command(fapwstest.Python, "-c", "import socket, sys\nall = [socket.socket(socket.AF_UNIX) for i in range(100)]\n"+
		"for s in all: s.connect(sys.argv[1])\nprint('connected', flush=True); sys.stdin.read()", path)
	held, _ := flood.StdinPipe()
	defer flood.Wait()
	defer held.Close()
	connected, _ := flood.StdoutPipe()
	if err := flood.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(connected, make([]byte, len("connected"))); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(fapwstest.Binary(t), "ctl", "--socket", path, "status")
	begin := time.Now()
	if out, err := command.CombinedOutput(); err != nil || !strings.Contains(string(out), strconv.Itoa(s.Cmd.Process.Pid)) {
		t.Errorf("%v after %v: %s", err, time.Since(begin), out)
	}
	io.WriteString(slow, `{"command":"status"}`+"\n")
	if answer, err := io.ReadAll(slow); err != nil || !strings.Contains(string(answer), strconv.Itoa(s.Cmd.Process.Pid)) {
		t.Errorf("the slow client: %v, %s", err, answer)
	}
}

// TestCtlReloadFails: a reload that fails prints why and exits with 1; the old code goes on.
func TestCtlReloadFails(t *testing.T) {
	t.Parallel()
	s, script := fapwstest.Supervised(t, "--reload-check", "/health")
	s.Complains = true
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ code, want string }{
		{"PATHS = []", `^fapws: reload failed: worker \d+ exited with status 3: .*PATHS is empty.*; the old workers keep serving\n$`},
		{"HEALTH = 500", `^fapws: reload failed: worker \d+ exited with status 3: reload check: GET /health was answered with status 500; the old workers keep serving\n$`},
	} {
		fapwstest.Write(t, script, string(text)+c.code+"\n")
		code, stdout, stderr := s.Ctl("reload")
		if code != 1 || stdout != "" || !regexp.MustCompile(c.want).MatchString(stderr) {
			t.Errorf("%s: code %d, %q%q", c.code, code, stdout, stderr)
		}
		s.Get("/version", 200).Is(t, "1")
	}
	fapwstest.Write(t, script, string(text))
	if code, stdout, stderr := s.Ctl("reload"); code != 0 || stdout != "reloaded\n" || stderr != "" {
		t.Errorf("code %d, %q%q", code, stdout, stderr)
	}
}
