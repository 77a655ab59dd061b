package applications_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

const twoSites = `
[application.one]
app = "work"
chdir = "one"

[application.two]
app = "work"
chdir = "two"
workers = 2

[[host]]
name = "one.test"
application = "one"

[[host]]
name = "two.test"
application = "two"
`

// served serves two applications whose modules have the same name.
func served(t *testing.T, lines string, c fapwstest.Command) (s *fapwstest.Server, dir string) {
	t.Helper()
	dir = t.TempDir()
	source := fapwstest.Source(t, "work.py")
	fapwstest.Write(t, dir+"/one/work.py", source)
	fapwstest.Write(t, dir+"/two/work.py", strings.Replace(source, `"one"`, `"two"`, 1))
	fapwstest.Write(t, dir+"/fapws.toml", lines+twoSites)
	c.Flags, c.Dir = append(c.Flags, "-c", dir+"/fapws.toml"), dir
	s = c.Serve(t, fapwstest.Mode{})
	for _, name := range []string{"one", "two"} {
		s.Says("application " + name + " is up")
	}
	return s, dir
}

// at requests a path of an application, and returns the response.
func at(s *fapwstest.Server, name, path string) *fapwstest.Answer {
	s.T.Helper()
	return s.Ask("GET " + path + " HTTP/1.1\r\nHost: " + name + ".test\r\nConnection: close\r\n\r\n")
}

// process returns the ID of the process of an application.
func process(s *fapwstest.Server, name string) int {
	s.T.Helper()
	found := regexp.MustCompile(`application ` + name + `: \w+, pid (\d+)`).FindStringSubmatch(s.Control("status"))
	fapwstest.Needf(s.T, found != nil, "no process of %s", name)
	return fapwstest.Try(strconv.Atoi(found[1])).Must(s.T)
}

// load posts to both applications until stop is called, which returns the number of requests with each result.
func load(s *fapwstest.Server) (stop func() map[string]int) {
	var over atomic.Bool
	var mu sync.Mutex
	results := map[string]int{}
	wait := fapwstest.InBackground(4, func(i int) {
		name := []string{"one", "two"}[i%2]
		for !over.Load() {
			result := "no connection"
			if c, err := net.Dial("tcp", s.Address); err == nil {
				w := &fapwstest.Client{T: s.T, Conn: c, In: bufio.NewReader(c)}
				a, err := w.Tries("POST / HTTP/1.1\r\nHost: " + name + ".test\r\nContent-Length: 5\r\n\r\nhello")
				if err != nil {
					result = err.Error()
				} else if result = strconv.Itoa(a.StatusCode); a.StatusCode == 200 && !strings.HasPrefix(a.Text, name+" 5 ") {
					result = a.Text
				}
				w.Close()
			}
			mu.Lock()
			results[name+" "+result]++
			mu.Unlock()
		}
	})
	return func() map[string]int {
		over.Store(true)
		wait()
		return results
	}
}

func onlyOK(t *testing.T, results map[string]int) {
	t.Helper()
	fapwstest.Truef(t, len(results) == 2 && results["one 200"] > 0 && results["two 200"] > 0, "results: %v", results)
}

func TestModulesOfOneNameAreApart(t *testing.T) {
	t.Parallel()
	s, _ := served(t, "", fapwstest.Command{})
	fapwstest.Has(t, at(s, "one", "/").Want(t, 200).Text, "one 0 ")
	fapwstest.Has(t, at(s, "two", "/").Want(t, 200).Text, "two 0 ")
}

func TestReloadOfAnApplicationLosesNothingAndTouchesNoOther(t *testing.T) {
	t.Parallel()
	s, dir := served(t, "", fapwstest.Command{Complains: true})
	other := process(s, "two")
	stop := load(s)
	for range 3 {
		s.Control("reload", "one")
	}
	fapwstest.Write(t, dir+"/one/work.py", "syntax error\n")
	code, _, stderr := s.Ctl("reload", "one")
	fapwstest.Truef(t, code == 1 && strings.Contains(stderr, "one"), "reload of broken code: %d, %q", code, stderr)
	s.Control("reload", "two")
	onlyOK(t, stop())
	fapwstest.Equal(t, process(s, "two"), other)
}

