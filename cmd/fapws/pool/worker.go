package pool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/eventloop"
	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

// Variable is the environment variable that makes a process a worker. Its value is a Start in JSON.
const Variable = "_FAPWS_WORKER"

type Start struct {
	FD int
	// descriptor to use as standard error after the worker has loaded; -1 means no change
	Stderr int
	Role   string
	Epoch  string

	// Script and Watches come from the Settled of another worker. A worker that is Asleep uses them.
	Script  string
	Watches bool
}

// CountVariable is the environment variable that makes workers count requests from the start.
const CountVariable = "_FAPWS_COUNT"

// A PageOnly worker has no application and serves the page of a Notice.
const PageOnly = "page"

// Eager is the role of a worker that may get the sockets before it has loaded, because no other worker serves.
// Meanwhile it answers the requests that need no application.
const Eager = "eager"

// Asleep is the role of a worker that loads its application when a request needs it (idle-stop). It serves all other
// requests.
const Asleep = "asleep"

// Instead is the Text of a Listen whose sockets replace all previous ones. A Listen with this Text may carry no sockets.
const Instead = "instead"

// endMargin is added to the graceful timeout before a worker is killed. It exceeds the worker's own limits for atexit
// functions and threads.
const endMargin = 7 * time.Second

// worker is a worker process, from its start until after its end. Only the goroutine of Run uses it, except for out.
type worker struct {
	pool       *Pool
	pid        int
	cmd        *exec.Cmd
	channel    *Channel
	state      State
	started    time.Time
	replaced   bool
	page       bool        // it has no application: PageOnly
	closed     bool        // it no longer accepts connections after Retire
	leaves     bool        // it retires when it has loaded: see retireLoaded
	batch      *generation // the generation it loads with; nil once that serves
	settled    *Settled    // nil before Configured
	awakeSince time.Time   // time when the worker or its application loaded
	listens    bool
	handles    bool // its handlers have started
	// sockets that it got before it had loaded, and perhaps accepted clients from; nil if none
	early         []Address
	health        health
	limit         *time.Timer
	why           string // "" if the supervisor has not killed it
	reason        string // why it ends, as reported by itself; advice may follow "; "
	reaped        bool
	kills         int           // confine.MemoryKills at its start
	idle          bool          // nothing reads its channel: see handOver
	silent        chan struct{} // closed when all its messages were handled
	said          func()
	stderrCapture *stderrCapture // its output until it has loaded; nil if not captured
	joined        bool
	asleep        bool
	unused        bool
	// its event loop is blocked; it cannot hand over history or subscribers
	hung         bool
	out          outbox
	wants        string // certificates that it asked for, or ""
	certificates []byte // certificates sent to it; nil if unknown after an upgrade
	confined     bool   // it may run handlers; its settings are no longer accepted
	distrusted   bool   // it sent a forged message and is being killed
	counts       map[string]int64
	// sum of countCost of counts, which has its numbers of subscribers
	counted   int
	uncounted bool // the log reports uncounted channels
	questions Questions
	querying  int
}

// start starts a worker process with a role, which may be "". If newest is true, it runs the program's current file
// instead of this program.
func (p *Pool) start(newest bool, role string) (*worker, error) {
	channel, theirs, err := Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := process.Again(newest, process.Arguments()...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	pass := func(f *os.File) (fd int) {
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		return len(cmd.ExtraFiles) + 2
	}
	start := Start{FD: pass(theirs), Stderr: -1, Role: role, Epoch: p.relay.epoch,
		Script: p.settled.Script, Watches: p.settled.Watches}
	var heard *stderrCapture
	if p.o.FailurePage != nil && role != PageOnly {
		heard = new(stderrCapture)
		cmd.Stderr, cmd.WaitDelay = heard, stderrWithin
		start.Stderr = pass(os.Stderr)
	}
	cmd.Dir, cmd.SysProcAttr = p.o.Dir, p.o.Attributes()
	text, err := json.Marshal(start)
	if err == nil {
		cmd.Env = append(cmd.Env, Variable+"="+string(text), settings.KeptVariable+"="+p.o.Kept)
		err = cmd.Start()
	}
	if err != nil {
		channel.Close()
		if _, gone := os.Stat(cmd.Dir); gone != nil && cmd.Dir != "" { // err does not name the directory
			err = fmt.Errorf("its working directory %s: %w", cmd.Dir, system.Cause(gone))
		}
		return nil, err
	}
	w := p.newWorker(cmd, channel)
	w.stderrCapture, w.page, w.asleep = heard, role == PageOnly, role == Asleep
	p.o.Log(logfile.Debug, fmt.Sprintf("worker %d: started", w.pid))
	w.within(p.o.LoadTimeout, fmt.Sprintf("did not load within %v", p.o.LoadTimeout))
	p.watch(w)
	return w, nil
}

func (p *Pool) newWorker(cmd *exec.Cmd, channel *Channel) *worker {
	w := &worker{pool: p, pid: cmd.Process.Pid, cmd: cmd, channel: channel, started: time.Now(), kills: confine.MemoryKills(root)}
	w.out.queue = eventloop.NewQueue(w.deliver)
	w.questions.ended = make(chan struct{})
	return w
}

func (p *Pool) watch(w *worker) {
	p.workers[w.pid] = w
	w.silent = make(chan struct{})
	w.said = sync.OnceFunc(func() { close(w.silent) })
	go w.receive()
}

// reap collects the processes that have ended: workers, and orphans that the kernel assigned to this process. In a
// container, this may be process 1. Without reap, orphaned children of a worker would stay as zombies.
func (p *Pool) reap() {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if err == unix.EINTR {
			continue
		}
		if pid <= 0 {
			return
		}
		if w := p.workers[pid]; w != nil {
			w.ends(status)
		}
	}
}

