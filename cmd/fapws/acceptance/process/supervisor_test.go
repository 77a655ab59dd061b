package process_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/conn/certtest"
)

func TestHUPStartsNewCodeInNewProcesses(t *testing.T) {
	t.Parallel()
	s, script := fapwstest.Supervised(t)
	old := s.Workers()
	folder := t.TempDir()
	busy, idle, unused := s.Dial(), s.Dial(), s.Dial()
	idle.Fetch("/version").Is(t, "1")
	busy.Get("/enter?" + folder)
	fapwstest.FileSays(t, folder+"/entered", "yes")

	fapwstest.Change(t, script, "VERSION = 1", "VERSION = 2")
	s.SignalLogs(syscall.SIGHUP, "info reloaded: 2 workers")
	for range 10 {
		s.Get("/version", 200).Is(t, "2")
	}
	idle.Fetch("/version").Is(t, "2")
	unused.Fetch("/version").Is(t, "2")
	fapwstest.Write(t, folder+"/go", "")
	busy.Answer().Is(t, "waited")
	busy.Closed()
	s.HasWorkers(2, old...)
}

func keepsWorkers(s *fapwstest.Server, old []int) {
	s.T.Helper()
	s.HasWorkers(2)
	fapwstest.Equalf(s.T, s.Workers(), old, "workers")
}

func TestHUPWithCodeThatFailsKeepsTheOldCode(t *testing.T) {
	t.Parallel()
	s, script := fapwstest.Supervised(t, "--reload-check", "/health")
	s.Complains = true
	old := s.Workers()
	for _, c := range []struct{ from, to, says string }{
		{"VERSION = 1", "VERSION = 1 / 0",
			"ZeroDivisionError(?s:.*)exited with status 3; reload failed; the old workers keep serving"},
		{"VERSION = 1 / 0", "sys.exit(9)", "exited with status 3; reload failed"},
		{"sys.exit(9)", "os.kill(os.getpid(), 9)", "was killed by SIGKILL; reload failed"},
		{"os.kill(os.getpid(), 9)", "VERSION = 2", ""},
		{"HEALTH = 200", "HEALTH = 500",
			"reload check: GET /health was answered with status 500(?s:.*)exited with status 3; reload failed"},
	} {
		fapwstest.Change(t, script, c.from, c.to)
		if c.says == "" {
			continue
		}
		before := len(s.Stderr.String())
		s.Signal(syscall.SIGHUP)
		said := regexp.MustCompile(c.says)
		fapwstest.Eventually(t, "it says "+c.says, func() bool { return said.MatchString(s.Stderr.String()[before:]) })
		s.Get("/version", 200).Is(t, "1")
	}
	keepsWorkers(s, old)
	fapwstest.Change(t, script, "HEALTH = 500", "HEALTH = 204")
	s.SignalLogs(syscall.SIGHUP, "info reloaded: 2 workers")
	s.Get("/version", 200).Is(t, "2")
}

// A worker that waits while it loads gets TERM, and KILL if it does not end. The first start has no limit.
func TestHUPWithCodeThatDoesNotLoadInTimeKeepsTheOldCode(t *testing.T) {
	for name, c := range map[string]struct{ code, says string }{
		"waits": {"time.sleep(10000)", ""},
		"handles TERM": {`import signal
signal.signal(signal.SIGTERM, lambda *_: print("closing the database", flush=True))
while True: time.sleep(1)`, " and was killed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script := fapwstest.Copied(t, "workers.py")
			fapwstest.Change(t, script, "VERSION = 1", "VERSION = 1\ntime.sleep(4)")
			s := fapwstest.Command{Script: script, Complains: true,
				Flags: []string{"--load-timeout", "2s"}}.Serve(t, fapwstest.Workers)
			old := s.Workers()
			fapwstest.Change(t, script, "VERSION = 1", c.code)
			s.Signal(syscall.SIGHUP)
			s.Says(`worker \d+ waited for 2s while loading, without using the processor \(--load-timeout\)` + c.says +
				"; reload failed; the old workers keep serving")
			fapwstest.Equal(t, strings.Contains(s.Stdout.String(), "closing the database"), c.says != "")
			s.Get("/version", 200).Is(t, "1")
			keepsWorkers(s, old)
		})
	}
}