func TestUpgradeKeepsApplications(t *testing.T) {
	t.Parallel()
	s, _ := served(t, "", fapwstest.Command{})
	before := []int{process(s, "one"), process(s, "two")}
	stop := load(s)
	s.SignalLogs(syscall.SIGUSR2, `info upgraded`)
	s.Says(`info one: upgraded`)
	s.Says(`info two: upgraded`)
	onlyOK(t, stop())
	fapwstest.Equal(t, []int{process(s, "one"), process(s, "two")}, before)
	s.Control("restart", "one")
	fapwstest.Has(t, at(s, "one", "/").Want(t, 200).Text, "one 0 ")
}

func TestProcessThatEndsIsStartedAgain(t *testing.T) {
	t.Parallel()
	s, _ := served(t, "", fapwstest.Command{})
	other := process(s, "two")
	fapwstest.Must(t, syscall.Kill(process(s, "one"), syscall.SIGKILL))
	s.Says(`error application one: process was killed by SIGKILL`)
	at(s, "one", "/").Want(t, 200) // waits for the next process
	at(s, "two", "/").Want(t, 200)
	a := at(s, "one", "/die") // only its worker ends
	fapwstest.Truef(t, a.StatusCode == 502, "the request that ends its worker got %d", a.StatusCode)
	fapwstest.Eventually(t, "the next worker serves", func() bool { return at(s, "one", "/").StatusCode == 200 })
	fapwstest.Equal(t, process(s, "two"), other)
}

func TestTopHasARowForEachApplicationAndItsRoutes(t *testing.T) {
	t.Parallel()
	s, _ := served(t, "", fapwstest.Command{})
	s.Control("top", "--once") // counting begins
	fapwstest.Eventually(t, "the requests are counted", func() bool {
		at(s, "one", "/").Want(t, 200)
		text := s.Control("top", "--once")
		for _, row := range []string{`REQ/S .* APPLICATION$`, ` one: up, pid \d+$`, ` two: up, pid \d+$`, ` [1-9]\d*  one: /$`,
			`^ *\d+  serving .* one$`} {
			if !regexp.MustCompile(`(?m)` + row).MatchString(text) {
				return false
			}
		}
		return true
	})
}

func TestApplicationThatDoesNotStartGets503AndTheOtherServes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/two/work.py", fapwstest.Source(t, "work.py"))
	fapwstest.Write(t, dir+"/one/work.py", "raise ValueError('no')\n")
	fapwstest.Write(t, dir+"/fapws.toml", twoSites)
	s := fapwstest.Command{Dir: dir, Complains: true}.Serve(t, fapwstest.Mode{})
	s.Says("application two is up")
	s.Says(`warning application one is started again in`)
	a := at(s, "one", "/").Want(t, 503, "<h1>Service Unavailable</h1>\n<p>This application is not running.</p>")
	fapwstest.Equal(t, a.Header.Get("Content-Type")+a.Header.Get("Retry-After"), "text/html; charset=utf-8")
	at(s, "two", "/").Want(t, 200)
	fapwstest.Write(t, dir+"/one/work.py", fapwstest.Source(t, "work.py"))
	s.Control("start", "one")
	fapwstest.Has(t, at(s, "one", "/").Want(t, 200).Text, "one 0 ")
}

func TestApplicationIsStoppedAndStartedByCommand(t *testing.T) {
	t.Parallel()
	s, _ := served(t, "", fapwstest.Command{})
	s.Control("stop", "one")
	at(s, "one", "/").Want(t, 503)
	fapwstest.Has(t, s.Control("status"), "application one: down")
	s.Control("start", "one")
	at(s, "one", "/").Want(t, 200)
	code, _, stderr := s.Ctl("restart", "too")
	fapwstest.Truef(t, code == 1 && strings.Contains(stderr, `no application "too", did you mean two? It has: one, two`),
		"%d %q", code, stderr)
	fapwstest.Has(t, s.Control("metrics"), `application="two"`)
}

