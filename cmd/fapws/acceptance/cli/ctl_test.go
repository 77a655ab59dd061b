package cli_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
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

// The first request of a route hangs, and others have failed: both are seen at once, and all counts have one origin.
func TestCtlTopShowsTheRouteOfAHungRequestAndEach5xx(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		const script = "import time\ndef boom(e, s): 1 / 0\ndef hang(e, s): time.sleep(600)\n" +
			"PATHS = [('/hang', hang), ('/boom', boom), ('/', lambda e, s: 'x')]\n"
		path := fapwstest.Write(t, t.TempDir()+"/app.py", script)
		s := fapwstest.Command{Script: path, Complains: true, Flags: []string{"--graceful-timeout", "1s"}}.Serve(t, m)
		for range 30 {
			s.Get("/", 200)
		}
		s.DialSend(fapwstest.Get("/hang"))
		fapwstest.Eventually(t, "the route of the active request is shown", func() bool {
			return regexp.MustCompile(`(?m)^ +0\.0 +0 +- +- +- +0  /hang$`).MatchString(s.Control("top", "--once"))
		})
		for range 5 {
			s.Get("/boom", 500)
		}
		fapwstest.Eventually(t, "the failures are counted", func() bool {
			text := s.Control("top", "--once")
			sum := 0
			for _, row := range regexp.MustCompile(`(?m)^ *\d+ +serving .* (\d+)$`).FindAllStringSubmatch(text, -1) {
				n, _ := strconv.Atoi(row[1])
				sum += n
			}
			return strings.Contains(text, "since the first look") && sum == 5 &&
				regexp.MustCompile(`(?m)^5xx +5 `).MatchString(text) &&
				regexp.MustCompile(`(?m) 5 +\S+ +\S+ +\S+ +5  /boom$`).MatchString(text)
		})
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
			shown.Await(t, regexp.MustCompile("now by 5xx"))
			shown.Await(t, regexp.MustCompile("paused"))
		}
		fmt.Fprint(person, "q")
		fapwstest.Must(t, cmd.Wait())
		mode, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
		fapwstest.Truef(t, err == nil && mode.Lflag&unix.ECHO != 0, "the terminal no longer echoes %v", err)
	}
	fapwstest.Write(t, release, "")
}

func get(t *testing.T, url string) string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return readAll(fapwstest.Try(client.Get(url)).Must(t))
}

func metricsOf(t *testing.T, s *fapwstest.Server, flags ...string) string {
	t.Helper()
	return s.Control(append([]string{"metrics"}, flags...)...)
}

func sample(t *testing.T, text, name string) float64 {
	t.Helper()
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindStringSubmatch(text)
	fapwstest.Needf(t, found != nil, "no %s in\n%s", name, text)
	return fapwstest.Try(strconv.ParseFloat(found[1], 64)).Must(t)
}

// samples waits until the metric has the value want. The client may receive the last byte of a response before the
// server counts the response.
func samples(t *testing.T, s *fapwstest.Server, name string, want float64) {
	t.Helper()
	fapwstest.Eventually(t, fmt.Sprint(name, " is ", want), func() bool {
		return sample(t, metricsOf(t, s), name) == want
	})
}

func promtool(t *testing.T, text string) {
	t.Helper()
	program, err := exec.LookPath("promtool")
	fapwstest.Needf(t, err == nil, "no promtool: sudo apt-get install prometheus")
	cmd := exec.Command(program, "check", "metrics")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	fapwstest.Truef(t, err == nil && len(out) == 0, "promtool: %v\n%s\n%s", err, out, text)
}

