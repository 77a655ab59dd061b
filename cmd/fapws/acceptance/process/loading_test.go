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
		if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket file: %v", err)
		}
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
			if at := s.Stderr.Await(t, fapwstest.BannerURL)[1]; at != "127.0.0.2:"+port {
				t.Errorf("it serves on %s", at)
			}
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
	if said := s.Stderr.String(); strings.Count(said, "/php-cgi") != 1 {
		t.Errorf("%s", said)
	}
}
