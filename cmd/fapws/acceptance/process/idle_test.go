package process_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

// Static files and health checks do not start the application again. If the application does not start, requests get an
// error, and the next request tries again.
func TestIdleStopEndsTheApplicationUntilTheNextRequest(t *testing.T) {
	modes := []fapwstest.Mode{fapwstest.Inline, fapwstest.Forks,
		{Name: "dev", Flags: []string{"--dev", "--bind", "127.0.0.1:0"}}}
	fapwstest.InEach(t, modes, func(t *testing.T, m fapwstest.Mode) {
		folder := t.TempDir()
		file := folder + "/loads"
		fapwstest.Write(t, folder+"/a.txt", "a file")
		goOn(t, file, "")
		s := fapwstest.Command{Script: "sleeps.py", Args: []string{file}, Complains: true, Flags: []string{
			"--idle-stop", "50ms", "--start-wait", "1h", "--static", "/files=" + folder, "--health", "/healthz",
		}}.Serve(t, m)
		asleep := func() {
			t.Helper()
			sleeps(s)
			fapwstest.Eventually(t, "the loader has ended", func() bool { return !m.Forks() || len(loaders(s)) == 0 })
		}
		news := subscribes(s, "/news")
		asleep()
		s.Get("/files/a.txt", 200).Is(t, "a file")
		s.Get("/healthz/ready", 200).Is(t, "ready\n")
		fapwstest.Equal(t, countStates(s, "asleep"), 1)

		s.Ask(fapwstest.Request("POST", "/size", strings.Repeat("x", 1<<20))).Is(t, "1048576")
		asleep()
		if m.Name != "dev" {
			fapwstest.Must(t, os.Remove(file+".go"))
			time.Sleep(2 * time.Second) // the page counts from the first request
			w := s.DialGet("/")
			s.Get("/", 503, page).Field(t, "Retry-After", "1").Want(t, 503, refresh, "starting for 1 second")
			goOn(t, file, "")
			w.Answer().Is(t, "hello")
			asleep()
		}

		goOn(t, file, "no database")
		s.Get("/", 503).Want(t, 503, "the application failed to start")
		s.Says("RuntimeError: no database")
		s.Says("failed to load the application; the next request tries again")
		if m.Name == "dev" {
			// Repeat the request: if the start takes more than a second, the response may be the page that says that
			// the application is starting.
			for _, accept := range []string{browser, tool} {
				fapwstest.Eventually(t, accept+" gets the reason", func() bool {
					a := s.Ask("GET / HTTP/1.1\r\nHost: localhost\r\nAccept: " + accept + "\r\n\r\n")
					return strings.Contains(a.Text, "RuntimeError: no database")
				})
			}
			for range 3 { // with "Host: test", as from an attacker's site (DNS rebinding)
				fapwstest.Lacks(t, s.Ask(fapwstest.Get("/", page)).Text, "no database")
			}
		}
		goOn(t, file, "")
		fapwstest.Eventually(t, "it has loaded again", func() bool { return s.Ask(fapwstest.Get("/")).StatusCode == 200 })
		if !m.Forks() { // a child process cannot publish
			s.Ask(fapwstest.Request("POST", "/publish", "")).Is(t, "published")
			getsEvent(t, news, "from POST")
		}
	})
}