func TestCtlMetricsCountRequestsByRouteAndStatus(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "metrics.py")
		metricsOf(t, s)
		began := time.Now()
		for i := range 10 {
			get(t, fmt.Sprint(s.URL, "/order?", i))
		}
		get(t, s.URL+"/fails?secret=1")
		get(t, s.URL+"/missing/secret")
		const count = "fapws_request_duration_seconds_count"
		samples(t, s, count+`{host="",route="/order",code="2xx"}`, 10)
		took := time.Since(began).Seconds()
		sum := sample(t, metricsOf(t, s), `fapws_request_duration_seconds_sum{host="",route="/order",code="2xx"}`)
		fapwstest.Truef(t, !m.Inline() || sum <= took, "requests one after the other have lasted %v s together, of %v s", sum,
			took)
		samples(t, s, count+`{host="",route="/fails",code="5xx"}`, 1)
		samples(t, s, count+`{host="",route="none",code="4xx"}`, 1)
		samples(t, s, "fapws_requests_in_flight", 0)
		text := metricsOf(t, s)
		for name, want := range map[string]float64{
			`shop_orders_total{kind="w\"eb\n"}`:  45,
			"shop_largest":                       9,
			`shop_took_seconds_bucket{le="0.5"}`: 10,
			"shop_took_seconds_sum":              2.5,
			"fapws_queue_wait_seconds_count":     11,
			`fapws_request_duration_seconds_bucket{host="",route="/order",code="2xx",le="+Inf"}`: 10,
		} {
			fapwstest.Equalf(t, sample(t, text, name), want, "%s", name)
		}
		n := sample(t, text, `fapws_memory_anonymous_bytes{process="worker"}`)
		fapwstest.Truef(t, n >= 1<<20, "%v bytes of memory", n)
		fapwstest.Truef(t, !strings.Contains(text, "secret"), "what clients send is a label:\n%s", text)
		fapwstest.Truef(t, strings.HasSuffix(text, "\n# EOF\n"), "no end: %q", text[max(0, len(text)-80):])
		promtool(t, metricsOf(t, s, "--plain"))
	})
}

func TestCtlMetricsOutliveReplacedWorkers(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Workers, "metrics.py")
	metricsOf(t, s)
	for range 3 {
		old := s.Workers()
		get(t, s.URL+"/order")
		s.Control("reload")
		s.HasWorkers(2, old...)
	}
	samples(t, s, `fapws_request_duration_seconds_count{host="",route="/order",code="2xx"}`, 3)
	samples(t, s, `shop_orders_total{kind="w\"eb\n"}`, 3)
	samples(t, s, "fapws_reloads_total", 3)
	samples(t, s, "fapws_workers", 2)
	samples(t, s, `fapws_worker_restarts_total{reason="died"}`, 0)
	fapwstest.Must(t, exec.Command("kill", "-KILL", strconv.Itoa(s.Workers()[0])).Run())
	samples(t, s, `fapws_worker_restarts_total{reason="died"}`, 1)
	samples(t, s, `fapws_request_duration_seconds_count{host="",route="/order",code="2xx"}`, 3)
	s.SignalLogs(syscall.SIGUSR2, "upgraded: 2 workers")
	samples(t, s, `fapws_worker_restarts_total{reason="died"}`, 1)
}

func TestCtlMetricsCountAWorkerThatEndsOnce(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Workers, "metrics.py")
	const count = `fapws_request_duration_seconds_count{host="",route="/order",code="2xx"}`
	ends, stopped := s.Workers()[0], s.Workers()[1]
	metricsOf(t, s)
	syscall.Kill(stopped, syscall.SIGSTOP)
	fapwstest.FileSays(t, fmt.Sprintf("/proc/%d/stat", stopped), ") T ")
	for range 3 {
		get(t, s.URL+"/order")
	}
	samples(t, s, count, 3)
	var asks sync.WaitGroup
	for range 2 {
		asks.Go(func() { metricsOf(t, s) })
		time.Sleep(time.Second)
	}
	syscall.Kill(ends, syscall.SIGKILL)
	asks.Wait()
	syscall.Kill(stopped, syscall.SIGCONT)
	fapwstest.Equalf(t, sample(t, metricsOf(t, s), count), 3, "requests")
}

