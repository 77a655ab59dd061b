package ctl

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/process"
	"fapws/runtime/checktest"
	"fapws/runtime/source/cache"
)

func command(Command, cache.Pattern) (Answer, error) { return Answer{Status: &Report{}}, nil }

func use(t *testing.T) (folder string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctl") // t.TempDir may be too long for a socket
	checktest.Must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("XDG_RUNTIME_DIR", dir)
	return filepath.Join(dir, "fapws")
}

func listen(t *testing.T, path string, server Executor) *Socket {
	t.Helper()
	s := checktest.Try(Listen(path, server)).Must(t)
	t.Cleanup(s.Close)
	return s
}

func run(line string) (string, error) {
	var out strings.Builder
	err := Run(strings.Fields(line), &out)
	return out.String(), err
}

func TestEachCommandHasItsOwnHelp(t *testing.T) {
	for _, c := range Commands {
		var out strings.Builder
		checktest.Must(t, Run([]string{string(c), "--help"}, &out))
		for line := range strings.Lines(out.String()) {
			checktest.Truef(t, len(line) <= 81, "%s: %d columns: %s", c, len(line)-1, line)
		}
		checktest.Truef(t, strings.HasPrefix(out.String(), "Usage: fapws ctl [--pid N | --socket FILE] "+string(c)) &&
			strings.Contains(out.String(), "Exit status: "), "%s", out.String())
	}
}

func TestControlCharactersInAnswersAreReplaced(t *testing.T) {
	use(t)
	s := listen(t, Auto, func(c Command, _ cache.Pattern) (Answer, error) {
		if c == Stack {
			return Answer{Text: "GET /\x1b[31m\n"}, nil
		}
		return Answer{}, errors.New("app.py line 3: \x07name 'x' is not defined")
	})
	pid := fmt.Sprintf("--pid %d ", os.Getpid()) // other servers may run on this machine
	for _, tt := range []struct{ socket, line, want string }{
		{"", pid + "stack", "GET /?[31m\n"},
		{"", pid + "reload", "app.py line 3: ?name 'x' is not defined"},
		{s.path, "stack", "GET /?[31m\n"},
		{s.path, "--pid 1 stack", "process 1: "}, // every system has a process 1
		{Auto, pid + "stack", "GET /?[31m\n"},
	} {
		t.Setenv("FAPWS_CTL_SOCKET", tt.socket)
		got, err := run(tt.line)
		if err != nil {
			got = err.Error()
		}
		checktest.Truef(t, strings.HasPrefix(got, tt.want), "%s: got %q, want %q", tt.line, got, tt.want)
	}
}

func TestStopAnswersBeforeTheServerStops(t *testing.T) {
	use(t)
	var stop func()
	s := listen(t, Auto, func(c Command, _ cache.Pattern) (Answer, error) {
		if c == Stop {
			stop()
		}
		return Answer{}, nil
	})
	c := checktest.Try(dialWithin(s.path, connectWithin)).Must(t)
	raw := checktest.Try(c.SyscallConn()).Must(t)
	stopped := make(chan int, 1)
	stop = func() {
		arrived := 0
		_ = raw.Control(func(fd uintptr) {
			arrived, _, _ = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		})
		stopped <- arrived
	}
	checktest.Try(c.Write([]byte(`{"Command":"stop"}` + "\n"))).Must(t)
	n := <-stopped
	checktest.Truef(t, n != 0, "the server is told to stop before its answer has arrived")
	line, err := bufio.NewReader(c).ReadString('\n')
	checktest.Truef(t, line == "{}\n" && err == nil, "%q, %v", line, err)
	checktest.Must(t, c.CloseWrite())
	n, err = c.Read(make([]byte, 1))
	checktest.Truef(t, n == 0 && err != nil, "more than an answer comes")
}

