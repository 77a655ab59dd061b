package process_test

import (
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// TestSandboxAsleep: each process of an application that sleeps loads outside of the sandbox, and answers inside. The server, which is
// outside, is out of its reach.
func TestSandboxAsleep(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Forks}, func(t *testing.T, m fapwstest.Mode) {
		x := newSandboxed(t, m, "--idle-stop", "50ms")
		x.c.Args = []string{x.secret}
		s := x.c.Serve(t, m)
		x.attacks(t, s, m, landlock())
		for range 2 {
			fapwstest.Eventually(t, "the application has ended", func() bool {
				_, said, _ := s.Ctl("status")
				return strings.Contains(said, "asleep") && len(fapwstest.ChildrenOf(t, s.Workers()...)) == 0
			})
			s.Get("/attack?status", 200).Is(t, "done: 12")
			s.Get("/attack?memory", 200).Is(t, "refused: EACCES")
			if landlock() >= files {
				s.Get("/attack?read,"+x.secret, 200).Is(t, "refused: EACCES")
				s.Get("/attack?own", 200).Is(t, "refused: EACCES")
			}
		}
		for _, pid := range s.Workers() {
			for one := range fapwstest.ChildrenOf(t, pid) {
				everyThreadIsFiltered(t, one)
			}
		}
	})
}

// TestSandboxAsleepServes: the application may read the files that the server serves, as in a sandbox without sleep; programs would be outside.
func TestSandboxAsleepServes(t *testing.T) {
	t.Parallel()
	x := newSandboxed(t, fapwstest.Threads, "--idle-stop", "1h")
	folder := fapwstest.PublicFolder(t)
	fapwstest.Write(t, folder+"/page.txt", "page")
	serves := x.c
	serves.Flags = append(serves.Flags, "--static", "/files="+folder)
	s := serves.Serve(t, fapwstest.Mode{})
	s.Get("/attack?read,"+folder+"/page.txt", 200).Is(t, "done: 4")

	config := fapwstest.Write(t, folder+"/fapws.toml", "app = \""+x.app+"\"\nsandbox = true\nidle-stop = \"1h\"\n[[host]]\nname = \"files.lan\"\n[[host.route]]\nprefix = \"/programs/\"\ncgi = \".\"\n")
	programs := fapwstest.Command{Flags: []string{"--bind", "127.0.0.1:0", "-c", config}, Env: x.c.Env, Program: x.c.Program}
	const want = "fapws: with idle-stop, sandbox is for the application only, and the server runs programs (CGI, PHP or commands in pages); remove idle-stop, sandbox or the programs\n"
	if code, _, stderr := programs.Run(t); code != 3 || !strings.Contains(stderr, want) {
		t.Errorf("code %d, %q, want %q", code, stderr, want)
	}
}
