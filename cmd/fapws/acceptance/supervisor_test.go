package acceptance

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// HUP brings new code into new processes; who is being served notices nothing.
func TestHUP(t *testing.T) {
	t.Parallel()
	s, script := supervised(t)
	old := s.workers()
	folder := t.TempDir()
	busy, idle, unused := s.dial(), s.dial(), s.dial()
	idle.get("/version")
	idle.answer().is(t, "1")
	busy.get("/enter?" + folder)
	fileSays(t, folder+"/entered", "yes")

	change(t, script, "VERSION = 1", "VERSION = 2")
	s.signal(syscall.SIGHUP)
	s.says("info reloaded: 2 workers")
	for range 10 {
		s.get("/version", 200).is(t, "2")
	}
	// Connections to the old ones are served once more, by the old code.
	idle.get("/version")
	if a := idle.answer().is(t, "1"); !a.Close {
		t.Error("no Connection: close")
	}
	idle.closed()
	unused.get("/version")
	unused.answer().is(t, "1")
	unused.closed()
	write(t, folder+"/go", "")
	busy.answer().is(t, "waited")
	busy.closed()
	s.hasWorkers(2, old...)
}

// New code that fails leaves the old one serving.
func TestHUPFails(t *testing.T) {
	t.Parallel()
	s, script := supervised(t, "--reload-check", "/health")
	s.complains = true
	old := s.workers()
	for _, c := range []struct{ from, to, says string }{
		{"VERSION = 1", "VERSION = 1 / 0", "ZeroDivisionError(?s:.*)ended with code 3: not reloaded, the old workers go on"},
		{"VERSION = 1 / 0", "sys.exit(9)", "ended with code 3: not reloaded"},
		{"sys.exit(9)", "os.kill(os.getpid(), 9)", "was killed by SIGKILL: not reloaded"},
		{"os.kill(os.getpid(), 9)", "VERSION = 2", ""},
		{"HEALTH = 200", "HEALTH = 500", "reload check: GET /health is answered 500(?s:.*)ended with code 3: not reloaded"},
	} {
		change(t, script, c.from, c.to)
		if c.says == "" {
			continue
		}
		before := len(s.stderr.String())
		s.signal(syscall.SIGHUP)
		said := regexp.MustCompile(c.says)
		eventually(t, "it says "+c.says, func() bool { return said.MatchString(s.stderr.String()[before:]) })
		s.get("/version", 200).is(t, "1")
	}
	s.hasWorkers(2)
	if now := s.workers(); !slices.Equal(now, old) {
		t.Errorf("workers %v, were %v", now, old)
	}
	change(t, script, "HEALTH = 500", "HEALTH = 204")
	s.signal(syscall.SIGHUP)
	s.says("info reloaded: 2 workers")
	s.get("/version", 200).is(t, "2")
}

// New code that does not load in time leaves the old one serving.
func TestHUPHangs(t *testing.T) {
	t.Parallel()
	for seconds := 5; ; seconds *= 2 {
		script := copied(t, "workers.py")
		limit := fmt.Sprintf("%ds", seconds)
		c := command{script: script, complains: true, flags: []string{"--bind", "127.0.0.1:0", "--workers", "2", "--load-timeout", limit}}
		s := c.start(t)
		if !s.startsOrEnds() { // on a busy machine, the limit may be too short for the code before, too
			if code := s.ended(); code != 3 || !strings.Contains(s.stderr.String(), "has not loaded within "+limit) {
				t.Fatalf("code %d", code)
			}
			continue
		}
		s.url = "http://" + s.stderr.await(t, bannerURL)[1]
		s.address = strings.TrimPrefix(s.url, "http://")
		old := s.workers()
		change(t, script, "VERSION = 1", "time.sleep(10000)")
		s.signal(syscall.SIGHUP)
		s.says("has not loaded within " + limit + " and was killed: not reloaded, the old workers go on")
		s.get("/version", 200).is(t, "1")
		s.hasWorkers(2)
		if now := s.workers(); !slices.Equal(now, old) {
			t.Errorf("workers %v, were %v", now, old)
		}
		return
	}
}

// Nobody is refused, and nothing fails, however often the code is reloaded.
func TestReloadsUnderLoad(t *testing.T) {
	for _, c := range []struct {
		name, path string
		flags      []string
	}{
		{"quick", "/version", nil},
		{"slow", "/nap", nil},
		{"inline", "/version", []string{"--threads", "0"}},
		{"checked", "/version", []string{"--reload-check", "/health"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, _ := supervised(t, c.flags...)
			l := underLoad(t, s, c.path, 8, 8)
			for range 6 {
				said := strings.Count(s.stderr.String(), "info reloaded")
				l.goesOn(20)
				s.signal(syscall.SIGHUP)
				eventually(t, "reloaded", func() bool { return strings.Count(s.stderr.String(), "info reloaded") > said })
			}
			// A storm is one reload, and another one for those that came later.
			for range 50 {
				s.signal(syscall.SIGHUP)
			}
			l.goesOn(20)
			l.unharmed()
			s.hasWorkers(2)
		})
	}
}

