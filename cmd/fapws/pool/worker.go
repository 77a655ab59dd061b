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

// Variable is the variable of the environment by which a process knows that it
// is a worker. Its value is a Start in JSON.
const Variable = "_FAPWS_WORKER"

// Start is what a worker has to know when it starts.
type Start struct {
	FD     int    // the descriptor of the control channel
	Stderr int    // the descriptor to use as standard error once the worker has loaded; -1: no change
	Role   string // PageOnly, Eager, Asleep or nothing
	Epoch  string // of the numbers of events

	// Script and Watches are those of the Settled of another worker, for one that is Asleep.
	Script  string
	Watches bool
}

// CountVariable is the variable of the environment that tells workers to count requests from the start.
const CountVariable = "_FAPWS_COUNT"

// PageOnly is the role of a worker that has no application and serves the page of a Notice.
const PageOnly = "page"

// Eager is the role of a worker that may get the sockets before it has loaded, because no other one serves: it answers
// what it can meanwhile.
const Eager = "eager"

// Asleep is the role of a worker that loads its application when a request needs it (idle-stop), and serves all else.
const Asleep = "asleep"

// Instead is the text of a Listen whose sockets take the place of those before. It may come without any.
const Instead = "instead"

// endMargin is added to the graceful timeout before a worker is killed: its own limits for atexit functions and
// threads are shorter.
const endMargin = 7 * time.Second

// worker is a process that will serve, serves, or has served. Only the goroutine of Run uses it, except for out.
type worker struct {
	pool          *Pool
	pid           int
	cmd           *exec.Cmd
	channel       *Channel
	state         State
	started       time.Time
	replaced      bool        // another one is to take its place
	page          bool        // it has no application: PageOnly
	closed        bool        // it accepts no more, after retire
	leaves        bool        // it retires when it has loaded: see retireLoaded
	batch         *generation // with which it was started, until that serves
	settled       *Settled    // nil before Configured
	awakeSince    time.Time   // when it or its application loaded
	listens       bool        // it has the sockets
	handles       bool        // its handlers run, or have run
	early         []Address   // those that it got before it had loaded, and perhaps clients; nil: none
	health        health
	limit         *time.Timer    // kills it when a step takes too long
	why           string         // why it was killed, if the supervisor did
	reason        string         // why it ends, as it has reported itself, perhaps with advice behind "; "
	reaped        bool           // its process has ended
	kills         int            // confine.MemoryKills at its start
	idle          bool           // its channel has no reader: see handOver
	silent        chan struct{}  // closed when all its messages were handled
	said          func()         // closes it
	stderrCapture *stderrCapture // of its output until it has loaded; nil: not captured
	joined        bool           // it gets Events
	asleep        bool           // its application is not loaded
	unused        bool           // the application has been unused for the time of idle-stop
	hung          bool           // its event loop does not run, so it gives no history and no subscribers
	out           outbox
	wants         string // the certificates that it has asked for, or ""
	certificates  []byte // that it has; nil: only the program before this one knew
	confined      bool   // it may run handlers, and sends no settings
	distrusted    bool   // it has sent what no worker sends, and is being killed
	counts        map[string]int64
	counted       int       // countCost of its counts, which are numbers of subscribers
	uncounted     bool      // the log says that there are more
	questions     Questions // to it
	querying      int       // its own that are being answered
}

// start starts a process as a worker with a role, which may be "", of this program or the newest.
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
		return len(cmd.ExtraFiles) + 2 // behind standard input, output and error
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
		if _, gone := os.Stat(cmd.Dir); gone != nil && cmd.Dir != "" { // which err does not say
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

// newWorker returns a worker that was just started.
func (p *Pool) newWorker(cmd *exec.Cmd, channel *Channel) *worker {
	w := &worker{pool: p, pid: cmd.Process.Pid, cmd: cmd, channel: channel, started: time.Now(), kills: confine.MemoryKills(root)}
	w.out.queue = eventloop.NewQueue(w.deliver)
	w.questions.ended = make(chan struct{})
	return w
}

// watch starts the goroutine that receives messages from w.
func (p *Pool) watch(w *worker) {
	p.workers[w.pid] = w
	w.silent = make(chan struct{})
	w.said = sync.OnceFunc(func() { close(w.silent) })
	go w.receive()
}

// reap takes note of the processes that have ended: workers, and those that others have left to this one. It is process 1 of a container,
// perhaps, where processes that a worker's children started and did not wait for would stay as zombies.
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
	// stderrWithin is the maximum wait for the end of a dead worker's output: its children may hold its standard error
	// open. lastMessages is the same for its channel, which its children do not inherit.
	stderrWithin = 200 * time.Millisecond
	lastMessages = time.Second
)

