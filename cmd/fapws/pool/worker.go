package pool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/confine"
	"fapws/runtime/eventloop"
	"fapws/runtime/logfile"
)

// Variable is the environment variable that makes a process a worker. The value of the variable is a Start in JSON.
const Variable = "_FAPWS_WORKER"

type Start struct {
	FD int
	// descriptor to use as standard error after the worker has loaded; -1 means no change
	Stderr int
	// descriptor of the table of rate limits that all workers share (package ratelimit); 0 if there is none
	Rates int
	// descriptors of the doors of applications, by name
	Doors map[string]int `json:",omitempty"`
	Role  Role
	Epoch string
	Load  int  // number of the generation; workers of the same generation have loaded the same files
	First bool // no other worker of the generation was started before

	// Script and Watches are copied from the Settled of another worker, for workers with the role Asleep.
	Script  string
	Watches bool
}

// CountVariable is the environment variable that makes each worker count requests as soon as it starts.
const CountVariable = "_FAPWS_COUNT"

// Instead is the Text of a Listen message whose sockets replace the sockets of the worker. If no socket is attached,
// the worker accepts no connections.
const Instead = "instead"

// A worker is killed if it has not ended endMargin after the graceful timeout. endMargin is longer than the time that a
// worker itself allows for atexit functions and threads.
const endMargin = 7 * time.Second

// A worker describes a worker process that runs or has ended. Except for the field out, a worker is used only on the
// goroutine of Run.
type worker struct {
	workerState
	pool    *Pool
	cmd     *exec.Cmd
	channel *Channel
	// generation to which the worker belongs while it loads; nil afterwards
	batch      *generation
	settled    Settled   // zero value before Configured, and after an upgrade
	awakeSince time.Time // time when the worker loaded; with the roles Asleep and Fresh, when its application loaded
	// sockets on which the worker may have accepted clients before it had loaded; nil if none
	early  []NamedSocket
	health health
	loads  LoadClock
	limit  *time.Timer // nil if no limit was set
	why    string      // reason why the supervisor has killed or terminated the worker; "" if it has not
	// the reason for the worker's end, as sent by the worker; advice for the user may follow after "; "
	reason string
	kills  int           // result of confine.MemoryKills at the start of the worker
	idle   bool          // no goroutine reads the channel (see handOver)
	silent chan struct{} // closed when all messages of the worker were handled
	said   func()
	// standard error of the worker until it has loaded; nil if not captured
	stderrCapture *stderrCapture
	unused        bool // the worker has sent Unused as its last reply to Check
	// the event loop of the worker is blocked, so it cannot hand over history or subscribers
	hung bool
	out  outbox
	// the certificates that were sent to the worker; nil after an upgrade if they are unknown
	certificates []byte
	counted      int
	full         sync.Once // logs that some channels are not counted
	questions    Questions
	querying     int
}

func newWorker(p *Pool, cmd *exec.Cmd, channel *Channel) *worker {
	w := &worker{pool: p, cmd: cmd, channel: channel, kills: confine.MemoryKills(root)}
	w.Pid, w.Started = cmd.Process.Pid, time.Now()
	w.out.channel, w.out.congested, w.out.queue = channel, p.relay.congested, eventloop.NewQueue(w.out.deliver)
	w.questions.ended = make(chan struct{})
	return w
}

func (w *worker) watch() {
	w.pool.workers[w.Pid] = w
	w.silent = make(chan struct{})
	w.said = sync.OnceFunc(func() { close(w.silent) })
	go w.receive()
}

const (
	// stderrWithin limits the wait for the standard error of a dead worker, because the worker's children may keep it
	// open. lastMessages limits the wait for the worker's last messages.
	stderrWithin = 200 * time.Millisecond
	lastMessages = time.Second
)

func (w *worker) ends(status unix.WaitStatus) {
	w.setExit(reaped)
	echo := w.mayEcho(status)
	go func() {
		// Wait for the end of the output. The exit status is already known.
		_ = w.cmd.Wait()
		select { // wait until the last messages of the worker are handled, so that no events are lost
		case <-w.silent:
		case <-time.After(lastMessages):
		}
		time.Sleep(echo)
		w.pool.post(func() { w.pool.died(w, status) })
	}()
}

