package pool

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/process"
	"fapws/runtime/logfile"
	"fapws/runtime/ratelimit"
)

// A Pool starts and supervises workers. The exported methods of a Pool are safe for concurrent use.
type Pool struct {
	o       Options
	events  chan func()
	signals *Signals
	over    chan struct{}
	since   time.Time

	// The following fields are used only on the goroutine of Run.
	addresses []Address
	settled   Settled // zero until a worker has loaded
	want      int
	workers   map[int]*worker
	batch     *generation
	next      *request
	asleep    bool // new workers start Asleep
	pace      pace
	adopted   int
	stopping  bool
	told      time.Time // time of the TERM or INT signal that stopped the pool
	result    error     // result of Run; nil after a clean shutdown
	// an upgrade is in progress: the next program takes over when all channels are interrupted
	handing  bool
	failure  string
	deaths   int
	recycled int
	page     []byte
	rates    *os.File // the table of rate limits (package ratelimit); nil if it could not be created
	relay    relay
}

// root is the root of the file system, for reading limits and events of the kernel (proc, cgroups).
var root = os.DirFS("/")

func New(o Options) *Pool {
	p := &Pool{
		o:       o,
		events:  make(chan func()),
		over:    make(chan struct{}),
		since:   time.Now(),
		want:    o.Workers,
		workers: make(map[int]*worker),
	}
	p.relay = newRelay(p)
	return p
}

