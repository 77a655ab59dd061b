package process_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func forked(t *testing.T, m fapwstest.Mode, flags ...string) (s *fapwstest.Server, folder string) {
	t.Helper()
	folder = t.TempDir()
	return fapwstest.Command{Script: "fork.py", Flags: append([]string{"--fork"}, flags...), Args: []string{folder},
		Complains: true}.Serve(t, m), folder
}

func loaders(s *fapwstest.Server) []int {
	s.T.Helper()
	return slices.Collect(maps.Keys(fapwstest.ChildrenOf(s.T, s.Handlers()...)))
}

func notesIn(folder string) []string {
	text, _ := os.ReadFile(filepath.Join(folder, "notes"))
	return strings.Fields(strings.ReplaceAll(string(text), " ", "_"))
}

func TestForkServesEachRequestInASeparateProcess(t *testing.T) {
	t.Parallel()
	s, _ := forked(t, fapwstest.Threads)
	seen := map[float64]bool{}
	w := s.Dial()
	for range 5 {
		got := w.Fetch("/who").Want(t, 200).Object(t)
		pid := got["pid"].(float64)
		fapwstest.Truef(t, !seen[pid], "process %v has answered twice", pid)
		seen[pid] = true
		fapwstest.Truef(t, got["parent"] == got["loaded_in"] && got["main"] == true, "/who: %v", got)
	}
	s.Get("/alarms", 200).Is(t, "interrupted\n") // signals interrupt handlers on the main thread only
	for _, n := range []int{0, 1, 70_000, 300_000, 5 << 20} {
		body := strings.Repeat("b", n)
		s.Ask(fapwstest.Request("POST", "/body", body)).Is(t, fmt.Sprintf("%d\n", n))
		s.Ask(fapwstest.Chunked("POST", "/body", body, 10_000)).Is(t, fmt.Sprintf("%d\n", n))
	}
}

func TestForkRunsUpToThreadsProcessesAtATime(t *testing.T) {
	t.Parallel()
	s, folder := forked(t, fapwstest.Threads, "--threads", "3", "--max-queue", "2")
	waiting := s.DialMany(5, fapwstest.Get("/waits?go"))
	fapwstest.Eventually(t, "three run", func() bool { return len(notesIn(folder)) == 3 })
	fapwstest.Eventually(t, "a sixth request gets 503", func() bool {
		a := s.Dial().Fetch("/waits?go")
		return a.StatusCode == 503 && a.Header.Get("Retry-After") != ""
	})
	code, out, _ := s.Ctl("stack")
	fapwstest.Truef(t, code == 0 &&
		regexp.MustCompile(`(?m)^3 requests run in separate processes\nprocess \d+, for \d+\.\d s: GET /waits\?go HTTP/1\.1 `+
			`in handler waits\n`).MatchString(out), "ctl stack: code %d, %q", code, out)
	if code, out, _ := s.Ctl("top", "--once", "--json"); code != 0 || !regexp.MustCompile(`"request":"GET /waits",`+
		`"handler":"waits","host":"","route":"","age":\d*\.?\d*[1-9]\d*(e-\d+)?,"state":"in process \d+"`).MatchString(out) {
		t.Errorf("ctl top: code %d, %s", code, out)
	}
	fapwstest.Write(t, filepath.Join(folder, "go"), "")
	for _, w := range waiting {
		w.Answer().Is(t, "done\n")
	}
}

