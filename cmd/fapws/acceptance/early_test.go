package acceptance

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"fapws/runtime/backend/backendtest"
)

// loading starts loads.py, which writes file and loads until there is file.go, with more code before what it has.
func loading(t *testing.T, code string, flags ...string) (s *server, file string) {
	t.Helper()
	text, err := os.ReadFile(testdata(t, "loads.py"))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	file = folder + "/loads"
	s = command{script: write(t, folder+"/app.py", code+string(text)), args: []string{file}, flags: flags, complains: true}.start(t)
	return s, file
}

// TestListensWhileLoading: clients that come while the application loads are served when it has.
func TestListensWhileLoading(t *testing.T) {
	for _, kind := range []string{"tcp", "unix", "SERVER"} {
		t.Run(kind, func(t *testing.T) {
			inModes(t, func(t *testing.T, m mode) {
				network, address, code := "tcp", backendtest.Unused(t), ""
				flags := slices.Clone(m.flags)
				switch kind {
				case "tcp":
					flags = append(flags, "--bind", address)
				case "unix":
					network, address = "unix", t.TempDir()+"/socket"
					flags = append(flags, "--bind", "unix:"+address)
				case "SERVER":
					code = "SERVER = '" + address + "'  # where it listens\n"
				}
				s, file := loading(t, code, flags...)
				fileSays(t, file, "")
				w := dial(t, network, address) // refused before
				w.get("/")
				other := dial(t, network, address)
				if strings.Contains(s.stderr.String(), "http://") {
					t.Error("the banner comes before the application serves")
				}
				write(t, file+".go", "")
				w.answer().is(t, "hello")
				other.get("/")
				other.answer().is(t, "hello")
			})
		})
	}
}

// TestStopWhileLoading: a server that is told to end while it loads leaves no socket file, and its clients hear of the end.
func TestStopWhileLoading(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		socket := t.TempDir() + "/socket"
		s, file := loading(t, "", append([]string{"--bind", "unix:" + socket}, m.flags...)...)
		fileSays(t, file, "")
		w := dial(t, "unix", socket)
		s.signal(syscall.SIGTERM)
		w.gone()
		s.ended()
		if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket file: %v", err)
		}
	})
}

// TestTakenAddress: an address that another server has is said before a long load.
func TestTakenAddress(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		s, _ := loading(t, "", append([]string{"--bind", ln.Addr().String()}, m.flags...)...)
		if code := s.ended(); code != 3 {
			t.Errorf("code %d", code)
		}
		s.says("address already in use")
	})
}

// TestComputedServer: a SERVER that only Python knows is listened on when the script has run, and so is one that
// is another than its text says.
func TestComputedServer(t *testing.T) {
	inModes(t, func(t *testing.T, m mode) {
		for _, code := range []string{"SERVER = ''.join(['%s'])\n", "SERVER = '127.0.0.1:1'\nglobals()['SERVER'] = '%s'\n"} {
			address := backendtest.Unused(t)
			s, file := loading(t, strings.ReplaceAll(code, "%s", address), m.flags...)
			fileSays(t, file, "")
			write(t, file+".go", "")
			s.says("http://" + address + "/")
			w := dial(t, "tcp", address)
			w.get("/")
			w.answer().is(t, "hello")
		}
	})
}

// TestOccupiedByDefault: an address that the script replaces may be another server's.
func TestOccupiedByDefault(t *testing.T) {
	t.Parallel()
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	_, port, _ := net.SplitHostPort(other.Addr().String())
	path := write(t, t.TempDir()+"/app.py", "SERVER = '127.0.0.2'\nPATHS = [('/', lambda environ, start_response: 'x')]\n")
	for name, flags := range map[string][]string{"alone": nil, "workers": {"--workers", "2"}, "dev": {"--dev"}} {
		t.Run(name, func(t *testing.T) { // one at a time: they all serve on the same port
			s := command{script: path, flags: append(flags, "--port", port)}.start(t)
			if at := s.stderr.await(t, bannerURL)[1]; at != "127.0.0.2:"+port {
				t.Errorf("it serves on %s", at)
			}
		})
	}
}