// The time that a worker computes, that its child process computes, and the startup of a lifespan do not count.
func TestSlowCodeReplacesTheOldCodeWithoutALimit(t *testing.T) {
	t.Parallel()
	const text = `import subprocess, time

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        time.sleep(startup)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": name.encode()})
`
	dir := t.TempDir()
	write := func(name, code string, startup int) {
		t.Helper()
		fapwstest.Write(t, dir+"/main.py", fmt.Sprintf("%sname, startup = %q, %d\n%s\n", text, name, startup, code))
	}
	write("first", "", 0)
	s := fapwstest.Command{Dir: dir, Flags: []string{"--load-timeout", "2s", "main:app"}}.Serve(t, fapwstest.Workers)
	for _, c := range []struct {
		name, code string
		startup    int
	}{
		{"computes", "while time.process_time() < 5: pass", 0},
		{"child", `subprocess.run(["timeout", "5", "sh", "-c", "while :; do :; done"])`, 0},
		{"lifespan", "", 5},
	} {
		write(c.name, c.code, c.startup)
		s.Control("reload")
		s.Get("/", 200).Is(t, c.name)
	}
}

func TestReloadsUnderLoadFailNoRequest(t *testing.T) {
	for _, c := range []struct {
		name, path string
		flags      []string
	}{
		{"checked", "/version", []string{"--reload-check", "/health"}},
		{"slow", "/nap", nil},
		{"inline", "/version", []string{"--threads", "0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, _ := fapwstest.Supervised(t, c.flags...)
			l := underLoad(t, s, c.path, 4, 4)
			for range 2 {
				l.goesOn(40)
				s.Reload()
			}
			// Many signals at once cause one reload, and signals that arrive during this reload cause one more reload.
			for range 50 {
				s.Signal(syscall.SIGHUP)
			}
			l.goesOn(40)
			l.unharmed()
			s.HasWorkers(2)
			n := strings.Count(s.Stderr.String(), "info reloading: HUP")
			fapwstest.Truef(t, n >= 3 && n <= 4, "%d reloads", n)
		})
	}
}

// The keys of TLS connections stay in their process, so the old workers answer the next request of each connection.
func TestReloadsUpgradesAndStopsUnderLoadOverTLSFailNoRequest(t *testing.T) {
	for _, workers := range []string{"1", "2"} {
		t.Run(workers+" workers", func(t *testing.T) {
			t.Parallel()
			ca := certtest.NewAuthority(t)
			cert, key := ca.For("127.0.0.1").Write(t.TempDir())
			s := fapwstest.Command{Script: fapwstest.Copied(t, "workers.py"), Flags: []string{"--bind", "https://127.0.0.1:0",
				"--certfile", cert, "--keyfile", key, "--workers", workers, "--shutdown-delay", "1s"}}.Start(t)
			s.Address = s.Says(`(?m)^  https://(\S+)/$`)[1]
			l := underLoadOverTLS(t, s, &tls.Config{RootCAs: ca.Pool()}, "/pid", 8, 2)
			for _, replace := range []func(){s.Reload, s.Upgrade, s.Reload} {
				l.goesOn(50)
				replace()
			}
			l.goesOn(50)
			l.stops.Store(true)
			s.Signal(syscall.SIGTERM)
			l.clients.Wait()
			l.unharmed()
			s.EndsWith(0)
		})
	}
}

func TestScaleUnderLoadFailsNoRequest(t *testing.T) {
	t.Parallel()
	s, _ := fapwstest.Supervised(t)
	l := underLoad(t, s, "/pid", 4, 12)
	for _, step := range []struct {
		sig  syscall.Signal
		want int
	}{
		{syscall.SIGTTOU, 1}, {syscall.SIGTTOU, 1}, {syscall.SIGTTIN, 2}, {syscall.SIGTTIN, 3}, {syscall.SIGHUP, 3},
		{syscall.SIGTTOU, 2},
	} {
		old := []int{}
		if step.sig == syscall.SIGHUP {
			old = s.Workers()
		}
		// Wait, because the kernel may deliver two signals that are sent at the same time in the opposite order.
		s.Signaled(step.sig, `info (reloaded: )?\d workers?\n`)
		s.HasWorkers(step.want, old...)
		l.goesOn(50)
	}
	l.unharmed()
}