func TestForkedChildHasNoDescriptorsOfTheServer(t *testing.T) {
	t.Parallel()
	s, _ := forked(t, fapwstest.Workers)
	idle := s.Dial()
	idle.Fetch("/who")
	listeners := map[string]bool{}
	for _, pid := range append(s.Handlers(), s.Cmd.Process.Pid) {
		for _, to := range fapwstest.DescriptorsOf(t, pid) {
			listeners[to] = strings.HasPrefix(to, "socket:")
		}
	}
	for fd, to := range s.Get("/descriptors", 200).Object(t) {
		fapwstest.Truef(t, !listeners[to.(string)], "the child has descriptor %s, %s, of the server", fd, to)
	}
	count := func() (n int) {
		for _, pid := range append(s.Handlers(), loaders(s)...) {
			n += len(fapwstest.DescriptorsOf(t, pid))
		}
		return n
	}
	before := count()
	fapwstest.AtOnce(4, func(int) {
		w := s.Dial()
		for range 10 {
			w.Fetch("/body")
		}
		w.Close()
	})
	fapwstest.Eventually(t, "as many descriptors as before", func() bool { return count() <= before })
	fapwstest.Eventually(t, "no process is left", func() bool {
		return len(fapwstest.ChildrenOf(t, loaders(s)...)) == len(loaders(s))
	})
}

func TestForkedChildrenLeaveNoZombies(t *testing.T) {
	t.Parallel()
	const n = 24
	s, folder := forked(t, fapwstest.Threads, "--threads", strconv.Itoa(2*n))
	all := s.DialMany(n, fapwstest.Get("/waits?go"))
	fapwstest.Eventually(t, "all run", func() bool { return len(notesIn(folder)) == n })
	for range 3 {
		s.Get("/children", 200)
	}
	fapwstest.Write(t, filepath.Join(folder, "go"), "")
	for _, w := range all {
		w.Answer().Is(t, "done\n")
	}
	s.Get("/children", 200).Is(t, "[0, 1, 2]\n")
	servers := loaders(s)
	fapwstest.Eventually(t, "no zombie is left", func() bool { return len(fapwstest.ChildrenOf(t, servers...)) == 1 })
	hasNoZombies(t, servers...) // the server must not wait for the application's own child
}

func TestForkedChildrenEndWithTheServer(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			s, folder := forked(t, fapwstest.Threads, "--graceful-timeout", "100ms")
			s.DialGet("/waits?never")
			fapwstest.Eventually(t, "it runs", func() bool { return len(notesIn(folder)) == 1 })
			all := loaders(s)
			for pid := range fapwstest.ChildrenOf(t, all...) {
				all = append(all, pid)
			}
			s.Signal(sig)
			code := s.Ended()
			fapwstest.Truef(t, code == 0 || sig != syscall.SIGTERM, "code %d", code)
			fapwstest.HaveEnded(t, "all processes have ended", all...)
			notes := notesIn(folder)
			fapwstest.Truef(t, sig != syscall.SIGTERM || notes[len(notes)-1] == "atexit_in_loader", "notes: %q", notes)
		})
	}
}

func TestForkLoaderThatDiesIsReplaced(t *testing.T) {
	t.Parallel()
	for _, with := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP} {
		t.Run(with.String(), func(t *testing.T) {
			t.Parallel()
			s, _ := forked(t, fapwstest.Workers)
			old := loaders(s)
			orphans := fapwstest.ChildrenOf(t, old...)
			fapwstest.Kill(t, with, old...)
			fapwstest.Eventually(t, "another process answers", func() bool {
				a := s.Ask(fapwstest.Get("/who"))
				return a.StatusCode == 200 && !slices.Contains(old, int(a.Object(t)["loaded_in"].(float64)))
			})
			s.Says(`replacing worker \d+: the loader of --fork was killed by signal 9`)
			for pid := range orphans {
				fapwstest.Eventually(t, "the process of the application has ended", func() bool {
					return !fapwstest.Runs(pid) || with == syscall.SIGSTOP
				})
			}
		})
	}
}

func TestForkLoaderEndsWithTheServerBeforeItHasLoaded(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		for _, m := range []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers} {
			s, file := loading(t, "", append([]string{"--fork"}, m.Flags...)...)
			loader := pidIn(t, file)
			s.Signal(sig)
			s.Ended()
			fapwstest.HaveEnded(t, "the loader has ended", loader)
		}
	}
}