func TestReloadAddsAndRemovesApplications(t *testing.T) {
	t.Parallel()
	s, dir := served(t, "", fapwstest.Command{})
	other := process(s, "two")
	text := fapwstest.Read(t, dir+"/fapws.toml")
	three := strings.NewReplacer("application.one", "application.three", "one.test", "three.test",
		`application = "one"`, `application = "three"`).Replace(text)
	fapwstest.Write(t, dir+"/fapws.toml", three)
	stop := load(s)
	s.Reload()
	s.Says("application three is up")
	results := stop()
	fapwstest.Truef(t, results["two 200"] > 0 && len(results) <= 4, "results: %v", results)
	fapwstest.Has(t, at(s, "three", "/").Want(t, 200).Text, "one 0 ")
	fapwstest.Equal(t, process(s, "two"), other)
	fapwstest.Eventually(t, "application one has ended", func() bool {
		return !strings.Contains(s.Control("status"), "application one")
	})
}

func TestEnvironmentOfAnApplicationIsItsOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/one/work.py", fapwstest.Source(t, "work.py"))
	fapwstest.Write(t, dir+"/one/fapws.toml", "threads = 99\n[[host]]\nstatus = 5\n") // must not be read
	fapwstest.Write(t, dir+"/own.env", "FROM_FILE=yes\n")
	fapwstest.Write(t, dir+"/fapws.toml", `
[application.one]
app = "work"
chdir = "one"
env = { FROM_TABLE = "yes" }
env-file = "own.env"
[[host]]
name = "one.test"
application = "one"
`)
	s := fapwstest.Command{Dir: dir, Env: []string{"KEPT=yes", "VIRTUAL_ENV=/nothing", "WEB_CONCURRENCY=3", "FAPWS_THREADS=3",
		"NOTIFY_SOCKET=@nothing"}}.Serve(t, fapwstest.Mode{})
	s.Says("application one is up")
	text := "\n" + at(s, "one", "/env").Want(t, 200).Text
	for _, one := range []string{"\nKEPT=yes", "\nFROM_TABLE=yes", "\nFROM_FILE=yes"} {
		fapwstest.Has(t, text, one)
	}
	for _, name := range []string{"VIRTUAL_ENV", "WEB_CONCURRENCY", "FAPWS_", "NOTIFY_SOCKET", "_FAPWS_WORKER"} {
		fapwstest.Lacks(t, text, "\n"+name)
	}
	names := at(s, "one", "/fds").Want(t, 200).Text
	fapwstest.Truef(t, strings.Count(names, "socket:") <= 6, "descriptors of the application: %s", names)
}

func TestMistakesInTablesOfApplicationsAreNamed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want string }{
		{"[application.a]\napp = \"x\"\n[[host]]\napplication = \"b\"\n", "fapws.toml:4: application: there is no table [application.b]"},
		{"[application.a]\napp = \"x\"\n[[host]]\nroot = \".\"\n", "fapws.toml:1: application: no host uses it"},
		{"[application.a]\n[[host]]\napplication = \"a\"\n", "fapws.toml:1: app: [application.a] needs an application"},
		{"[application.a]\napp = \"x\"\nbind = \":1\"\n[[host]]\napplication = \"a\"\n", "fapws.toml:3: bind is a setting of the whole server"},
		{"[application.a]\napp = \"x\"\nthreads = \"many\"\n[[host]]\napplication = \"a\"\n", "fapws.toml:3: threads = \"many\""},
		{"[application.a]\napp = \"x\"\nthread = 1\n[[host]]\napplication = \"a\"\n", "fapws.toml:3: unknown key thread, did you mean threads?"},
		{"[application.A]\napp = \"x\"\n[[host]]\napplication = \"A\"\n", "a name has up to 32 lower-case letters"},
	} {
		dir := t.TempDir()
		fapwstest.Write(t, dir+"/fapws.toml", test.text)
		fapwstest.Write(t, dir+"/x.py", fapwstest.Source(t, "work.py"))
		code, _, stderr := fapwstest.Command{Flags: []string{"check"}, Dir: dir}.Run(t)
		fapwstest.Truef(t, code == 2 && strings.Contains(stderr, test.want), "%q: %d, %q, want %q", test.text, code, stderr, test.want)
	}
}