func TestKilledWorkerLosesOnlyItsActiveRequests(t *testing.T) {
	t.Parallel()
	s, _ := fapwstest.Supervised(t)
	const keeping, connecting, kills = 4, 4, 3
	l := underLoad(t, s, "/pid", keeping, connecting)
	for range kills {
		l.goesOn(50)
		old := s.Workers()
		fapwstest.Kill(t, syscall.SIGKILL, old[0])
		s.HasWorkers(2, old[0])
	}
	l.goesOn(50)
	failed := l.stop()
	for _, f := range failed {
		fapwstest.Truef(t, !strings.HasPrefix(f, "connecting"), "refused: %s", f)
	}
	fapwstest.Truef(t, len(failed) <= kills*(keeping+connecting), "%d requests failed: %.1000q", len(failed), failed)
	s.Says(`worker \d+ was killed by SIGKILL; starting a new one`)
}

func TestWorkerThatExitsIsReplaced(t *testing.T) {
	t.Parallel()
	s, _ := fapwstest.Supervised(t)
	w := s.DialGet("/leave")
	w.Gone()
	s.Says(`worker \d+ exited with status 5: .*os\._exit\(5\) was called.*; starting a new one`)
	fapwstest.Eventually(t, "both workers answer", func() bool { return len(answering(s)) == 2 })
	old := s.Workers()
	folder := t.TempDir()
	w = s.DialGet("/enter?" + folder)
	fapwstest.FileSays(t, folder+"/entered", "yes")
	// Workers obey only SIGTERM. They ignore the other signals, which are meant for the supervisor.
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGTTIN,
		syscall.SIGTTOU, syscall.SIGTERM} {
		fapwstest.Kill(t, sig, old...)
	}
	s.Says(`(?s)replacing worker \d+: received SIGTERM(.*)replacing worker \d+: received SIGTERM`)
	fapwstest.Eventually(t, "others answer", func() bool {
		return !slices.ContainsFunc(answering(s), func(pid int) bool { return slices.Contains(old, pid) })
	})
	fapwstest.Write(t, folder+"/go", "")
	w.Answer().Is(t, "waited")
	s.HasWorkers(2, old...)
}

func TestStuckWorkerIsReplacedAndKilled(t *testing.T) {
	t.Parallel()
	s, _ := fapwstest.Supervised(t, "--timeout", "1", "--graceful-timeout", "1")
	s.Complains = true
	old := s.Workers()
	stuck, err := strconv.Atoi(s.Until504("/hold", `replacing worker (\d+): stuck \(GET /hold `)[1])
	fapwstest.Truef(t, err == nil && slices.Contains(old, stuck), "worker %d of %v, %v", stuck, old, err)
	s.HasWorkers(2, stuck)
	fapwstest.Eventually(t, "another one answers", func() bool { return len(answering(s)) == 2 })
}

// The event loop of a stuck worker in inline mode does not run, so the worker cannot send the past events to its
// replacement.
func TestStuckInlineWorkerIsReplacedWithoutPastEvents(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Flags: []string{"--workers", "1", "--threads", "0", "--timeout", "1", "--graceful-timeout",
		"1"}, Script: "workers.py", Complains: true}.Serve(t, fapwstest.Mode{})
	s.GetLogs("/hold", 504, `replacing worker \d+: stuck \(GET /hold `)
	s.Get("/pid", 200)
	s.Stop()
	fapwstest.Lacks(t, s.Stderr.String(), "past events")
}

func TestMaxRequestsReplacesWorkersWithoutFailures(t *testing.T) {
	t.Parallel()
	s, _ := fapwstest.Supervised(t, "--max-requests", "300", "--max-requests-jitter", "100")
	l := underLoad(t, s, "/pid", 4, 4)
	s.Says(`(?s)replacing worker \d+: max-requests reached(.*replacing worker){3}`)
	l.unharmed()
}

