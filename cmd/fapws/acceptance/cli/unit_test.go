package cli_test

import (
	"fmt"
	"os"
	"os/user"
	"regexp"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
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
	fapwstest.Write(t, dir+"/app.py", "import sys\nPATHS = [('/', lambda environ, start_response: "+
		"repr(sys.argv[1:]))]\n")
	me, err := user.Current()
	fapwstest.Must(t, err)
	arguments := []string{"--bind", "127.0.0.1:0", "--allow-root", "--graceful-timeout", "90", "app.py", "--", "a b",
		`100%"$`}
	code, unit, hint := fapwstest.Command{Dir: dir, Flags: append([]string{"systemd-unit", "--user", me.Username},
		arguments...)}.Run(t)
	fapwstest.Needf(t, code == 0 && strings.Contains(hint, "/etc/systemd/system/my-shop.service;"), "%d, %q", code, hint)
	for _, want := range []string{"Description=my-shop, served by fapws\n", "\nUser=" + me.Username + "\n",
		"\nWorkingDirectory=" + dir + "\n", "\nReadWritePaths=\"" + dir + "\"\n", "\nTimeoutStopSec=120\n",
		"\nRuntimeDirectory=my-shop\n", " ctl --socket /run/my-shop/ctl reload\n", "\nKillMode=mixed\n",
		"\nWantedBy=multi-user.target\n"} {
		fapwstest.Truef(t, strings.Contains(unit, want), "the unit lacks %q:\n%s", want, unit)
	}
	for _, never := range []string{"DynamicUser", "@PREFIX@", "/etc/fapws"} {
		fapwstest.Truef(t, !strings.Contains(unit, never), "the unit has %s:\n%s", never, unit)
	}
	_, line, _ := strings.Cut(unit, "\nExecStart=")
	line, _, _ = strings.Cut(line, "\n")
	words := unquoted(line)
	fapwstest.Truef(t, strings.HasPrefix(words[0], "/"), "the program is %q", words[0])
	s := fapwstest.Command{Dir: dir, Flags: words[len(words)-len(arguments)-2:]}.Started(t)
	s.Get("/", 200).Want(t, 200, `['a b', '100%"$']`)
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