func TestApplicationBesideATableGetsAProcessOfItsOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source := fapwstest.Source(t, "work.py")
	fapwstest.Write(t, dir+"/work.py", source)
	fapwstest.Write(t, dir+"/one/work.py", strings.Replace(source, `"one"`, `"table"`, 1))
	fapwstest.Write(t, dir+"/two.py", strings.Replace(source, `"one"`, `"route"`, 1))
	fapwstest.Write(t, dir+"/line.py", strings.Replace(source, `"one"`, `"line"`, 1))
	fapwstest.Write(t, dir+"/own.env", "FROM_FILE=yes\n")
	fapwstest.Write(t, dir+"/fapws.toml", `
app = "work"
env-file = "own.env"
threads = 3
[application.one]
app = "work"
chdir = "one"
[[host]]
name = "one.test"
application = "one"
[[host]]
name = "two.test"
  [[host.route]]
  prefix = "/sub"
  app = "two.py"
`)
	s := fapwstest.Command{Dir: dir}.Serve(t, fapwstest.Mode{})
	answers := func(host, path, want string) {
		t.Helper()
		fapwstest.Has(t, at(s, host, path).Want(t, 200).Text, want)
	}
	answers("one", "/", "table 0 ")
	answers("other", "/", "one 0 ")
	answers("two", "/sub/x", "route 0 ")
	answers("other", "/env", "FROM_FILE=yes\n")
	fapwstest.Lacks(t, at(s, "one", "/env").Text, "FROM_FILE")
	status := s.Control("status")
	fapwstest.Has(t, status, ", without Python")
	fapwstest.Has(t, status, "application work: ")
	fapwstest.Has(t, status, "application two: ")
	fapwstest.Change(t, dir+"/fapws.toml", "threads = 3", "threads = 4")
	other := process(s, "one")
	s.Reload()
	fapwstest.Eventually(t, "the settings of the server have changed for its application", func() bool {
		command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", process(s, "work"))) // the process may have ended
		return strings.Contains(string(command), "--threads=4")
	})
	fapwstest.Equal(t, process(s, "one"), other)

	code, _, stderr := fapwstest.Command{Flags: []string{"shell"}, Dir: dir}.Run(t)
	fapwstest.Truef(t, code == 0, "fapws shell loads the application: %d, %q", code, stderr)
	s = fapwstest.Command{Dir: dir, Flags: []string{"line.py"}}.Serve(t, fapwstest.Mode{})
	answers("other", "/", "line 0 ")
	answers("one", "/", "table 0 ")
}

func TestCheckSaysThatChannelsOfApplicationsAreApart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/one/work.py", "import fapws\n\ndef application(e, s):\n    fapws.publish('x', 'y')\n")
	fapwstest.Write(t, dir+"/two/work.py", fapwstest.Source(t, "work.py"))
	fapwstest.Write(t, dir+"/fapws.toml", twoSites)
	_, _, stderr := fapwstest.Command{Flags: []string{"check", "--bind", "127.0.0.1:0"}, Dir: dir}.Run(t)
	fapwstest.Has(t, stderr, "application one uses channels, which reach only its own subscribers")
	fapwstest.Lacks(t, stderr, "application two uses channels")
}

func TestLogsAndActivityOfAnApplicationAreShown(t *testing.T) {
	t.Parallel()
	s, _ := served(t, "status = \"/_fapws\"\n", fapwstest.Command{Complains: true})
	at(s, "two", "/").Want(t, 200)
	s.Ask("GET /die HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n")
	s.Says("one: worker ")
	fapwstest.Has(t, s.Control("logs", "one"), "one: ")
	fapwstest.Lacks(t, s.Control("logs", "two"), "one: ")
	code, _, stderr := s.Ctl("logs", "three")
	fapwstest.Truef(t, code == 1 && strings.Contains(stderr, `no application "three". It has: one, two`), "%d %q", code, stderr)
	fapwstest.Has(t, s.Ask("GET /_fapws/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").Want(t, 200).Text, "<h2>Application two: up")
	fapwstest.Has(t, s.Control("stack"), "application two: up\nworker ")
}