func TestMaxRSSReplacesAWorkerThatExceedsIt(t *testing.T) {
	t.Parallel()
	s, _ := fapwstest.Supervised(t, "--max-rss", "100M")
	fat := s.Get("/grow?150000000", 200).Text
	s.Says(`replacing worker ` + fat + `: 1\d\d MiB of memory exceed max-rss`)
	pid, _ := strconv.Atoi(fat)
	s.HasWorkers(2, pid)
	s.Get("/pid", 200)
}

func TestSupervisorKeepsNothingOfReloads(t *testing.T) {
	t.Parallel()
	s, _ := fapwstest.Supervised(t)
	reload := func(n int) {
		for range n {
			s.Reload()
		}
		s.HasWorkers(2)
	}
	// Reload until the memory of Go's heap and of the race detector no longer grows.
	reload(3)
	fds, rss := len(s.Descriptors()), s.RSS()
	reload(6)
	fds += 4 // the count may have missed descriptors of workers that had just begun to serve; six leaks are more
	fapwstest.Eventually(t, fmt.Sprintf("at most %d descriptors", fds), func() bool { return len(s.Descriptors()) <= fds })
	fapwstest.Eventually(t, "as much memory as before", func() bool { return s.RSS() < rss+4<<20 })
	hasNoZombies(t, s.Cmd.Process.Pid)
	t.Logf("%d bytes, %d threads", s.RSS(), s.Threads())
}

func TestUpgradeRunsAnotherProgramInTheSameProcess(t *testing.T) {
	t.Parallel()
	program := fapwstest.CopyOfProgram(t)
	s := fapwstest.Command{Program: program, Script: "workers.py"}.Serve(t, fapwstest.Workers)
	l := underLoad(t, s, "/pid", 6, 6)
	for range 2 {
		old := s.Workers()
		fapwstest.ReplaceProgram(t, program, fapwstest.Binary(t))
		fapwstest.Needf(t, !s.Maps(program), "it runs the new program")
		l.goesOn(50)
		s.Signal(syscall.SIGUSR2)
		fapwstest.Eventually(t, "the new program runs", func() bool { return s.Maps(program) })
		s.HasWorkers(2, old...)
	}
	old := s.Workers()
	s.Signal(syscall.SIGHUP)
	s.HasWorkers(2, old...)
	s.Get("/blocked", 200).Is(t, "SigBlk:\t0000000000000000\n")
	s.Signal(syscall.SIGTTIN)
	s.HasWorkers(3)
	s.Signal(syscall.SIGTTOU)
	s.HasWorkers(2)

	old = s.Workers()
	fapwstest.ReplaceProgram(t, program, "/bin/false")
	s.SignalLogs(syscall.SIGUSR2, "exited with status 1; upgrade failed; the old workers keep serving")
	l.goesOn(50)
	keepsWorkers(s, old)
	l.unharmed()
}

func TestUpgradeStopsAWorkerThatIsStillLoading(t *testing.T) {
	t.Parallel()
	script := fapwstest.Copied(t, "workers.py")
	s := fapwstest.Command{Script: script, Complains: true}.Serve(t, fapwstest.Workers)
	old := s.Workers()
	fapwstest.Change(t, script, "VERSION = 1", "open(__file__ + str(os.getpid()), 'w').write('loads'); time.sleep(10000)")
	fapwstest.Kill(t, syscall.SIGKILL, old[0])
	s.HasWorkers(2, old[0])
	for _, pid := range s.Workers() {
		if pid != old[1] {
			fapwstest.FileSays(t, script+strconv.Itoa(pid), "loads")
			old = append(old, pid)
		}
	}
	fapwstest.Change(t, script, "open(__file__ + str(os.getpid()), 'w').write('loads'); time.sleep(10000)", "VERSION = 2")
	s.Upgrade()
	s.HasWorkers(2, old...)
	s.Get("/version", 200).Is(t, "2")
}