// Run starts the workers, or takes over the workers of handover. Run returns when the last worker has ended. The result
// is nil after Stop, and a *process.ExitError if the first start failed. signals are the signals of the process.
func (p *Pool) Run(signals *Signals, handover *Handover) error {
	if p.o.Broker != nil {
		// deferred first, so that it runs after over is closed: the last deliveries must not wait for this goroutine
		defer p.o.Broker.Close(closingBroker)
	}
	defer close(p.over)
	p.signals = signals
	checks := time.NewTicker(checkEvery)
	defer checks.Stop()
	p.relay.startBroker()
	if handover != nil {
		handover.resume(p)
	} else {
		p.createRates()
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

// createRates creates the table of rate limits, which needs no memory until a worker uses it.
func (p *Pool) createRates() {
	var err error
	if p.rates, err = ratelimit.Create(); err != nil {
		p.o.Log(logfile.Warning, fmt.Sprintf("rate limits apply to each worker alone: %v", err))
	}
}

// reap collects the processes that have ended: workers, and orphans that the kernel assigned to this process. In a
// container, this may be process 1. Otherwise orphaned children of a worker would remain zombies.
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

func (p *Pool) checkWorkers() {
	for _, w := range p.workers {
		w.check()
		if w.state == Serving && p.o.MaxRSS > 0 {
			if rss := confine.ResidentMemory(w.pid); rss > p.o.MaxRSS {
				p.recycle(w, fmt.Sprintf("%d MiB of memory exceed max-rss", rss>>20))
			}
		}
	}
}

// post runs f on the goroutine of Run. post returns false if Run has returned.
func (p *Pool) post(f func()) bool {
	select {
	case p.events <- f:
		return true
	case <-p.over:
		return false
	}
}

// do runs f on the goroutine of Run and waits until f has returned. After Run has returned, do does nothing.
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

// ReloadChanged is like ReloadAndWait for changed files, but does not wait. ReloadChanged cancels a generation that is
// loading the old files, which may never finish loading, for example because of an endless loop that was just fixed.
func (p *Pool) ReloadChanged(why string) {
	p.post(func() { p.begin(request{why: why, newer: true}) })
}

// PublishOwn publishes an event of the supervisor if the channel has subscribers on this server. With a broker,
// PublishOwn does nothing, because the event concerns only this server. PublishOwn is safe for concurrent use.
func (p *Pool) PublishOwn(channel string, raw []byte) {
	p.post(func() {
		if p.relay.subscribers(channel) > 0 && p.o.Broker == nil {
			p.relay.deal(nil, 0, p.relay.seq+1, 1, raw)
		}
	})
}

// AwaitReload waits until the queued reload has finished or failed, or the current reload if none is queued, or until
// ctx ends. Without a reload, AwaitReload returns at once.
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

// ReloadAndWait starts new workers, which replace the old workers when all new workers have loaded. The parameter why
// is for the log, such as "app.py has changed". ReloadAndWait returns nil when the new workers serve, or the reason of
// the failure. All calls during a reload together cause one more reload.
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
			if err := w.configure(m.Raw); err != nil {
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
		// Ignore an early Unused: a hostile application could otherwise make the server load it all the time.
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
		w.wanted(m)
	case Confined:
		w.confined = true
	case Started:
		w.handles = true
	case Ask:
		w.query(m)
	case LastWords:
		if w.believes("last words", m, maxText) {
			p.o.LastWords(w.pid, m.Raw)
		}
	case Join:
		p.relay.join(w)
	case Publish:
		p.relay.publish(w, m)
	case Counts:
		p.relay.count(w, m.Counts)
	case Purge:
		p.relay.purge(w, m.Text)
		if p.o.Broker != nil {
			p.o.Broker.Publish(Batch{Raw: []byte(m.Text), Purge: true})
		}
	}
}

func (p *Pool) refuse(w *worker, err error) {
	if w.batch != nil && w.batch == p.batch {
		p.batch.fail(w, err.Error(), process.NoStart, false)
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

// speaks returns an error if the Protocol of a Settled is unknown, because the other fields may then have other types.
// The text of the error follows "worker N".
func speaks(text []byte) error {
	var version struct{ Protocol int }
	if json.Unmarshal(text, &version) == nil && version.Protocol != Protocol {
		return fmt.Errorf("speaks protocol %d, this program %d: stop it and start the new one", version.Protocol,
			Protocol)
	}
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
		p.relay.tellSoon(name)
	}
	close(w.questions.ended)
	p.closed()
	switch {
	case early:
		p.batch.leave(w)
		p.lost(w, Serving, how)
		p.progress()
	case w.batch != nil && w.batch == p.batch:
		p.batch.fail(w, how, code, was == Starting && w.why == "" && code >= 1 && code <= process.NoStart)
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

// Ask sends a question to every loaded worker and returns the answers, sorted by process ID. When ctx ends, Ask returns
// the answers received so far. Ask is safe for concurrent use.
func (p *Pool) Ask(ctx context.Context, what string) (replies []Reply) {
	var asked sync.WaitGroup
	var mu sync.Mutex
	p.do(func() {
		for _, w := range p.workers {
			if w.state < Ready {
				continue
			}
			asked.Go(func() {
				answer := w.questions.Ask(ctx, Message{Kind: Ask, Text: what}, func(m *Message) { w.send(m) })
				if answer != nil {
					mu.Lock()
					defer mu.Unlock()
					replies = append(replies, Reply{w.pid, string(answer.Raw)})
				}
			})
		}
	})
	asked.Wait()
	slices.SortFunc(replies, func(a, b Reply) int { return a.Pid - b.Pid })
	return replies
}

// Status returns the current status, or the zero Status after Run has returned. Status is safe for concurrent use.
func (p *Pool) Status() (st Status) {
	p.do(func() {
		st = Status{Since: p.since, Reloads: max(0, p.adopted-1), Failure: p.failure, Lost: p.deaths,
			Recycled: p.recycled}
		for _, w := range p.workers {
			st.Workers = append(st.Workers, WorkerStatus{Pid: w.pid, State: w.state, Since: w.started,
				RSS: confine.ResidentMemory(w.pid)})
		}
		slices.SortFunc(st.Workers, func(a, b WorkerStatus) int { return a.Pid - b.Pid })
	})
	return st
}

// RenewCertificates sends changed certificates to the workers. RenewCertificates is safe for concurrent use.
func (p *Pool) RenewCertificates() { p.post(p.renewCertificates) }

func (p *Pool) renewCertificates() {
	for _, w := range p.workers {
		if w.wants == "" || w.state == Dead {
			continue
		}
		text, err := p.o.Certificates(w.wants, true)
		switch {
		case err != nil:
			p.o.Log(logfile.Error, fmt.Sprintf("certificates are not renewed: %v", err))
		case !bytes.Equal(text, w.certificates):
			w.certificates = text
			w.send(&Message{Kind: Certificates, Raw: text})
		}
	}
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

	// Early returns the listening sockets that are open before a worker has loaded. Open may return the sockets of
	// Early. Early is called on Run's goroutine.
	Early func() []Address

	// Open opens the listening sockets when the first worker has loaded. If that worker serves the failure page, Open
	// is called again with the settings of the first worker with an application. Open then returns the same sockets or
	// closes them. An error ends the supervisor: see Run.
	Open func(*Settled) ([]Address, error)

	// Fits returns why a new generation with these settings cannot use the open sockets, or "". The text follows
	// "worker N". Fits is called on Run's goroutine.
	Fits func(*Settled) string

	// Up is called on Run's goroutine when the workers serve. resumed is true if the workers already served under the
	// previous program.
	Up func(addresses []Address, resumed bool)

	// FailurePage returns a page for browsers after new code has failed to load. The parameter how is the reason, and
	// the parameter said is the end of the worker's standard error. With Stay, the page is also served after a failed
	// first start. FailurePage is called on Run's goroutine. Optional.
	FailurePage func(how string, said []byte) []byte

	Attributes func() *syscall.SysProcAttr

	// Event is called on Run's goroutine after changes of state, for example to notify the service manager and
	// browsers. failure is the reason of Failed in one line. Event must not block.
	Event func(kind Event, failure string)

	// BeforeExec is called before another program replaces this program. BeforeExec closes files and writes buffered
	// data. The next program gets the results as Handover.State and from Handover.Left.
	BeforeExec func() (state []byte, files []syscall.Conn)

	// Certificates returns the certificates that a worker wants. This package does not interpret want and the result.
	// The parameter again is true if the worker already has certificates. Certificates is called on Run's goroutine.
	Certificates func(want string, again bool) ([]byte, error)

	// Query answers a question of a worker. Query is called on a separate goroutine and may call Ask.
	Query func(pid int, what string) string

	// Broker connects the channels of the workers with other servers. Optional.
	Broker *Broker

	// LastWords receives the state that a worker sends before it ends. LastWords is called on Run's goroutine.
	LastWords func(pid int, text []byte)

	// Reopen reopens the log files of the supervisor, before the workers reopen theirs.
	Reopen func()

	// PassStderr means that workers cannot open the standard error of this process. The supervisor then sends the
	// descriptor with the message to reopen the log files.
	PassStderr bool

	Log func(logfile.Level, string)
}

type Event uint8

const (
	Reloading Event = iota
	Reloaded
	Failed // the new workers failed to load; the old workers keep serving
	Stopping
	PageUp // the page about a failed first start is served
)

type Address struct {
	Name   string
	Socket *os.File
}

func (a Address) SyscallConn() (syscall.RawConn, error) { return a.Socket.SyscallConn() }
