package process_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
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
		_, err := os.Lstat(socket)
		fapwstest.Truef(t, errors.Is(err, fs.ErrNotExist), "the socket file: %v", err)
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

// The server cannot find the address by reading the text of the script.
func TestComputedServerIsBoundAfterTheScriptHasRun(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		for _, code := range []string{"SERVER = ''.join(['%s'])\n", "SERVER = '%o'\nglobals()['SERVER'] = '%s'\n"} {
			address, other := backendtest.Unused(t), backendtest.Unused(t)
			s, file := loading(t, strings.NewReplacer("%s", address, "%o", other).Replace(code), m.Flags...)
			fapwstest.FileSays(t, file, "")
			fapwstest.Write(t, file+".go", "")
			s.Says("http://" + address + "/")
			w := fapwstest.Dial(t, "tcp", address)
			w.Fetch("/").Is(t, "hello")
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
		`(.*\n)*  File "[^"]*slowly\.py", line \d+ in keeps_gil\n` +
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
				Flags: append(tt.flags, "--workers", "3", "--graceful-timeout", "1", "--bind", "unix:"+folder+
					"/socket")}
			s := c.Start(t)
			fapwstest.Eventually(t, "the others load", func() bool {
				others, err := os.ReadFile(folder + "/others")
				return err == nil && len(others) == 2
			})
			serves := func() bool {
				a, err := fapwstest.Dial(t, "unix", folder+"/socket").Tries(fapwstest.Get("/"))
				return err == nil && a.Text == "hello"
			}
			fapwstest.Needf(t, serves(), "the first worker does not serve")
			victim := fapwstest.Dial(t, "unix", folder+"/socket")
			victim.Get(tt.path)
			s.Says(tt.says)
			fapwstest.Write(t, folder+"/go", "")
			s.Says("fapws 0.*3 workers")
			s.HasWorkers(3)
			fapwstest.Eventually(t, "it serves", serves)
		})
	}
}
