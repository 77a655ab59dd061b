package cli_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestMissingUserDirectoryOrVariablesAreErrorsInOneLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/www/a.txt", "a")
	chroot := "--chroot none: no such file or directory"
	if os.Geteuid() == 0 {
		chroot = "--chroot none: root can escape a chroot; add --user NAME"
	}
	for _, c := range [][2]string{{"user = 'no-one'", "unknown user"}, {"chroot = 'none'", chroot}} {
		fapwstest.Write(t, dir+"/fapws.toml", "root = 'www'\n"+c[0]+"\n")
		fapwstest.Command{Flags: []string{"check"}, Dir: dir}.Fails(t, 2, c[1])
	}
	fapwstest.Command{Flags: []string{"-c", "off", "--env-file", "www", "www"}, Dir: dir}.Fails(t, 2,
		"fapws: cannot read www: is a directory\n")
}

func TestHostsHaveTheirOwnRoots(t *testing.T) {
	t.Parallel()
	dir := fapwstest.Files(t, map[string]string{"a/index.html": "page of a", "b/index.html": "page of b",
		"c/index.html": "the default"})
	conf := `[[host]]
name = ["a.lan", "*.a.lan"]
root = "a"
[[host]]
name = "b.lan"
root = "b"
[[host]]
root = "c"
`
	s := fapwstest.Command{Flags: []string{"-c", fapwstest.Write(t, dir+"/fapws.toml", conf), "--forwarded-allow-ips",
		"127.0.0.1"}}.Serve(t, fapwstest.Threads)
	for host, want := range map[string]string{
		"a.lan": "page of a", "A.LAN:80": "page of a", "x.a.lan": "page of a", "b.lan": "page of b", "b.lan.": "page of b",
		"c.lan": "the default", "127.0.0.1": "the default",
	} {
		s.Ask("GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n").Want(t, 200).Is(t, want)
	}
	s.Ask("GET / HTTP/1.0\r\n\r\n").Want(t, 200).Is(t, "the default")
	s.Ask("GET http://b.lan/ HTTP/1.1\r\nHost: a.lan\r\n\r\n").Want(t, 200).Is(t, "page of b")
	s.Ask("GET / HTTP/1.1\r\nHost: a.lan\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: b.lan\r\n\r\n").Want(t,
		200).Is(t, "page of b")
	s.Ask("OPTIONS * HTTP/1.1\r\nHost: c.lan\r\n\r\n").Want(t, 204)

	s = fapwstest.Command{Flags: []string{"-c", fapwstest.Write(t, dir+"/strict.toml", "health = \"/healthz\"\n"+
		"status = \"/_fapws\"\nunknown-host = 421\n"+conf[:strings.LastIndex(conf, "[[host]]")])}}.Serve(t, fapwstest.Threads)
	s.Ask("GET / HTTP/1.1\r\nHost: b.lan\r\nConnection: close\r\n\r\n").Want(t, 200).Is(t, "page of b")
	s.Ask("GET / HTTP/1.1\r\nHost: c.lan\r\nConnection: close\r\n\r\n").Want(t, 421)
	s.Ask("GET / HTTP/1.0\r\n\r\n").Want(t, 421)
	s.Ask("GET /_fapws/metrics HTTP/1.1\r\nHost: c.lan\r\nConnection: close\r\n\r\n").Want(t, 403)
	for _, path := range []string{"/healthz", "/healthz/ready", "/_fapws/metrics"} {
		s.Ask("GET "+path+" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").Want(t, 200)
	}
}

func TestFileKeysOfRoutesWithoutASourceApplyToTheHost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"/www/a.css", "/www/img/a.png", "/www/img/a.css", "/www/files/x.txt"} {
		fapwstest.Write(t, dir+name, name)
	}
	fapwstest.WriteProgram(t, dir+"/cgi/hello", "#!/bin/sh\necho Content-Type: text/plain; echo; echo program")
	s := fapwstest.Command{Flags: []string{"-c", fapwstest.Write(t, dir+"/fapws.toml", `[[host]]
root = "www"
route = [
  { prefix = "/img/", expires = ["*=1y"], headers = { A = "b" } },
  { match = "*.css", expires = ["*=30d"] },
  { prefix = "/files/", autoindex = true },
  { prefix = "/img/programs/", cgi = "cgi" },
]
`)}}.Serve(t, fapwstest.Threads)
	s.Ask(fapwstest.Get("/img/a.png")).Want(t, 200).Is(t, "/www/img/a.png").Field(t, "Cache-Control",
		"max-age=31536000", "A", "b")
	s.Ask(fapwstest.Get("/img/a.css")).Want(t, 200).Is(t, "/www/img/a.css").Field(t, "Cache-Control",
		"max-age=31536000")
	s.Ask(fapwstest.Get("/a.css")).Want(t, 200).Is(t, "/www/a.css").Field(t, "Cache-Control",
		"max-age=2592000", "A", "")
	s.Ask(fapwstest.Get("/files/")).Want(t, 200, "x.txt")
	s.Ask(fapwstest.Get("/files/x.txt")).Want(t, 200).Is(t, "/www/files/x.txt").Field(t, "Cache-Control", "")
	s.Ask(fapwstest.Get("/img/programs/hello")).Want(t, 200).Is(t, "program\n").Field(t, "A", "b")
	s.Ask(fapwstest.Get("/img/none")).Want(t, 404)
	s.Ask(fapwstest.Get("/")).Want(t, 404)
}

