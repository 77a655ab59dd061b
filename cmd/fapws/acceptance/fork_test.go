package acceptance

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// forked serves fork.py with --fork; it writes notes to, and waits for files in, folder.
func forked(t *testing.T, m mode, flags ...string) (s *server, folder string) {
	t.Helper()
	folder = t.TempDir()
	return command{script: "fork.py", flags: append([]string{"--fork"}, flags...), args: []string{folder}, complains: true}.serve(t, m), folder
}

// inForkModes runs a test in one process and with workers.
func inForkModes(t *testing.T, test func(t *testing.T, m mode)) {
	t.Helper()
	inEach(t, []mode{modes[0], modes[2]}, test)
}

// forkServers returns the process numbers of the fork servers of s.
func (s *server) forkServers() []int {
	s.t.Helper()
	return slices.Collect(maps.Keys(childrenOf(s.t, s.handlers()...)))
}

// runs reports whether a process exists and has not ended.
func runs(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(text), ") Z ")
}

// notesIn returns the lines that fork.py has noted.
func notesIn(folder string) []string {
	text, _ := os.ReadFile(filepath.Join(folder, "notes"))
	return strings.Fields(strings.ReplaceAll(string(text), " ", "_"))
}

// Each request has a process of its own, made by one that has loaded the application.
func TestForkPerRequest(t *testing.T) {
	inForkModes(t, func(t *testing.T, m mode) {
		s, _ := forked(t, m)
		seen := map[float64]bool{}
		w := s.dial()
		for range 20 {
			w.get("/who")
			got := w.answer().want(t, 200).object(t)
			if pid := got["pid"].(float64); seen[pid] {
				t.Errorf("process %v has answered twice", pid)
			} else {
				seen[pid] = true
			}
			if got["parent"] != got["loaded_in"] || got["main"] != true {
				t.Errorf("/who: %v", got)
			}
		}
	})
}

// Requests run side by side, up to --max-forks; others wait, in order, and too many get 503.
func TestForksAtATime(t *testing.T) {
	t.Parallel()
	s, folder := forked(t, modes[0], "--max-forks", "3", "--max-queue", "2")
	var waiting []*wire
	for range 5 {
		w := s.dial()
		w.get("/waits?go")
		waiting = append(waiting, w)
	}
	eventually(t, "three run", func() bool { return len(notesIn(folder)) == 3 })
	eventually(t, "a sixth request gets 503", func() bool {
		w := s.dial()
		w.get("/waits?go")
		a := w.answer()
		return a.StatusCode == 503 && a.Header.Get("Retry-After") != ""
	})
	if code, out, _ := s.ctl("stack"); code != 0 || !regexp.MustCompile(`^3 requests run in separate processes\nprocess \d+, for \d+\.\d s: GET /waits\?go HTTP/1\.1 in handler waits\n`).MatchString(out) {
		t.Errorf("ctl stack: code %d, %q", code, out)
	}
	write(t, filepath.Join(folder, "go"), "")
	for _, w := range waiting {
		w.answer().is(t, "done\n")
	}
}

// A child has the socket of its request and nothing else of the server: no listener, no
// other client's connection. Nothing stays in the server of 2000 requests.
func TestForksDescriptors(t *testing.T) {
	inForkModes(t, func(t *testing.T, m mode) {
		s, _ := forked(t, m)
		idle := s.dial()
		idle.get("/who")
		idle.answer()
		listeners := map[string]bool{}
		for _, pid := range append(s.handlers(), s.cmd.Process.Pid) {
			for _, to := range descriptorsOf(t, pid) {
				listeners[to] = strings.HasPrefix(to, "socket:")
			}
		}
		for fd, to := range s.get("/descriptors", 200).object(t) {
			if listeners[to.(string)] {
				t.Errorf("the child has descriptor %s, %s, of the server", fd, to)
			}
		}
		count := func() (n int) {
			for _, pid := range append(s.handlers(), s.forkServers()...) {
				n += len(descriptorsOf(t, pid))
			}
			return n
		}
		before := count()
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				w := s.dial()
				for range 500 {
					w.get("/body")
					w.answer()
				}
				w.Close()
			})
		}
		all.Wait()
		eventually(t, "as many descriptors as before", func() bool { return count() <= before })
		eventually(t, "no process is left", func() bool { return len(childrenOf(t, s.forkServers()...)) == len(s.forkServers()) }) // that of the application
	})
}