func TestUsageErrorsNameTheMistake(t *testing.T) {
	use(t)
	for _, tt := range []struct{ line, want string }{
		{"", "no command given; usage: fapws ctl stack|status|top|metrics|logs|reload|restart|start|purge|rotate|stop|ca; see fapws ctl --help"},
		{"dance", "unknown command dance; fapws ctl --help lists them"},
		{"rotate now", "one command at a time, not rotate and now"},
		{"stop blog now", "one command at a time, not stop and now"},
		{"restart", "restart needs the name of an application, which fapws ctl status lists"},
		{"--pid x stop", "--pid x: must be the number of a process"},
		{"--pid=0 stop", "--pid 0: must be the number of a process"},
		{"stop --pid", "--pid needs a value"},
		{"--color status", "unknown flag --color; see fapws ctl --help"},
		{"--pid 1 --socket x stop", "use --pid or --socket, not both"},
		{"--json stop", "--json requires status or top"},
		{"--once stop", "--once requires top"},
		{"--plain status", "--plain requires metrics"},
		{"purge", "purge needs a path, a prefix with *, --tag TAG or --all"},
		{"purge /a --tag b", "purge needs a path, a prefix with *, --tag TAG or --all"},
		{"purge /a /b", "one command at a time, not purge and /b"},
		{"stop --all", "--host, --tag and --all require purge"},
		{"status --host a", "--host, --tag and --all require purge"},
	} {
		_, err := run(tt.line)
		var wrong *process.ExitError
		checktest.Truef(t, errors.As(err, &wrong) && err.Error() == tt.want, "%s:\n got %v\nwant %s", tt.line, err, tt.want)
	}
	err := Run([]string{"stat"}, nil)
	want := "unknown command stat, did you mean status?"
	checktest.Truef(t, err != nil && err.Error() == want, "got %v, want %s", err, want)
}

func TestServerIsPickedByProcessOrIfItIsTheOnlyOne(t *testing.T) {
	for _, tt := range []struct {
		running []found
		pid     int
		want    string
	}{
		{[]found{{3, "/x/3.sock"}}, 0, "/x/3.sock"},
		{[]found{{3, "/x/3.sock"}}, 3, "/x/3.sock"},
		{nil, 0, "no server of user 54321 found: no control socket in "},
		{nil, 1, "process 1: control socket of user 54321 not found"},
		{nil, 1 << 30, "process 1073741824 is not running"},
		{[]found{{3, "/x/3.sock"}, {4, "/x/4.sock"}}, 0, "2 servers are running; choose one:\n  --pid 3\n  --pid 4"},
	} {
		path, err := pick(tt.running, tt.pid, 54321)
		if err != nil {
			path = err.Error()
		}
		checktest.Truef(t, strings.HasPrefix(path, tt.want), "%v, pid %d: %q, want %q", tt.running, tt.pid, path, tt.want)
	}
}

func left(t *testing.T, path string) {
	t.Helper()
	ln := checktest.Try(net.ListenUnix("unix", &net.UnixAddr{Name: path})).Must(t)
	ln.SetUnlinkOnClose(false)
	ln.Close()
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestSocketsOfDeadServersAreRemoved(t *testing.T) {
	folder := use(t)
	checktest.Must(t, os.Mkdir(folder, 0o700))
	mine, gone, starting := filepath.Join(folder, fmt.Sprint(os.Getpid())+suffix),
		filepath.Join(folder, "99999999.sock"), filepath.Join(folder, "1.sock")
	left(t, mine)
	left(t, gone)
	left(t, starting)
	s := listen(t, Auto, command)
	checktest.Truef(t, !exists(gone), "the socket of a dead server is still there")
	checktest.Truef(t, exists(starting), "the socket of a living process is gone")
	_, err := run(fmt.Sprintf("--pid %d status", os.Getpid()))
	checktest.Equal(t, err, nil)
	s.Close()
	checktest.Truef(t, !exists(mine), "the socket is there after Close")

	s = listen(t, mine, command)
	checktest.Must(t, os.Remove(mine))
	next := listen(t, mine, command)
	s.Close()
	checktest.Truef(t, exists(mine), "Close has removed the socket of another server")
	next.Close()
}

func TestCloseDoesNotWaitForABlockingSocket(t *testing.T) {
	use(t)
	s := listen(t, Auto, command)
	raw := checktest.Try(s.SyscallConn()).Must(t)
	checktest.Must(t, raw.Control(func(fd uintptr) { _ = unix.SetNonblock(int(fd), false) }))
	checktest.Try(run("--socket " + s.path + " status")).Must(t)
	closed := make(chan struct{})
	go func() {
		s.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Fatal("Close waits")
	}
}

// Other users may have prepared files and directories in the shared directory.
func TestSharedDirectoryOfOtherUsersIsNotUsed(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		checktest.Must(t, err)
	}
	must(os.Mkdir(in("open"), 0o700))
	must(os.Chmod(in("open"), 0o770))
	must(os.Mkdir(in("good"), 0o700))
	must(os.Symlink(in("good"), in("link")))
	must(os.WriteFile(in("file"), nil, 0o600))
	uid := os.Geteuid()
	for _, tt := range []struct {
		name string
		uid  int
		want string
	}{
		{"good", uid, ""},
		{"new", uid, ""},
		{"open", uid, "open is accessible to other users"},
		{"link", uid, "link is not a directory"},
		{"file", uid, "file is not a directory"},
		{"good", uid + 1, "good belongs to another user"},
	} {
		err := openPlace(in(tt.name), tt.uid)
		checktest.Truef(t, (err == nil) == (tt.want == "") && (err == nil || strings.HasSuffix(err.Error(), tt.want)),
			"%s: %v, want %q", tt.name, err, tt.want)
	}
	checktest.Equal(t, checktest.Try(os.Stat(in("new"))).Must(t).Mode().Perm(), 0o700)
}

