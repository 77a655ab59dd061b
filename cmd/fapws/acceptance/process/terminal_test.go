package process_test

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestServerStopsWhenItsTerminalCloses(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	fapwstest.Write(t, folder+"/index.html", "hello")
	fapwstest.Write(t, folder+"/h.py", "def application(environ, start_response):\n    start_response('200 OK', "+
		"[])\n    return [b'hello']\n")
	for _, tt := range []struct{ line, says string }{
		{"fapws -p 0 .", "info stopping; waiting"}, {"fapws -p 0 h.py", "info stopping; waiting"},
		{"fapws -p 0 --dev h.py", "info stopping; waiting"},
		{"fapws -p 0 --workers 1 h.py", "info reloaded"}, {"nohup fapws -p 0 h.py", ""},
		{"nohup fapws -p 0 --dev h.py", "info reloaded"},
	} {
		t.Run(tt.line, func(t *testing.T) {
			t.Parallel()
			person, program := fapwstest.Terminal(t)
			words := strings.Fields(tt.line)
			for i := range words {
				if words[i] == "fapws" {
					words[i] = fapwstest.Binary(t)
				}
			}
			cmd, said := exec.Command(words[0], words[1:]...), fapwstest.NewOutput()
			cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stderr = folder, fapwstest.CleanEnviron(), program, said
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			fapwstest.Must(t, cmd.Start())
			exited := make(chan error, 1)
			go func() {
				err := cmd.Wait()
				said.Close()
				exited <- err
			}()
			t.Cleanup(func() { cmd.Process.Kill() })
			address := said.Await(t, fapwstest.BannerURL)[1]
			_, port, _ := strings.Cut(address, ":")
			fapwstest.Must(t, program.Close())
			fapwstest.Must(t, person.Close())
			if strings.Contains(tt.says, "stopping") {
				err := <-exited
				fapwstest.Truef(t, err == nil && strings.Contains(said.String(), tt.says), "%v, %s", err, said.String())
				return
			}
			if tt.says != "" {
				fapwstest.Eventually(t, tt.says,
					func() bool { return strings.Contains(said.String(), "info reloaded") })
			}
			w := fapwstest.Dial(t, "tcp", "127.0.0.1:"+port)
			w.Fetch("/").Is(t, "hello")
			fapwstest.Must(t, cmd.Process.Signal(syscall.SIGTERM))
			err := <-exited
			fapwstest.Truef(t, err == nil, "%v %q", err, said.String())
		})
	}
}

func TestAddressInUseErrorNamesTheProcessThatListens(t *testing.T) {
	t.Parallel()
	for _, m := range []fapwstest.Mode{fapwstest.Threads, fapwstest.Workers} {
		path := t.TempDir() + "/s"
		s := fapwstest.Serve(t, m, "workers.py", "--bind", "unix:"+path, "--name", "shop")
		_, port, _ := strings.Cut(s.Address, ":")
		for _, address := range []string{s.Address, ":" + port, "unix:" + path} {
			want := fmt.Sprintf("address already in use; stop the other server (shop, pid %d: fapws ctl stop --pid "+
				"%d), or choose another", s.Cmd.Process.Pid, s.Cmd.Process.Pid)
			fapwstest.Command{Flags: []string{"--bind", address}, Script: "workers.py"}.Fails(t, 3, want)
		}
	}
	port := fapwstest.FreePort(t)
	for _, workers := range []string{"0", "2"} {
		twice := []string{"--workers", workers, "--bind", "127.0.0.1:" + port, "--bind", ":" + port}
		fapwstest.Command{Flags: twice, Script: "workers.py"}.Fails(t, 3, "cannot listen on :"+port+
			": address already in use; this server listens on 127.0.0.1:"+port+", too: remove one of the two addresses")
	}
	// Without its control socket, the other server is still found.
	s := fapwstest.Serve(t, fapwstest.Threads, "workers.py", "--ctl-socket", "off")
	fapwstest.Command{Flags: []string{"--bind", s.Address}, Script: "workers.py"}.Fails(t, 3,
		fmt.Sprintf("stop the other server (fapws, pid %d), or choose another", s.Cmd.Process.Pid))
}