const (
	// stderrWithin limits the wait for the output of a dead worker: its children may keep its standard error open.
	// lastMessages is the same limit for its channel, which its children do not inherit.
	stderrWithin = 200 * time.Millisecond
	lastMessages = time.Second
)

func (w *worker) ends(status unix.WaitStatus) {
	w.reaped = true
	echo := w.pool.mayEcho(w, status)
	go func() {
		_ = w.cmd.Wait() // waits for its output; the exit status is known
		select {         // its last events must not be lost
		case <-w.silent:
		case <-time.After(lastMessages):
		}
		time.Sleep(echo)
		w.pool.post(func() { w.pool.died(w, status) })
	}()
}

// receive passes the worker's messages to the goroutine of Run. It runs on a separate goroutine.
func (w *worker) receive() {
	for {
		m, files, err := w.channel.Receive()
		CloseFiles(files) // workers send no descriptors
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			w.pool.post(func() {
				w.idle = true
				w.pool.maybeHandOver()
			})
			return
		case err != nil:
			w.pool.post(func() { w.pool.channelClosed(w, err) })
			w.said()
			return
		}
		switch m.Kind {
		case Publish, Purge, Counts:
			w.pool.throttle(w.pool.brokerCongested)
		}
		w.pool.post(func() { w.pool.heard(w, m) })
	}
}

// channelClosed is called when the channel of w has ended. Usually the process has ended as well, and died follows.
// Otherwise w can no longer be controlled and is killed.
func (p *Pool) channelClosed(w *worker, err error) {
	w.idle = true
	p.maybeHandOver()
	if w.state == Dead {
		return
	}
	if !errors.Is(err, io.EOF) {
		p.o.Log(logfile.Warning, fmt.Sprintf("worker %d: %v", w.pid, err))
	}
	time.AfterFunc(time.Second, func() {
		p.post(func() {
			if w.state < Retiring {
				w.kill("has closed its control channel")
			}
		})
	})
}

func (w *worker) within(d time.Duration, why string) {
	if w.limit != nil {
		w.limit.Stop()
	}
	state := w.state
	w.limit = time.AfterFunc(d, func() {
		w.pool.post(func() {
			if w.state == state {
				w.kill(why)
			}
		})
	})
}

func (w *worker) kill(why string) {
	if !w.reaped {
		w.why = why
		w.signal(unix.SIGKILL)
	}
}

// Another process may have the same ID after the worker has ended.
func (w *worker) signal(sig syscall.Signal) {
	if !w.reaped {
		_ = w.cmd.Process.Signal(sig) // if it fails, the process is about to end
	}
}

// retire makes w finish its requests, after other workers accept connections in its place. Its subscribers stay until
// depart and then move to the worker to. If to is nil, they reconnect.
func (w *worker) retire(to *worker) {
	w.end(Retire, w.passSubscribers(to)...)
}

// retireLoaded is like retire for a worker that may have accepted clients before it has loaded. It retires when it can
// serve them.
func (w *worker) retireLoaded() {
	if w.listens {
		w.unlisten()
	}
	w.leaves = true
	w.within(w.pool.settled.GracefulTimeout+endMargin, "does not load")
}

func (w *worker) depart() {
	if w.state == Retiring {
		w.send(&Message{Kind: Depart})
	}
}

// end tells w to end. kind is Retire, Stop or Quit. end attaches files to the message and closes them.
func (w *worker) end(kind Kind, files ...*os.File) {
	defer CloseFiles(files)
	if w.state == Dead || w.state == Ending && kind != Quit {
		return
	}
	state, grace, delay := Ending, w.pool.settled.GracefulTimeout, time.Duration(0)
	switch kind {
	case Retire:
		state = Retiring
	case Stop:
		delay = w.pool.settled.ShutdownDelay
	case Quit:
		grace = 0
	}
	w.setState(state)
	w.batch = nil
	w.within(delay+grace+endMargin, "does not end")
	w.send(&Message{Kind: kind, Grace: grace}, files...)
}

func howEnded(status unix.WaitStatus) string {
	if status.Signaled() {
		return "was killed by " + unix.SignalName(status.Signal())
	}
	return fmt.Sprintf("exited with status %d", status.ExitStatus())
}

// ended returns a line for the log: how w has ended, why if known, and what happens next.
func (w *worker) ended(how, next string) string {
	if cause, _, _ := strings.Cut(w.reason, "; "); cause != "" {
		return fmt.Sprintf("worker %d %s: %s; %s", w.pid, how, cause, next)
	}
	return fmt.Sprintf("worker %d %s; %s", w.pid, how, next)
}

type State uint8

const (
	Starting State = iota
	Ready
	Serving
	// other workers accept in its place; it finishes active requests
	Retiring
	Ending
	Dead
)

func (s State) String() string {
	return [...]string{"starting", "loaded", "serving", "retiring", "ending", "dead"}[s]
}

func (w *worker) setState(to State) {
	if w.state == to {
		return
	}
	w.pool.o.Log(logfile.Debug, fmt.Sprintf("worker %d: %s, was %s", w.pid, to, w.state))
	w.state = to
}
