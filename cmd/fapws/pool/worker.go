package pool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/memory"
	"fapws/runtime/loglevel"
)

// Variable is the variable of the environment by which a process knows that it
// is a worker. Its value is the descriptor of the control channel and, behind a
// comma each, that of standard error as it shall be once the worker has loaded,
// or nothing, and StandIn, or nothing.
const Variable = "FAPWS_WORKER"

// EpochVariable is the variable of the environment that tells workers the epoch of
// the numbers of events.
const EpochVariable = "FAPWS_EPOCH"

// Variables are the variables of the environment that a supervisor sets for its workers
// and for the program that takes its place.
var Variables = []string{Variable, EpochVariable, handoverVariable}

// StandIn is a worker that serves only what a Notice says.
const StandIn = "stand-in"

// endMargin is what a worker gets beyond the graceful timeout before it is
// killed: its own end (atexit functions, threads) is bounded by less.
const endMargin = 7 * time.Second

// worker is a process that serves, or will, or did. Everything in it belongs to
// the goroutine of Run.
type worker struct {
	s       *Pool
	pid     int
	process *os.Process
	channel *Channel
	state   State
	started time.Time
	slot    *slot       // where it serves, or will
	batch   *generation // with which it was started, until that serves
	settled *Settled
	listens bool // it has the sockets
	health  health
	limit   *time.Timer   // kills it when a step takes too long
	why     string        // why it was killed, if the supervisor did
	reason  string        // why it ends, as it has said itself, perhaps with advice behind "; "
	kills   int           // memory.Kills before its start
	idle    bool          // nobody reads its channel: see handOver
	silent  chan struct{} // closed when all that it has said was heard
	said    func()        // closes it
	hearing *hearing      // of what it writes until it has loaded; nil: nobody listens
	joined  bool          // it gets Events
	out     outbox        // of them
	pieces  [][]byte      // of an event that it publishes, as far as they have come
}

// start starts a process as a worker.
func (s *Pool) start(program string) (*worker, error) { return s.startAs(program, "") }

// startAs starts a worker or, with role StandIn, a stand-in.
func (s *Pool) startAs(program, role string) (*worker, error) {
	channel, theirs, err := pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	const fd = 3 // the first of Files after standard input, output and error
	files := []*os.File{os.Stdin, os.Stdout, os.Stderr, theirs}
	lasting := "" // standard error once it has loaded
	var heard *hearing
	if s.o.FailurePage != nil && role == "" {
		var pipe *os.File
		if heard, pipe, err = hear(); err != nil {
			channel.Close()
			return nil, err
		}
		defer pipe.Close()
		files[2] = pipe
		files = append(files, os.Stderr)
		lasting = strconv.Itoa(fd + 1)
	}
	kills := memory.Kills(s.o.Root)
	process, err := os.StartProcess(program, s.o.Args, &os.ProcAttr{
		Dir:   s.o.Dir,
		Env:   append(os.Environ(), fmt.Sprintf("%s=%d,%s,%s", Variable, fd, lasting, role), EpochVariable+"="+s.relay.epoch),
		Files: files,
		Sys:   s.o.attributes(),
	})
	if err != nil {
		channel.Close()
		return nil, err
	}
	w := &worker{s: s, pid: process.Pid, process: process, channel: channel, started: time.Now(), hearing: heard, kills: kills}
	s.o.Log(loglevel.Debug, fmt.Sprintf("worker %d: started", w.pid))
	w.within(s.o.LoadTimeout, fmt.Sprintf("has not loaded within %v", s.o.LoadTimeout))
	s.watch(w)
	return w, nil
}

// watch starts the goroutines that listen to w and wait for its end.
func (s *Pool) watch(w *worker) {
	s.workers[w.pid] = w
	w.silent = make(chan struct{})
	w.said = sync.OnceFunc(func() { close(w.silent) })
	go w.listen()
	go func() {
		state, err := w.process.Wait()
		w.hearing.end()
		select { // what it published last counts
		case <-w.silent:
		case <-time.After(lastMessages):
		}
		s.post(func() { s.died(w, howEnded(state, err), exitCode(state), signalOf(state) == syscall.SIGKILL) })
	}()
}

