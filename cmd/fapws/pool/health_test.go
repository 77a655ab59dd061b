package pool

import (
	"os/exec"
	"syscall"
	"testing"
	"time"

	"fapws/runtime/loglevel"
)

// TestCheck: a worker counts as broken only if it sleeps over what it was sent, several times in a row. One
// that computes, or was stopped, does not.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name    string
		command []string
		sig     syscall.Signal
		state   byte
		killed  bool
	}{
		{"sleeps", []string{"sleep", "1000"}, 0, 'S', true},
		{"computes", []string{"sh", "-c", "while :; do :; done"}, 0, 'R', false},
		{"stopped", []string{"sleep", "1000"}, syscall.SIGSTOP, 'T', false},
	} {
		t.Run(c.name, func(t *testing.T) {
			channel, theirs, err := pair()
			if err != nil {
				t.Fatal(err)
			}
			defer channel.Close()
			defer theirs.Close()
			cmd := exec.Command(c.command[0], c.command[1:]...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Wait()
			defer cmd.Process.Kill()
			if c.sig != 0 {
				cmd.Process.Signal(c.sig)
			}
			for late := time.Now().Add(time.Minute); asleep(cmd.Process.Pid) != (c.state == 'S'); time.Sleep(time.Millisecond) {
				if time.Now().After(late) {
					t.Fatal("it does not come to this state")
				}
			}
			s := New(Options{Log: func(loglevel.Level, string) {}})
			w := &worker{pool: s, pid: cmd.Process.Pid, process: cmd.Process, channel: channel, state: Serving}
			for range silentChecks {
				if w.check(); w.why != "" {
					t.Fatalf("killed too early: %s", w.why)
				}
			}
			w.check()
			if killed := w.why != ""; killed != c.killed {
				t.Errorf("killed: %v", killed)
			}
		})
	}
}
