package process_test

import (
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestSandboxedApplicationThatWakesLoadsOutside(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Forks}, func(t *testing.T, m fapwstest.Mode) {
		x := newSandboxed(t, m, "--idle-stop", "50ms")
		x.c.Args = []string{x.secret}
		s := x.c.Serve(t, m)
		x.attacks(t, s, m, landlock())
		for range 2 {
			sleeps(s)
			s.Get("/attack?status", 200).Is(t, "done: 12")
			s.Get("/attack?memory", 200).Is(t, "refused: EACCES")
			if landlock() >= files {
				s.Get("/attack?read,"+x.secret, 200).Is(t, "refused: EACCES")
				s.Get("/attack?own", 200).Is(t, "refused: EACCES")
			}
		}
		for _, pid := range s.Workers() {
			everyThreadIsFiltered(t, pid)
			for one := range fapwstest.ChildrenOf(t, pid) {
				everyThreadIsFiltered(t, one)
			}
		}
	})
}

const asker = asking + `
def link(environ, start_response):
    os.symlink(os.path.dirname(secret), data + "/link")
    return "linked"
PATHS = [("/file", file), ("/program", program), ("/link", link)]
`

func TestSandboxAppliesWhileTheApplicationSleepsOrWakes(t *testing.T) {
	for _, mode := range []string{"on", "strict"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			if landlock() < files || mode == "strict" && landlock() < scopes {
				t.Skip("this kernel cannot restrict files")
			}
			x := newSandboxed(t, fapwstest.Threads, "--sandbox="+mode, "--idle-stop", "50ms", "--health", "/healthz")
			fapwstest.Write(t, x.app, asker)
			x.c.Args = []string{x.secret, x.data}
			x.c.Flags = append(x.c.Flags, "--static", "/data="+x.data)
			s := x.c.Serve(t, fapwstest.Threads)
			s.Get("/link", 200).Is(t, "linked")
			for range 2 {
				for _, path := range []string{"/file/secret", "/program", "/data/link/secret"} {
					a := s.Ask(fapwstest.Get(path))
					if strings.Contains(a.Text, "secret") || strings.Contains(a.Text, "it ran") || a.StatusCode < 400 {
						t.Errorf("%s: %d, %q", path, a.StatusCode, a.Text)
					}
					sleeps(s)
				}
				s.Get("/healthz/ready", 200).Is(t, "ready\n")
				if countStates(s, "asleep") != 1 {
					t.Error("a health check has woken the application")
				}
			}
		})
	}
}

func TestSandboxedApplicationMayReadServedFiles(t *testing.T) {
	t.Parallel()
	x := newSandboxed(t, fapwstest.Threads, "--idle-stop", "50ms")
	folder := fapwstest.PublicFolder(t)
	fapwstest.Write(t, folder+"/page.txt", "page")
	serves := x.c
	serves.Flags = append(serves.Flags, "--static", "/files="+folder)
	s := serves.Serve(t, fapwstest.Mode{})
	sleeps(s)
	s.Get("/attack?read,"+folder+"/page.txt", 200).Is(t, "done: 4")
	sleeps(s)
	s.Get("/files/page.txt", 200).Is(t, "page")
}