// While no request needs Python, no process has Python loaded, both with threads and inline.
func TestIdleStopWorksWithEveryKindOfHandler(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Command{Script: "handlers.py", Complains: true,
			Flags: []string{"--idle-stop", "50ms", "--start-wait", "1h"}}.Serve(t, m)
		sleeps(s)
		news, hall := subscribes(s, "/news"), subscribes(s, "/hall")
		getsEvent(t, hall, "somebody has joined")
		sleeps(s)
		hall.Reset()
		getsEvent(t, news, "somebody has left")
		sleeps(s)

		large := strings.Repeat("x", 1<<20)
		s.Ask(fapwstest.Request("POST", "/publish", large)).Is(t, "1048576")
		getsEvent(t, news, "from POST")
		sleeps(s)
		fapwstest.Eventually(t, "the application sees the client, and one subscriber", func() bool {
			text := strings.Fields(s.Get("/", 200, "X-Field: a", "X-Forwarded-For: 192.0.2.1", "Remote-Addr: 192.0.2.1").Text)
			return len(text) == 4 && text[1] == "127.0.0.1" && text[2] == "a" && text[3] == "1"
		})
		want := fapwstest.Repeat(64, func(n int) string { return strings.Repeat(fmt.Sprint(n%10), 64<<10) })
		fapwstest.Equal(t, s.Get("/pieces", 200).Text, strings.Join(want, ""))
		sleeps(s)
		s.Ask(fapwstest.Chunked("POST", "/echo", large, 10_000)).Is(t, large)
		sleeps(s)
		for range 2 {
			s.Ask(fapwstest.Request("PUT", "/upload", large)).Is(t, fmt.Sprintf("%x", sha256.Sum256([]byte(large))))
		}
		sleeps(s)

		socket := s.Socket("/echo")
		first := answerTo(t, socket, "hello")
		// Without the open WebSocket, the application would stop before half of this loop is over.
		for range 8 {
			time.Sleep(100 * time.Millisecond)
			fapwstest.Needf(t, countStates(s, "serving") != 0, "asleep beside a WebSocket")
		}
		fapwstest.Equal(t, answerTo(t, socket, "hello"), first)
		closes(t, socket)
		sleeps(s)
		room := s.Socket("/room")
		fapwstest.Equal(t, answerTo(t, room, "to all"), "to all")
		fapwstest.Has(t, s.Control("stack"), "GET /room")
		closes(t, room)

		s.DialGet("/dies").Closed()
		s.Says(`worker \d+ was killed by SIGKILL.*; starting a new one`)
		s.Get("/", 200, "X-Field: a")
		sleeps(s)
		fapwstest.Kill(t, syscall.SIGKILL, s.Workers()...)
		fapwstest.Eventually(t, "others are asleep", func() bool { return countStates(s, "asleep") == len(s.Workers()) })
		s.Get("/", 200, "X-Field: a")
	})
}

func TestIdleStopAnswersWaitingRequestsThroughCommands(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		file := t.TempDir() + "/loads"
		goOn(t, file, "")
		s := fapwstest.Command{Script: "sleeps.py", Args: []string{file}, Complains: true,
			Flags: []string{"--idle-stop", "50ms", "--start-wait", "1h", "--health", "/healthz"}}.Serve(t, m)
		wakes := func() *fapwstest.Client {
			t.Helper()
			sleeps(s)
			fapwstest.Must(t, os.Remove(file+".go"))
			w := s.DialSend(fapwstest.Get("/healthz") + fapwstest.Get("/"))
			w.Answer().Want(t, 200)
			return w
		}
		for _, replace := range []func(){func() { s.Signal(syscall.SIGHUP) }, func() { s.Signal(syscall.SIGUSR2) }} {
			w := wakes()
			replace()
			goOn(t, file, "")
			w.Answer().Is(t, "hello")
			// If the connection stayed open, the worker would need some seconds to end.
			w.Conn.Close()
		}
		w := wakes()
		s.Signal(syscall.SIGTERM)
		w.Answer().Want(t, 503, "")
		s.Ended()
	})
}

func TestIdleStopAnswers503IfTheApplicationHangs(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		file := t.TempDir() + "/loads"
		goOn(t, file, "")
		s := fapwstest.Command{Script: "sleeps.py", Args: []string{file}, Complains: true, Flags: []string{
			"--idle-stop", "50ms", "--start-wait", "1h", "--load-timeout", "5s",
		}}.Serve(t, m)
		sleeps(s)
		fapwstest.Must(t, os.Remove(file+".go"))
		s.Get("/", 503).Want(t, 503, "the application failed to start")
		s.Says(`the application waited for 5s while loading, without using the processor \(--load-timeout\)`)
		s.Says("failed to load the application; the next request tries again")
		goOn(t, file, "")
		fapwstest.Eventually(t, "it has loaded again", func() bool { return s.Ask(fapwstest.Get("/")).StatusCode == 200 })
	})
}