// The number of workers changes under load without any loss.
func TestScaleUnderLoad(t *testing.T) {
	t.Parallel()
	s, _ := supervised(t)
	l := underLoad(t, s, "/pid", 4, 12)
	for _, step := range []struct {
		sig  syscall.Signal
		want int
	}{
		{syscall.SIGTTOU, 1}, {syscall.SIGTTOU, 1}, {syscall.SIGTTIN, 2}, {syscall.SIGTTIN, 3}, {syscall.SIGTTIN, 4},
		{syscall.SIGHUP, 4}, {syscall.SIGTTOU, 3}, {syscall.SIGTTOU, 2}, {syscall.SIGTTOU, 1},
	} {
		old := []int{}
		if step.sig == syscall.SIGHUP {
			old = s.workers()
		}
		s.signal(step.sig)
		s.hasWorkers(step.want, old...)
		l.goesOn(50)
	}
	l.unharmed()
}

// A worker that is killed takes with it only what it was working on.
func TestKilledWorkers(t *testing.T) {
	t.Parallel()
	s, _ := supervised(t)
	const keeping, connecting, kills = 4, 4, 6
	l := underLoad(t, s, "/pid", keeping, connecting)
	for range kills {
		l.goesOn(50)
		old := s.workers()
		if err := syscall.Kill(old[0], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		s.hasWorkers(2, old[0])
	}
	l.goesOn(50)
	failed := l.stop()
	for _, f := range failed {
		if strings.HasPrefix(f, "connecting") {
			t.Errorf("refused: %s", f)
		}
	}
	if len(failed) > kills*(keeping+connecting) {
		t.Errorf("%d requests failed: %.1000q", len(failed), failed)
	}
	s.says(`worker \d+ was killed by SIGKILL: a new one is started`)
}

// A worker that ends by itself, or is told to from outside, is replaced too.
func TestWorkersEnd(t *testing.T) {
	t.Parallel()
	s, _ := supervised(t)
	w := s.dial()
	w.get("/leave")
	w.gone()
	s.says(`worker \d+ has ended with code 5: .*os\._exit\(5\) was called.*; a new one is started`)
	eventually(t, "both workers answer", func() bool { return len(s.answering()) == 2 })
	old := s.workers()
	folder := t.TempDir()
	w = s.dial()
	w.get("/enter?" + folder)
	fileSays(t, folder+"/entered", "yes")
	for _, pid := range old {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGTERM} { // all but the last mean the supervisor
			if err := syscall.Kill(pid, sig); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.says(`(?s)worker \d+ was told to end: it is replaced(.*)was told to end: it is replaced`)
	eventually(t, "others answer", func() bool {
		return !slices.ContainsFunc(s.answering(), func(pid int) bool { return slices.Contains(old, pid) })
	})
	write(t, folder+"/go", "")
	w.answer().is(t, "waited")
	s.hasWorkers(2, old...)
}

// A worker in which a handler keeps the interpreter is replaced, and killed.
func TestStuckWorker(t *testing.T) {
	t.Parallel()
	s, _ := supervised(t, "--timeout", "3", "--graceful-timeout", "1")
	s.complains = true
	old := s.workers()
	stuck, err := strconv.Atoi(s.until504("/hold", `worker (\d+) is stuck \(GET /hold .*it is replaced`)[1])
	if err != nil || !slices.Contains(old, stuck) {
		t.Errorf("worker %d of %v, %v", stuck, old, err)
	}
	s.hasWorkers(2, stuck)
	eventually(t, "another one answers", func() bool { return len(s.answering()) == 2 })
}

// Inline, a worker that is stuck has no running event loop. Its replacement does not wait for the past events that it
// cannot send.
func TestStuckInlineWorker(t *testing.T) {
	t.Parallel()
	s := command{flags: []string{"--workers", "1", "--threads", "0", "--timeout", "2", "--graceful-timeout", "1"}, script: "workers.py", complains: true}.serve(t, mode{})
	s.get("/hold", 504)
	s.says(`worker \d+ is stuck \(GET /hold .*it is replaced`)
	s.get("/pid", 200)
	s.signal(syscall.SIGTERM)
	s.ended() // its messages have all arrived
	if said := s.stderr.String(); strings.Contains(said, "past events") {
		t.Errorf("%s", said)
	}
}

func TestMaxRequests(t *testing.T) {
	t.Parallel()
	s, _ := supervised(t, "--max-requests", "300", "--max-requests-jitter", "100")
	l := underLoad(t, s, "/pid", 4, 4)
	s.says(`(?s)worker \d+ has served its number of requests: it is replaced(.*it is replaced){3}`)
	l.unharmed()
}

func TestMaxRSS(t *testing.T) {
	t.Parallel()
	s, _ := supervised(t, "--max-rss", "100M")
	fat := s.get("/grow?150000000", 200).body
	s.says(`worker ` + fat + ` has 1\d\d MiB of memory: it is replaced`)
	pid, _ := strconv.Atoi(fat)
	s.hasWorkers(2, pid)
	s.get("/pid", 200)
}

// Reloads leave nothing behind in the supervisor.
func TestSupervisorKeepsNothing(t *testing.T) {
	t.Parallel()
	s, _ := supervised(t)
	reload := func(n int) {
		for range n {
			said := strings.Count(s.stderr.String(), "info reloaded")
			s.signal(syscall.SIGHUP)
			eventually(t, "reloaded", func() bool { return strings.Count(s.stderr.String(), "info reloaded") > said })
		}
		s.hasWorkers(2)
	}
	reload(15) // until Go's heap and the race detector's notes have their size
	fds, rss := len(s.descriptors()), s.rss()
	reload(50)
	eventually(t, fmt.Sprintf("as few descriptors as before, %d", fds), func() bool { return len(s.descriptors()) <= fds })
	eventually(t, "as much memory as before", func() bool { return s.rss() < rss+4<<20 })
	for pid, state := range childrenOf(t, s.cmd.Process.Pid) {
		if state == "Z" {
			t.Errorf("%d is a zombie", pid)
		}
	}
	t.Logf("%d bytes, %d threads", s.rss(), s.threads())
}

// Another program takes over in the same process.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	program := copyOfProgram(t)
	s := command{program: program, script: "workers.py"}.serve(t, modes[2])
	l := underLoad(t, s, "/pid", 6, 6)
	for range 2 {
		old := s.workers()
		replaceProgram(t, program, binary(t))
		if now, _ := os.Readlink(s.proc("exe")); !strings.HasSuffix(now, "(deleted)") {
			t.Fatalf("it runs %s", now)
		}
		l.goesOn(50)
		s.signal(syscall.SIGUSR2)
		eventually(t, "the new program runs", func() bool {
			now, _ := os.Readlink(s.proc("exe"))
			return now == program
		})
		s.hasWorkers(2, old...)
	}
	// It does all that the one before did, and so do its workers.
	old := s.workers()
	s.signal(syscall.SIGHUP)
	s.hasWorkers(2, old...)
	s.get("/blocked", 200).is(t, "SigBlk:\t0000000000000000\n")
	s.signal(syscall.SIGTTIN)
	s.hasWorkers(3)
	s.signal(syscall.SIGTTOU)
	s.hasWorkers(2)

	// A program that fails changes nothing.
	old = s.workers()
	replaceProgram(t, program, "/bin/false")
	s.signal(syscall.SIGUSR2)
	s.says("ended with code 1: not upgraded, the old workers go on")
	l.goesOn(50)
	s.hasWorkers(2)
	if now := s.workers(); !slices.Equal(now, old) {
		t.Errorf("workers %v, were %v", now, old)
	}
	l.unharmed()
}

// copyOfProgram puts a copy of fapws where a test may replace it, beside a copy
// of its Python package.
func copyOfProgram(t *testing.T) string {
	t.Helper()
	folder, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	real, err := filepath.EvalSymlinks(binary(t))
	if err != nil {
		t.Fatal(err)
	}
	contrib, err := filepath.Abs("../../../contrib")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(contrib, folder+"/contrib"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(folder+"/build", 0o755); err != nil {
		t.Fatal(err)
	}
	replaceProgram(t, folder+"/build/fapws", real)
	return folder + "/build/fapws"
}

func replaceProgram(t *testing.T, at, with string) {
	t.Helper()
	from, err := os.Open(with)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	syscall.ForkLock.RLock() // see write
	defer syscall.ForkLock.RUnlock()
	to, err := os.OpenFile(at+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(to, from)
	if closed := to.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(at+".new", at)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Streams without an end do not hold up the end for longer than was said.
func TestStopWithStreams(t *testing.T) {
	for _, c := range []struct {
		name string
		sig  syscall.Signal
		code int
	}{{"TERM", syscall.SIGTERM, 0}, {"INT", syscall.SIGINT, 0}, {"QUIT", syscall.SIGQUIT, 0}} {
		t.Run(c.name, func(t *testing.T) {
			inModes(t, func(t *testing.T, m mode) {
				grace := "1"
				if c.sig == syscall.SIGQUIT {
					grace = "1h" // which does not count
				}
				s := serve(t, m, "workers.py", "--graceful-timeout", grace)
				w := s.dial()
				w.get("/stream")
				r := w.head("GET")
				if _, err := io.ReadFull(r.Body, make([]byte, 20)); err != nil {
					t.Fatal(err)
				}
				s.signal(c.sig)
				if code := s.ended(); code != c.code {
					t.Errorf("code %d, want %d", code, c.code)
				}
			})
		})
	}
}

// Workers that have lost their supervisor finish what they have and end.
func TestSupervisorIsKilled(t *testing.T) {
	t.Parallel()
	s, _ := supervised(t)
	folder := t.TempDir()
	w := s.dial()
	w.get("/enter?" + folder)
	fileSays(t, folder+"/entered", "yes")
	workers := s.workers()
	s.signal(syscall.SIGKILL)
	s.says(`(?s)its supervisor has died.*its supervisor has died`)
	write(t, folder+"/go", "")
	w.answer().is(t, "waited")
	for _, pid := range workers {
		eventually(t, "the workers have ended", func() bool { return !alive(pid) })
	}
	s.ended()
}

// Workers that were stopped when their supervisor was killed end as soon as they continue.
func TestSupervisorIsKilledBesideStoppedWorkers(t *testing.T) {
	t.Parallel()
	s, _ := supervised(t)
	workers := s.workers()
	for _, pid := range workers {
		t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the worker has stopped", func() bool {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			return err == nil && strings.Contains(string(text), "State:\tT")
		})
	}
	s.signal(syscall.SIGKILL)
	eventually(t, "the supervisor has died", func() bool { return !alive(s.cmd.Process.Pid) })
	for _, pid := range workers {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the worker has ended", func() bool { return !alive(pid) })
	}
	s.ended()
}

// USR1 opens the access log anew, in every process.
func TestReopen(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		log := filepath.Join(t.TempDir(), "log")
		s := serve(t, m, "workers.py", "--access-log", log)
		s.get("/pid?before", 200)
		fileSays(t, log, "?before")
		if err := os.Rename(log, log+".1"); err != nil {
			t.Fatal(err)
		}
		s.signal(syscall.SIGUSR1)
		s.says("info reopening the log files")
		eventually(t, "a line in the new file", func() bool {
			for range 10 { // to reach each worker
				s.get("/pid?after", 200)
			}
			text, err := os.ReadFile(log)
			return err == nil && strings.Contains(string(text), "?after")
		})
	})
}