func descriptorsOf(t *testing.T, pid int) (to []string) {
	t.Helper()
	folder := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name, err := os.Readlink(filepath.Join(folder, e.Name())); err == nil {
			to = append(to, name)
		}
	}
	return to
}

// Children that end at the same moment leave no zombies, and processes that the
// application has started are its own to wait for.
func TestForksAreReaped(t *testing.T) {
	t.Parallel()
	const n = 24
	s, folder := forked(t, modes[0], "--max-forks", strconv.Itoa(n+1))
	var all []*wire
	for range n {
		w := s.dial()
		w.get("/waits?go")
		all = append(all, w)
	}
	eventually(t, "all run", func() bool { return len(notesIn(folder)) == n })
	for range 3 {
		s.get("/children", 200) // beside them
	}
	write(t, filepath.Join(folder, "go"), "")
	for _, w := range all {
		w.answer().is(t, "done\n")
	}
	s.get("/children", 200).is(t, "[0, 1, 2]\n")
	servers := s.forkServers()
	eventually(t, "no zombie is left", func() bool { return len(childrenOf(t, servers...)) == 1 })
	for _, state := range childrenOf(t, servers...) {
		if state == "Z" {
			t.Error("the application's own child was reaped, or is a zombie")
		}
	}
}

// TERM ends everything: the server, the fork server, what it has forked.
func TestForksEndWithTheServer(t *testing.T) {
	inForkModes(t, func(t *testing.T, m mode) {
		s, folder := forked(t, m, "--graceful-timeout", "100ms")
		w := s.dial()
		w.get("/waits?never")
		eventually(t, "it runs", func() bool { return len(notesIn(folder)) == 1 })
		servers := s.forkServers()
		var children []int
		for pid := range childrenOf(t, servers...) {
			children = append(children, pid)
		}
		s.signal(syscall.SIGTERM)
		if code := s.ended(); code != 0 {
			t.Errorf("code %d", code)
		}
		for _, pid := range append(servers, children...) {
			eventually(t, fmt.Sprintf("process %d has ended", pid), func() bool { return !runs(pid) })
		}
		if notes := notesIn(folder); notes[len(notes)-1] != "atexit_in_fork_server" {
			t.Errorf("notes: %q", notes)
		}
	})
}

// When the server is killed, the fork server and its children do not live on.
func TestForksOfKilledServer(t *testing.T) {
	t.Parallel()
	s, folder := forked(t, modes[0])
	w := s.dial()
	w.get("/waits?never")
	eventually(t, "it runs", func() bool { return len(notesIn(folder)) == 1 })
	all := s.forkServers()
	for pid := range childrenOf(t, all...) {
		all = append(all, pid)
	}
	s.signal(syscall.SIGKILL)
	s.ended()
	for _, pid := range all {
		eventually(t, fmt.Sprintf("process %d has ended", pid), func() bool { return !runs(pid) })
	}
}

// A fork server that has died is replaced, and no later request notices.
func TestForkServerDies(t *testing.T) {
	inForkModes(t, func(t *testing.T, m mode) {
		s, _ := forked(t, m)
		old := s.forkServers()
		for _, pid := range old {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		}
		s.says(`the fork server was killed by signal 9`)
		eventually(t, "another process answers", func() bool {
			got := s.get("/who", 200).object(t)
			return !slices.Contains(old, int(got["loaded_in"].(float64)))
		})
	})
}

