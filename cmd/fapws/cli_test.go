package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/checktest"
)

// The test runs the scripts testdata/*.txtar against a real executable, whose path is in FAPWS_BIN or is build/fapws.
// In addition to the commands of testscript, a script can contain these commands:
//
//	code N [ARGS...]  runs fapws to its end, and checks the exit status N
//	start [ARGS...]   runs fapws in the background and waits for its banner;
//	                  sets $URL to the first address in it, and $PID
//	get PATH [CODE]   sends a request to the running fapws; the body goes to
//	                  stdout. -unix FILE before PATH selects that socket
//	ask PATH          sends a request without waiting for the response
//	answer            waits for the response to ask; its body goes to stdout
//	signal NAME       sends TERM, INT, QUIT, KILL, HUP, USR1, USR2, TTIN or TTOU
//	again NAME        sends a signal repeatedly until the server has exited. The
//	                  server ignores a second signal that comes too early
//	ended CODE        waits for the exit; output becomes stdout and stderr
//	occupy            listens on a free port of 127.0.0.1 and sets $TAKEN to it
//	say TEXT          waits until fapws has written TEXT (a regular expression)
func TestCommandLineWorksAsTheScriptsSay(t *testing.T) {
	// Under nohup(1), this process and the servers would ignore HUP, so catch this signal.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	bin := filepath.Dir(executable(t))
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("PYTHONDONTWRITEBYTECODE", "1")
			env.Setenv("PYTHON", python(bin)) // "python3.11"
			env.Setenv("FAPWS_ALLOW_ROOT", "1")
			// The port of a start that fails, or of a check, must not be that of another script.
			env.Setenv("FAPWS_PORT", "0")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": codeCommand, "start": startCommand, "get": getCommand, "ask": askCommand, "answer": answerCommand,
			"signal": signalCommand, "again": againCommand, "ended": endedCommand, "occupy": occupyCommand, "say": sayCommand,
		},
	})
}

func executable(t *testing.T) string {
	bin := fapwstest.Binary(t)
	if filepath.Base(bin) == "fapws" {
		return bin
	}
	link := filepath.Join(t.TempDir(), "fapws")
	checktest.Must(t, os.Symlink(bin, link))
	return link
}

func python(folder string) string {
	out, err := exec.Command(filepath.Join(folder, "fapws"), "version").Output()
	m := regexp.MustCompile(`Python (3\.\d+)`).FindSubmatch(out)
	if err != nil || m == nil {
		return ""
	}
	return "python" + string(m[1])
}

const patience = checktest.Patience

func codeCommand(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec("fapws", args[1:]...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("fapws: %v", err)
	}
	got := 0
	if exit != nil {
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

type running struct {
	cmd    *exec.Cmd
	url    string
	asked  net.Conn
	stdout bytes.Buffer
	stderr *fapwstest.Output
	waited chan error
}

var servers sync.Map

func serverOf(ts *testscript.TestScript) *running {
	r, ok := servers.Load(ts)
	if !ok {
		ts.Fatalf("no fapws runs: use start first")
	}
	return r.(*running)
}

var bannerURL = regexp.MustCompile(`(?m)^fapws .*pid \d+\n  (http://\S+?)/\n`)

func startCommand(ts *testscript.TestScript, neg bool, args []string) {
	program := filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], "fapws")
	r := &running{cmd: exec.Command(program, args...), stderr: fapwstest.NewOutput(), waited: make(chan error, 1)}
	r.cmd.Dir = ts.MkAbs(".")
	r.cmd.Env = []string{"PATH=" + ts.Getenv("PATH"), "HOME=" + r.cmd.Dir, "PYTHONDONTWRITEBYTECODE=1",
		"FAPWS_ALLOW_ROOT=1"}
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, r.stderr
	ts.Check(r.cmd.Start())
	go func() {
		err := r.cmd.Wait()
		r.stderr.Close()
		r.waited <- err
	}()
	ts.Defer(func() {
		r.cmd.Process.Kill()
		servers.Delete(ts)
	})
	servers.Store(ts, r)
	found := r.stderr.Find(bannerURL)
	if found == nil {
		ts.Fatalf("no banner; standard error is:\n%s", r.stderr)
	}
	r.url = found[1]
	ts.Setenv("URL", r.url)
	ts.Setenv("PID", strconv.Itoa(r.cmd.Process.Pid))
}