func TestUpgradeLoadsEachApplicationOnce(t *testing.T) {
	t.Parallel()
	s, dir := served(t, "", fapwstest.Command{})
	fapwstest.Write(t, dir+"/loads", "")
	source := fapwstest.Source(t, "work.py") + "\nopen('" + dir + "/loads', 'a').write('x')\n"
	fapwstest.Write(t, dir+"/one/work.py", source)
	s.Signal(syscall.SIGUSR2)
	s.Says("one: upgraded")
	fapwstest.Equal(t, fapwstest.Read(t, dir+"/loads"), "x")
}

func TestCheckChecksEachApplication(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/one/work.py", fapwstest.Source(t, "work.py"))
	fapwstest.Write(t, dir+"/two/work.py", "import nothing_of_this_name\n")
	fapwstest.Write(t, dir+"/fapws.toml", twoSites)
	code, _, stderr := fapwstest.Command{Flags: []string{"check", "--bind", "127.0.0.1:0"}, Dir: dir}.Run(t)
	fapwstest.Truef(t, code > 0 && strings.Contains(stderr, "two: ") && strings.Contains(stderr, "nothing_of_this_name") &&
		strings.Contains(stderr, "one: "), "%d, %q", code, stderr)
}

func TestApplicationsRunAsUsersOfTheirOwn(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	c := fapwstest.Command{}.ForOtherUsers(t)
	dir := fapwstest.PublicFolder(t)
	for _, name := range []string{"one", "two"} {
		fapwstest.Write(t, filepath.Join(dir, name, "work.py"), fapwstest.Source(t, "work.py"))
	}
	text := strings.NewReplacer("chdir = \"one\"", "chdir = \"one\"\nuser = \"games\"", "chdir = \"two\"", "chdir = \"two\"\nuser = \"news\"").
		Replace("user = \"nobody\"\n" + twoSites)
	fapwstest.Write(t, dir+"/fapws.toml", text)
	c.Flags, c.Dir = []string{"-c", dir + "/fapws.toml"}, dir
	s := c.Serve(t, fapwstest.Mode{})
	s.Says("application one is up")
	s.Says("application two is up")
	who := func(name string) string { return strings.Fields(at(s, name, "/who").Want(t, 200).Text)[0] }
	one, two := who("one"), who("two")
	fapwstest.Truef(t, one != two && one != "0" && two != "0", "users %s and %s", one, two)
	front := fapwstest.Read(t, fmt.Sprintf("/proc/%d/status", s.Cmd.Process.Pid))
	fapwstest.Lacks(t, front, "Uid:\t0\t")
	s.Control("restart", "one") // root starts it, although the supervisor has given root up
	fapwstest.Equal(t, who("one"), one)
	fapwstest.Change(t, dir+"/fapws.toml", "workers = 2", "workers = 3")
	s.Reload()
	s.Says(`application two: cannot be started: its table has changed since the server was started as root`)
}

func TestServerEndsWithItsRequestsAnsweredIfItsStarterIsKilled(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	c := fapwstest.Command{Complains: true}.ForOtherUsers(t)
	dir := fapwstest.PublicFolder(t)
	fapwstest.Write(t, dir+"/app.py", fapwstest.Source(t, "work.py"))
	fapwstest.Write(t, dir+"/fapws.toml",
		"user = \"nobody\"\n[application.one]\napp = \"app.py\"\nuser = \"games\"\n[[host]]\napplication = \"one\"\n")
	c.Flags, c.Dir = []string{"-c", dir + "/fapws.toml"}, dir
	s := c.Serve(t, fapwstest.Mode{})
	s.Says("application one is up")
	w := s.Dial()
	w.Send("GET /slow HTTP/1.1\r\nHost: one.test\r\n\r\n")
	fapwstest.Eventually(t, "the request is active", func() bool { return strings.Contains(s.Control("stack"), "GET /slow") })
	for pid := range fapwstest.ChildrenOf(t, s.Cmd.Process.Pid) {
		if strings.Contains(fapwstest.Read(t, fmt.Sprintf("/proc/%d/cmdline", pid)), "starts applications as root") {
			fapwstest.Must(t, syscall.Kill(pid, syscall.SIGKILL))
		}
	}
	w.Answer().Want(t, 200)
	s.EndsWith(1)
	s.Says("the process that starts applications as root has ended; stopping")
	s.Says("one: stopped")
}

