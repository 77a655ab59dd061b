package process_test

import (
	"crypto/tls"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/conn/certtest"
)

// version is a script with a version that a test changes.
func version(n int) string {
	return fmt.Sprintf(`
import atexit, ctypes, os, time
atexit.register(print, "bye %[1]d", flush=True)

def app(environ, start_response):
    if environ["PATH_INFO"] == "/nap":
        time.sleep(0.5)
    if environ["PATH_INFO"] == "/keeps_gil":
        ctypes.PyDLL(None).sleep(1000)
    if environ["PATH_INFO"] == "/fails" and %[1]d %% 2 == 0:
        start_response("500 Internal Server Error", [])
        return [b""]
    start_response("200 OK", [])
    return [b"%[1]d " + str(os.getpid()).encode()]
`, n)
}

func alone(t *testing.T, flags ...string) (s *fapwstest.Server, script string) {
	t.Helper()
	script = fapwstest.Write(t, t.TempDir()+"/app.py", version(1))
	s = fapwstest.Command{Script: script, Flags: append(flags, "--bind", "127.0.0.1:0")}.Start(t)
	s.Address = s.Stderr.Await(t, fapwstest.BannerURL)[1]
	return s, script
}

func TestProcessWithoutASupervisorReloadsUnderLoad(t *testing.T) {
	for _, c := range []struct {
		name, path string
		flags      []string
	}{
		{"checked", "/", nil},
		{"asked", "/", []string{"--reload-check", "/"}},
		{"unchecked", "/", []string{"--reload-check", "off"}},
		{"slow", "/nap", nil},
		{"inline", "/", []string{"--threads", "0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, script := alone(t, c.flags...)
			pid := s.Cmd.Process.Pid
			l := underLoad(t, s, c.path, 4, 4)
			for n, reload := range []func(){s.Reload, func() { s.Control("reload") },
				func() { s.Signaled(syscall.SIGUSR2, "info reloaded") }} {
				l.goesOn(40)
				fapwstest.Write(t, script, version(n+2))
				reload()
				s.Get("/", 200).Is(t, fmt.Sprintf("%d %d", n+2, pid))
			}
			// Many signals at once cause one reload, and signals that arrive during this reload cause one more reload.
			for range 20 {
				s.Signal(syscall.SIGHUP)
			}
			l.goesOn(40)
			l.unharmed()
			s.Stop()
			fapwstest.Has(t, s.Stdout.String(), "bye 1\nbye 2\nbye 3\nbye 4\n")
		})
	}
}

func TestProcessWithoutASupervisorReloadsUnderLoadOverTLS(t *testing.T) {
	t.Parallel()
	ca := certtest.NewAuthority(t)
	cert, key := ca.For("127.0.0.1").Write(t.TempDir())
	s := fapwstest.Command{Script: fapwstest.Write(t, t.TempDir()+"/app.py", version(1)), Flags: []string{"--bind",
		"https://127.0.0.1:0", "--certfile", cert, "--keyfile", key}}.Start(t)
	s.Address = s.Says(`(?m)^  https://(\S+)/$`)[1]
	l := underLoadOverTLS(t, s, &tls.Config{RootCAs: ca.Pool()}, "/", 8, 2)
	for range 3 {
		l.goesOn(50)
		s.Reload()
	}
	l.goesOn(50)
	l.unharmed()
}