func sayCommand(ts *testscript.TestScript, neg bool, args []string) {
	r := serverOf(ts)
	if len(args) != 1 || neg {
		ts.Fatalf("usage: say TEXT")
	}
	if r.stderr.Find(regexp.MustCompile(args[0])) == nil {
		ts.Fatalf("fapws did not say %q; standard error is:\n%s", args[0], r.stderr)
	}
}

func getCommand(ts *testscript.TestScript, neg bool, args []string) {
	client := http.Client{Timeout: patience}
	if args[0] == "-unix" {
		socket := ts.MkAbs(args[1])
		client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}}
		args = args[2:]
	}
	want := http.StatusOK
	if len(args) == 2 {
		var err error
		want, err = strconv.Atoi(args[1])
		ts.Check(err)
	}
	defer client.CloseIdleConnections()
	response, err := client.Get(serverOf(ts).url + args[0])
	ts.Check(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%s\n", body)
	if response.StatusCode != want {
		ts.Fatalf("%s: status %d, want %d", args[0], response.StatusCode, want)
	}
}

func askCommand(ts *testscript.TestScript, neg bool, args []string) {
	url, err := url.Parse(serverOf(ts).url)
	ts.Check(err)
	c, err := net.Dial("tcp", url.Host)
	ts.Check(err)
	ts.Defer(func() { c.Close() })
	serverOf(ts).asked = c
	_, err = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", args[0], url.Host)
	ts.Check(err)
}

func answerCommand(ts *testscript.TestScript, neg bool, args []string) {
	c := serverOf(ts).asked
	ts.Check(c.SetReadDeadline(time.Now().Add(patience)))
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	ts.Check(err)
	body, err := io.ReadAll(response.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%s\n", body)
}

func signalCommand(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(serverOf(ts).cmd.Process.Signal(signalNamed(ts, args[0])))
}

func signalNamed(ts *testscript.TestScript, name string) syscall.Signal {
	named := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL,
		"HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2,
		"QUIT": syscall.SIGQUIT, "TTIN": syscall.SIGTTIN, "TTOU": syscall.SIGTTOU}
	sig, ok := named[name]
	if !ok {
		ts.Fatalf("unknown signal %s", name)
	}
	return sig
}

func againCommand(ts *testscript.TestScript, neg bool, args []string) {
	r := serverOf(ts)
	for late := time.After(patience); ; {
		_ = r.cmd.Process.Signal(signalNamed(ts, args[0]))
		select {
		case err := <-r.waited:
			r.waited <- err
			return
		case <-time.After(pool.Echo / 4):
		case <-late:
			ts.Fatalf("it does not end")
		}
	}
}

func endedCommand(ts *testscript.TestScript, neg bool, args []string) {
	r := serverOf(ts)
	select {
	case <-r.waited:
	case <-time.After(patience):
		ts.Fatalf("fapws does not end; standard error is:\n%s", r.stderr)
	}
	fmt.Fprint(ts.Stdout(), r.stdout.String())
	fmt.Fprint(ts.Stderr(), r.stderr)
	if got := strconv.Itoa(r.cmd.ProcessState.ExitCode()); got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

func occupyCommand(ts *testscript.TestScript, neg bool, args []string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { ln.Close() })
	ts.Setenv("TAKEN", strconv.Itoa(ln.Addr().(*net.TCPAddr).Port))
}

