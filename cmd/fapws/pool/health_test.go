package pool

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"fapws/runtime/checktest"
)

// A worker is killed if several consecutive checks find it sleeping (state S in /proc) with unread messages. A worker
// that was stopped by SIGSTOP gets more time, because it may continue. A computing worker is not killed.
func TestWorkerThatSleepsWithUnreadMessagesIsKilled(t *testing.T) {
	for _, c := range []struct {
		name    string
		command []string
		state   string
		urgent  bool
		checks  int
		killed  bool
	}{
		{"sleeps", sleeping, "S", false, silentChecks, true},
		{"computes", computing, "R", false, 2 * stoppedChecks, false},
		{"stopped", sleeping, "T", false, stoppedChecks, true},
		{"sleeps over much", sleeping, "S", true, silentChecks, true},
		{"stopped over much", sleeping, "T", true, silentChecks, true},
		{"computes over much", computing, "R", true, stoppedChecks, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			channel, _ := channels(t)
			process := inState(t, c.state, c.command...)
			s := New(idle())
			w := newWorker(s, process, channel)
			w.State = Serving
			w.check()
			eventually(t, "the worker is asked", func() bool { return channel.unread() > 0 && w.out.bytes.Load() == 0 })
			if c.urgent {
				w.out.bytes.Store(urgentWaiting + 1)
			}
			for range c.checks - 1 {
				w.check()
				checktest.Needf(t, w.why == "", "killed too early: %s", w.why)
			}
			w.check()
			checktest.Equalf(t, w.why != "", c.killed, "killed")
		})
	}
}

// The worker sleeps at each check and has an unread message, but the message is a new one each time. The worker is not
// killed, because it has read the previous message.
func TestWorkerThatReadsMessagesIsNotBroken(t *testing.T) {
	channel, other := channels(t)
	process := inState(t, "S", sleeping...)
	w := newWorker(New(idle()), process, channel)
	w.State = Serving
	w.check()
	for i := range 2 * silentChecks {
		if i > 0 {
			w.send(&Message{Kind: Ask, Text: "anything"})
		}
		eventually(t, "a message waits", func() bool { return channel.unread() > 0 })
		w.check()
		_, _, err := other.Receive()
		checktest.Must(t, err)
	}
	checktest.Equalf(t, w.why, "", "killed: it")
}

var (
	sleeping  = []string{"sleep", "1000"}
	computing = []string{"sh", "-c", "while :; do :; done"}
)

func TestNameOfAProcessDoesNotHideItsState(t *testing.T) {
	named := t.TempDir() + "/shop) R (EU) 1"
	program, err := exec.LookPath(sleeping[0])
	if err == nil {
		err = os.Symlink(program, named)
	}
	checktest.Must(t, err)
	inState(t, "S", named, "1000")
}

// inState starts a command and waits until its thread is in the given state of proc(5).
func inState(t *testing.T, state string, command ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	checktest.Must(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	if state == "T" {
		cmd.Process.Signal(syscall.SIGSTOP)
	}
	eventually(t, "the process is in state "+state, func() bool { return inStates(cmd.Process.Pid, state) })
	return cmd
}