func TestProcessWithoutASupervisorKeepsItsCodeIfAReloadFails(t *testing.T) {
	for _, c := range []struct {
		name, code, why string
		flags           []string
	}{
		{"syntax", "PATHS = (", `SyntaxError: '\(' was never closed`, nil},
		{"import", "import missing_module", "No module named 'missing_module'", nil},
		{"exit", "import os; os._exit(5)", "os._exit(5) was called", nil},
		{"hang", "while True: pass", "did not load within 5s; see --load-timeout", []string{"--load-timeout", "5s"}},
		{"status", version(2), "GET /fails was answered with status 500", []string{"--reload-check", "/fails"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, script := alone(t, c.flags...)
			s.Complains = true
			kept := s.Dial()
			kept.InTime("/").Want(t, 200, "1 ")
			fapwstest.Write(t, script, c.code)
			code, _, stderr := s.Ctl("reload")
			fapwstest.Truef(t, code == 1 && strings.Contains(strings.ReplaceAll(stderr, "\\", ""), strings.ReplaceAll(c.why, "\\", "")) &&
				strings.HasSuffix(stderr, "; the old code keeps serving\n") && strings.Count(stderr, "\n") == 1,
				"code %d, %q, want %q", code, stderr, c.why)
			s.Says("error reload failed; the old code keeps serving")
			kept.InTime("/").Want(t, 200, "1 ")
			fapwstest.Write(t, script, version(3))
			s.Control("reload")
			kept.InTime("/").Want(t, 200, "3 ")
			s.Stop()
		})
	}
}

// The reload keeps what belongs to the process: its ID, the file with the ID, the socket file, and idle connections.
func TestProcessWithoutASupervisorKeepsItsPlacesAtAReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := fapwstest.Write(t, dir+"/app.py", version(1))
	file := fapwstest.Write(t, dir+"/fapws.toml", "app = \"app.py\"\nbind = [\"127.0.0.1:0\", \"unix:first\", \"unix:second\"]\n"+
		"pid = \"pid\"\nenv-file = \"env\"\n")
	fapwstest.Write(t, dir+"/env", "ONE=1\n")
	s := fapwstest.Command{Flags: []string{"-c", file}, Dir: t.TempDir()}.Start(t)
	s.Address = s.Stderr.Await(t, fapwstest.BannerURL)[1]
	kept := fapwstest.Dial(t, "unix", dir+"/first")
	kept.InTime("/").Want(t, 200, "1 ")
	fapwstest.Write(t, script, `
import os
def app(environ, start_response):
    start_response("200 OK", [])
    return [repr([os.environ.get("ONE"), os.environ.get("TWO")]).encode()]
`)
	fapwstest.Write(t, dir+"/env", "TWO=2\n")
	fapwstest.Write(t, file, strings.Replace(fapwstest.TextOf(t, file), `, "unix:second"`, `, "unix:third"`, 1))
	s.Reload()
	kept.InTime("/").Is(t, "[None, '2']")
	fapwstest.Dial(t, "unix", dir+"/third").InTime("/").Is(t, "[None, '2']")
	s.Get("/", 200)
	fapwstest.Truef(t, !fapwstest.Exists(dir+"/second"), "the socket file of an address that is gone")
	fapwstest.Equal(t, strings.TrimSpace(fapwstest.TextOf(t, dir+"/pid")), fmt.Sprint(s.Cmd.Process.Pid))
	s.Stop()
	for _, name := range []string{"first", "third", "pid"} {
		fapwstest.Truef(t, !fapwstest.Exists(dir+"/"+name), "%s exists after the end", name)
	}
}

// The watchdog gets messages while the application loads.
func TestServiceManagerIsNotifiedOfAReloadWithoutASupervisor(t *testing.T) {
	t.Parallel()
	manager := newManager(t)
	script := fapwstest.Write(t, t.TempDir()+"/app.py", "import time\ntime.sleep(1)\n"+version(1))
	s := fapwstest.Command{Script: script, Flags: []string{"--bind", "127.0.0.1:0", "--reload-check", "off"},
		Env: []string{"NOTIFY_SOCKET=" + manager.name, "WATCHDOG_USEC=400000"}}.Start(t)
	for range 2 {
		manager.hears("^READY=1\nSTATUS=serving http://")
		manager.hears("^WATCHDOG=1$")
		s.Signal(syscall.SIGHUP)
		manager.hears("^RELOADING=1\nMONOTONIC_USEC=")
	}
	watched := 0
	for message := ""; !strings.HasPrefix(message, "READY=1"); message = string(manager.next()) {
		if message == "WATCHDOG=1" {
			watched++
		}
	}
	fapwstest.Truef(t, watched >= 2, "%d messages to the watchdog while the application loads", watched)
	s.Stop()
}