// ends is called when the process of w has ended.
func (w *worker) ends(status unix.WaitStatus) {
	w.reaped = true
	echo := w.pool.mayEcho(w, status)
	go func() {
		_ = w.cmd.Wait() // for its output; its end is known
		select {         // its last events count
		case <-w.silent:
		case <-time.After(lastMessages):
		}
		time.Sleep(echo)
		w.pool.post(func() { w.pool.died(w, status) })
	}()
}

// receive passes on the worker's messages, on a separate goroutine.
func (w *worker) receive() {
	for {
		m, files, err := w.channel.Receive()
		CloseFiles(files) // a worker has nothing to give
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
		case Publish, Purge, Counts: // these go to other workers
			w.pool.throttle(w.pool.brokerCongested)
		}
		w.pool.post(func() { w.pool.heard(w, m) })
	}
}

// channelClosed is called when the channel of w has ended. Usually the process has ended, too, and died follows;
// otherwise w cannot be controlled any more and is killed.
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

// within kills w when it has not come to another state in time.
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

// signal sends a signal to the process, whose number may be another one's when it has ended.
func (w *worker) signal(sig syscall.Signal) {
	if !w.reaped {
		_ = w.cmd.Process.Signal(sig) // failing, it is about to end
	}
}

// retire lets w finish its requests, now that other workers accept in its place. Its subscribers stay until depart, and
// then go to the worker to, unless that is nil.
func (w *worker) retire(to *worker) {
	w.end(Retire, w.passSubscribers(to)...)
}

// retireLoaded is retire for a worker that has got clients before it has loaded: it retires when it can answer them.
func (w *worker) retireLoaded() {
	if w.listens {
		w.unlisten()
	}
	w.leaves = true
	w.within(w.pool.settled.GracefulTimeout+endMargin, "does not load")
}

// depart lets w send its subscribers to the new worker, and close its WebSockets.
func (w *worker) depart() {
	if w.state == Retiring {
		w.send(&Message{Kind: Depart})
	}
}

// end tells w to end (Retire, Stop or Quit). It closes files, which go with the message.
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

// howEnded describes the end of a process: "was killed by SIGKILL".
func howEnded(status unix.WaitStatus) string {
	if status.Signaled() {
		return "was killed by " + unix.SignalName(status.Signal())
	}
	return fmt.Sprintf("exited with status %d", status.ExitStatus())
}

// ended returns a line for the log: how w has ended, why if that is known, and what happens next.
func (w *worker) ended(how, next string) string {
	if cause, _, _ := strings.Cut(w.reason, "; "); cause != "" {
		return fmt.Sprintf("worker %d %s: %s; %s", w.pid, how, cause, next)
	}
	return fmt.Sprintf("worker %d %s; %s", w.pid, how, next)
}

// State says where a worker is in its life.
type State uint8

// The states, in the order of a life.
const (
	Starting State = iota // the process runs, the application is being loaded
	Ready                 // the application is loaded
	Serving               // it accepts connections
	Retiring              // another one accepts in its place; it finishes its active requests
	Ending                // it was told to stop
	Dead                  // the process has ended
)

// String is the word that ctl status shows.
func (s State) String() string {
	return [...]string{"starting", "loaded", "serving", "retiring", "ending", "dead"}[s]
}

// setState is where the state of a worker changes.
func (w *worker) setState(to State) {
	if w.state == to {
		return
	}
	w.pool.o.Log(logfile.Debug, fmt.Sprintf("worker %d: %s, was %s", w.pid, to, w.state))
	w.state = to
}