func TestCtlTopShowsActiveRequestsWithAgeAndPythonLine(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		release := filepath.Join(t.TempDir(), "release")
		s := fapwstest.Command{Script: "metrics.py", Env: []string{"RELEASE=" + release}}.Serve(t, m)
		metricsOf(t, s)
		answer := make(chan string, 1)
		go func() {
			body := ""
			if r, err := http.Get(s.URL + "/waits?secret=1"); err == nil {
				body = readAll(r)
			}
			answer <- body
		}()
		type active struct {
			Worker                      int
			Request, Handler, State, At string
			Age                         float64
		}
		var seen struct {
			Report   struct{ Workers []struct{ PID int } }
			InFlight float64 `json:"in_flight"`
			Active   []active
		}
		fapwstest.Eventually(t, "the request is active", func() bool {
			stdout := s.Control("top", "--once", "--json")
			fapwstest.Needf(t, !strings.Contains(stdout, "secret"), "it shows the query: %s", stdout)
			fapwstest.Must(t, json.Unmarshal([]byte(stdout), &seen))
			return len(seen.Active) == 1 && regexp.MustCompile(`^metrics\.py:(21|22) in waits$`).MatchString(seen.Active[0].At)
		})
		a := seen.Active[0]
		fapwstest.Truef(t, a.Request == "GET /waits" && a.Age > 0 && a.Worker != 0 && seen.InFlight == 1 &&
			len(seen.Report.Workers) != 0, "%+v", seen)
		text := metricsOf(t, s)
		fapwstest.Truef(t, strings.Contains(text, `fapws_connections{kind="http"}`), "no connections: %s", text)
		fapwstest.Write(t, release, "")
		fapwstest.Equalf(t, <-answer, "released", "the handler answers")
		counted := regexp.MustCompile(`(?m)^ *\S+ +\S+ +\S+ +\S+ +\S+ +1  /waits$`)
		fapwstest.Eventually(t, "the request is counted", func() bool {
			return counted.MatchString(s.Control("top", "--once"))
		})
	})
}

func TestCtlTopExitsWhenTheServerStops(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Workers, "metrics.py")
	done := make(chan string, 1)
	go func() {
		code, stdout, stderr := s.Ctl("top")
		done <- fmt.Sprint(code, " ", strings.Contains(stdout, "requests/s"), " ", stderr)
	}()
	samples(t, s, "fapws_workers", 2)
	s.Control("stop")
	fapwstest.Matches(t, <-done, `^1 (true|false) fapws: (the server has stopped: )?no server|`+
		`^1 (true|false) fapws: .*(stopped|no control socket|not found|did not respond)`)
}

// One handler holds the GIL, and a thread with a different request waits for the GIL. In builds without the GIL, the
// first handler stops all other threads instead.
func TestThreadsThatWaitForTheGILAreCounted(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	fapwstest.Must(t, syscall.Mkfifo(pipe, 0o600))
	s := fapwstest.Command{Script: "metrics.py", Env: []string{"RELEASE=" + pipe}}.Serve(t, fapwstest.Threads)
	metricsOf(t, s)
	bodies := make(chan string)
	ask := func(path string) {
		body := ""
		if r, err := http.Get(s.URL + path); err == nil {
			body = readAll(r)
		}
		bodies <- body
	}
	const threads = `fapws_threads{state="`
	fapwstest.Eventually(t, "there are three threads", func() bool {
		for range 3 {
			go ask("/works")
		}
		for range 3 {
			<-bodies
		}
		return sample(t, metricsOf(t, s), threads+`idle"}`) >= 3
	})
	go ask("/holds")
	release := fapwstest.Try(os.OpenFile(pipe, os.O_WRONLY, 0)).Must(t)
	defer release.Close()
	asked := 1
	fapwstest.Eventually(t, "a thread waits for the GIL", func() bool {
		select {
		// This request ran before the handler of /holds took the GIL, so the test may send another request.
		case <-bodies:
			asked--
		default:
		}
		if sample(t, metricsOf(t, s), threads+`gil"}`) >= 1 {
			return true
		}
		// The server does not count a thread that has released the GIL in its handler, so send up to five requests.
		if asked < 6 {
			asked++
			go ask("/collects")
		}
		return false
	})
	fapwstest.Try(release.WriteString(".")).Must(t)
	for range asked {
		<-bodies
	}
	samples(t, s, threads+`gil"}`, 0)
}
