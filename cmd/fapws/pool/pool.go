package pool

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/process"
	"fapws/runtime/logfile"
)

// Pool keeps workers. Its exported methods may be called from any
// goroutine.
type Pool struct {
	o       Options
	events  chan func()
	signals *Signals
	over    chan struct{} // closed when Run has ended
	since   time.Time

	// The following fields belong to the goroutine of Run.
	addresses []Address
	settled   Settled // of the first worker; the zero Settled: none has loaded yet
	want      int     // number of workers that serve
	workers   map[int]*worker
	batch     *generation // that is being loaded
	next      *request    // for another one after it
	asleep    bool        // workers begin Asleep
	pause     *time.Timer // until the next worker is started, because one died soon after its start; nil: there is none
	backoff   time.Duration
	adopted   int // generations that have served
	stopping  bool
	told      time.Time // when a TERM or INT made it stop
	result    error     // of Run; nil is a clean end
	handing   bool      // another program takes over as soon as the channels have no reader
	failure   string    // why the last generation does not serve, or ""
	deaths    int       // of workers that should serve
	recycled  int       // workers that were replaced one by one
	page      []byte    // about it, or nil
	relay     relay
}

// root is where the kernel reports limits and processes that it has killed.
var root = os.DirFS("/")

// New makes a pool that does nothing before Run.
func New(o Options) *Pool {
	return &Pool{
		o:       o,
		events:  make(chan func()),
		over:    make(chan struct{}),
		since:   time.Now(),
		want:    o.Workers,
		workers: make(map[int]*worker),
		relay:   newRelay(),
	}
}

// Run starts the workers, or goes on with those of handover, and returns when the last one has ended: nil after Stop,
// a *process.ExitError when the first start failed. signals are those that the process gets.
func (p *Pool) Run(signals *Signals, handover *Handover) error {
	if p.o.Broker != nil {
		defer p.o.Broker.Close(closingBroker) // after over is closed: its last deliveries must not wait for this goroutine
	}
	defer close(p.over)
	p.signals = signals
	checks := time.NewTicker(checkEvery)
	defer checks.Stop()
	p.startBroker()
	if handover != nil {
		p.resume(handover)
	} else {
		p.begin(request{why: "start"})
	}
	p.reap() // a worker may have ended between two programs
	for !p.stopping || len(p.workers) > 0 {
		select {
		case f := <-p.events:
			f()
		case <-checks.C:
			p.checkWorkers()
		case sig := <-p.signals.C:
			p.signal(sig)
		case <-p.signals.ended:
			p.reap()
		}
	}
	p.closeSockets()
	return p.result
}

// post runs f on the goroutine of Run, or not at all when that has ended.
func (p *Pool) post(f func()) bool {
	select {
	case p.events <- f:
		return true
	case <-p.over:
		return false
	}
}

// do runs f on the goroutine of Run, and returns when f has ended, or at once when Run has.
func (p *Pool) do(f func()) {
	done := make(chan struct{})
	posted := p.post(func() {
		f()
		close(done)
	})
	if posted {
		<-done
	}
}

// reopen makes the workers reopen their log files.
func (p *Pool) reopen() {
	var files []*os.File
	if p.o.PassStderr {
		files = append(files, os.Stderr)
	}
	for _, w := range p.workers {
		w.send(&Message{Kind: Reopen}, files...)
	}
}

// Reopen makes the workers reopen their log files. It is safe for concurrent use.
func (p *Pool) Reopen() { p.post(p.reopen) }

// ReloadChanged is ReloadAndWait for changed files, without the wait: workers that are loading the old files are ended first, because they may
// never finish (an endless loop that was just corrected).
func (p *Pool) ReloadChanged(why string) {
	p.post(func() { p.begin(request{why: why, newer: true}) })
}