func TestDirectoryIsServedWithoutPython(t *testing.T) {
	t.Parallel()
	dir := fapwstest.Files(t, map[string]string{"site/index.htm": "index", "site/sub/a.txt": "a", "more/b.txt": "b"})
	s := fapwstest.Command{Flags: []string{"--static", "/more=" + dir + "/more", "--spa", "index.htm",
		dir + "/site"}}.Serve(t, fapwstest.Threads)
	s.Says(`without Python`)
	s.Ask(fapwstest.Get("/")).Want(t, 200).Is(t, "index").Field(t, "X-Content-Type-Options", "nosniff")
	s.Ask(fapwstest.Get("/sub/")).Want(t, 200, "a.txt")
	s.Ask(fapwstest.Get("/more/b.txt")).Want(t, 200).Is(t, "b")
	s.Ask(fapwstest.Get("/a/page")).Want(t, 200).Is(t, "index")
	s.Ask(fapwstest.Request("POST", "/", "x")).Want(t, 405)
}

func TestReloadReadsTheChangedConfiguration(t *testing.T) {
	t.Parallel()
	dir := fapwstest.Files(t, map[string]string{"a/index.html": "page of a", "b/index.html": "page of b"})
	file := fapwstest.Write(t, dir+"/fapws.toml", "root = 'a'\nworkers = 1\n")
	s := fapwstest.Command{Flags: []string{"-b", "127.0.0.1:0", "-c", file, "--reload"}, Complains: true}.Started(t)
	s.Ask(fapwstest.Get("/")).Want(t, 200).Is(t, "page of a")
	s.Ask(fapwstest.Get("/_fapws/")).Want(t, 404)
	fapwstest.Replace(t, file, "root = 'b'\nworkers = 2\npid = 'x'\nerror-log = 'x'\nstatus = '/_fapws'\n")
	s.Says(`warning .*fapws\.toml: changes of workers, pid, error-log take effect after a restart\n`)
	s.Ask(fapwstest.Get("/")).Want(t, 200).Is(t, "page of b")
	s.Ask("GET /_fapws/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").Want(t, 200,
		"<title>fapws: files of "+dir+"/b<", "info reloading: ")
	fapwstest.Replace(t, file, "root = 'a'\nworkers = 2\npid = 'x'\nerror-log = 'x'\nrot = 1\n")
	s.Says(`fapws\.toml:5: unknown key rot, did you mean root\?\n(.*\n)*.*reload failed; the old workers keep serving\n`)
	s.ReloadFails("fapws.toml:5: unknown key rot, did you mean root?")
	s.Ask(fapwstest.Get("/")).Want(t, 200).Is(t, "page of b")
	fapwstest.Replace(t, file, "root = 'a'\nworkers = 2\npid = 'x'\nerror-log = 'x'\n")
	s.Says(`reloaded: 1 worker\n(.*\n)*.*reloaded: 1 worker\n`)
	s.Ask(fapwstest.Get("/")).Want(t, 200).Is(t, "page of a")
	fapwstest.Equalf(t, strings.Count(s.Stderr.String(), "take effect after a restart"), 1, "lines about a restart")
	fapwstest.Truef(t, !fapwstest.Exists(dir+"/x"), "the error log is another one already")
}