// receive passes the worker's messages to the goroutine of Run, and runs on a separate goroutine.
func (w *worker) receive() {
	for {
		m, files, err := w.channel.Receive()
		CloseFiles(files)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			w.pool.post(func() {
				w.idle = true
				w.pool.maybeHandOver()
			})
			return
		case err != nil:
			w.pool.post(func() { w.channelClosed(err) })
			w.said()
			return
		}
		switch m.Kind {
		case Publish, Purge, Counts:
			w.pool.relay.throttle(w.pool.o.Broker)
		}
		w.pool.post(func() { w.pool.heard(w, m) })
	}
}

// channelClosed handles the end of the channel to w. If the process has not ended as well, w can no longer be
// controlled, so channelClosed kills it.
func (w *worker) channelClosed(err error) {
	p := w.pool
	w.idle = true
	p.maybeHandOver()
	if w.State == Dead {
		return
	}
	if !errors.Is(err, io.EOF) {
		p.o.Log(logfile.Warning, fmt.Sprintf("worker %d: %v", w.Pid, err))
	}
	p.after(time.Second, func() {
		if w.State < Retiring {
			w.kill("has closed its control channel")
		}
	})
}

// within kills w after the duration d unless unlimit or within is called before. reason is for the log.
func (w *worker) within(d time.Duration, reason string) {
	w.unlimit()
	var limit *time.Timer
	limit = w.pool.after(d, func() {
		if w.limit == limit {
			w.kill(reason)
		}
	})
	w.limit = limit
}

func (w *worker) unlimit() {
	if w.limit != nil {
		w.limit.Stop()
		w.limit = nil
	}
}

// send queues m for w, with duplicates of the descriptors of files. The files stay open. send is safe for concurrent
// use.
func (w *worker) send(m *Message, files ...*os.File) {
	var own []int
	for _, f := range files {
		fd, err := Duplicate(f)
		if err != nil {
			closeDescriptors(own)
			go w.pool.post(func() { w.kill(fmt.Sprintf("cannot receive a descriptor (%v)", err)) })
			return
		}
		own = append(own, fd)
	}
	texts, err := m.encode()
	if err != nil {
		w.pool.o.Log(logfile.Error, err.Error())
		closeDescriptors(own)
		return
	}
	w.queue(texts, own...)
}

func (w *worker) queue(texts [][]byte, fds ...int) {
	if !w.out.add(texts, fds...) {
		go w.pool.post(func() { w.kill("does not read messages") })
	}
}

func (w *worker) kill(reason string) {
	if w.Exit != reaped {
		w.why = reason
		w.signal(unix.SIGKILL)
	}
}

// If w has ended, signal does nothing, because another process may now have the process ID of w.
func (w *worker) signal(sig syscall.Signal) {
	if w.Exit != reaped {
		_ = w.cmd.Process.Signal(sig) // an error means that the process is about to end
	}
}

// retire makes w stop accepting connections and finish its requests. The subscribers of w stay until w gets the message
// Depart. The subscribers then move to the worker successor or, if successor is nil, must reconnect.
func (w *worker) retire(successor *worker) { w.end(Retire, w.passSubscribers(successor)...) }

// retireLoaded retires a worker that may have accepted clients before it has loaded. The worker first finishes loading,
// because these clients wait for it.
func (w *worker) retireLoaded() {
	if w.Listens {
		w.unlisten()
	}
	w.setExit(leaves)
	w.within(w.pool.settled.GracefulTimeout+endMargin, "does not load")
}

// passSubscribers prepares the worker successor for receiving the subscribers of w. passSubscribers returns the file
// through which w must send its subscribers, or nil if the subscribers cannot be handed over and must reconnect.
func (w *worker) passSubscribers(successor *worker) []*os.File {
	if successor == nil || !w.Joined || w.hung || !successor.Joined || w.State >= Ending || successor.State >= Retiring {
		return nil
	}
	give, take, err := workerPair()
	if err != nil {
		w.pool.o.Log(logfile.Warning, fmt.Sprintf("worker %d cannot hand its subscribers over: %v", w.Pid, err))
		return nil
	}
	defer take.Close()
	successor.send(&Message{Kind: Take, Text: Subscribers}, take)
	return []*os.File{give}
}