func TestOldCodeServesUntilActiveRequestsHaveEnded(t *testing.T) {
	t.Parallel()
	s, script := alone(t)
	folder := t.TempDir()
	fapwstest.Write(t, script, fmt.Sprintf(`
import os, time
def app(environ, start_response):
    while environ["PATH_INFO"] == "/wait" and not os.path.exists(%q):
        time.sleep(0.01)
    start_response("200 OK", [])
    return [b"old"]
`, folder+"/go"))
	s.Reload()
	slow := s.DialGet("/wait")
	fapwstest.Eventually(t, "the request is active", func() bool { return strings.Contains(s.Control("stack"), "/wait") })
	fapwstest.Write(t, script, version(2))
	s.Signal(syscall.SIGHUP)
	s.Says("(?s)info reloaded.*info reloading: HUP")
	fapwstest.Eventually(t, "responses close their connections", func() bool {
		return s.Get("/", 200).Is(t, "old").Close
	})
	s.Get("/", 200).Is(t, "old")
	fapwstest.Write(t, folder+"/go", "")
	slow.Answer().Is(t, "old")
	fapwstest.Eventually(t, "the new code serves", func() bool { return strings.HasPrefix(s.Get("/", 200).Text, "2 ") })
}

func TestProcessWithoutASupervisorStopsDuringAReload(t *testing.T) {
	t.Parallel()
	s, script := alone(t)
	slow := s.DialGet("/nap")
	fapwstest.Write(t, script, "import time\ntime.sleep(1)\n"+version(2))
	s.Signal(syscall.SIGHUP)
	s.Says("info reloading: HUP")
	slow.Answer().Want(t, 200, "1 ")
	s.Stop()
	s.Says("info stop")
}

// No parent restarts the process, so it executes itself again when a handler holds the GIL. Clients that wait get a
// response.
func TestProcessWithoutASupervisorHeals(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags []string
	}{{"threads", nil}, {"inline", []string{"--threads", "0"}}, {"timeout", []string{"--timeout", "1"}}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, _ := alone(t, c.flags...)
			kept := s.Dial()
			kept.InTime("/").Want(t, 200, "1 ")
			s.DialGet("/keeps_gil")
			var waiting []*fapwstest.Client
			// With --timeout, these clients get 504. An inline handler blocks the event loop, which has the connections.
			if c.name == "threads" {
				for _, text := range []string{fapwstest.Get("/"), fapwstest.Request("POST", "/", "body"), fapwstest.Get("/")} {
					w := s.Dial()
					w.Send(text)
					waiting = append(waiting, w)
				}
			}
			s.Says("(?s)all threads:\n.*executing fapws again, because .*held the GIL.*info reloaded: new clients waited")
			s.Get("/", 200).Is(t, fmt.Sprintf("1 %d", s.Cmd.Process.Pid))
			for _, w := range waiting {
				w.Answer().Want(t, 200)
			}
			s.DialGet("/keeps_gil")
			s.Says("executing fapws again in [1-5]?\\ds, because it was executed again less than 1m0s ago")
			fapwstest.Kill(t, syscall.SIGKILL, s.Cmd.Process.Pid)
			<-s.Exited
		})
	}
}

func TestProcessWithoutASupervisorDoesNotHealWithNoHeal(t *testing.T) {
	t.Parallel()
	s, _ := alone(t, "--no-heal")
	s.DialGet("/keeps_gil")
	s.Says("a handler has held the GIL for 10 s")
	time.Sleep(time.Second)
	fapwstest.Lacks(t, s.Stderr.String(), "executing fapws again")
	fapwstest.Kill(t, syscall.SIGKILL, s.Cmd.Process.Pid)
	<-s.Exited
}

// A device on a battery must not wake up for a server without clients.
func TestIdleProcessSleeps(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s, _ := alone(t, m.Flags...)
		s.Get("/", 200)
		fapwstest.Eventually(t, "no thread runs for three seconds", func() bool {
			before := s.Switches()
			time.Sleep(3 * time.Second)
			return s.Switches() == before
		})
	})
}