// After a new installation, the supervisor can upgrade to the new program.
func TestProgramIsRemovedAndTheSupervisorKeepsRunning(t *testing.T) {
	t.Parallel()
	program, folder := fapwstest.CopyOfProgram(t), t.TempDir()
	s := fapwstest.Command{Program: program, Script: "workers.py", Dir: folder}.Serve(t, fapwstest.Workers)
	fapwstest.Must(t, os.Remove(fapwstest.Image(program)))
	old := s.Workers()
	s.Signal(syscall.SIGHUP)
	s.HasWorkers(2, old...)
	old = s.Workers()
	s.Signal(syscall.SIGUSR2)
	s.Says(`error .*fapws: no such file or directory|error .*libfapws\.so: no such file or directory`)
	keepsWorkers(s, old)
	s.Signal(syscall.SIGHUP)
	s.HasWorkers(2, old...)
	fapwstest.Must(t, os.Remove(folder))
	s.Signal(syscall.SIGHUP)
	s.Says(`error a worker cannot be started: its working directory ` + folder + `: no such file or directory`)
}

func TestWorkersFinishRequestsAfterTheirSupervisorWasKilled(t *testing.T) {
	t.Parallel()
	s, _ := fapwstest.Supervised(t)
	folder := t.TempDir()
	w := s.DialGet("/enter?" + folder)
	fapwstest.FileSays(t, folder+"/entered", "yes")
	workers := s.Workers()
	s.SignalLogs(syscall.SIGKILL, `(?s)its supervisor has died.*its supervisor has died`)
	fapwstest.Write(t, folder+"/go", "")
	w.Answer().Is(t, "waited")
	fapwstest.HaveEnded(t, "the workers have ended", workers...)
	s.Ended()
}

// A new worker waits for past events from the other workers. If one of the other workers is stopped (SIGSTOP), the new
// worker waits a few seconds, and then starts without the stopped worker's events.
func TestStoppedWorkerDelaysItsReplacementByItsPastEvents(t *testing.T) {
	t.Parallel()
	s, _ := fapwstest.Supervised(t)
	stopped := s.Workers()
	fapwstest.Must(t, syscall.Kill(stopped[0], syscall.SIGSTOP), syscall.Kill(stopped[1], syscall.SIGKILL))
	s.Says(fmt.Sprintf(`worker \d+ starts without past events: worker %d is stopped`, stopped[0]))
	s.HasWorkers(len(stopped), stopped...)
	s.Get("/pid", 200)
}

// A worker that was stopped by SIGSTOP does not react to SIGTERM. At the end of the server, the supervisor therefore
// sends SIGCONT to each worker, as systemd does.
func TestStoppedWorkerEndsWithTheServer(t *testing.T) {
	t.Parallel()
	s, _ := fapwstest.Supervised(t)
	fapwstest.Must(t, syscall.Kill(s.Workers()[0], syscall.SIGSTOP))
	s.Signal(syscall.SIGTERM)
	s.EndsWith(0)
	fapwstest.Lacks(t, s.Stderr.String(), "does not end")
}

// A server without workers ignores HUP under nohup: see TestServerStopsWhenItsTerminalCloses.
func TestNohupLetsASupervisorReloadOnHUP(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "workers.py", Shell: "trap '' HUP"}.Serve(t, fapwstest.Workers)
	for _, replace := range []func(){s.Upgrade, s.Reload} {
		old := s.Workers()
		replace()
		s.HasWorkers(2, old...)
	}
}

func TestSignalsDuringAnUpgradeDoNotStopTheServer(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Workers, "workers.py")
	for i := range 3 {
		s.Signal(syscall.SIGUSR2)
		fapwstest.Eventually(t, "upgraded", func() bool {
			s.Signal(syscall.SIGTTOU)
			return strings.Count(s.Stderr.String(), "info upgraded") > i
		})
	}
	s.SignalLogs(syscall.SIGHUP, "info reloaded: 1 worker")
}

func TestTERMDuringAnUpgradeShutsDownCleanly(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "workers.py", "--workers", "1")
	s.Signal(syscall.SIGUSR2)
	end := time.Now().Add(fapwstest.Patience)
	// This loop has no pause, because the program may start within a few milliseconds.
	for started := false; !started; {
		text, err := os.ReadFile(s.Proc("environ"))
		fapwstest.Needf(t, err == nil && !time.Now().After(end), "no other program starts %v", err)
		started = bytes.Contains(text, []byte("_FAPWS_HANDOVER="))
	}
	s.Stop()
}