func TestIdleStopCallsOnLeaveBeforeLaterOnJoins(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Inline}, func(t *testing.T, m fapwstest.Mode) {
		folder := t.TempDir()
		script := fapwstest.Write(t, folder+"/app.py", `import fapws
def note(word):
    with open("`+folder+`/said", "a") as f:
        f.write(word)
fapws.on_join("hall")(lambda name, client: note("+"))
fapws.on_leave("hall")(lambda name, client: note("-"))
PATHS = [("/", lambda environ, start_response: fapws.channel("hall"))]
`)
		s := fapwstest.Command{Script: script, Flags: []string{"--idle-stop", "50ms"}}.Serve(t, m)
		want := "+"
		for range 2 {
			w := subscribes(s, "/")
			fapwstest.FileSays(t, folder+"/said", want)
			sleeps(s)
			w.Conn.Close()
			want += "-+"
		}
	})
}

// Requests that do not wait for the application wake it, too.
func TestSleepingApplicationWakesForARequestThatGets503(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "hello.py", Flags: []string{"--idle-stop", "1s", "--start-wait", "0"}}.Serve(t,
		fapwstest.Threads)
	sleeps(s)
	s.Ask(fapwstest.Get("/hello")).Want(t, 503)
	fapwstest.Eventually(t, "the application wakes", func() bool { return s.Ask(fapwstest.Get("/hello")).StatusCode == 200 })
}

func TestIdleStopKeepsTheSettingsOfTheScript(t *testing.T) {
	t.Parallel()
	script := fapwstest.Write(t, t.TempDir()+"/app.py",
		"LIMIT_REQUEST_LINE = 100\nPATHS = [('/', lambda environ, start_response: 'hello')]\n")
	s := fapwstest.Command{Script: script, Flags: []string{"--idle-stop", "50ms"}}.Serve(t, fapwstest.Threads)
	sleeps(s)
	long := "/" + strings.Repeat("x", 200)
	s.Get(long, 414)
	fapwstest.Equal(t, countStates(s, "asleep"), 1)
	fapwstest.Change(t, script, "100", "1000")
	s.Get("/", 200).Is(t, "hello")
	s.Get(long, 200).Is(t, "hello")
}

func TestIdleStopIsSetByAReload(t *testing.T) {
	t.Parallel()
	file := fapwstest.Write(t, t.TempDir()+"/fapws.toml", "")
	s := fapwstest.Command{Script: "hello.py", Flags: []string{"--workers", "1", "--config", file}}.Serve(t,
		fapwstest.Threads)
	fapwstest.Write(t, file, "idle-stop = '50ms'\nlog-level = 'debug'\n")
	s.Control("reload")
	sleeps(s)
	s.Says(`debug worker \d+: asleep, was starting\n(.*\n)*.* info no request for 50ms: the application sleeps ` +
		`until there is one`)
}

func TestIdleStopWaitsForEventsWithASubscriber(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "handlers.py", Flags: []string{"--workers", "1", "--idle-stop", "500ms",
		"--start-wait", "1h"}}.Serve(t, fapwstest.Threads)
	ticks := subscribes(s, "/ticks")
	// Repeat the check, because the timer may be late on a busy machine.
	fapwstest.Eventually(t, "an event 2 s after the last request", func() bool {
		s.Get("/", 200, "X-Field: a")
		_ = ticks.Conn.SetReadDeadline(time.Now().Add(3 * time.Second))
		for {
			line, err := ticks.In.ReadString('\n')
			if err != nil {
				return false
			}
			since, err := time.ParseDuration(strings.TrimSpace(strings.TrimPrefix(line, "data: ")))
			if err == nil && since > 2*time.Second {
				return true
			}
		}
	})
	ticks.Reset()
	sleeps(s)
}