func TestWebconfIsConvertedToTOML(t *testing.T) {
	for _, tt := range []struct {
		name, text  string
		want, notes []string
	}{
		{"as the course has it",
			"host default web\nhost localhost:8080 /srv/web\r\n\nmedia txt text/plain\nmedia html " +
				"text/html\nparameter timeout 1\n",
			[]string{"keep-alive = 1.0", "head-timeout = 1.0", "[types]", `txt = "text/plain"`, `html = "text/html"`,
				"default = true", `root = "web"`, `name = "localhost"`, `root = "/srv/web"`},
			[]string{`web.conf:2: ignored the port "8080" of localhost: hosts are distinguished by name`}},
		{"comments and odd spelling",
			"# mine\n  HOST\tA.Lan\t\"x\\y\" # the first\nmedia .tar.gz application/gzip\nmedia jpg " +
				"image/jpeg\nmedia jpg image/x-jpeg\nparameter timeout 9\nparameter Timeout 2.5",
			[]string{`name = "a.lan"`, `root = "\"x\\y\""`, `"tar.gz" = "application/gzip"`, `jpg = "image/x-jpeg"`,
				"keep-alive = 2.5"},
			[]string{"web.conf:5: media jpg already appears on line 4: this one applies",
				"web.conf:7: parameter timeout already appears on line 6: this one applies"}},
		{"what is left out",
			"hots a b\nhost a.lan\nhost a.lan w\nhost a.lan v\nhost ../x v\nmedia txt plain\nparameter timeout " +
				"soon\nparameter threads 4\nparameter port 8080\nlisten 80 on all",
			[]string{`root = "w"`, `bind = ["0.0.0.0:8080"]`},
			[]string{
				`web.conf:1: "hots" is not host, media or parameter: skipped, did you mean host?`,
				"web.conf:2: host takes two words, not 1: skipped",
				"web.conf:4: host a.lan already appears on line 3: skipped",
				`web.conf:5: "../x" is not a host name: skipped`,
				`web.conf:6: "plain" is not a media type: skipped`,
				`web.conf:7: parameter "timeout": "soon" is not a time in seconds: skipped`,
				`web.conf:8: parameter "threads": fapws has no such parameter: skipped`,
				`web.conf:10: "listen" is not host, media or parameter: skipped`,
			}},
	} {
		file, notes, err := convertWebconf("web.conf", []byte(tt.text))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		for _, line := range tt.want {
			checktest.Truef(t, strings.Contains(file, line+"\n"), "%s: no line %s in\n%s", tt.name, line, file)
		}
		got, want := strings.Join(notes, "\n"), strings.Join(tt.notes, "\n")
		checktest.Equalf(t, got, want, "%s: notes", tt.name)
		_, err = settings.ParseTOML("fapws.toml", "/", []byte(file), nil)
		checktest.Equalf(t, err, nil, "%s: in %s", tt.name, file)
	}
	_, _, err := convertWebconf("web.conf", []byte("media a b/c\n"))
	checktest.Truef(t, err != nil && err.Error() == "web.conf: found no line of the form: host DOMAIN DIRECTORY",
		"without a host: %v", err)
}

func FuzzConvertWebconf(f *testing.F) {
	f.Add("host default web\nmedia txt text/plain\nparameter timeout 1\n")
	f.Add("host a \"\\\x01\x7f\nmedia \" a/b\nparameter port 99999\nparameter x \x00\n")
	f.Add("host a b" + strings.Repeat("\x1a", 15000) + "\n")
	f.Add("host a b" + strings.Repeat("\x1a", 2000) + "\n")
	f.Add("host a b\n" + strings.Repeat("media ext text/"+strings.Repeat("x", 500)+"\n", 100))
	f.Fuzz(func(t *testing.T, text string) {
		file, _, err := convertWebconf("web.conf", []byte(text))
		if err != nil {
			return
		}
		_, err = settings.ParseTOML("fapws.toml", "/", []byte(file), nil)
		checktest.Mustf(t, err, "%s", file)
	})
}
