package process_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/backend/backendtest"
)

func loading(t *testing.T, code string, flags ...string) (s *fapwstest.Server, file string) {
	t.Helper()
	text := fapwstest.Source(t, "loads.py")
	folder := t.TempDir()
	file = folder + "/loads"
	s = fapwstest.Command{Script: fapwstest.Write(t, folder+"/app.py", code+text), Args: []string{file}, Flags: flags,
		Complains: true}.Start(t)
	return s, file
}

func TestStopWhileLoadingRemovesTheSocketFile(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		socket := t.TempDir() + "/socket"
		s, file := loading(t, "", append([]string{"--bind", "unix:" + socket}, m.Flags...)...)
		fapwstest.FileSays(t, file, "")
		w := fapwstest.Dial(t, "unix", socket)
		s.Signal(syscall.SIGTERM)
		w.Gone()
		s.EndsWith(0)
		s.Says("info stopping immediately")
		fapwstest.Truef(t, !fapwstest.Exists(socket), "the socket file is still there")
	})
}

func TestStopWhileLoadingByHandlersOfTheApplication(t *testing.T) {
	modes := []fapwstest.Mode{fapwstest.Threads, fapwstest.Inline, fapwstest.Workers}
	fapwstest.InEach(t, modes, func(t *testing.T, m fapwstest.Mode) {
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
			s, file := loading(t, `import signal, sys
for each in signal.SIGTERM, signal.SIGINT:
    signal.signal(each, lambda *_: sys.exit())
`, m.Flags...)
			fapwstest.FileSays(t, file, "")
			s.Signal(sig)
			s.EndsWith(0)
			s.Says("info stopping immediately")
		}
	})
}

// In the process of a wheel, module _signal would otherwise replace the default action of SIGINT.
func TestInterruptEndsCommandsWhileTheApplicationLoads(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]string{
		"waits": "",
		"catches all exceptions": `import os, time
def exists(name):
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
os.path.exists = exists
`,
		"restores the handler": `import asyncio, signal, time
asyncio.run(asyncio.sleep(0))
signal.signal(signal.SIGINT, signal.signal(signal.SIGINT, lambda *_: None))
`,
	} {
		for _, command := range []string{"check", "routes"} {
			s, file := loading(t, code, command)
			fapwstest.FileSays(t, file, "")
			s.Signal(syscall.SIGINT)
			s.Ended()
			status := s.Cmd.ProcessState.Sys().(syscall.WaitStatus)
			fapwstest.Truef(t, status.Signaled() && status.Signal() == syscall.SIGINT, "%s, %s: %v", command, name,
				s.Cmd.ProcessState)
		}
	}
}

// The server cannot find the address by reading the text of the script.
func TestComputedServerIsBoundAfterTheScriptHasRun(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		for _, code := range []string{"SERVER = ''.join(['%s'])\n", "SERVER = '%o'\nglobals()['SERVER'] = '%s'\n"} {
			address, other := backendtest.Unused(t), backendtest.Unused(t)
			s, file := loading(t, strings.NewReplacer("%s", address, "%o", other).Replace(code), m.Flags...)
			fapwstest.FileSays(t, file, "")
			fapwstest.Write(t, file+".go", "")
			s.Says("http://" + address + "/")
			fapwstest.Dial(t, "tcp", address).Fetch("/").Is(t, "hello")
			// Repeat the check, because a child that was just forked keeps the old socket open until exec.
			fapwstest.Eventually(t, "it does not listen on "+other, func() bool {
				c, err := net.Dial("tcp", other)
				if err == nil {
					c.Close()
				}
				return errors.Is(err, syscall.ECONNREFUSED)
			})
		}
	})
}

func TestAddressThatTheScriptReplacesMayBeInUse(t *testing.T) {
	t.Parallel()
	_, port, _ := net.SplitHostPort(listenOn(t, "tcp", "127.0.0.1:0").Addr().String())
	path := fapwstest.Write(t, t.TempDir()+"/app.py",
		"SERVER = '127.0.0.2'\nPATHS = [('/', lambda environ, start_response: 'x')]\n")
	for name, flags := range map[string][]string{"alone": nil, "workers": {"--workers", "2"}, "dev": {"--dev"}} {
		t.Run(name, func(t *testing.T) {
			s := fapwstest.Command{Script: path, Flags: append(flags, "--port", port)}.Start(t)
			fapwstest.Equal(t, s.Stderr.Await(t, fapwstest.BannerURL)[1], "127.0.0.2:"+port)
		})
	}
}

// Both workers build their sites twice: before and after the application has loaded.
func TestWarningOfTheStartIsLoggedOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/app.py", "PATHS = [('/', lambda environ, start_response: 'x')]\n")
	fapwstest.Write(t, dir+"/fapws.toml", "workers = 2\n[[host]]\napp = 'app.py'\nroot = '.'\n[[host.route]]\n"+
		"match = '*.php'\nphp = { command = '"+dir+"/php-cgi' }\n")
	s := fapwstest.Command{Flags: []string{"--port", "0"}, Dir: dir, Complains: true}.Start(t)
	s.Stderr.Await(t, fapwstest.BannerURL)
	s.Stop()
	fapwstest.Equal(t, strings.Count(s.Stderr.String(), "/php-cgi"), 1)
}