// Creating a socket can fail even in a directory that passes all checks.
func TestNextDirectoryIsUsedIfASocketIsRejected(t *testing.T) {
	dir := t.TempDir()
	list := []string{filepath.Join(dir, "none", "x"), filepath.Join(dir, strings.Repeat("long", 40)),
		filepath.Join(dir, "good")}
	ln, path, err := bindInFirst(list, os.Geteuid())
	checktest.Must(t, err)
	defer ln.Close()
	checktest.Truef(t, filepath.Dir(path) == list[2] && answers(path), "the socket is %s", path)
	_, _, err = bindInFirst(list[:2], os.Geteuid())
	checktest.Truef(t, err != nil && strings.Count(err.Error(), ", ") == 1, "%v, want a reason for each", err)
}

func TestOnlyTheUserOfTheServerIsAllowed(t *testing.T) {
	use(t)
	c := checktest.Try(dialWithin(listen(t, Auto, command).path, connectWithin)).Must(t)
	defer c.Close()
	uid := os.Geteuid()
	checktest.Equal(t, allowed(c.UnixConn, uid), nil)
	checktest.Truef(t, allowed(c.UnixConn, uid+1, uid+2) != nil, "anybody is allowed")
}

func TestClientWaitsWhileTheQueueIsFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ctl")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	checktest.Must(t, err)
	defer unix.Close(fd)
	checktest.Must(t, errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 0)))
	for err == nil {
		_, err = net.Dial("unix", path)
	}
	checktest.Needf(t, errors.Is(err, unix.EAGAIN), "%v", err)
	time.AfterFunc(50*time.Millisecond, func() {
		if nfd, _, err := unix.Accept(fd); err == nil {
			unix.Close(nfd)
		}
	})
	checktest.Try(dialWithin(path, time.Minute)).Must(t).Close()
}

const pathVariable = "CTL_TEST_SERVER"

// TestServer runs in a second process, as the server of TestClientDoesNotWaitForAServerThatHasEnded. TestServer exits
// while a client waits for its response. A child process inherits the listener and the connection and keeps both open,
// as a child of an application might.
func TestServer(t *testing.T) {
	path := os.Getenv(pathVariable)
	if path == "" {
		return
	}
	ln := checktest.Try(net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})).Must(t)
	fmt.Println("listening")
	c := checktest.Try(ln.AcceptUnix()).Must(t)
	heir := exec.Command("sleep", "1000")
	for _, file := range []interface{ File() (*os.File, error) }{ln, c} {
		heir.ExtraFiles = append(heir.ExtraFiles, checktest.Try(file.File()).Must(t))
	}
	checktest.Must(t, heir.Start())
	fmt.Println(heir.Process.Pid)
	os.Exit(0)
}

