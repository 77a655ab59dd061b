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

// The exported methods of a Pool are safe for concurrent use.
type Pool struct {
	o       Options
	events  chan func()
	signals *Signals
	over    chan struct{}
	since   time.Time

	// The following fields are used only on the goroutine of Run.
	addresses []Address
	settled   Settled // zero until a worker has loaded
	want      int     // wanted number of serving workers
	workers   map[int]*worker
	batch     *generation
	next      *request
	asleep    bool // new workers start Asleep
	// pause before the next start after a worker died soon; nil if none
	pause    *time.Timer
	backoff  time.Duration
	adopted  int
	stopping bool
	told     time.Time // time of the TERM or INT signal that stopped the pool
	result   error
	// the next program takes over when all channels are interrupted
	handing  bool
	failure  string
	deaths   int
	recycled int
	page     []byte
	relay    relay
}

// root is the root of the file system, for reading limits and events of the kernel (proc, cgroups).
var root = os.DirFS("/")

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

// Run starts the workers, or takes over the workers of handover. It returns when the last worker has ended. The result
// is nil after Stop, and a *process.ExitError if the first start failed. signals are the signals of the process.
func (p *Pool) Run(signals *Signals, handover *Handover) error {
	if p.o.Broker != nil {
		// Close runs after over is closed, because the last deliveries must not wait for this goroutine.
		defer p.o.Broker.Close(closingBroker)
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

// post returns false if Run has returned.
func (p *Pool) post(f func()) bool {
	select {
	case p.events <- f:
		return true
	case <-p.over:
		return false
	}
}

// do waits until f has returned, and does nothing after Run has returned.
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

func (p *Pool) reopen() {
	var files []*os.File
	if p.o.PassStderr {
		files = append(files, os.Stderr)
	}
	for _, w := range p.workers {
		w.send(&Message{Kind: Reopen}, files...)
	}
}

func (p *Pool) Reopen() { p.post(p.reopen) }

// ReloadChanged is like ReloadAndWait for changed files, but does not wait. It cancels a generation that is loading the
// old files, because that may never finish, for example in an endless loop that was just fixed.
func (p *Pool) ReloadChanged(why string) {
	p.post(func() { p.begin(request{why: why, newer: true}) })
}

// AwaitReload waits until the queued reload, or else the current one, has finished or failed, or until ctx ends.
// Without a reload, it returns at once.
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

// ReloadAndWait starts new workers, which replace the old ones when all of them have loaded. why is for the log, such
// as "app.py has changed". It returns nil when the new workers serve, or the reason of the failure. All calls during a
// reload together cause one more reload.
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
		// A hostile application could claim this at once and keep the server loading.
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

func (p *Pool) refuse(w *worker, err error) {
	if w.batch != nil && w.batch == p.batch {
		p.batchFailed(w, err.Error(), process.NoStart, false)
	} else {
		w.distrust(err.Error())
	}
}

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

// speaks checks the Protocol of a Settled. With another Protocol, the other fields may have other types. The text of
// the error follows "worker N".
func speaks(text []byte) error {
	var version struct{ Protocol int }
	if json.Unmarshal(text, &version) == nil && version.Protocol != Protocol {
		return fmt.Errorf("speaks protocol %d, this program %d: stop it and start the new one", version.Protocol, Protocol)
	}
	return nil
}

// settle parses the settings of w. The text of the error follows "worker N".
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

// Options configure a Pool. All fields are required unless marked optional.
type Options struct {
	Dir     string
	Workers int
	Kept    string

	LoadTimeout time.Duration
	// resident bytes above which a worker is replaced; 0 means no limit
	MaxRSS int64

	// HangupStops makes HUP stop the server, because it means that a terminal was closed.
	HangupStops bool

	// Stay keeps the supervisor running after a failed first start, until a reload.
	Stay bool

	// Early returns the listening sockets that are open before a worker has loaded. Open may return them. It is called
	// on Run's goroutine.
	Early func() []Address

	// Open opens the listening sockets when the first worker has loaded. If that worker serves the failure page, Open
	// is called again with the settings of the first worker with an application. It then returns the same sockets or
	// closes them. An error ends the supervisor: see Run.
	Open func(*Settled) ([]Address, error)

	// Fits returns why a new generation with these settings cannot use the open sockets, or "". The text follows
	// "worker N". It is called on Run's goroutine.
	Fits func(*Settled) string

	// Up is called on Run's goroutine when the workers serve. resumed is true if they already served under the previous
	// program.
	Up func(addresses []Address, resumed bool)

	// FailurePage returns a page for browsers after new code has failed to load. how is the reason, and said the end of
	// the worker's standard error. With Stay, the page is also served after a failed first start. It is called on Run's
	// goroutine. Optional.
	FailurePage func(how string, said []byte) []byte

	Attributes func() *syscall.SysProcAttr

	// Event is called on Run's goroutine after changes of state, for example to notify the service manager and
	// browsers. failure is the reason of Failed in one line. It must not block.
	Event func(kind Event, failure string)

	// BeforeExec is called before another program replaces this one. It closes and writes files. The next program gets
	// the results as Handover.State and from Handover.Left.
	BeforeExec func() (state []byte, files []syscall.Conn)

	// Certificates returns the certificates that a worker wants. Worker and caller define the format of want and of the
	// result. again is true if the worker already has certificates. It is called on Run's goroutine.
	Certificates func(want string, again bool) ([]byte, error)

	// Query answers a question of a worker. It is called on a separate goroutine and may call Ask.
	Query func(pid int, what string) string

	// Broker connects the channels of the workers with other servers. Optional.
	Broker *Broker

	// LastWords receives the state that a worker sends before it ends. It is called on Run's goroutine.
	LastWords func(pid int, text []byte)

	// Reopen reopens the log files of the supervisor, before the workers reopen theirs.
	Reopen func()

	// PassStderr means that workers cannot open the standard error of this process. The supervisor then sends it with
	// the message to reopen the log files.
	PassStderr bool

	Log func(logfile.Level, string)
}

type Event uint8

const (
	Reloading Event = iota
	Reloaded
	Failed // the new workers failed to load; old ones keep serving
	Stopping
	PageUp // the page about a failed first start is served
)

type Address struct {
	Name   string
	Socket *os.File
}

func (a Address) SyscallConn() (syscall.RawConn, error) { return a.Socket.SyscallConn() }