func TestUpgradeKeepsAddressesAndSupervisor(t *testing.T) {
	t.Parallel()
	dir := fapwstest.Files(t, map[string]string{"a/index.html": "page of a", "b/index.html": "page of b"})
	file := fapwstest.Write(t, dir+"/fapws.toml", "root = 'a'\nworkers = 1\nbind = '127.0.0.1:0'\n")
	s := fapwstest.Command{Flags: []string{"-c", file}}.Started(t)
	fapwstest.Replace(t, file, "root = 'b'\n")
	s.SignalLogs(syscall.SIGUSR2, "upgraded: 1 worker")
	s.Ask(fapwstest.Get("/")).Want(t, 200).Is(t, "page of b")
	fapwstest.Equal(t, s.Control("reload"), "reloaded\nwarning: "+file+": changes of bind take effect after a restart\n")
	s.Says("changes of bind take effect after a restart")
}

// If the address that a script sets changes, the server keeps the old address until a restart.
func TestReloadKeepsTheAddressOfAScript(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const app = "SERVER = '127.0.0.1:%s'\nPATHS = [('/', lambda environ, start_response: '%s')]\n"
	script := fapwstest.Write(t, dir+"/app.py", fmt.Sprintf(app, "0", "one"))
	file := fapwstest.Write(t, dir+"/fapws.toml", "app = 'app.py'\nworkers = 1\n")
	s := fapwstest.Command{Flags: []string{"-c", file}}.Started(t)
	for _, text := range []string{"two", "three"} {
		fapwstest.Replace(t, script, fmt.Sprintf(app, "1", text))
		s.Control("reload")
		s.Ask(fapwstest.Get("/")).Want(t, 200).Is(t, text)
	}
	s.Says(`warning the address is 127\.0\.0\.1:1 now \(script app\.py \(SERVER\)\): it takes effect after a restart\n`)
	fapwstest.Replace(t, script, fmt.Sprintf(app, "0", "four"))
	s.Control("reload")
	s.Ask(fapwstest.Get("/")).Want(t, 200).Is(t, "four")
	fapwstest.Equalf(t, strings.Count(s.Stderr.String(), "after a restart"), 1, "lines about a restart")
}

func TestReloadWatchesTheDirectoryOfAnotherApplication(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const app = "PATHS = [('/', lambda environ, start_response: '%s')]\n"
	fapwstest.Write(t, dir+"/one/app.py", fmt.Sprintf(app, "one"))
	fapwstest.Write(t, dir+"/two/app.py", fmt.Sprintf(app, "two"))
	const always = "bind = '127.0.0.1:0'\nreload = true\n"
	file := fapwstest.Write(t, dir+"/fapws.toml", always+"app = 'one/app.py'\n")
	s := fapwstest.Command{Flags: []string{"-c", file}}.Started(t)
	s.Ask(fapwstest.Get("/")).Want(t, 200).Is(t, "one")
	fapwstest.Replace(t, file, always+"app = 'two/app.py'\n[[host]]\nname = 'a.test'\nroot = 'two'\naccess-log = 'log'\n")
	s.Says("reloaded: 1 worker")
	s.Ask(fapwstest.Get("/")).Want(t, 200).Is(t, "two")
	s.Ask("GET /none HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").Want(t, 404)
	fapwstest.FileSays(t, dir+"/log", "GET /none")
	s.Control("rotate")
	fapwstest.Eventually(t, "the log is rotated", func() bool { return fapwstest.Exists(dir + "/log.1.gz") })
	fapwstest.Replace(t, dir+"/two/app.py", fmt.Sprintf(app, "three"))
	s.Says(`reloading: app\.py changed`)
	s.Says("reloaded: 1 worker\n(.*\n)*.*reloaded: 1 worker")
	s.Ask(fapwstest.Get("/")).Want(t, 200).Is(t, "three")
}

func TestDebugLevelsLogMoreDetails(t *testing.T) {
	t.Parallel()
	shown := []*regexp.Regexp{
		1: regexp.MustCompile(`debug 127\.0\.0\.1:\d+ connected(.*\n)+.*"GET /x HTTP/1\.1" 200, 7 bytes, [0-9.]+.?s`),
		2: regexp.MustCompile(`debug .*request \d+ goes to the application`),
		3: regexp.MustCompile(`debug .*sent \d+ bytes: "GET /x HTTP/1\.1\\r\\n`),
	}
	for level := range 4 {
		s := fapwstest.Serve(t, fapwstest.Threads, "entered.py", "--debug", string(rune('0'+level)))
		s.Get("/x", 200, "Connection: close")
		s.Stop()
		said := s.Stderr.String()
		fapwstest.Truef(t, level != 0 || !strings.Contains(said, "debug"), "without DEBUG: %s", said)
		for i, what := range shown {
			fapwstest.Truef(t, what == nil || what.MatchString(said) == (i <= level), "level %d, what level %d shows: %v\n%s",
				level, i, i > level, said)
		}
	}
}
