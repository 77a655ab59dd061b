package pool

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/logfile"
)

const patience = checktest.Patience

var eventually = checktest.Eventually

func idle() Options {
	return Options{
		Early:        func() []NamedSocket { return nil },
		Up:           func([]NamedSocket, bool) {},
		Attributes:   func() *syscall.SysProcAttr { return nil },
		Fits:         func(*Settled) string { return "" },
		Event:        func(StateChange, string) {},
		BeforeExec:   func() ([]byte, []syscall.Conn) { return nil, nil },
		Certificates: func(string, bool) ([]byte, error) { return nil, os.ErrNotExist },
		Query:        func(int, string) string { return "answer" },
		LastWords:    func(int, []byte) {},
		Reopen:       func() {},
		Log:          func(logfile.Level, string) {},
	}
}

func TestPauseBetweenStartsDoublesUpToTenSeconds(t *testing.T) {
	p := New(idle())
	var waits []time.Duration
	for range 9 {
		p.pace.wait(p)
		p.pace.pause.Stop()
		p.pace.pause = nil
		waits = append(waits, p.pace.last)
	}
	const ms = time.Millisecond
	want := []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 10000 * ms,
		10000 * ms}
	checktest.Equal(t, waits, want)
}

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
			w := newWorker(New(idle()), inState(t, c.state, c.command...), channel)
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
	w := newWorker(New(idle()), inState(t, "S", sleeping...), channel)
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

func TestQuestionToAWorkerDelaysTheHandoverUntilItIsSent(t *testing.T) {
	w := &worker{idle: true}
	w.out.bytes.Store(1)
	p := &Pool{handing: true, workers: map[int]*worker{1: w}, events: make(chan func(), 1)}
	p.maybeHandOver()
	select {
	case <-p.events:
	case <-time.After(patience):
		t.Error("it does not go on when the question was sent")
	}
}

func TestReloadDuringTheHandoverIsLeftToTheNextProgram(t *testing.T) {
	p := New(idle())
	p.handing = true
	p.signal(syscall.SIGHUP)
	p.maybeBegin()
	checktest.Truef(t, p.next != nil && p.batch == nil, "%+v, %+v", p.next, p.batch)
}

func TestPartlyReceivedEventSurvivesTheHandover(t *testing.T) {
	ours, theirs := channels(t)
	w := &worker{pool: New(idle()), channel: ours}
	w.Pid, w.State, w.Joined = inState(t, "S", sleeping...).Process.Pid, Serving, true
	sent := []byte(strings.Repeat("long", maxDatagram))
	texts := checktest.Try((&Message{Kind: Publish, N: 1, Raw: sent, ID: 7}).encode()).Must(t)
	theirs.conn.Write(texts[0])
	ours.ReceiveWithin(10 * time.Millisecond)
	w.pool.relay.count(w, map[string]int64{"news": 2})

	fd := checktest.Try(Duplicate(ours)).Must(t)
	w.Parts = ours.parts
	text := checktest.Try(json.Marshal(Handover{Workers: []workerState{w.workerState}, Files: []int{fd}})).Must(t)
	var h Handover
	checktest.Must(t, json.Unmarshal(text, &h))
	next := New(idle())
	defer close(next.over)
	h.resume(next)
	go func() {
		for _, text := range texts[1:] {
			theirs.conn.Write(text)
		}
	}()
	(<-next.events)()
	for id := uint64(0); id != 7; {
		m, _, err := theirs.ReceiveWithin(patience)
		checktest.Must(t, err)
		id = m.ID
		checktest.Truef(t, id != 7 || bytes.Equal(m.Raw, sent), "the event has %d bytes", len(m.Raw))
	}
	checktest.Equalf(t, next.relay.subscribers("news"), 2, "subscribers")
}
