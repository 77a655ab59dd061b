package cli_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/conn/certtest"
)

func unquoted(line string) (words []string) {
	for _, m := range regexp.MustCompile(`"((?:\\.|[^"\\])*)"|(\S+)`).FindAllStringSubmatch(line, -1) {
		words = append(words, strings.NewReplacer(`\\`, `\`, `\"`, `"`, "%%", "%", "$$", "$").Replace(m[1]+m[2]))
	}
	return words
}

func TestUnitOfSystemdStartsTheTypedCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() + "/a$b/My shop"
	fapwstest.Must(t, os.MkdirAll(dir, 0o755))
	fapwstest.Write(t, dir+"/app.py", "import sys\nPATHS = [('/', lambda environ, start_response: repr(sys.argv[1:]))]\n")
	me := fapwstest.Try(user.Current()).Must(t)
	arguments := []string{"--bind", "127.0.0.1:0", "--allow-root", "--graceful-timeout", "90", "app.py", "--", "a b",
		`100%"$`}
	code, unit, hint := fapwstest.Command{Dir: dir, Flags: append([]string{"systemd-unit", "--user", me.Username},
		arguments...)}.Run(t)
	fapwstest.Needf(t, code == 0 && strings.Contains(hint, "/etc/systemd/system/my-shop.service;"), "%d, %q", code, hint)
	fapwstest.Has(t, unit, "Description=my-shop, served by fapws\n", "\nUser="+me.Username+"\n",
		"\nWorkingDirectory="+dir+"\n", "\nReadWritePaths=\""+dir+"\"\n", "\nTimeoutStopSec=120\n",
		"\nRuntimeDirectory=my-shop\n", "\nPrivateTmp=no\n", " ctl --socket /run/my-shop/ctl reload\n", "\nKillMode=mixed\n",
		"\nWantedBy=multi-user.target\n")
	fapwstest.Lacks(t, unit, "DynamicUser", "@PREFIX@", "/etc/fapws")
	verifyUnit(t, fapwstest.Write(t, t.TempDir()+"/my-shop.service", unit))
	_, line, _ := strings.Cut(unit, "\nExecStart=")
	line, _, _ = strings.Cut(line, "\n")
	words := unquoted(line)
	fapwstest.Truef(t, strings.HasPrefix(words[0], "/"), "the program is %q", words[0])
	s := fapwstest.Command{Dir: dir, Flags: words[len(words)-len(arguments)-2:]}.Started(t)
	s.Get("/", 200).Want(t, 200, `['a b', '100%"$']`)
}

func TestUnitMayWriteWhatTheConfigurationNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() + "/shop"
	fapwstest.Write(t, dir+"/app.py", "PATHS = [('/', lambda environ, start_response: 'ok')]\n")
	fapwstest.Write(t, dir+"/fapws.toml", "app = \"app.py\"\naccess-log = \"/srv/logs/access.log\"\nstate-dir = \"/srv/state\"\n"+
		"error-log = \"/var/log/shop/error.log\"\n[[host]]\nroot = \".\"\n[[host.route]]\nprefix = \"/up/\"\nupload = \"files\"\n")
	fapwstest.Must(t, os.Mkdir(dir+"/files", 0o755))
	me := fapwstest.Try(user.Current()).Must(t)
	code, unit, hint := fapwstest.Command{Dir: dir, Flags: []string{"systemd-unit", "--user", me.Username}}.Run(t)
	fapwstest.Needf(t, code == 0, "%d, %q", code, hint)
	writes := regexp.MustCompile(`(?m)^ReadWritePaths=.*$`).FindAllString(unit, -1)
	fapwstest.Equal(t, strings.Join(writes, "\n"), "ReadWritePaths="+dir+
		"\nReadWritePaths=-/srv/logs\nReadWritePaths=-/srv/state")
	verifyUnit(t, fapwstest.Write(t, t.TempDir()+"/shop.service", unit))
}

func TestUnitOfAnotherUserWarnsOfKeysOfRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("only root writes a unit for another user; for others, the check of the certificate has read the key")
		return
	}
	dir, private := fapwstest.PublicFolder(t), t.TempDir()
	cert, key := certtest.NewAuthority(t).For("example.org").Write(private)
	fapwstest.Must(t, os.Chmod(private, 0o700))
	fapwstest.Write(t, dir+"/app.py", "PATHS = [('/', lambda environ, start_response: 'ok')]\n")
	for account, advice := range map[string]string{"": "choose another one with --user", "daemon": "type sudo chgrp daemon "} {
		flags := []string{"systemd-unit", "--bind", "https://:443", "--certfile", cert, "--keyfile", key, "app.py"}
		if account != "" {
			flags = append(flags, "--user", account)
		}
		code, _, hint := fapwstest.Command{Dir: dir, Flags: flags}.Run(t)
		fapwstest.Truef(t, code == 0, "%d", code)
		fapwstest.Has(t, hint, "fapws: warning: the user of the service, ", ", cannot read "+key+": ", advice)
	}
}