// AwaitReload returns when the reload that is under way, or that is to follow it, has ended or failed, or when ctx ends. Without one it
// returns at once.
func (p *Pool) AwaitReload(ctx context.Context) {
	ended := make(chan error, 1)
	p.do(func() {
		switch {
		case p.next != nil:
			p.next.asked = append(p.next.asked, ended)
		case p.batch != nil:
			p.batch.asked = append(p.batch.asked, ended)
		default:
			ended <- nil
		}
	})
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// ReloadAndWait starts new workers, which replace the old ones when all of them have loaded. why is for the log: "app.py has
// changed". It returns when the new workers serve, or with the reason of the failure. During a reload, further calls together cause
// one more.
func (p *Pool) ReloadAndWait(why string) error {
	asked := make(chan error, 1)
	if !p.post(func() { p.begin(request{why: why, asked: []chan<- error{asked}}) }) {
		return errEnding
	}
	select {
	case err := <-asked:
		return err
	case <-p.over:
		return errEnding
	}
}

// heard is called with a message of w.
func (p *Pool) heard(w *worker, m *Message) {
	if !w.trusts(m) {
		return
	}
	switch m.Kind {
	case Configured:
		if w.believes("settings", m, maxWant) {
			if err := w.settle(m.Raw); err != nil {
				p.refuse(w, err)
			}
		}
	case Loaded:
		p.loaded(w, m)
	case Failing:
		w.reason = brief(cmp.Or(m.Text, string(m.Raw)))
	case Checked:
		w.unused = false
		w.checked(brief(m.Text))
	case Unused:
		// An application that claims this at once would keep the server loading.
		w.unused = w.phase() == isServing && time.Since(w.awakeSince) >= p.settled.IdleStop
		w.checked("")
		p.maybeSleep()
	case Recycle:
		w.hung = w.hung || m.Hung
		p.recycle(w, brief(m.Text))
	case Closed:
		w.closed = true
		p.closed()
	case Answer:
		if w.believes("an answer", m, maxText) {
			w.questions.Answered(m)
		}
	case Certificates:
		p.wanted(w, m)
	case Confined:
		w.confined = true
	case Started:
		w.handles = true
	case Ask:
		p.query(w, m)
	case LastWords:
		if w.believes("last words", m, maxText) {
			p.o.LastWords(w.pid, m.Raw)
		}
	case Join:
		p.join(w)
	case Publish:
		p.publish(w, m)
	case Counts:
		p.count(w, m.Counts)
	case Purge:
		p.purge(w, m.Text)
		if p.o.Broker != nil {
			p.o.Broker.Publish(Batch{Raw: []byte(m.Text), Purge: true})
		}
	}
}

// refuse gives up w, whose settings are wrong.
func (p *Pool) refuse(w *worker, err error) {
	if w.batch != nil && w.batch == p.batch {
		p.batchFailed(w, err.Error(), process.NoStart, false)
	} else {
		w.distrust(err.Error())
	}
}

// loaded is called when w can serve.
func (p *Pool) loaded(w *worker, m *Message) {
	if err := speaks(m.Raw); err != nil {
		p.refuse(w, err)
		return
	}
	if w.settled == nil || !w.confined && !w.asleep && !w.page {
		w.distrust("loaded before it was confined")
		return
	}
	w.settled.Watches = m.N > 0
	w.awakeSince = time.Now()
	if w.state != Starting {
		p.awake(w)
		return
	}
	w.setState(Ready)
	w.limit.Stop()
	switch {
	case w.page:
		p.servePage(w)
	case w.batch != nil && w.batch == p.batch:
		p.progress()
	case w.leaves:
		w.retire(p.anyStaying())
		w.depart()
	default:
		p.promote(w)
	}
}

// speaks checks the Protocol of a Settled, whose other fields may be of other types in another one. The text of the
// error follows "worker N".
func speaks(text []byte) error {
	var version struct{ Protocol int }
	if json.Unmarshal(text, &version) == nil && version.Protocol != Protocol {
		return fmt.Errorf("speaks protocol %d, this program %d: stop it and start the new one", version.Protocol, Protocol)
	}
	return nil
}

// settle takes the settings of w. The text of the error follows "worker N".
func (w *worker) settle(text []byte) error {
	if err := speaks(text); err != nil {
		return err
	}
	settled := new(Settled)
	if err := json.Unmarshal(text, settled); err != nil {
		return fmt.Errorf("has settings that cannot be read: %w", err)
	}
	settled.GracefulTimeout = min(max(settled.GracefulTimeout, 0), maxGrace)
	settled.ShutdownDelay = min(max(settled.ShutdownDelay, 0), maxGrace)
	w.settled = settled
	return nil
}

// died is called when the process of w has ended, and its last messages have come.
func (p *Pool) died(w *worker, status unix.WaitStatus) {
	how, code := howEnded(status), status.ExitStatus()
	switch {
	case w.why != "":
		how = w.why + " and was killed"
	case status.Signal() == unix.SIGKILL && w.reason == "":
		w.reason = confine.MemoryExceeded(root, w.kills)
	}
	early := w.servesEarly()
	was, wanted := w.state, w.replaces() || w.state == Serving && !w.page
	w.setState(Dead)
	if w.limit != nil {
		w.limit.Stop()
	}
	w.out.closed.Store(true)
	w.channel.Close()
	delete(p.workers, w.pid)
	for name := range w.counts {
		p.tellSoon(name)
	}
	close(w.questions.ended)
	p.closed()
	switch {
	case early:
		p.leaveBatch(w)
		p.lost(w, Serving, how)
		p.progress()
	case w.batch != nil && w.batch == p.batch:
		p.batchFailed(w, how, code, was == Starting && w.why == "" && code >= 1 && code <= process.NoStart)
	case w.page && p.first() && !p.stopping:
		p.o.Log(logfile.Warning, fmt.Sprintf("worker %d, which showed the failure, %s", w.pid, how))
	case wanted:
		p.lost(w, was, how)
	case w.why != "":
		p.o.Log(logfile.Warning, fmt.Sprintf("worker %d %s", w.pid, how))
	default:
		p.o.Log(logfile.Debug, fmt.Sprintf("worker %d %s", w.pid, how))
	}
	p.maybeHandOver()
	p.maybeBegin()
}

// Options configure a Pool. Every field must be set unless it is marked optional.
type Options struct {
	Dir     string // to start workers in
	Workers int    // at least 1
	Kept    string // of settings.KeptVariable

	LoadTimeout time.Duration // maximum time of a worker until it has loaded
	MaxRSS      int64         // resident bytes of a worker beyond which it is replaced; 0: no limit

	// HangupStops says that HUP stops the server, because it means that a terminal has closed.
	HangupStops bool

	// Stay keeps the supervisor running after a failed first start, until Reload.
	Stay bool

	// Early returns the listening sockets that are open before a worker has loaded; Open may return them. It is called on Run's
	// goroutine.
	Early func() []Address

	// Open makes the listening sockets when the first worker has loaded. If that was the worker with the page, Open is called
	// again with the settings of the first worker with an application, and returns the same sockets or closes them. An error ends
	// the supervisor; see Run.
	Open func(*Settled) ([]Address, error)

	// Fits returns why a new generation with these settings cannot take over the open sockets, in words that follow "worker N",
	// or "". It is called on Run's goroutine.
	Fits func(*Settled) string

	// Up is called on Run's goroutine when the workers begin to serve under this program. resumed: they served under
	// the program before it.
	Up func(addresses []Address, resumed bool)

	// FailurePage returns a page for browsers after new code has failed to load. how is the reason, said the end of its
	// standard error. With Stay, a failed first start serves this page. It is called on Run's goroutine. Optional.
	FailurePage func(how string, said []byte) []byte

	// Attributes returns the attributes of a new worker's process, such as a credential.
	Attributes func() *syscall.SysProcAttr

	// Event is called on Run's goroutine after changes of state, for the service manager and browsers, for example. failure is
	// that of Failed, in one line. It
	// must not block.
	Event func(kind Event, failure string)

	// BeforeExec is called before another program takes the place of this one, to close and write files. That
	// program gets the result as Handover.State and from Handover.Files.
	BeforeExec func() (state []byte, files []syscall.Conn)

	// Certificates returns the certificates that a worker wants, both of them texts of their own between
	// worker and supervisor; again: it has got one before. It is called on Run's goroutine.
	Certificates func(want string, again bool) ([]byte, error)

	// Query answers a question of a worker. It is called on a goroutine of its own, and may Ask workers.
	Query func(pid int, what string) string

	// Broker connects the channels of the workers with those of other servers. Optional.
	Broker *Broker

	// LastWords gets what a worker tells before it ends. It is called on Run's goroutine.
	LastWords func(pid int, text []byte)

	// Reopen is called when the log files are to be reopened, before the workers are told.
	Reopen func()

	// PassStderr says that workers cannot open the standard error of this process: it comes with the message to
	// reopen the log files.
	PassStderr bool

	Log func(logfile.Level, string)
}

// Event is one of the constants below.
type Event uint8

// Events of a Pool.
const (
	Reloading Event = iota // new workers are being loaded
	Reloaded               // they serve
	Failed                 // they failed to load; the old ones, if any, keep serving
	Stopping               // the server is shutting down
	PageUp                 // the page about a failed first start is served
)

// Address is where workers accept: its name as the user gave it, and the socket that they share.
type Address struct {
	Name   string
	Socket *os.File
}

// SyscallConn implements syscall.Conn.
func (a Address) SyscallConn() (syscall.RawConn, error) { return a.Socket.SyscallConn() }