func TestClientDoesNotWaitForAServerThatHasEnded(t *testing.T) {
	path := filepath.Join(use(t), "..", "7.sock")
	server := exec.Command(os.Args[0], "-test.run=^TestServer$")
	server.Env = append(os.Environ(), pathVariable+"="+path)
	out, err := server.StdoutPipe()
	if err == nil {
		err = server.Start()
	}
	checktest.Must(t, err)
	t.Cleanup(func() { _ = server.Process.Kill() })
	lines := bufio.NewScanner(out)
	lines.Scan()
	_, err = run("--socket " + path + " reload")
	checktest.Truef(t, err != nil && strings.HasSuffix(err.Error(), "did not respond: the server has ended"),
		"reload: %v", err)
	var heir int
	lines.Scan()
	checktest.Try(fmt.Sscan(lines.Text(), &heir)).Must(t)
	t.Cleanup(func() {
		if p, err := os.FindProcess(heir); err == nil {
			_ = p.Kill()
		}
	})
	_, err = run("--socket " + path + " status")
	checktest.Truef(t, err != nil && strings.HasPrefix(err.Error(), "no server listens on "+path+"; "), "status: %v", err)
	checktest.Truef(t, !answers(path), "it is taken for a server")
}

const maxPage = 40 << 10 // maximum size of the status page in bytes

func TestStatusPageIsSmallAndItsDataHasNoHTML(t *testing.T) {
	long := strings.Repeat(`<script>"&'`, 100)
	v := &View{Report: Report{App: long, Python: "3", Addresses: []string{long, long}, Failure: long}}
	var lines []Line
	rates := make([]float64, history)
	for i := range 1000 {
		v.Routes = append(v.Routes, RouteView{Host: long, Route: long, Requests: 1 << 40, Quantiles: Quantiles{N: 1}})
		v.Active = append(v.Active, Active{Worker: 1 << 20, Request: long, State: long, At: long, Age: 1e5})
		v.Report.Workers = append(v.Report.Workers, Worker{PID: 1 << 20, State: "serving", Age: 1e7})
		if i < logLines {
			lines = append(lines, Line{Text: long})
		}
	}
	page := document(v, lines, rates)
	n := len(page)
	checktest.Truef(t, n <= maxPage && n >= maxPage/2, "%d bytes", n)
	checktest.Equalf(t, strings.Count(page, "<script>"), 1, "text has become HTML")
}

func TestStatusPageMarksRequestsBeyondTheirTimeout(t *testing.T) {
	page := body(&View{Active: []Active{{Request: "GET /slow", Age: 4, Late: true}, {Request: "GET /long", Age: 11},
		{Request: "GET /", Age: 1}}}, nil, nil)
	for _, want := range []string{`<td class="bad">4s`, `<td class="warn">11s`, "<td>1s"} {
		checktest.Has(t, page, want)
	}
}

// The curve and the log have room before there are rates and lines, so that nothing moves.
func TestStatusPageHasRoomFromTheStart(t *testing.T) {
	for _, part := range []string{"<svg ", `<pre class="log">`, "<h2>Active requests</h2>"} {
		checktest.Has(t, body(&View{}, nil, nil), part)
	}
}

// terminal returns a screen with a size.
func terminal(t *testing.T, rows, columns uint16) *screen {
	t.Helper()
	file := checktest.Try(os.OpenFile("/dev/ptmx", os.O_RDWR, 0)).Must(t)
	t.Cleanup(func() { file.Close() })
	checktest.Must(t, unix.IoctlSetWinsize(int(file.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}))
	return &screen{terminal: file}
}

func TestFiguresOfTopStayAtTheirPlaces(t *testing.T) {
	quiet := &View{Report: Report{App: "shop.py", Version: "0.2.0", Python: "3.11.2", PID: 1, Uptime: 1, Counted: 1}}
	busy := &View{Report: Report{App: "shop.py", Version: "0.2.0", Python: "3.11.2", Mode: "up to 64 threads, 8 workers", PID: 1234567, Uptime: 90000, Counted: 12}, Rate: 123456.7, Requests: 123456789,
		Errors: 98765, InFlight: 1000, Queue: 99999, Threads: map[string]float64{"busy": 64, "limit": 64, "stuck": 3},
		Connections: map[string]float64{"http": 12345, "websocket": 500}, Durations: Quantiles{N: 1, P95: 0.12345},
		QueueWait: Quantiles{N: 1, P95: 0.00005, least: 0.0001}, CPU: map[int]float64{1: 12.34}}
	busy.Report.Workers = []Worker{{PID: 1, RSS: 1 << 32, Counters: Counters{Requests: 5}}}
	for _, columns := range []uint16{60, 80, 100, 160} {
		var at [2][]int
		for i, v := range []*View{quiet, busy} {
			lines := v.lines(terminal(t, 40, columns), 0)
			for _, line := range lines {
				checktest.Truef(t, len([]rune(line)) <= int(columns), "%d columns: %q", columns, line)
			}
			var grid []string
			for k, line := range lines {
				if strings.HasPrefix(line, "req") && strings.Contains(line, "active ") {
					grid = lines[k : k+3]
					at[i] = append(at[i], k)
				}
			}
			checktest.Needf(t, len(grid) == 3 && strings.HasPrefix(grid[1], "requests ") && strings.HasPrefix(grid[2], "5xx "),
				"%d columns: %q", columns, lines)
			for _, name := range []string{"active", "CPU"} {
				before, _, _ := strings.Cut(grid[0], name)
				at[i] = append(at[i], utf8.RuneCountInString(before))
			}
		}
		checktest.Equalf(t, fmt.Sprint(at[0]), fmt.Sprint(at[1]), "places at %d columns", columns)
	}
	text := strings.Join(busy.lines(&screen{}, 0), "\n")
	for _, want := range []string{"≤100µs", "123456k", "1234 %", "since the first look 12s ago", "threads stuck 3"} {
		checktest.Has(t, text, want)
	}
	checktest.Has(t, strings.Join(quiet.lines(&screen{}, 0), "\n"), "quiet routes: since the start")
}

