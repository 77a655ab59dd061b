package process_test

import (
	"strconv"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

const (
	startVersion = "VERSION = 1"
	slowVersion  = `VERSION = "slow"
open(f"{__file__}.{os.getpid()}", "w").write("loads")
while not os.path.exists(f"{__file__}.go"):
    time.sleep(0.01)`
)

// A client that a loading worker has accepted gets its response although an upgrade replaces the worker meanwhile. With
// --dev, the worker serves before it loads.
func TestUpgradeWhileAWorkerLoadsLosesNoRequest(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string][]string{"workers": {"--workers", "1"}, "dev": {"--dev"}} {
		t.Run(name, func(t *testing.T) {
			script := fapwstest.Copied(t, "workers.py")
			s := fapwstest.Command{Script: script, Complains: true, Flags: append(flags, "--health", "/healthz",
				"--start-wait", "1h")}.Serve(t, fapwstest.Threads)
			old := s.Workers()
			fapwstest.Change(t, script, startVersion, slowVersion)
			if name == "workers" {
				fapwstest.Kill(t, syscall.SIGKILL, old...)
			}
			s.HasWorkers(1, old...)
			loading := s.Workers()
			fapwstest.FileSays(t, script+"."+strconv.Itoa(loading[0]), "loads")
			w := s.DialSend(fapwstest.Get("/healthz") + fapwstest.Get("/version"))
			w.Answer().Want(t, 200)

			fapwstest.Change(t, script, slowVersion, "VERSION = 2")
			s.Upgrade()
			s.Get("/version", 200).Is(t, "2")
			fapwstest.Write(t, script+".go", "")
			w.Answer().Is(t, "slow")
			w.Conn.Close()
			fapwstest.HaveEnded(t, "the worker that has loaded", loading...)
			s.HasWorkers(1, append(old, loading...)...)
		})
	}
}

func TestUpgradeWhileAWorkerRetiresLosesNoRequest(t *testing.T) {
	t.Parallel()
	s := fapwstest.Command{Script: "workers.py", Flags: []string{"--workers", "1", "--graceful-timeout", "1h"}}.Serve(t,
		fapwstest.Threads)
	folder := t.TempDir()
	w := s.DialGet("/enter?" + folder)
	fapwstest.FileSays(t, folder+"/entered", "yes")
	old := s.Workers()
	s.Reload()
	fapwstest.Equal(t, countStates(s, "retiring"), 1)
	s.Upgrade()
	fapwstest.Truef(t, fapwstest.Runs(old[0]) && countStates(s, "retiring") > 0, "%q", states(s))
	fapwstest.Write(t, folder+"/go", "")
	w.Answer().Is(t, "waited")
	fapwstest.HaveEnded(t, "the worker that retired", old...)
	s.Get("/pid", 200)
}
