package process_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

var inWorker = []fapwstest.Mode{
	{Name: "threads", Flags: []string{"--workers", "1"}},
	{Name: "inline", Flags: []string{"--workers", "1", "--threads", "0"}},
}

// pidIn waits until the file contains a process ID.
func pidIn(t *testing.T, file string) (pid int) {
	t.Helper()
	fapwstest.Eventually(t, "a process ID in "+file, func() bool {
		pid, _ = strconv.Atoi(strings.TrimSpace(textOf(t, file)))
		return pid > 0
	})
	return pid
}

func TestWorkersEndInAnyStateAfterTheirSupervisorWasKilled(t *testing.T) {
	ends := func(t *testing.T, s *fapwstest.Server, pids []int) {
		t.Helper()
		s.Complains = true
		fapwstest.Needf(t, len(pids) != 0, "no workers")
		s.Signal(syscall.SIGKILL)
		fapwstest.Eventually(t, "the supervisor has died", func() bool { return !fapwstest.Runs(s.Cmd.Process.Pid) })
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGCONT) // a worker may have ended already
		}
		fapwstest.Eventually(t, "the workers have ended", func() bool {
			return !slices.ContainsFunc(pids, fapwstest.Runs)
		})
		s.Ended()
	}
	const grace = "--graceful-timeout=1"
	for _, m := range inWorker {
		for _, path := range []string{"/sleep", "/close?channel", "/close?epoll"} {
			t.Run(m.Name+" "+path, func(t *testing.T) {
				t.Parallel()
				folder := t.TempDir()
				s := fapwstest.Serve(t, m, "descriptors.py", grace)
				pids := s.Workers()
				if path == "/sleep" {
					s.Dial().Get("/sleep?" + folder)
					fapwstest.FileSays(t, folder+"/entered", "yes")
				} else {
					s.Dial().Get(path)
				}
				ends(t, s, pids)
			})
		}
	}
	t.Run("stopped", func(t *testing.T) {
		t.Parallel()
		s := fapwstest.Serve(t, fapwstest.Workers, "workers.py")
		pids := s.Workers()
		for _, pid := range pids {
			t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
			fapwstest.Must(t, syscall.Kill(pid, syscall.SIGSTOP))
			fapwstest.FileSays(t, fmt.Sprintf("/proc/%d/status", pid), "State:\tT")
		}
		ends(t, s, pids)
	})
	t.Run("loading", func(t *testing.T) {
		t.Parallel()
		file := t.TempDir() + "/pid"
		s := fapwstest.Command{Script: "loads.py", Args: []string{file},
			Flags: []string{"--workers", "1", "--bind", "127.0.0.1:0"}}.Start(t)
		ends(t, s, []int{pidIn(t, file)})
	})
	t.Run("full standard error", func(t *testing.T) {
		fapwstest.InEach(t, inWorker, func(t *testing.T, m fapwstest.Mode) {
			r, w, err := os.Pipe()
			fapwstest.Must(t, err)
			defer r.Close()
			defer w.Close()
			socket := t.TempDir() + "/socket"
			flags := append([]string{grace, "--bind", "unix:" + socket}, m.Flags...)
			s := fapwstest.Command{Script: "descriptors.py", Flags: flags, Files: []*os.File{w},
				Shell: "exec 2>&3 3>&-"}.Start(t)
			fapwstest.Eventually(t, "it listens", func() bool { return fapwstest.Listens("unix", socket) })
			c := fapwstest.Dial(t, "unix", socket)
			worker := c.Fetch("/pid").Number(t)
			fd := int(w.Fd())
			err = syscall.SetNonblock(fd, true)
			for err == nil {
				_, err = syscall.Write(fd, make([]byte, 4096))
			}
			ends(t, s, []int{worker})
		})
	})
	t.Run("another user", func(t *testing.T) {
		if os.Geteuid() != 0 {
			return
		}
		for _, flags := range [][]string{{"--user", "daemon"}, {"--user", "daemon", "--chroot"}} {
			t.Run(strings.Join(flags, " "), func(t *testing.T) {
				t.Parallel()
				folder := fapwstest.PublicFolder(t)
				text := fapwstest.Source(t, "descriptors.py")
				if len(flags) > 2 {
					flags = append(flags, folder)
				}
				s := fapwstest.Command{Script: fapwstest.Write(t, folder+"/app.py", text), Flags: append(flags, grace),
					Dir: folder}.ForOtherUsers(t).Serve(t, fapwstest.Mode{})
				pids := s.Workers()
				s.Dial().Get("/close?epoll")
				ends(t, s, pids)
			})
		}
	})
	t.Run("programs", func(t *testing.T) {
		t.Parallel()
		folder := t.TempDir()
		fapwstest.WriteProgram(t, folder+"/cgi-bin/sleep", "#!/bin/sh\necho $$ >"+folder+"/pid\nexec sleep 1000\n")
		config := fapwstest.Write(t, folder+"/fapws.toml", "[[host]]\n[[host.route]]\nprefix = \"/cgi-bin/\"\ncgi = \""+
			folder+"/cgi-bin\"\n")
		s := fapwstest.Command{Flags: []string{"-c", config, grace}}.Serve(t, inWorker[0])
		s.Dial().Get("/cgi-bin/sleep")
		ends(t, s, append(s.Workers(), pidIn(t, folder+"/pid")))
	})
}
