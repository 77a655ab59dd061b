package process_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// The programs run in the same sandbox as the application.
func TestSandboxAllowsTheSourcesOfAConfigurationFile(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "upstream")
	}))
	t.Cleanup(upstream.Close)
	folder, outside := fapwstest.PublicFolder(t), fapwstest.PublicFolder(t)
	secret := fapwstest.Write(t, outside+"/secret", "secret")
	fapwstest.Write(t, folder+"/site/page.txt", "page")
	fapwstest.Write(t, folder+"/site/page.shtml", `<!--#include virtual="/page.txt" -->`)
	fapwstest.Write(t, folder+"/users", "anna:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n")
	fapwstest.Write(t, folder+"/site/a.php", "<?php echo PHP_MAJOR_VERSION > 6, '|', @file_get_contents('"+secret+
		"'), '|', dirname(tempnam('', 'x'));")
	script := fapwstest.Write(t, folder+"/programs/a.sh", "#!/bin/sh\necho 'Content-Type: text/plain'\necho\ncat "+
		secret+" 2>/dev/null\necho x >"+folder+"/site/new 2>/dev/null && echo written\ndate +%Y | tr 0-9 d\nmktemp\n")
	hangs := fapwstest.Write(t, folder+"/programs/hangs.sh",
		"#!/bin/sh\necho 'Content-Type: text/plain'\necho\necho begun\nsleep 300\n")
	fapwstest.Write(t, folder+"/app/app.py", fapwstest.Source(t, "attacker.py"))
	for path, mode := range map[string]os.FileMode{script: 0o755, hangs: 0o755, folder + "/site": 0o777,
		outside: 0o755} {
		fapwstest.Must(t, os.Chmod(path, mode))
	}
	config := fapwstest.Write(t, folder+"/fapws.toml", `sandbox = true
max-cgi = 1
app = "app/app.py"
reload-check = "http://files.lan/page.txt" # which asks clients for a password
[[host]]
name = "files.lan"
root = "site"
ssi = true
[[host.route]]
prefix = "/programs/"
cgi = "programs"
[[host.route]]
match = "*.php"
php = true
[[host.route]]
prefix = "/upstream"
proxy = "`+upstream.URL+`"
[[host.route]]
match = "page.txt"
auth = { users = "users", realm = "x" }
`)
	c := fapwstest.Command{Flags: []string{"-c", config}, Env: []string{"TMPDIR=/tmp"}, Complains: true}
	s := unprivileged(t, c).Serve(t, fapwstest.Mode{})
	if landlock() == 0 {
		s.Says("cannot restrict files")
		secret = "secret"
	} else {
		secret = ""
	}
	get := func(path string) string {
		t.Helper()
		return s.Ask(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: files.lan\r\nAuthorization: Basic "+
			"YW5uYTpwYXNzd29yZA==\r\nConnection: close\r\n\r\n", path)).Want(t, 200).Text
	}
	check := func() {
		t.Helper()
		written := ""
		if landlock() == 0 {
			written = "written\n"
		}
		for path, want := range map[string]string{
			"/page.txt":      "page",
			"/page.shtml":    "page",
			"/upstream":      "upstream",
			"/a.php":         `1\|` + secret + `\|/tmp/fapws-sandbox-\d+`,
			"/programs/a.sh": secret + written + `dddd\n/tmp/fapws-sandbox-\d+/tmp\.\w+\n`,
		} {
			got := get(path)
			fapwstest.Truef(t, regexp.MustCompile("^"+want+"$").MatchString(got), "%s: %q, want %q", path, got, want)
		}
		// A program is killed when its client disconnects, so that the next program can start.
		w := s.Dial()
		w.Send("GET /programs/hangs.sh HTTP/1.1\r\nHost: files.lan\r\n\r\n")
		w.Head("GET")
		w.Conn.Close()
		get("/programs/a.sh")
		s.Get("/attack?exec,/bin/true", 200).Is(t, "done: ") // the program runs in the sandbox, too
	}
	check()
	s.Reload()
	check()
	fapwstest.Change(t, config, "sandbox = true", "sandbox = false")
	s.Signal(syscall.SIGHUP)
	s.Says("changes of sandbox take effect after a restart")
	check()
	left, _ := filepath.Glob(folder + "/site/new")
	fapwstest.Truef(t, landlock() == 0 || len(left) == 0, "a program has made %s", left)
}

func TestSandboxedApplicationCannotRedirectUploads(t *testing.T) {
	t.Parallel()
	x := newSandboxed(t, fapwstest.Threads)
	victim, stored := filepath.Dir(x.secret), fapwstest.PublicFolder(t)
	fapwstest.Must(t, os.Chmod(stored, 0o777))
	x.c.Script = ""
	x.c.Flags = append(x.c.Flags, "-c", fapwstest.Write(t, filepath.Dir(filepath.Dir(x.app))+"/fapws.toml",
		`app = "app/app.py"
[[host]]
name = "files.lan"
[[host.route]]
prefix = "/firmware"
upload = { to = "`+stored+`/image" }
`))
	s := x.c.Serve(t, fapwstest.Mode{})
	put := func(status int) {
		t.Helper()
		s.Ask("PUT /firmware HTTP/1.1\r\nHost: files.lan\r\nContent-Length: 3\r\nConnection: close\r\n\r\nnew").Want(t,
			status)
	}
	put(201)
	s.Get("/attack?replace,"+stored+"/image,"+victim, 200).Is(t, "done: None")
	s.ReloadFails("leads through a symbolic link that the application can have made")
	s.Get("/attack?create,"+victim+"/new", 200).Is(t, "refused: EACCES")
	put(201)
	if entries, _ := os.ReadDir(victim); len(entries) != 1 || textOf(t, x.secret) != "secret" {
		t.Errorf("files in the directory that the link leads to: %v", entries)
	}
	fapwstest.Equal(t, textOf(t, stored+"/image"), "new")
}