func (w *worker) depart() {
	if w.State == Retiring {
		w.send(&Message{Kind: Depart})
	}
}

// end sends w a message of the given kind (Retire, Stop or Quit) with the files attached, and closes the files.
func (w *worker) end(kind Kind, files ...*os.File) {
	defer CloseFiles(files)
	if w.State == Dead || w.State == Ending && kind != Quit {
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

// ended returns a line for the log: how the worker has ended, the reason if it is known, and what the supervisor does
// next.
func (w *worker) ended(ending, next string) string {
	if cause, _, _ := strings.Cut(w.reason, "; "); cause != "" {
		return fmt.Sprintf("worker %d %s: %s; %s", w.Pid, ending, cause, next)
	}
	return fmt.Sprintf("worker %d %s; %s", w.Pid, ending, next)
}

// configure stores the settings of w; callers print "worker N" before its error.
func (w *worker) configure(text []byte) error {
	if err := speaks(text); err != nil {
		return err
	}
	var s Settled
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("has settings that cannot be read: %w", err)
	}
	s.GracefulTimeout = min(max(s.GracefulTimeout, 0), maxGrace)
	s.ShutdownDelay = min(max(s.ShutdownDelay, 0), maxGrace)
	w.settled = s
	w.setBelief(settled)
	return nil
}

func (w *worker) listenEarly(addresses []NamedSocket) {
	w.listen(addresses)
	w.early = addresses
}

// unlisten makes w stop accepting connections; clients that w has already accepted wait until w has loaded.
func (w *worker) unlisten() {
	w.Listens = false
	w.send(&Message{Kind: Listen, Text: Instead})
}

func (w *worker) listen(addresses []NamedSocket) {
	text := ""
	if len(w.early) > 0 {
		text = Instead
	}
	w.Listens = true
	for some := range slices.Chunk(addresses, maxFiles) {
		m := &Message{Kind: Listen, Text: text}
		var files []*os.File
		for _, a := range some {
			m.Addresses, files = append(m.Addresses, a.Name), append(files, a.Socket)
		}
		w.send(m, files...)
		text = ""
	}
}

func (w *worker) sendNotice() {
	if w.pool.notice != nil {
		w.send(w.pool.notice)
	}
}

// query replies to a worker's request, on a separate goroutine, because the reply can depend on all workers.
func (w *worker) query(m *Message) {
	if w.querying == maxQueries {
		w.send(&Message{Kind: Answer, ID: m.ID})
		return
	}
	w.querying++
	go func() {
		text := w.pool.o.Query(w.Pid, m.Text)
		w.pool.post(func() {
			w.querying--
			w.send(&Message{Kind: Answer, ID: m.ID, Raw: []byte(text)})
		})
	}()
}

// wanted handles the message in which w requests certificates. A worker may send only one such message, because an
// attacker who controls the worker later could request other keys.
func (w *worker) wanted(m *Message) {
	if w.Wants != "" {
		w.distrust("asked for certificates twice")
		return
	}
	w.Wants = string(m.Raw)
	answer := &Message{Kind: Answer, ID: m.ID}
	var err error
	if answer.Raw, err = w.pool.o.Certificates(w.Wants, false); err != nil {
		answer.Text = err.Error()
	}
	w.certificates = answer.Raw
	w.send(answer)
}

// mayEcho returns how long to wait before w is replaced. The wait is needed if a signal to the whole process group may
// have reached the worker before the supervisor.
func (w *worker) mayEcho(status unix.WaitStatus) time.Duration {
	sig := status.Signal()
	if status.Exited() && (w.answers() || status.ExitStatus() > 128) || sig == unix.SIGTERM || sig == unix.SIGINT {
		if w.State < Retiring && w.why == "" && !w.pool.stopping {
			return Echo
		}
	}
	return 0
}
