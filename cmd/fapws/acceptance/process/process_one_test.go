package process_test

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// The kernel delivers TERM and INT to process 1 only if process 1 has handlers for these signals.
func TestProcess1ReapsOrphansAndStopsOnTERMAndINT(t *testing.T) {
	t.Parallel()
	script := fapwstest.Write(t, t.TempDir()+"/orphans.py", `
import os, subprocess
def orphan(environ, start_response):
    subprocess.check_call(["sh", "-c", "true >/dev/null &"])
    return "%d %d" % (os.getpid(), os.getppid())
PATHS = [("/", orphan)]
`)
	namespace := "unshare --pid --fork --mount-proc"
	if os.Geteuid() != 0 {
		namespace += " --user --map-root-user"
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		s := fapwstest.Command{Script: script, Shell: "set -- " + namespace + ` "$@"`}.Serve(t, fapwstest.Threads)
		for range 10 {
			if got := s.Get("/", 200).Text; !strings.HasSuffix(got, " 1") {
				t.Fatalf("worker and its parent: %s", got)
			}
		}
		first := s.Workers()
		if len(first) != 1 {
			t.Fatalf("children of unshare: %v", first)
		}
		fapwstest.Eventually(t, "no zombies, and one worker", func() bool {
			children := fapwstest.ChildrenOf(t, first[0])
			for _, state := range children {
				if state == "Z" {
					return false
				}
			}
			return len(children) == 1
		})
		fapwstest.Must(t, syscall.Kill(first[0], sig))
		s.EndsWith(0)
	}
}