// The server replaces a worker whose handler holds the GIL even without --timeout.
func TestWorkerThatEndsBeforeOthersHaveLoadedIsReplaced(t *testing.T) {
	t.Parallel()
	const holdsGIL = `error a handler holds the GIL in C code, and no other handler can run; all threads:\n` +
		`(.*\n)*  File "[^"]*slowly\.py", line \d+, in keeps_gil\n` +
		`(.*\n)*.* replacing worker \d+: stuck \(a handler has held the GIL for 10 s\)`
	for _, tt := range []struct {
		path, says string
		flags      []string
	}{
		{"/die", `worker \d+ was killed by SIGKILL; starting a new one`, nil},
		{"/leave", `worker \d+ exited with status 3: .*; starting a new one`, []string{"--reload-check", "/"}},
		{"/leave", `worker \d+ exited with status 3: .*; starting a new one`, []string{"--sandbox"}},
		{"/stop", `worker \d+ was stopped by a signal for 10s and was killed; starting a new one`, nil},
		{"/hang", `replacing worker \d+: stuck`, []string{"--threads", "0", "--timeout", "1"}},
		{"/hang", `replacing worker \d+: stuck`, []string{"--timeout", "1"}},
		{"/keeps_gil", `replacing worker \d+: stuck \(GET /keeps_gil .* timed out; a handler has held the GIL`,
			[]string{"--timeout", "1"}},
		{"/keeps_gil", holdsGIL, nil},
		{"/keeps_gil", holdsGIL, []string{"--threads", "0"}},
	} {
		t.Run(tt.path[1:]+" "+strings.Join(tt.flags, " "), func(t *testing.T) {
			t.Parallel()
			folder := fapwstest.PublicFolder(t)
			fapwstest.Must(t, os.Chmod(folder, 0o777))
			c := fapwstest.Command{Script: "slowly.py", Args: []string{folder}, Complains: true,
				Flags: append(tt.flags, "--workers", "3", "--graceful-timeout", "1", "--bind", "unix:"+folder+"/socket")}
			s := c.Start(t)
			fapwstest.Eventually(t, "the others load", func() bool { return len(fapwstest.TextOf(t, folder+"/others")) == 2 })
			serves := func() bool {
				a, err := fapwstest.Dial(t, "unix", folder+"/socket").Tries(fapwstest.Get("/"))
				return err == nil && a.Text == "hello"
			}
			fapwstest.Needf(t, serves(), "the first worker does not serve")
			fapwstest.Dial(t, "unix", folder+"/socket").Get(tt.path)
			s.Says(tt.says)
			fapwstest.Write(t, folder+"/go", "")
			s.Says("fapws 0.*3 workers")
			s.HasWorkers(3)
			fapwstest.Eventually(t, "it serves", serves)
		})
	}
}

func early(t *testing.T, m fapwstest.Mode, flags ...string) (s *fapwstest.Server, file string) {
	t.Helper()
	address, folder := backendtest.Unused(t), t.TempDir()
	fapwstest.Write(t, folder+"/a.txt", "a file")
	s, file = loading(t, "", slices.Concat([]string{"--bind", address, "--static", "/files=" + folder}, m.Flags, flags)...)
	s.Address = address
	fapwstest.FileSays(t, file, "")
	return s, file
}

func goOn(t *testing.T, file, why string) { t.Helper(); fapwstest.Replace(t, file+".go", why) }

const (
	page    = "Accept: text/html"
	refresh = `http-equiv="refresh"`
)