// listen passes on what the worker says. A goroutine of its own.
func (w *worker) listen() {
	for {
		m, files, err := w.channel.Receive()
		closeFiles(files) // a worker has nothing to give
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			w.s.post(func() { w.s.interrupted(w) })
			return
		case err != nil:
			w.s.post(func() { w.s.hungUp(w, err) })
			w.said()
			return
		}
		if m.Kind == Publish {
			w.s.relay.ease()
		}
		w.s.post(func() { w.s.heard(w, m) })
	}
}

// hungUp is called when the channel of w has ended. Mostly it has died, and
// died is called; otherwise it cannot be led any more.
func (s *Pool) hungUp(w *worker, err error) {
	w.idle = true
	s.maybeHandOver()
	if w.state == Dead {
		return
	}
	if !errors.Is(err, io.EOF) {
		s.o.Log(loglevel.Warning, fmt.Sprintf("worker %d: %v", w.pid, err))
	}
	time.AfterFunc(time.Second, func() {
		s.post(func() {
			if w.state < Retiring {
				w.kill("has closed its control channel")
			}
		})
	})
}

// send tells w something. A worker that does not listen is killed.
func (w *worker) send(m *Message, files ...*os.File) {
	if w.state == Dead {
		return
	}
	if err := w.channel.Send(m, files...); err != nil && !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) { // else it has died
		w.kill(fmt.Sprintf("takes no messages (%v)", err))
	}
}

// within kills w when it has not come to another state in time.
func (w *worker) within(d time.Duration, why string) {
	if w.limit != nil {
		w.limit.Stop()
	}
	state := w.state
	w.limit = time.AfterFunc(d, func() {
		w.s.post(func() {
			if w.state == state {
				w.kill(why)
			}
		})
	})
}

func (w *worker) kill(why string) {
	if w.state == Dead {
		return
	}
	w.why = why
	w.process.Kill()
}

// retire lets w finish its requests, now that others accept in its place: to is the
// one that gets its subscribers, if there is one. These stay with w until depart.
func (w *worker) retire(to *worker) {
	w.leave(Retiring, Retire, w.s.grace(), w.heir(to)...)
}

// depart lets w send its subscribers to the new worker, and close its WebSockets.
func (w *worker) depart() {
	if w.state == Retiring {
		w.send(&Message{Kind: Depart})
	}
}

// end tells w to stop (Stop or Quit).
func (w *worker) end(kind Kind) {
	grace := w.s.grace()
	if kind == Quit {
		grace = 0
	}
	w.leave(Ending, kind, grace)
}

func (w *worker) leave(state State, kind Kind, grace time.Duration, files ...*os.File) {
	defer closeFiles(files)
	if w.state >= Ending {
		return
	}
	w.setState(state)
	w.slot, w.batch = nil, nil
	w.within(grace+endMargin, "does not end")
	w.send(&Message{Kind: kind, Grace: grace}, files...)
}

// howEnded describes the end of a process: "was killed (SIGKILL)".
func howEnded(state *os.ProcessState, err error) string {
	if state == nil {
		return fmt.Sprintf("has ended (%v)", err)
	}
	if sig := signalOf(state); sig != 0 {
		return "was killed by " + unix.SignalName(sig)
	}
	return fmt.Sprintf("has ended with code %d", state.ExitCode())
}

// signalOf returns the signal that has ended a process, 0 if none has.
func signalOf(state *os.ProcessState) syscall.Signal {
	if state != nil {
		if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return status.Signal()
		}
	}
	return 0
}

// ended returns a line for the log: how w has ended, why if that is known, and what happens next.
func (w *worker) ended(how, next string) string {
	if cause, _, _ := strings.Cut(w.reason, "; "); cause != "" {
		return fmt.Sprintf("worker %d %s: %s; %s", w.pid, how, cause, next)
	}
	return fmt.Sprintf("worker %d %s: %s", w.pid, how, next)
}

func exitCode(state *os.ProcessState) int {
	if state == nil {
		return -1
	}
	return state.ExitCode()
}