// A child that dies is a 500, or a response that breaks off, and a line in the log.
func TestForkedChildDies(t *testing.T) {
	t.Parallel()
	s, _ := forked(t, modes[0])
	s.get("/dies?signal", 500)
	s.says(`process \d+ was killed by signal 11 \(segmentation fault.*\) in handler dies, GET /dies\?signal HTTP/1\.1`)
	s.get("/dies", 500)
	s.says(`process \d+ exited with status 0 in handler dies, GET /dies HTTP/1\.1: the process has ended before its response was complete`)
	w := s.dial()
	w.send(get("/dies?late"))
	if text := w.rest(); !strings.Contains(text, "Content-Length: 100\r\n") || !strings.HasSuffix(text, "\r\n\r\nbegin") {
		t.Errorf("got %q", text)
	}
	s.says(`exited with status 7`)
	s.get("/fails", 500)
	s.says(`ValueError: as it should`)
	s.get("/who", 200)
}

// A handler that takes too long is answered 504, its stack is logged, and its process
// ends, whatever it does.
func TestForkTimeout(t *testing.T) {
	killing := regexp.MustCompile(`GET /stuck HTTP/1\.1 timed out after \d.* in handler stuck; killing process (\d+), which is here:`)
	inStuck := regexp.MustCompile(`fork\.py", line \d+ in stuck`)
	inForkModes(t, func(t *testing.T, m mode) {
		s, _ := forked(t, m, "--timeout", "3s", "--max-forks", "1")
		eventually(t, "the stack of a process is logged", func() bool { // one may be late before it runs the handler
			killed := len(killing.FindAllString(s.stderr.String(), -1))
			s.get("/stuck", 504)
			eventually(t, "it is killed", func() bool { return len(killing.FindAllString(s.stderr.String(), -1)) > killed })
			for _, line := range killing.FindAllStringSubmatch(s.stderr.String(), -1) {
				number, _ := strconv.Atoi(line[1])
				eventually(t, "the process has ended", func() bool { return !runs(number) })
			}
			return inStuck.MatchString(s.stderr.String())
		})
		s.dial().inTime("/who").want(t, 200) // there is a place again
	})
}

// A process that gets no CPU for a while is not killed before it has shown its stack.
func TestForkTimeoutShowsTheStack(t *testing.T) {
	t.Parallel()
	s, folder := forked(t, modes[0], "--timeout", "3s")
	number := 0
	eventually(t, "a process is stopped", func() bool { // it may be late before it runs the handler
		s.get("/stopped", 504)
		for _, note := range notesIn(folder) {
			fmt.Sscanf(note, "stopped_%d", &number)
		}
		return number != 0
	})
	s.says(fmt.Sprintf(`killing process %d, which is here:`, number))
	time.Sleep(time.Second) // it is stopped: nothing depends on how long
	syscall.Kill(number, syscall.SIGCONT)
	s.says(`fork\.py", line \d+ in stopped`)
	eventually(t, "the process has ended", func() bool { return !runs(number) })
}

// A generator's chunks leave as they come, it waits for its client, and is closed when that leaves.
func TestForkStreams(t *testing.T) {
	t.Parallel()
	s, folder := forked(t, modes[0])
	w := s.dial()
	w.get("/streams?go")
	r := w.head("GET")
	first := make([]byte, len("first\n"))
	if _, err := r.Body.Read(first); err != nil || string(first) != "first\n" {
		t.Errorf("got %q, %v", first, err)
	}
	write(t, filepath.Join(folder, "go"), "")
	w.Close()
	eventually(t, "the generator is closed", func() bool { return slices.Contains(notesIn(folder), "closed") })
}

// Deferred calls and threads of a child end before it does.
func TestForkLater(t *testing.T) {
	t.Parallel()
	s, folder := forked(t, modes[0])
	s.get("/later", 200)
	eventually(t, "both have run", func() bool {
		notes := notesIn(folder)
		return slices.Contains(notes, "deferred") && slices.Contains(notes, "thread")
	})
}