func TestServerAnswersWhileTheApplicationLoads(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers, fapwstest.Forks, fapwstest.Asleep},
		func(t *testing.T, m fapwstest.Mode) {
			s, file := early(t, m, "--status", "/_fapws", "--health", "/healthz", "--h2c", "--access-log", "-",
				"--start-wait", "1h")
			w := s.Dial()
			w.Fetch("/files/a.txt").Is(t, "a file")
			s.Get("/healthz", 200).Is(t, "alive\n")
			s.Get("/healthz/ready", 503).Want(t, 503, "starting")
			s.Ask("GET /_fapws/status.json HTTP/1.0\r\nHost: localhost\r\n\r\n").Want(t, 200, `"starting"`)
			s.Get("/page", 503, page).Field(t, "Retry-After", "1").Want(t, 503, refresh)

			w.Get("/same/connection")
			large := strings.Repeat("large", 1<<18)
			posts := s.Dial()
			posted := make(chan error, 1)
			go func() {
				_, err := io.WriteString(posts.Conn, fapwstest.Request("POST", "/length", large))
				posted <- err
			}()
			half := s.DialSend("GET /half HTTP/1.0\r\n\r\n")
			fapwstest.Must(t, half.Conn.(*net.TCPConn).CloseWrite())
			streams := make(chan string)
			go func() { streams <- overHTTP2(t, s.Address, large) }()
			s.DialGet("/gone").Reset()
			s.Get("/files/a.txt", 200).Is(t, "a file")

			goOn(t, file, "")
			w.Answer().Is(t, "hello")
			posts.Answer().Is(t, "1310720")
			// The client has shut down its sending side. After two seconds, the server closes such a connection, and on
			// a busy machine, forking a process may take longer.
			if m.Name != fapwstest.Forks.Name {
				half.Answer().Is(t, "hello")
			}
			fapwstest.Must(t, <-posted)
			fapwstest.Equal(t, <-streams, "1310720")
			fields := []string{page}
			if m.Name == fapwstest.Asleep.Name {
				// The application may have stopped because there were no requests. A browser would get the waiting page
				// while the application starts, so the request is not that of a browser.
				fields = nil
			}
			s.Get("/page", 200, fields...).Is(t, "hello")
			s.Get("/healthz/ready", 200).Is(t, "ready\n")
			s.Get("/files/a.txt", 200).Is(t, "a file")
			s.Says("http://" + s.Address + "/")
			for _, line := range []string{"GET /files/a.txt HTTP/1.1\" 200", "GET /page HTTP/1.1\" 503",
				"GET /same/connection HTTP/1.1\" 200", "POST /length HTTP/2.0\" 200"} {
				fapwstest.Eventually(t, line+" in the access log", func() bool { return strings.Contains(s.Stdout.String(), line) })
			}
		})
}

func TestServerAnswersWhileAllWorkersAreReplaced(t *testing.T) {
	inline := fapwstest.Mode{Name: "inline", Flags: []string{"--threads", "0", "--workers", "1"}}
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Workers, inline}, func(t *testing.T, m fapwstest.Mode) {
		s, file := early(t, m, "--health", "/healthz")
		goOn(t, file, "")
		s.Says("http://" + s.Address + "/") // before the banner, only one worker may have loaded
		fapwstest.Must(t, os.Remove(file+".go"))
		fapwstest.Kill(t, syscall.SIGKILL, s.Workers()...)
		s.Get("/files/a.txt", 200).Is(t, "a file")
		s.Get("/healthz/ready", 503).Want(t, 503, "starting")
		w := s.DialGet("/")
		s.Get("/page", 503, page).Want(t, 503, refresh)
		s.SignalLogs(syscall.SIGHUP, "reloading: HUP")
		goOn(t, file, "")
		w.Answer().Is(t, "hello")
		s.Says("reloaded")
		s.Get("/", 200).Is(t, "hello")
	})
}

func overHTTP2(t *testing.T, address, body string) string {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	r, err := (&http.Client{Transport: transport}).Post("http://"+address+"/length", "text/plain", strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	fapwstest.Equal(t, err, nil)
	return string(text)
}

func TestClientsThatWaitGetAResponseIfLoadingFails(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		s, file := early(t, m)
		w := s.DialGet("/")
		s.Get("/page", 503, page)
		goOn(t, file, "no database")
		w.Answer().Want(t, 503, "the application failed to start")
		s.EndsWith(3)
		s.Says("RuntimeError: no database")
	})
}

func TestStartWaitOf0AnswersAtOnceWhileLoading(t *testing.T) {
	t.Parallel()
	ln, folder := listenOn(t, "tcp", "127.0.0.1:0"), t.TempDir()
	file := folder + "/loads"
	s := fapwstest.Command{Script: "loads.py", Args: []string{file}, Shell: "export LISTEN_PID=$$ LISTEN_FDS=1",
		Files: passed(t, ln), Flags: []string{"--static", "/files=" + folder, "--start-wait", "0"}}.Start(t)
	s.Address = ln.Addr().String()
	fapwstest.Write(t, folder+"/a.txt", "a file")
	fapwstest.FileSays(t, file, "")
	s.Get("/", 503).Field(t, "Retry-After", "1").Want(t, 503, "the application is starting")
	s.Get("/", 503, page).Want(t, 503, refresh)
	s.Get("/files/a.txt", 200)
	goOn(t, file, "")
	fapwstest.Eventually(t, "it serves", func() bool { return s.Ask(fapwstest.Get("/")).StatusCode == 200 })
}

// If a script sets the address, the server listens while the script loads. If the script sets options that apply to all
// requests, the server reads no requests before the script has loaded.
func TestSettingsOfAScriptApplyToEarlyClients(t *testing.T) {
	t.Parallel()
	address := backendtest.Unused(t)
	s, file := loading(t, "SERVER = '"+address+"'\nLIMIT_REQUEST_LINE = 100\n", "--start-wait", "0")
	s.Address = address
	fapwstest.FileSays(t, file, "")
	w, long := s.Dial(), s.Dial()
	w.Get("/")
	long.Get("/" + strings.Repeat("x", 100))
	goOn(t, file, "")
	w.Answer().Is(t, "hello")
	long.Answer().Want(t, 414)
}