func TestForkLoaderThatIsStoppedDoesNotDelayTheStop(t *testing.T) {
	t.Parallel()
	s, _ := forked(t, fapwstest.Workers)
	all := loaders(s)
	fapwstest.Kill(t, syscall.SIGSTOP, all...)
	s.Stop()
	fapwstest.HaveEnded(t, "the loader has ended", all...)
}

func TestForkedChildThatDiesLeavesA500OrAnAbortedResponse(t *testing.T) {
	t.Parallel()
	s, _ := forked(t, fapwstest.Threads)
	s.Get("/dies?signal", 500)
	s.Says(`process \d+ was killed by signal 11 \(segmentation fault.*\) in handler dies, GET /dies\?signal HTTP/1\.1`)
	s.Get("/dies", 500)
	s.Says(`process \d+ exited with status 0 in handler dies, GET /dies HTTP/1\.1: the process exited before its ` +
		`response was complete`)
	s.Get("/dies?forks", 200).Is(t, "begin, end\n")
	text := s.DialGet("/dies?late").Rest()
	fapwstest.Truef(t, strings.Contains(text, "Content-Length: 100\r\n") && strings.HasSuffix(text, "\r\n\r\nbegin"),
		"got %q", text)
	s.Says(`exited with status 7`)
	s.GetLogs("/fails", 500, `ValueError: as it should`)
	s.Get("/who", 200)
}

func TestForkTimeoutEndsTheProcessInAnyState(t *testing.T) {
	t.Parallel()
	s, folder := forked(t, fapwstest.Threads, "--timeout", "1s", "--threads", "1")
	for way, stack := range map[string]string{"stuck": `fork\.py", line \d+ in stuck`,
		"stopped": `ending process \d+; stack:`} {
		in := regexp.MustCompile(stack)
		fapwstest.Eventually(t, way+": the stack of a process is logged", func() bool {
			s.Get("/"+way, 504)
			number := 0
			for _, note := range notesIn(folder) {
				if n, _ := fmt.Sscanf(note, way+"_%d", &number); n == 1 {
					fapwstest.HaveEnded(t, "the process exited", number)
				}
			}
			return number != 0 && in.MatchString(s.Stderr.String())
		})
		s.Dial().InTime("/who").Want(t, 200)
	}
}

// A client gets each chunk as it is made. After the client has disconnected, a generator is closed, and a handler that
// sends nothing runs to its end.
func TestForkedHandlerWithoutAClientRunsToItsEnd(t *testing.T) {
	t.Parallel()
	s, folder := forked(t, fapwstest.Threads)
	streamed := s.DialGet("/streams?go")
	first := make([]byte, len("first\n"))
	_, err := io.ReadFull(streamed.Head("GET").Body, first)
	fapwstest.Truef(t, err == nil && string(first) == "first\n", "got %q, %v", first, err)
	fapwstest.Write(t, folder+"/go", "")
	streamed.Close()
	fapwstest.FileSays(t, folder+"/notes", "closed")
	fapwstest.Must(t, os.Remove(folder+"/notes"), os.Remove(folder+"/go"))
	for _, request := range []string{fapwstest.Get("/waits?go"),
		fapwstest.Request("POST", "/waits?go", strings.Repeat("b", 3<<20))} {
		w := s.DialSend(request)
		fapwstest.Eventually(t, "it runs", func() bool { return len(notesIn(folder)) == 1 })
		w.Close()
		fapwstest.Write(t, filepath.Join(folder, "go"), "")
		fapwstest.Eventually(t, "it ends", func() bool {
			return slices.Contains(notesIn(folder), "done") && len(fapwstest.ChildrenOf(t, loaders(s)...)) == 1
		})
		fapwstest.Must(t, os.Remove(folder+"/notes"), os.Remove(folder+"/go"))
	}
	fapwstest.Lacks(t, s.Stderr.String(), "error")
}

