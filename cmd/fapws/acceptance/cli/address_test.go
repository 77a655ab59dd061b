package cli_test

import (
	"net"
	"slices"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// Only a server that listens on all addresses answers at this one, which is an address of every machine.
const otherAddress = "127.0.0.2"

// listensForAll reports whether other machines can reach s, the banner of which names one address.
func listensForAll(t *testing.T, s *fapwstest.Server) bool {
	t.Helper()
	host, port, err := net.SplitHostPort(s.Address)
	fapwstest.Must(t, err)
	fapwstest.Truef(t, host == "127.0.0.1" && fapwstest.Listens("tcp", s.Address), "the banner names %s", s.Address)
	return fapwstest.Listens("tcp", net.JoinHostPort(otherAddress, port))
}

func TestOnlyThisMachineReachesAServerWithoutAnAddress(t *testing.T) {
	t.Parallel()
	const app = "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'x']\n"
	dir := fapwstest.Files(t, map[string]string{
		"www/index.html": "a page",
		"web.py":         app,
		"named.py":       app + "def unused():\n    PATHS = [('/', app)]\n", // looks like a script with PATHS
		"paths.py":       "PATHS = [('/', lambda environ, start_response: 'x')]\n",
		"bare.py":        "SERVER = '0'\nPATHS = [('/', lambda environ, start_response: 'x')]\n",
		"apps.toml": "app = 'paths.py'\n[[host]]\nname = 'a.lan'\nroot = 'www'\n[[host.route]]\nprefix = '/b/'\n" +
			"app = 'web:app'\n",
		"hosts.toml": "[[host]]\napp = 'paths.py'\n",
		"alone.toml": "app = 'paths.py'\nroot = 'www'\n",
	})
	for _, tt := range []struct {
		words, variable string
		all             bool
	}{
		{"-p 0 www", "", false},
		{"-p 0 web:app", "", false},
		{"-p 0 web.py", "", false},
		{"-p 0 named.py", "", false},
		{"-b 0 web:app", "", false},
		{"-p 0 -c apps.toml", "", false},
		{"-p 0 -c hosts.toml", "", false},
		{"--dev -b 0 paths.py", "", false},
		{"web:app", "FAPWS_PORT=0", false},
		{"web:app", "FAPWS_BIND=0", false},
		{"web:app", "UVICORN_PORT=0", false},

		{"-p 0 paths.py", "", true},
		{"-p 0 paths", "", true},
		{"-p 0 paths.py -w 1 --idle-stop 50ms", "", true},
		{"-p 0 -c alone.toml", "", true},
		{"bare.py", "", true},
		{"web:app", "PORT=0", true},
		{"www", "PORT=0", true},
		{"-c apps.toml", "PORT=0", true},
		{"-b :0 web:app", "", true},
		{"-p 0 --host 0.0.0.0 web:app", "", true},
	} {
		for _, mode := range []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers} {
			t.Run(strings.TrimSpace(tt.variable+" "+tt.words+" "+mode.Name), func(t *testing.T) {
				t.Parallel()
				c := fapwstest.Command{Flags: slices.Concat(strings.Fields(tt.words), mode.Flags), Dir: dir}
				if tt.variable != "" {
					c.Env = []string{tt.variable}
				}
				s := c.Started(t)
				fapwstest.Equalf(t, listensForAll(t, s), tt.all, "other machines can reach it")
				s.Get("/", 200)
			})
		}
	}
}

// A worker that sleeps knows the address as the worker before it, which has loaded the application.
func TestSleepDoesNotChangeTheAddress(t *testing.T) {
	t.Parallel()
	for _, script := range []string{
		"def app(environ, start_response):\n    PATHS = start_response('200 OK', [])\n    return [b'x']\n",
		"PATHS = [('/', lambda environ, start_response: 'x')]\n",
	} {
		file := fapwstest.Write(t, t.TempDir()+"/served.py", script)
		s := fapwstest.Command{Script: file, Flags: []string{"-p", "0", "--idle-stop", "50ms"}}.Started(t)
		s.Get("/", 200)
		fapwstest.Eventually(t, "a worker is asleep", func() bool { return strings.Contains(s.Control("status"), "asleep") })
		s.Get("/", 200)
		fapwstest.Truef(t, !strings.Contains(s.Stderr.String(), "the address is"), "%s", s.Stderr)
	}
}