func sleeps(s *fapwstest.Server) {
	s.T.Helper()
	fapwstest.Eventually(s.T, "the application is asleep", func() bool {
		now := states(s)
		return slices.Contains(now, "asleep") && !slices.ContainsFunc(now, func(state string) bool {
			return state != "asleep" && state != "ending"
		})
	})
}

func states(s *fapwstest.Server) (all []string) {
	_, said, _ := s.Ctl("status")
	for _, line := range regexp.MustCompile(`(?m)^ +\d+ +(\w+) `).FindAllStringSubmatch(said, -1) {
		all = append(all, line[1])
	}
	return all
}

func countStates(s *fapwstest.Server, those ...string) (n int) {
	for _, state := range states(s) {
		if slices.Contains(those, state) {
			n++
		}
	}
	return n
}

// subscribes returns a client that gets the events of a channel.
func subscribes(s *fapwstest.Server, target string) *fapwstest.Client {
	s.T.Helper()
	w := s.DialGet(target)
	fapwstest.Equal(s.T, w.Head("GET").StatusCode, 200)
	return w
}

func closes(t *testing.T, c *wstest.Client) {
	t.Helper()
	fapwstest.Try(c.CloseWith(1000, "")).Must(t)
}

func getsEvent(t *testing.T, of *fapwstest.Client, data string) {
	t.Helper()
	for line := ""; line != "data: "+data+"\n"; {
		var err error
		line, err = of.In.ReadString('\n')
		fapwstest.Mustf(t, err, "the subscriber")
	}
}

func answerTo(t *testing.T, c *wstest.Client, message string) string {
	t.Helper()
	fapwstest.Must(t, c.SendText(message))
	return fapwstest.Received(t, c)
}

func TestIdleStopLoadsNewCodeAtAReload(t *testing.T) {
	t.Parallel()
	script := fapwstest.Copied(t, "handlers.py")
	s := fapwstest.Command{Script: script, Complains: true, Flags: []string{"--workers", "1", "--idle-stop", "50ms",
		"--start-wait", "1h",
		"--body-timeout", "1h", "--body-min-rate", "0", "--graceful-timeout", "1h"}}.Serve(t, fapwstest.Threads)
	news := subscribes(s, "/news")
	room := s.Socket("/room")
	old, replaced := "from", []func(){func() { s.Control("reload") }, s.Upgrade}
	for i, replace := range replaced {
		begun := s.DialSend("POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 6\r\n\r\nhal")
		echo, half := begun.Head("POST").Body, make([]byte, 3)
		_, err := io.ReadFull(echo, half)
		fapwstest.Truef(t, err == nil && string(half) == "hal", "%q, %v", half, err)
		fapwstest.Equal(t, answerTo(t, room, "before"), "before")
		next := fmt.Sprint("by version ", i+2)
		fapwstest.Change(t, script, `"`+old+` "`, `"`+next+` "`)
		replace()
		fapwstest.Equal(t, answerTo(t, room, "after"), "after")
		begun.Send("ves")
		rest, err := io.ReadAll(echo)
		fapwstest.Truef(t, err == nil && string(rest) == "ves", "%q, %v", rest, err)
		s.Ask(fapwstest.Request("POST", "/publish", "")).Is(t, "0")
		getsEvent(t, news, next+" POST")
		old = next
	}
	closes(t, room)
	for i, replace := range replaced {
		sleeps(s)
		next := fmt.Sprint("asleep version ", i+2)
		fapwstest.Change(t, script, `"`+old+` "`, `"`+next+` "`)
		replace()
		sleeps(s)
		s.Ask(fapwstest.Request("POST", "/publish", "")).Is(t, "0")
		getsEvent(t, news, next+" POST")
		old = next
	}
	sleeps(s)
	fapwstest.Change(t, script, "PATHS = [", `PATHS = [("/more", lambda environ, start_response: "more"),`)
	s.Get("/more", 200).Is(t, "more")
	s.Ask(fapwstest.Request("POST", "/publish", "")).Is(t, "0")
	getsEvent(t, news, old+" POST")
}
