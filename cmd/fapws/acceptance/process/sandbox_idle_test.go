package process_test

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestSandboxedApplicationThatWakesLoadsOutside(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Forks}, func(t *testing.T, m fapwstest.Mode) {
		served := fapwstest.PublicFolder(t)
		fapwstest.Write(t, served+"/page.txt", "page")
		x := newSandboxed(t, m, "--idle-stop", "50ms", "--static", "/files="+served)
		x.c.Args = []string{x.secret}
		s := x.c.Serve(t, m)
		x.attacks(t, s, m, landlock())
		for range 2 {
			sleeps(s)
			s.Get("/attack?status", 200).Is(t, "done: 12")
			s.Get("/attack?memory", 200).Is(t, "refused: EACCES")
			if !m.Forks() {
				s.Get("/attack?read,"+served+"/page.txt", 200).Is(t, "done: 4")
			}
			s.Get("/files/page.txt", 200).Is(t, "page")
			if landlock() >= files {
				s.Get("/attack?read,"+x.secret, 200).Is(t, "refused: EACCES")
				s.Get("/attack?own", 200).Is(t, "refused: EACCES")
			}
		}
		for _, pid := range s.Workers() {
			everyThreadIsFiltered(t, append(slices.Collect(maps.Keys(fapwstest.ChildrenOf(t, pid))), pid)...)
		}
	})
}

func TestSandboxAppliesWhileTheApplicationSleepsOrWakes(t *testing.T) {
	for _, mode := range []string{"on", "strict"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			if landlock() < files || mode == "strict" && landlock() < scopes {
				t.Skip("this kernel cannot restrict files")
			}
			x := newSandboxed(t, fapwstest.Threads, "--sandbox="+mode, "--idle-stop", "50ms", "--health", "/healthz")
			fapwstest.Write(t, x.app, fapwstest.Source(t, "confused.py")+"PATHS.pop()\n")
			x.c.Args = []string{x.secret, x.data}
			x.c.Flags = append(x.c.Flags, "--static", "/data="+x.data)
			s := x.c.Serve(t, fapwstest.Threads)
			s.Get("/link", 200).Is(t, "linked")
			for _, asleep := range []bool{false, true} {
				for _, path := range []string{"/file/secret", "/program", "/data/link/secret"} {
					if asleep {
						sleeps(s)
					}
					a := s.Ask(fapwstest.Get(path))
					fapwstest.Truef(t, !strings.Contains(a.Text, "secret") && !strings.Contains(a.Text, "it ran") &&
						a.StatusCode >= 400, "%s: %d, %q", path, a.StatusCode, a.Text)
				}
			}
			sleeps(s)
			s.Get("/healthz/ready", 200).Is(t, "ready\n")
			fapwstest.Equal(t, countStates(s, "asleep"), 1)
		})
	}
}

// The loader is the process that loads the application and forks a child for each request. If the loader dies, a new
// loader replaces it, and its children are in the sandbox, too.
func TestSandboxOfForksDoesNotReadFilesThroughTheServer(t *testing.T) {
	for _, mode := range [][]string{nil, {"--sandbox=strict"}, {"--idle-stop=10m"}} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			x := newSandboxed(t, fapwstest.Forks, append(mode, "--x-sendfile", "/", "--x-accel", "/x=/")...)
			fapwstest.Write(t, x.app, fapwstest.Source(t, "confused.py"))
			x.c.Args = []string{x.secret, x.data}
			s := x.c.Serve(t, fapwstest.Forks)
			for _, path := range []string{"/file/secret", "/program", "/header?X-Sendfile", "/header?X-Accel-Redirect",
				"/raw?X-Sendfile=", "/raw?Status=200%0D%0AX-Accel-Redirect=/x", "/raw?Location=/private/../private"} {
				a := s.Ask(fapwstest.Get(path))
				fapwstest.Truef(t, a.Text != "secret" && !regexp.MustCompile("it ran").MatchString(a.Text) && a.StatusCode != 404,
					"%s: %d, %q", path, a.StatusCode, a.Text)
			}
			old := s.Get("/who", 200).Number(t)
			fapwstest.Must(t, syscall.Kill(old, syscall.SIGKILL))
			s.Says(`replacing worker \d+: the loader of --fork was killed by signal 9`)
			fapwstest.Eventually(t, "another process answers", func() bool {
				a := s.Ask(fapwstest.Get("/who"))
				return a.StatusCode == 200 && a.Text != strconv.Itoa(old)
			})
			everyThreadIsFiltered(t, s.Family()[1:]...)
		})
	}
}