func TestTopOmitsRoutesAndWorkersRatherThanActiveRequestsOnASmallScreen(t *testing.T) {
	slow := Active{Request: "GET /slow", State: "running", At: "app.py:4"}
	for _, crowd := range []struct{ routes, workers, applications int }{{30, 1, 0}, {1, 30, 0}, {30, 8, 2}, {0, 0, 0}} {
		for _, rows := range []int{24, 40} {
			v := &View{Active: []Active{slow}}
			for i := range crowd.routes {
				v.Routes = append(v.Routes, RouteView{Route: fmt.Sprintf("/%d", i)})
			}
			for i := range crowd.workers {
				v.Report.Workers = append(v.Report.Workers, Worker{PID: i + 1})
			}
			for range crowd.applications {
				v.Report.Applications = append(v.Report.Applications, ApplicationStatus{View: &View{Active: []Active{slow}}})
			}
			rows += 2 * crowd.applications
			lines := v.lines(terminal(t, uint16(rows), 80), 0)
			text := strings.Join(lines, "\n")
			checktest.Truef(t, len(lines) < rows && strings.Count(text, "app.py:4") == 1+crowd.applications, "%v, %d rows:\n%s",
				crowd, rows, text)
			shown := len(regexp.MustCompile(`(?m)^ +0\.0 .*/\d+$`).FindAllString(text, -1))
			if found := regexp.MustCompile(`and (\d+) more routes`).FindStringSubmatch(text); found != nil {
				shown += checktest.Try(strconv.Atoi(found[1])).Must(t)
			}
			checktest.Equalf(t, shown, crowd.routes, "routes in %d rows:\n%s", rows, text)
		}
	}
}

func TestFlameGraphHasWidthsByShareAndStaysSmall(t *testing.T) {
	graph := flame([]StatusStack{{[]string{"a (x.py)", "b (x.py)"}, 600}, {[]string{"a (x.py)", "c (x.py)"}, 200},
		{[]string{"a (x.py)"}, 195}, {[]string{"rare (x.py)"}, 5}})
	for _, want := range []string{
		`<b title="all, 100.0 %">all</b>`,
		`<div style="width:99.5%"><b title="a (x.py), 99.5 %">a</b>`,
		`<div style="width:60.3%"><b title="b (x.py), 60.0 %">b</b></div>`,
		`<tr><td>20.0 %<td class="l">c (x.py)</tr>`,
	} {
		checktest.Truef(t, strings.Contains(graph, want), "no %s in %s", want, graph)
	}
	checktest.Truef(t, !strings.Contains(graph, `title="rare`), "a function that hardly ran is in the graph")
	var stacks []StatusStack
	for i := range 5000 {
		s := StatusStack{N: 1 + i%7}
		for k := range 60 {
			s.Frames = append(s.Frames, fmt.Sprintf("<b>%d (%s)", i>>(k%12), strings.Repeat("/long", 30)))
		}
		stacks = append(stacks, s)
	}
	n := len(flame(stacks))
	checktest.Truef(t, n <= maxPage/2, "%d bytes", n)
	checktest.Has(t, flame(nil), "No Python code has run")
}