// In a forked child, calls such as publish and purge raise exceptions. The client whose request the child handles can
// become a subscriber.
func TestForkedChildCannotUseFeaturesOfTheServer(t *testing.T) {
	t.Parallel()
	s, _ := forked(t, fapwstest.Threads, "--x-sendfile", "/")
	line, err := bufio.NewReader(s.DialGet("/news").Head("GET").Body).ReadString('\n')
	fapwstest.Truef(t, err == nil && strings.HasPrefix(line, "retry: "), "%q, %v", line, err)
	for path, want := range map[string]string{
		"/publishes": "RuntimeError: publish: a child process of the server cannot publish",
		"/purge":     "RuntimeError: purge: not available in a child process of the server",
		"/file": "RuntimeError: Staticfile: a handler in a child process of the server cannot call it; make it " +
			"an entry of PATHS",
		"/program": "RuntimeError: CGIApplication: a handler in a child process of the server cannot call it; make " +
			"it an entry of PATHS",
		"/sendfile": "RuntimeError: X-Sendfile and X-Accel-Redirect are not available with --fork: return the open file",
	} {
		s.Get(path, 500)
		s.Says(regexp.QuoteMeta(want))
	}
	for range 2 {
		s.Get("/page", 200)
	}
}

func TestForkNamesTheThreadsThatItsProcessesLack(t *testing.T) {
	t.Parallel()
	script := fapwstest.Write(t, t.TempDir()+"/app.py", `
import threading
threading.Thread(target=threading.Event().wait, name="refresher", daemon=True).start()
PATHS = [("/", lambda environ, start_response: " ".join(t.name for t in threading.enumerate()))]
`)
	s := fapwstest.Serve(t, fapwstest.Forks, script)
	s.Says(`warning threads of the application run in the process that has loaded it, and not in the processes of ` +
		`--fork: refresher; `)
	s.Get("/", 200).Is(t, "MainThread")
}

func TestForkReloadUsesNewCodeAndCompletesOldRequests(t *testing.T) {
	t.Parallel()
	s, folder := forked(t, fapwstest.Workers)
	w := s.DialGet("/waits?go")
	fapwstest.Eventually(t, "it runs", func() bool { return len(notesIn(folder)) == 1 })
	before := loaders(s)
	s.Signal(syscall.SIGHUP)
	fapwstest.Eventually(t, "another loader answers", func() bool {
		return !slices.Contains(before, int(s.Get("/who", 200).Object(t)["loaded_in"].(float64)))
	})
	fapwstest.Write(t, filepath.Join(folder, "go"), "")
	w.Answer().Is(t, "done\n")
	fapwstest.HaveEnded(t, "the old one ends", before...)
}

func TestForkReloadThatFailsPrintsTheReason(t *testing.T) {
	t.Parallel()
	script := fapwstest.Write(t, filepath.Join(t.TempDir(), "app.py"),
		"def application(environ, start_response): return 'x'\n")
	s := fapwstest.Command{Script: script, Flags: []string{"--fork"}, Complains: true}.Serve(t, fapwstest.Workers)
	for code, want := range map[string]string{
		"import nothing_like_it\n": "app.py:1: ModuleNotFoundError: No module named " +
			"'nothing_like_it'",
		"async def application(scope, receive, send): ...\n": "app.py: --fork serves synchronous handlers only",
	} {
		fapwstest.Write(t, script, code)
		s.ReloadFails(want)
	}
}