// Under nohup HUP is still how a supervisor is told to reload, also after an
// upgrade, and a process alone goes on.
func TestNohup(t *testing.T) {
	inEach(t, []mode{modes[0], modes[2]}, func(t *testing.T, m mode) {
		s := command{script: "workers.py", shell: "trap '' HUP"}.serve(t, m)
		if !m.workers() {
			s.signal(syscall.SIGHUP)
			s.get("/version", 200)
			return
		}
		for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR2, syscall.SIGHUP} {
			old := s.workers()
			s.signal(sig)
			s.hasWorkers(2, old...)
		}
	})
}

// What makes a supervisor start and end workers stops none of them, and no
// process alone: a shell sends it to all of a job.
func TestScalingSignalsOfOthers(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		s := serve(t, m, "workers.py")
		for _, pid := range s.handlers() {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			if err != nil {
				t.Fatal(err)
			}
			_, rest, _ := strings.Cut(string(text), "\nSigIgn:\t")
			hex, _, _ := strings.Cut(rest, "\n")
			ignored, err := strconv.ParseUint(hex, 16, 64)
			if both := uint64(1<<(syscall.SIGTTIN-1) | 1<<(syscall.SIGTTOU-1)); err != nil || ignored&both != both {
				t.Errorf("process %d ignores %q, %v", pid, hex, err)
			}
		}
	})
}

// Signals that come while one program takes the place of the other do not stop it.
func TestSignalsDuringUpgrade(t *testing.T) {
	t.Parallel()
	s := serve(t, modes[2], "workers.py")
	for i := range 5 {
		s.signal(syscall.SIGUSR2)
		eventually(t, "upgraded", func() bool {
			s.signal(syscall.SIGTTOU)
			return strings.Count(s.stderr.String(), "info upgraded") > i
		})
	}
	s.signal(syscall.SIGHUP)
	s.says("info reloaded: 1 worker")
}