func TestUnitOfTheConsoleIsValid(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	code, _, hint := fapwstest.Command{Dir: dir, Flags: []string{"new", "console", "box"}}.Run(t)
	fapwstest.Equalf(t, code, 0, "%s", hint)
	verifyUnit(t, dir+"/box/box.service")
}

// verifyUnit fails if systemd has anything to say about the unit.
func verifyUnit(t *testing.T, file string) {
	t.Helper()
	out, err := exec.Command("systemd-analyze", "verify", file).CombinedOutput()
	said := regexp.MustCompile(`(?m)^.*`+regexp.QuoteMeta(file[strings.LastIndexByte(file, '/')+1:])+`.*$`).FindAllString(string(out), -1)
	fapwstest.Truef(t, err == nil && said == nil, "%v: %s", err, out)
}

func TestProcessesHaveTheirName(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{{"-n", "shop"}, {"--name", "shop", "--workers", "2"}} {
		s := fapwstest.Serve(t, fapwstest.Threads, "hello.py", flags...)
		for _, pid := range append(s.Workers(), s.Cmd.Process.Pid) {
			name, err := os.ReadFile(fmt.Sprint("/proc/", pid, "/comm"))
			fapwstest.Truef(t, string(name) == "shop\n" && err == nil, "process %d is named %q, %v", pid, name, err)
		}
	}
}

func TestHashPasswordOnATerminalAsksTwiceAndShowsNothing(t *testing.T) {
	t.Parallel()
	echoes := func(f *os.File) bool {
		return fapwstest.Try(unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)).Must(t).Lflag&unix.ECHO != 0
	}
	for _, test := range []struct {
		first, second string
		code          int
		stdout, shown string
	}{
		{"secret-1", "secret-1", 0, `^ann:\$2y\$10\$.{53}\n$`, `^Password: \r?\nAgain: \r?\n$`},
		{"secret", "other", 2, `^$`, `the two passwords differ`},
		{"", "", -1, `^$`, `^Password: \r?\n$`},
	} {
		person, program := fapwstest.Terminal(t)
		cmd := exec.Command(fapwstest.Binary(t), "hash-password", "ann")
		var stdout bytes.Buffer
		cmd.Stdin, cmd.Stderr, cmd.Stdout = program, program, &stdout
		fapwstest.Must(t, cmd.Start())
		shown := fapwstest.NewOutput()
		go io.Copy(shown, person)
		shown.Await(t, regexp.MustCompile(`Password: $`))
		fapwstest.Truef(t, !echoes(program), "the password is shown")
		if test.code < 0 {
			cmd.Process.Signal(unix.SIGINT)
			test.code = 130
		} else {
			fmt.Fprintln(person, test.first)
			shown.Await(t, regexp.MustCompile(`Again: $`))
			fmt.Fprintln(person, test.second)
		}
		_ = cmd.Wait()
		shown.Await(t, regexp.MustCompile(test.shown))
		fapwstest.Truef(t, cmd.ProcessState.ExitCode() == test.code && regexp.MustCompile(test.stdout).Match(stdout.Bytes()),
			"%q, %q: code %d, %q, shown: %q", test.first, test.second, cmd.ProcessState.ExitCode(), &stdout, shown)
		fapwstest.Truef(t, !strings.Contains(shown.String(), "secret"), "the password is shown: %q", shown)
		fapwstest.Truef(t, echoes(program), "the terminal stays silent")
	}
}