func TestForkRejectsApplicationsThatItCannotServe(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	async := fapwstest.Write(t, filepath.Join(folder, "asynchronous.py"),
		"async def application(scope, receive, send): ...\n")
	broken := fapwstest.Write(t, filepath.Join(folder, "broken.py"), "import nothing_like_it\n")
	for _, c := range []struct {
		script string
		flags  []string
		code   int
		want   string
	}{
		{async, nil, 3,
			`asynchronous\.py: --fork serves synchronous handlers only, but asynchronous:application is an ASGI ` +
				`application: remove --fork, or use --workers`},
		{broken, nil, 3, `ModuleNotFoundError: No module named 'nothing_like_it'`},
		{fapwstest.Testdata(t, "fork.py"), []string{"--chroot", folder}, 2,
			`fork \(flag --fork\) cannot be combined with chroot \(flag --chroot\)`},
	} {
		for _, word := range [][]string{{"check"}, nil} {
			if word != nil && c.script == broken {
				continue // "fapws check" does not report this error.
			}
			code, _, stderr := fapwstest.Command{Flags: slices.Concat(word, []string{"--fork", "--bind", "127.0.0.1:0"},
				c.flags), Script: c.script}.Run(t)
			fapwstest.Truef(t, (code == c.code || c.script == broken) && code != 0 &&
				regexp.MustCompile(c.want).MatchString(stderr), "%v %v %s: code %d, %s", word, c.flags, c.script, code, stderr)
		}
	}
}

func TestForkedChildrenSendQueuedDataOfExporters(t *testing.T) {
	t.Parallel()
	packages, err := filepath.Glob(fapwstest.Today(t) + "/lib/python3*/site-packages")
	fapwstest.Needf(t, err == nil && len(packages) == 1, "%q, %v", packages, err)
	var exceptions, spans atomic.Int64
	collector := fapwstest.Upstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/api/1/envelope/":
			exceptions.Add(1)
		case "/v1/traces":
			spans.Add(1)
		}
	})
	s := fapwstest.Command{Flags: []string{"--fork"}, Script: "exporters.py", Complains: true,
		Args: []string{collector.Listener.Addr().String()},
		Env:  []string{"PYTHONPATH=" + packages[0]}}.Serve(t, fapwstest.Threads)
	s.Get("/exception", 200)
	s.Get("/span", 200)
	s.Get("/raises", 500)
	text := s.DialGet("/breaks").Rest()
	fapwstest.Truef(t, strings.HasSuffix(text, "first piece\n\r\n"), "the response is not aborted: %q", text)
	fapwstest.Eventually(t, "all exceptions and spans have arrived", func() bool {
		return exceptions.Load() == 3 && spans.Load() == 3
	})
	fapwstest.Lacks(t, s.Stderr.String(), "has closed its connection")
}

// Children run the threads, deferred calls and atexit functions of their handler, but not the atexit functions of the
// application. If a function does not return, the server ends the child and logs its stack.
func TestForkedChildrenRunAtexitFunctionsOfTheirHandler(t *testing.T) {
	t.Parallel()
	s, folder := forked(t, fapwstest.Threads)
	s.Get("/later", 200)
	s.Get("/exits", 200)
	for _, note := range []string{"deferred", "thread", "atexit of the handler"} {
		fapwstest.FileSays(t, folder+"/notes", note)
	}
	s.GetLogs("/exits?never", 200, `exits: +File "[^"]*fork\.py", line \d+ in wait_for`)
	fapwstest.Eventually(t, "the process has ended", func() bool {
		return len(fapwstest.ChildrenOf(t, loaders(s)...)) == 1
	})
	fapwstest.Truef(t, !slices.Contains(notesIn(folder), "atexit_in_child"),
		"the application's function has run in the process of a request")
}

func TestForkedChildrenMayFinishWhenTheServerStops(t *testing.T) {
	t.Parallel()
	s, folder := forked(t, fapwstest.Threads)
	s.Get("/exits?go", 200)
	s.SignalLogs(syscall.SIGTERM, "info stopping")
	fapwstest.Write(t, filepath.Join(folder, "go"), "")
	s.EndsWith(0)
	notes := notesIn(folder)
	fapwstest.Truef(t, slices.Contains(notes, "atexit_of_the_handler"), "notes: %q", notes)
}
