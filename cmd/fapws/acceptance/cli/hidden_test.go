package cli_test

import (
	"slices"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// The command check and the start warn only about routes that get no requests.
func TestRoutesThatAreNeverReachedAreNamed(t *testing.T) {
	t.Parallel()
	dir := fapwstest.Files(t, map[string]string{"www/a.txt": "a", "app.py": gunicornApp, "cgi/a": ""})
	const text, proxy = `, status = 200, text = "x" }`, `, proxy = "http://127.0.0.1:9" }`
	for _, c := range []struct{ host, want string }{
		{`{ prefix = "/"` + text + `, { prefix = "/a/"` + proxy, "4: prefix: "},
		{`{ prefix = "/a"` + text + `, { prefix = "/a/b"` + proxy, "4: prefix: "},
		{`{ prefix = "/a/"` + proxy + `, { prefix = "/a/"` + text, "4: prefix: "},
		{`{ prefix = "/"` + proxy + `, { match = "*.php"` + text, "4: match: "},
		{`{ prefix = "/"` + proxy + `, { prefix = "/admin/", auth = { users = "/dev/null" } }`, "4: prefix: "},
		{`{ prefix = "/", files = "www" }, { prefix = "/api/"` + proxy, "4: prefix: "},
		{`{ prefix = "/", app = "app.py" }, { prefix = "/api/"` + proxy, "4: prefix: "},
		{`{ match = "*.cgi", cgi = "cgi" }, { match = "*.cgi", prefix = "/x/", cgi = "cgi" }`, "4: prefix: "},
		{`{ match = "*.txt"` + text + `, { match = "*.txt", files = "www" }`, "4: match: "},
		{`{ match = "*.txt"` + text + `, { prefix = "/a/", match = "*.txt", files = "www" }`, "4: prefix: "},
		{`{ prefix = "/"` + proxy + "]\napp = \"app.py\"\nheaders = {} #", "4: app: "},

		{`{ prefix = "/a/"` + text + `, { prefix = "/"` + proxy, ""},
		{`{ prefix = "/a/"` + text + `, { prefix = "/a"` + proxy, ""},
		{`{ prefix = "/a/"` + text + `, { prefix = "/ab"` + proxy, ""},
		{`{ match = "*.txt"` + text + `, { prefix = "/"` + proxy, ""},
		{`{ match = "*.txt"` + text + `, { match = "*.txt", cgi = "cgi" }`, ""},
		{`{ prefix = "/a/"` + text + `, { prefix = "/b/", rewrite = "/a/c" }, { prefix = "/a/c"` + proxy, ""},
		{`{ prefix = "/a/", headers = { A = "b" } }, { prefix = "/a/"` + proxy, ""},
		{`{ prefix = "/a/", expires = ["*=1d"] }, { prefix = "/a/"` + proxy + "]\nroot = \"www\" #", ""},
		{`{ prefix = "/"` + proxy + "]\nroot = \"www\" #", ""},
		{`{ prefix = "/a/"` + proxy + "]\napp = \"app.py\" #", ""},
		{`{ prefix = "/api/", app = "app.py" }, { prefix = "/"` + proxy + "]\napp = \"app.py\" #", ""},
	} {
		routes := strings.Replace(c.host, "}, {", "},\n{", 1)
		file := fapwstest.Write(t, dir+"/fapws.toml", "[[host]]\nroute = [\n"+routes+"]\n")
		command := fapwstest.Command{Dir: dir, Flags: []string{"check", "-b", "127.0.0.1:0", "-c", file}}
		code, _, stderr := command.Run(t)
		line := "fapws: warning: " + file + ":" + c.want + "gets no requests, because the route of line 3 comes before it; put longer " +
			"prefixes first, and patterns before prefixes\n"
		if c.want == "" {
			line = ""
		}
		fapwstest.Truef(t, code == 0 && stderr == line, "%s: code %d, %q, want %q", routes, code, stderr, line)
	}

	file := fapwstest.Write(t, dir+"/fapws.toml", "[[host]]\nroute = [\n{ prefix = \"/\""+text+",\n{ prefix = \"/a/\""+
		proxy+"]\n")
	s := fapwstest.Command{Dir: dir, Flags: []string{"-b", "127.0.0.1:0", "-w", "2", "-c", file}}.Started(t)
	s.Says(`warning .*fapws.toml:4: prefix: gets no requests`)
	s.Ask(fapwstest.Get("/a/b")).Want(t, 200).Is(t, "x")
	fapwstest.Equalf(t, strings.Count(s.Stderr.String(), "gets no requests"), 1, "warnings of two workers")
}

// The same holds for the directories of --static, and for entries of PATHS.
func TestEntriesAndDirectoriesThatAreNeverReachedAreNamed(t *testing.T) {
	t.Parallel()
	dir := fapwstest.Files(t, map[string]string{"www/a.txt": "a", "app.py": anApp, "paths.py": `
from fapws.contrib.views import Staticfile
def ask(environ, start_response): return environ["PATH_INFO"]
PATHS = [("/files/", Staticfile("www")), ("/files/a/", ask), ("/a", ask), ("/a", ask), ("/b", ask)]
`})
	const why = " gets no requests, because "
	entries := []string{`paths.py: entry "/files/a/"` + why + `"/files/" comes before it`,
		`paths.py: entry "/a"` + why + `"/a" comes before it`}
	for _, c := range []struct {
		flags string
		want  []string
	}{
		{"paths.py", entries},
		{"--threads 0 paths.py", entries},
		{"-w 2 paths.py", entries},
		{"--fork paths.py", entries},
		{"--static /b=www paths.py", append(slices.Clone(entries), `paths.py: entry "/b"`+why+"--static /b comes before it")},
		{"--static /a/=www --static /a/=www app.py", []string{"--static: /a/" + why + "--static /a/ comes before it"}},
		{"--static /=www app.py", []string{"app.py" + why + "--static / comes before it"}},
		{"--static /a/b/=www --static /a/=www app.py", nil},
	} {
		flags := append([]string{"-b", "127.0.0.1:0"}, strings.Fields(c.flags)...)
		_, _, check := fapwstest.Command{Dir: dir, Flags: append([]string{"check"}, flags...)}.Run(t)
		s := fapwstest.Command{Dir: dir, Flags: flags}.Started(t)
		for _, stderr := range []string{check, s.Stderr.String()} {
			for _, line := range c.want {
				fapwstest.Truef(t, strings.Contains(stderr, line), "%s: %q is not in %s", c.flags, line, stderr)
			}
			fapwstest.Equalf(t, strings.Count(stderr, why), len(c.want), "%s: lines of %s", c.flags, stderr)
		}
	}
}