func TestEveryModeWorksInAnApplication(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/app.py", `
import socket

def application(environ, start_response):
    body = environ["wsgi.input"].read()
    if environ["PATH_INFO"] == "/connect":
        try:
            socket.socket(socket.AF_UNIX).connect("/none")
        except OSError as e:
            body = type(e).__name__.encode()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]
`)
	text := ""
	modes := []string{"idle-stop = \"1s\"", "fork = true", "threads = 0", "sandbox = true", "max-rss = \"1G\"\nworkers = 2"}
	for i, mode := range modes {
		text += fmt.Sprintf("[application.m%d]\napp = \"app.py\"\n%s\n[[host]]\nname = \"m%d.test\"\napplication = \"m%d\"\n", i, mode, i, i)
	}
	fapwstest.Write(t, dir+"/fapws.toml", text)
	s := fapwstest.Command{Dir: dir}.Serve(t, fapwstest.Mode{})
	for range 2 {
		for i := range modes {
			a := s.Ask(fmt.Sprintf("POST / HTTP/1.1\r\nHost: m%d.test\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", i))
			fapwstest.Equalf(t, a.Want(t, 200).Text, "hello", "%s", modes[i])
		}
		s.Says("m0: no request for 1s: the application sleeps")
	}
	fapwstest.Equal(t, at(s, "m3", "/connect").Want(t, 200).Text, "PermissionError")
	fapwstest.Equal(t, at(s, "m4", "/connect").Want(t, 200).Text, "FileNotFoundError")
}

func TestBurstOfRequestsWaitsForRoomInTheDoor(t *testing.T) {
	t.Parallel()
	s, _ := served(t, "", fapwstest.Command{})
	worker := 0
	for pid := range fapwstest.ChildrenOf(t, process(s, "one")) {
		worker = pid
	}
	fapwstest.Must(t, syscall.Kill(worker, syscall.SIGSTOP))
	clients := make([]*fapwstest.Client, 1200) // more than a door holds
	for i := range clients {
		clients[i] = s.Dial()
		clients[i].Send("GET / HTTP/1.1\r\nHost: one.test\r\n\r\n")
	}
	at(s, "two", "/").Want(t, 200) // the server has got most of the requests
	fapwstest.Must(t, syscall.Kill(worker, syscall.SIGCONT))
	for _, c := range clients {
		c.Answer().Want(t, 200)
		c.Close()
	}
}

func TestBodyThatIsStillArrivingUsesAConnectionOfTheDoorAgain(t *testing.T) {
	t.Parallel()
	s, _ := served(t, "", fapwstest.Command{})
	w := s.Dial()
	defer w.Close()
	sockets := func() string {
		w.Send("POST /fds HTTP/1.1\r\nHost: one.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
		for _, want := range []string{"HTTP/1.1 100 Continue\r\n", "\r\n"} {
			fapwstest.Equal(t, fapwstest.Try(w.In.ReadString('\n')).Must(t), want)
		}
		w.Send("hello")
		return w.Answer().Want(t, 200).Text
	}
	fapwstest.Eventually(t, "two requests in a row use one connection", func() bool {
		first := sockets()
		return first == sockets()
	})
}

func TestObjectsOfTheLogNameTheApplication(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/app.py", "import sys\nprint('loaded', file=sys.stderr)\ndef application(e, s): raise ValueError('wrong')\n")
	fapwstest.Write(t, dir+"/fapws.toml", "[application.one]\napp = \"app.py\"\n[[host]]\napplication = \"one\"\n")
	s := fapwstest.Command{Dir: dir, Complains: true, Flags: []string{"--error-log-format", "json"}}.Serve(t, fapwstest.Mode{})
	s.Says(`"message":"loaded",.*"application":"one"`)
	s.Get("/", 500)
	s.Says(`"message":"error in handler [^"]*",.*"application":"one","exception":\{"type":"ValueError"`)
}
