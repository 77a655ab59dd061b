package cli_test

import (
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// check and the start warn about routes that get no requests, and only about those.
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
	} {
		routes := strings.Replace(c.host, "}, {", "},\n{", 1)
		file := fapwstest.Write(t, dir+"/fapws.toml", "[[host]]\nroute = [\n"+routes+"]\n")
		command := fapwstest.Command{Dir: dir, Flags: []string{"check", "-b", "127.0.0.1:0", "-c", file}}
		code, _, stderr := command.Run(t)
		line := "fapws: " + file + ":" + c.want + "gets no requests, because the route of line 3 comes before it; put longer " +
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
