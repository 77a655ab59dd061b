package cli_test

import (
	"net"
	"os"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

const anApp = "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'x']\n"

// A mistake that ends the start also ends the command check, with the same code and the same last line.
func TestCheckEndsAsTheStartDoes(t *testing.T) {
	t.Parallel()
	listener := fapwstest.Try(net.Listen("tcp", "127.0.0.1:0")).Must(t)
	t.Cleanup(func() { listener.Close() })
	taken := listener.Addr().String()
	_, port, _ := net.SplitHostPort(taken)
	dir := fapwstest.Files(t, map[string]string{"app.py": anApp, "raises.py": "1 / 0\n",
		"exits.py": "raise SystemExit(5)\n", "other/x": ""})
	socket := fapwstest.Try(net.Listen("unix", dir+"/taken.sock")).Must(t)
	t.Cleanup(func() { socket.Close() })
	running := fapwstest.Write(t, dir+"/running.pid", "1\n")

	type mistake struct {
		flags, file string
		says        string
	}
	any := "--bind 127.0.0.1:0 "
	all := []mistake{
		{flags: "--bind " + taken, says: "cannot listen on " + taken + ": address already in use; stop the other server"},
		{flags: "--bind :" + port, says: "address already in use"},
		{flags: any + "--bind https://" + taken + " --tls auto --state-dir state", says: "address already in use"},
		{flags: "--bind 192.0.2.1:8080", says: "this address does not belong to this machine"},
		{flags: "--bind 127.0.0.1:39127 --bind 0.0.0.0:39127", says: "this server listens on 127.0.0.1:39127, too"},
		{flags: "--bind no.such.invalid:8080", says: "cannot listen on no.such.invalid:8080"},
		{flags: "--bind unix:none/x.sock", says: "unix:none/x.sock: no such file or directory"},
		{flags: "--bind unix:taken.sock", says: "unix:taken.sock: address already in use"},
		{flags: "--bind unix:other/x", says: "the file exists and is not a socket"},
		{flags: any + "--error-log none/e.log", says: "cannot write the error log: " + dir + "/none/e.log: no such file"},
		{flags: any + "--error-log other", says: "/other: is a directory"},
		{flags: any + "--access-log none/a.log", says: "cannot write the access log: " + dir + "/none/a.log: no such file"},
		{flags: any + "--access-log other", says: "/other: is a directory"},
		{flags: any + "--pid none/p", says: "none/p: no such file or directory"},
		{flags: any + "--pid other", says: "it exists and is not a file"},
		{flags: any + "--pid " + running, says: "process 1 is running"},
		{flags: any + "--ctl-socket none/c", says: "none/c: no such file or directory"},
		{flags: any + "--ctl-socket other/x", says: "other/x is not a socket"},
		{flags: any + "--ctl-socket taken.sock", says: "another server listens on taken.sock"},
		{flags: any + "--user no-one-here", says: `unknown user "no-one-here"`},
		{flags: any + "--channels redis://127.0.0.1:1", says: "cannot reach redis://127.0.0.1:1: connection refused"},
		{flags: any + "--env-file none.env", says: "cannot read none.env"},
		{flags: any + "--reload --reload-dir none", says: "--reload-dir: none: no such file"},
		{flags: any + "raises.py", says: "raises.py:1: ZeroDivisionError: division by zero"},
		{flags: any + "-w 1 raises.py", says: "raises.py:1: ZeroDivisionError: division by zero"},
		{flags: any + "--fork raises.py", says: "raises.py:1: ZeroDivisionError: division by zero"},
		{flags: any + "exits.py", says: "sys.exit(5) was called while loading"},
		{flags: any + "none.py", says: "cannot read none.py"},
		{flags: "--bind 127.0.0.1:8080 --bind https://127.0.0.1:8443 --bind https://127.0.0.1:8444 --tls auto " +
			"--https-redirect", says: "there are several for HTTPS (8443, 8444)"},
		{flags: any, file: "[[host]]\napp = 'app.py'\naccess-log = 'none/a.log'\n",
			says: "fapws.toml:3: access-log: access log: " + dir + "/none/a.log: no such file"},
		{flags: any, file: "[[host]]\napp = 'app.py'\nerror-log = 'other'\n",
			says: "fapws.toml:3: error-log: error log: " + dir + "/other: is a directory"},
		{file: "bind = ['127.0.0.1:8080', 'https://127.0.0.1:8443', 'https://127.0.0.1:8444']\ntls = 'auto'\n" +
			"[[host]]\napp = 'app.py'\nhttps-redirect = true\n", says: "fapws.toml:5: https-redirect: there are several"},
		{flags: any, file: "bnid = ':80'\n[[host]]\nroot = 'none'\n", says: "fapws.toml:3: root: cannot serve"},
	}
	if os.Geteuid() == 0 {
		all = append(all, mistake{flags: any + "--chroot other", says: "root can escape a chroot; add --user NAME"})
	} else {
		all = append(all, mistake{flags: any + "--user root", says: "only root can, and fapws was started as user"},
			mistake{flags: any + "--chroot other", says: "requires root or CAP_SYS_CHROOT"})
	}
	last := func(stderr string) string {
		lines := strings.Split(strings.TrimSpace(stderr), "\n")
		return lines[len(lines)-1]
	}
	for _, m := range all {
		c := fapwstest.Command{Flags: strings.Fields(m.flags), Dir: dir, Complains: true}
		if m.file != "" {
			fapwstest.Write(t, dir+"/fapws.toml", m.file)
		} else if !strings.HasSuffix(m.flags, ".py") {
			c.Flags = append(c.Flags, "app.py")
			os.Remove(dir + "/fapws.toml")
		}
		started, _, start := c.Run(t)
		c.Flags = append([]string{"check"}, c.Flags...)
		checked, stdout, check := c.Run(t)
		fapwstest.Truef(t, started != 0 && strings.Contains(last(start), m.says), "%s%s: the start exits with %d and says %s",
			m.flags, m.file, started, start)
		fapwstest.Truef(t, checked == started && last(check) == last(start) && !strings.Contains(stdout, "is fine"),
			"%s%s: check exits with %d and says %s%s\nthe start: %d, %s", m.flags, m.file, checked, check, stdout, started, start)
	}
}

// What a start only warns of, or does not mention, does not end the command check.
func TestCheckReportsAsWarningsWhatTheServerServesWithout(t *testing.T) {
	t.Parallel()
	dir := fapwstest.Files(t, map[string]string{"site/index.html": "x", "fapws.toml": "[[host]]\nroot = 'site'\n" +
		"error-page = { 404 = '/none.html' }\n[[host.route]]\nmatch = '*.php'\nphp = 'no-such-php'\n"})
	s := fapwstest.Command{Dir: dir}.Serve(t, fapwstest.Threads)
	s.Get("/", 200)
	const page, php = "fapws.toml:3: error-page: 404: ", "fapws.toml:6: php: no-such-php is not installed"
	for _, says := range []string{page, php} {
		fapwstest.Has(t, s.Stderr.String(), says)
	}
	code, stdout, stderr := fapwstest.Command{Flags: []string{"check", "--bind", "127.0.0.1:0"}, Dir: dir}.Run(t)
	fapwstest.Truef(t, code == 0 && strings.Contains(stderr, "warning: "+page) && strings.Contains(stderr, "warning: "+php) &&
		strings.Contains(stdout, "is usable, with 2 warnings: "), "code %d, %s%s", code, stderr, stdout)

	fapwstest.Write(t, dir+"/app.py", anApp)
	acme := []string{"check", "-c", "off", "--tls", "acme", "--acme-hosts", "example.org", "--state-dir", "state"}
	for bind, warns := range map[string]bool{"https://127.0.0.1:0": true, "unix:x.sock": true, "https://:0": true,
		"https+systemd": false} {
		c := fapwstest.Command{Flags: append(acme, "--bind", bind, "app.py"), Dir: dir}
		code, _, stderr := c.Run(t)
		fapwstest.Truef(t, code == 0 && strings.Contains(stderr, "must be able to connect to port 80 or 443") == warns,
			"%s: code %d, %s", bind, code, stderr)
	}
}

// A check before a reload succeeds although the running server has the address, the socket and the pid file.
func TestCheckSucceedsBesideTheServerThatItChecks(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{{"--threads", "1"}, {"--workers", "1"}} {
		dir := fapwstest.Files(t, map[string]string{"app.py": anApp, "other.py": anApp})
		address := "127.0.0.1:" + fapwstest.FreePort(t)
		flags := append(flags, "--bind", address, "--bind", "unix:x.sock", "--pid", "pid", "--ctl-socket", "ctl")
		s := fapwstest.Command{Flags: append(flags, "app.py"), Dir: dir}.Started(t)
		check := func(app string) fapwstest.Command {
			return fapwstest.Command{Flags: append(append([]string{"check"}, flags...), app), Dir: dir}
		}
		check("./app.py").Succeeds(t)
		code, _, stderr := check("other.py").Run(t)
		fapwstest.Truef(t, code == 3, "code %d", code)
		fapwstest.Has(t, stderr, "cannot listen on "+address+": address already in use", "/pid: process ")
		s.Stop()
		check("other.py").Succeeds(t)
	}
}