// What children publish and purge reaches the server, and all of its workers.
func TestForkedChildSpeaks(t *testing.T) {
	inForkModes(t, func(t *testing.T, m mode) {
		s, folder := forked(t, m, "--cache")
		events := s.dial()
		events.get("/news")
		lines := bufio.NewReader(events.head("GET").Body)
		nextLine := func(prefix string) string {
			for {
				line, err := lines.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				if rest, found := strings.CutPrefix(line, prefix); found {
					return rest
				}
			}
		}
		nextLine("retry: ") // the subscription exists
		s.get("/publishes?a", 200)
		for n := range 3 {
			if data := nextLine("data: "); data != fmt.Sprintf("a %d\n", n) {
				t.Errorf("event %d is %q", n, data)
			}
		}
		if m.workers() {
			return // each has a cache of its own
		}
		for range 3 {
			s.get("/page", 200)
		}
		s.get("/purge", 200)
		s.get("/page", 200)
		made := slices.DeleteFunc(notesIn(folder), func(note string) bool { return note != "page_made" })
		if len(made) != 2 {
			t.Errorf("the page was made %d times", len(made))
		}
	})
}

// Bodies of all sizes arrive.
func TestForkBodies(t *testing.T) {
	t.Parallel()
	s, _ := forked(t, modes[0])
	for _, n := range []int{0, 1, 70_000, 300_000, 5 << 20} {
		s.ask(request("POST", "/body", strings.Repeat("b", n))).want(t, 200).is(t, fmt.Sprintf("%d\n", n))
		s.ask(chunked("POST", "/body", strings.Repeat("b", n), 10_000)).want(t, 200).is(t, fmt.Sprintf("%d\n", n))
	}
}

// A reload takes over the new code, and requests that the old code is answering complete.
func TestForkReload(t *testing.T) {
	t.Parallel()
	s, folder := forked(t, modes[2])
	w := s.dial()
	w.get("/waits?go")
	eventually(t, "it runs", func() bool { return len(notesIn(folder)) == 1 })
	before := s.forkServers()
	s.signal(syscall.SIGHUP)
	eventually(t, "another fork server answers", func() bool {
		got := s.get("/who", 200).object(t)
		return !slices.Contains(before, int(got["loaded_in"].(float64)))
	})
	write(t, filepath.Join(folder, "go"), "")
	w.answer().is(t, "done\n")
	for _, pid := range before {
		eventually(t, "the old one ends", func() bool { return !runs(pid) })
	}
}

// Applications that --fork cannot serve are refused at start.
func TestForkRefusals(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	async := write(t, filepath.Join(folder, "asynchronous.py"), "async def application(scope, receive, send): ...\n")
	broken := write(t, filepath.Join(folder, "broken.py"), "import nothing_like_it\n")
	for _, c := range []struct {
		script string
		flags  []string
		code   int
		want   string
	}{
		{async, nil, 3, `asynchronous\.py: --fork serves synchronous handlers only, and asynchronous:application is an ASGI application: leave --fork out, or use --workers`},
		{broken, nil, 3, `ModuleNotFoundError: No module named 'nothing_like_it'`},
		{testdata(t, "fork.py"), []string{"--chroot", folder}, 2, `fork \(flag --fork\) cannot be combined with chroot \(flag --chroot\)`},
	} {
		for _, word := range [][]string{{"check"}, nil} {
			if word != nil && c.script == broken {
				continue // as without --fork
			}
			code, _, stderr := command{flags: slices.Concat(word, []string{"--fork", "--bind", "127.0.0.1:0"}, c.flags), script: c.script}.run(t)
			if code != c.code && c.script != broken || code == 0 || !regexp.MustCompile(c.want).MatchString(stderr) {
				t.Errorf("%v %v %s: code %d, %s", word, c.flags, c.script, code, stderr)
			}
		}
	}
}
