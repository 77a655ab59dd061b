package pool

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sort"
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
	addresses []NamedSocket
	settled   Settled // zero value until a worker has loaded
	want      int
	workers   map[int]*worker
	batch     *generation
	fresh     *generation // the generation that serves while its application loads (RetireFirst); nil otherwise
	next      *request
	asleep    bool // new workers have the role Asleep
	pace      pace
	adopted   int
	stopping  bool
	told      time.Time // time of the TERM or INT signal that stopped the pool
	result    error     // the result of Run; nil after a clean shutdown
	// an upgrade is in progress: the next program takes over when all channels are interrupted
	handing  bool
	failure  string
	deaths   int
	recycled int
	notice   *Message // Notice about the failed reload, or nil
	rates    *os.File // the table of rate limits (package ratelimit); nil if it could not be created
	relay    relay
}

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

// Run starts the workers, or takes over the workers of handover, and returns when the last worker has ended. The result
// is nil after Stop, and a *process.ExitError if the first start failed.
func (p *Pool) Run(signals *Signals, handover *Handover) error {
	if p.o.Broker != nil {
		// Defer this call before close(p.over), so that it runs after close(p.over). In the opposite order, the last
		// deliveries of the broker would wait for this goroutine forever.
		defer p.o.Broker.Close(closingBroker)
	}
	defer close(p.over)
	p.signals = signals
	checks := time.Tick(checkEvery)
	p.relay.startBroker()
	if p.o.Broker != nil {
		p.relay.share()
	}
	if handover != nil {
		handover.resume(p)
	} else {
		p.createRates()
		p.begin(request{why: "start"})
	}
	p.reap() // a worker may have ended while this program was starting
	for !p.stopping || len(p.workers) > 0 {
		select {
		case f := <-p.events:
			f()
		case <-checks:
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

func (p *Pool) createRates() {
	var err error
	if p.rates, err = ratelimit.Create(); err != nil {
		p.o.Log(logfile.Warning, fmt.Sprintf("rate limits apply to each worker alone: %v", err))
	}
}

// reap collects the exit status of every child process that has ended: workers, and orphans that the kernel has
// assigned to this process, for example if this process is process 1 of a container.
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
		} else if p.o.Reaped != nil {
			p.o.Reaped(pid, status)
		}
	}
}

func (p *Pool) checkWorkers() {
	for _, w := range p.workers {
		w.check()
		w.checkLoad()
		if w.serves() && p.o.MaxRSS > 0 {
			if rss := confine.ResidentMemory(w.Pid); rss > p.o.MaxRSS {
				p.recycle(w, fmt.Sprintf("%d MiB of memory exceed max-rss", rss>>20))
			}
		}
	}
}

// post runs f on the goroutine of Run, and returns false if Run has returned.
func (p *Pool) post(f func()) bool {
	select {
	case p.events <- f:
		return true
	case <-p.over:
		return false
	}
}

// after runs f on the goroutine of Run after the duration d.
func (p *Pool) after(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(d, func() { p.post(f) })
}

// Do runs f on the goroutine of Run, like do, and is safe for concurrent use.
func (p *Pool) Do(f func()) { p.do(f) }

// do runs f on the goroutine of Run and waits until f has returned, unless Run has already returned.
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

// ReloadChanged starts a reload after files have changed, and does not wait for the reload. ReloadChanged cancels a
// generation that still loads the old files, because this generation may never finish loading.
func (p *Pool) ReloadChanged(reason string) {
	p.post(func() { p.begin(request{why: reason, newer: true}) })
}

// PublishOwn publishes an event from the supervisor if the channel has subscribers. With a broker, PublishOwn does
// nothing, because the broker would send the event to all servers although the event concerns only this server.
func (p *Pool) PublishOwn(channel string, raw []byte) {
	p.post(func() {
		if p.relay.subscribers(channel) > 0 && p.o.Broker == nil {
			p.relay.deal(nil, 0, p.relay.seq+1, 1, raw)
		}
	})
}

// ReloadAndWait starts new workers, which replace the old workers when all new workers have loaded. ReloadAndWait
// returns nil when the new workers serve, or an error if the reload fails. All calls during a reload share the next
// reload.
func (p *Pool) ReloadAndWait(reason string) error {
	asked := make(chan error, 1)
	if !p.post(func() { p.begin(request{why: reason, asked: []chan<- error{asked}}) }) {
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
		if err := w.configure(m.Raw); err != nil {
			p.refuse(w, err)
		}
	case Loaded:
		p.loaded(w, m)
	case Failing:
		w.reason = brief(cmp.Or(m.Text, string(m.Raw)))
	case Checked:
		w.unused = false
		w.checked(brief(m.Text))
	case Unused:
		// Ignore an Unused that arrives before the time in idle-stop has passed: otherwise a hostile application could
		// make the server reload the application all the time.
		w.unused = w.State == Serving && time.Since(w.awakeSince) >= p.settled.IdleStop
		w.checked("")
		p.maybeSleep()
	case Recycle:
		w.hung = w.hung || m.Hung
		p.recycle(w, brief(m.Text))
	case Closed:
		w.setExit(closed)
		p.closed()
	case Answer:
		w.questions.Answered(m)
	case Certificates:
		w.wanted(m)
	case Confined:
		if w.State == Sleeping {
			w.setState(Waking)
		} else {
			w.setState(Entering)
		}
	case Started:
		w.setState(Early)
	case Ask:
		w.query(m)
	case LastWords:
		p.o.LastWords(w.Pid, m.Raw)
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
	if w.loadsNow() {
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
	if w.Belief != settled || w.State <= Early && (w.State == Starting) != w.Role.ServesFirst() {
		w.distrust("loaded before it was confined")
		return
	}
	w.settled.Watches = m.N > 0
	w.awakeSince = time.Now()
	if w.State == Waking {
		p.awake(w)
		return
	}
	if w.Role == Asleep || w.Role == Fresh {
		w.setState(Sleeping)
	} else {
		w.setState(Ready)
	}
	w.unlimit()
	switch {
	case w.Role == PageOnly:
		p.servePage(w)
	case w.loadsNow():
		p.progress()
	case w.Exit == leaves:
		w.retire(p.anyStaying())
		w.depart()
	default:
		p.promote(w)
	}
}

// speaks returns an error if the field Protocol of a Settled in JSON differs from the constant Protocol, because the
// other fields may then have different types.
func speaks(text []byte) error {
	var version struct{ Protocol int }
	if json.Unmarshal(text, &version) == nil && version.Protocol != Protocol {
		return fmt.Errorf("speaks protocol %d, this program %d: stop it and start the new one", version.Protocol, Protocol)
	}
	return nil
}

func (p *Pool) died(w *worker, status unix.WaitStatus) {
	how, code := howEnded(status), status.ExitStatus()
	switch {
	case w.why != "" && status.Signal() == unix.SIGKILL:
		how = w.why + " and was killed"
	case w.why != "":
		how = w.why
	case status.Signal() == unix.SIGKILL && w.reason == "":
		w.reason = confine.MemoryExceeded(root, w.kills)
	}
	early, served, replaces, was := w.servesEarly(), w.serves(), w.replaces(), w.State
	w.setState(Dead)
	w.unlimit()
	w.out.closed.Store(true)
	w.channel.Close()
	delete(p.workers, w.Pid)
	for name := range w.Counts {
		p.relay.countsChanged()
		p.relay.tellSoon(name)
	}
	close(w.questions.ended)
	p.closed()
	switch {
	case early:
		p.batch.leave(w)
		p.lost(w, true, how)
		p.progress()
	case w.loadsNow():
		p.batch.fail(w, how, code, was < Ready && w.why == "" && code >= 1 && code <= process.NoStart)
	case w.Role == PageOnly && was <= Serving && !p.stopping:
		p.o.Log(logfile.Warning, fmt.Sprintf("worker %d, which showed the failure, %s", w.Pid, how))
		p.level()
	case served && w.Role == Fresh && !p.stopping:
		p.notFresh(w, how)
	case served || replaces:
		p.lost(w, served, how)
	case w.why != "":
		p.o.Log(logfile.Warning, fmt.Sprintf("worker %d %s", w.Pid, how))
	default:
		p.o.Log(logfile.Debug, fmt.Sprintf("worker %d %s", w.Pid, how))
	}
	p.maybeHandOver()
	p.maybeBegin()
}

// Ask sends a request to every loaded worker and returns the replies, sorted by process ID. If ctx ends early, Ask
// returns the replies that have arrived.
func (p *Pool) Ask(ctx context.Context, question string) (replies []Reply) {
	var asked sync.WaitGroup
	var mu sync.Mutex
	p.do(func() {
		for _, w := range p.workers {
			if w.State < Ready {
				continue
			}
			asked.Go(func() {
				answer := w.questions.Ask(ctx, Message{Kind: Ask, Text: question}, func(m *Message) { w.send(m) })
				if answer != nil {
					mu.Lock()
					defer mu.Unlock()
					replies = append(replies, Reply{w.Pid, string(answer.Raw)})
				}
			})
		}
	})
	asked.Wait()
	sort.Slice(replies, func(i, j int) bool { return replies[i].Pid < replies[j].Pid })
	return replies
}

// Status returns the current status, which is only Since after Run has returned, and is safe for concurrent use.
func (p *Pool) Status() Status {
	st := Status{Since: p.since} // constant while Run runs
	p.do(func() {
		st = Status{Since: p.since, Reloads: max(0, p.adopted-1), Failure: p.failure, Lost: p.deaths, Recycled: p.recycled}
		for _, w := range p.workers {
			st.Workers = append(st.Workers, WorkerStatus{Pid: w.Pid, State: w.State, Since: w.Started,
				RSS: confine.ResidentMemory(w.Pid), CPU: confine.ProcessorTime(w.Pid)})
		}
		sort.Slice(st.Workers, func(i, j int) bool { return st.Workers[i].Pid < st.Workers[j].Pid })
	})
	return st
}

// RenewCertificates sends changed certificates to the workers, and is safe for concurrent use.
func (p *Pool) RenewCertificates() { p.post(p.renewCertificates) }

func (p *Pool) renewCertificates() {
	for _, w := range p.workers {
		if w.Wants == "" || w.State == Dead {
			continue
		}
		text, err := p.o.Certificates(w.Wants, true)
		switch {
		case err != nil:
			p.o.Log(logfile.Error, fmt.Sprintf("certificates are not renewed: %v", err))
		case !bytes.Equal(text, w.certificates):
			w.certificates = text
			w.send(&Message{Kind: Certificates, Raw: text})
		}
	}
}

// All fields are required unless marked optional.
type Options struct {
	Dir     string
	Workers int
	Kept    string

	LoadTimeout time.Duration
	// a worker is replaced if its resident memory exceeds this number of bytes; 0 means no limit
	MaxRSS int64

	// HangupStops makes the signal HUP stop the server, and is set if HUP means that the terminal was closed.
	HangupStops bool

	// Stay keeps the supervisor running if the first workers fail to load, so that a reload can succeed.
	Stay bool
	// RetireFirst replaces the old workers by workers that have not loaded the application yet. Requests wait until the
	// new code has loaded, and old code answers none. Otherwise the old workers serve until the new code has loaded.
	RetireFirst bool

	// Early returns the listening sockets that can be opened before a worker has loaded. Open can return the same
	// sockets; both run on the goroutine of Run.
	Early func() []NamedSocket

	// Open opens the listening sockets when the first worker has loaded. If that worker serves the failure page, Open
	// is called a second time, with the settings of the first worker that has loaded an application. If the second call
	// does not return the same sockets, it closes the old sockets. An error ends the supervisor.
	Open func(*Settled) ([]NamedSocket, error)

	// Fits returns the reason why a generation with these settings cannot use the open sockets, or "" if it can.
	// Callers print "worker N" before the reason. Fits is called on the goroutine of Run.
	Fits func(*Settled) string

	// Up is called on the goroutine of Run when the workers serve; after an upgrade, resumed is true.
	Up func(addresses []NamedSocket, resumed bool)

	// FailureNotice returns a Notice to clients after new code has failed to load. ending is the reason, and stderr
	// contains the last bytes of the worker's standard error. With Stay, a failed first start also leads to a Notice.
	// FailureNotice may be nil, and is called on the goroutine of Run.
	FailureNotice func(ending string, stderr []byte) *Message

	Attributes func() *syscall.SysProcAttr

	// Event is called on the goroutine of Run after each change of state, for example to notify the service manager and
	// browsers. With Failed, failure is the reason, in one line. Event must not block.
	Event func(kind StateChange, failure string)

	// BeforeExec is called before an upgrade replaces this program. It closes files and writes buffered data; the next
	// program gets the results as Handover.State and from Handover.Left.
	BeforeExec func() (state []byte, files []syscall.Conn)

	// Certificates returns the certificates that a worker has requested. This package does not interpret want and the
	// result. retry is true if the worker already has certificates. Certificates is called on the goroutine of Run.
	Certificates func(want string, retry bool) ([]byte, error)

	// Query replies to a worker's request, on a separate goroutine, and may call Pool.Ask.
	Query func(pid int, subject string) string

	// Doors returns the files that each worker inherits, by the names of applications (plan.Plan.Doors); nil if there are
	// none. Reaped is called when a process other than a worker has ended; it may be nil. Both run on the goroutine of Run.
	Doors  func() map[string]*os.File
	Reaped func(pid int, status unix.WaitStatus)

	// Broker, which is optional, shares the channels of the workers with other servers.
	Broker *Broker

	// LastWords receives, on the goroutine of Run, the state that a worker sends before it ends.
	LastWords func(pid int, text []byte)

	// Reopen reopens the supervisor's log files, before the workers reopen their log files.
	Reopen func()

	// PassStderr is true if workers cannot open the file of the supervisor's standard error. The descriptor of this
	// file is then attached to the message Reopen.
	PassStderr bool

	Log func(logfile.Level, string)
}

// A StateChange is a change that Options.Event reports.
type StateChange uint8

const (
	Reloading StateChange = iota
	Reloaded
	Upgrading // Reloaded, and the next program follows
	Failed    // the new workers failed to load; the old workers keep serving
	Stopping
	PageUp // a worker serves the page about the failed first start
)

type NamedSocket struct {
	Name   string
	Socket *os.File
}

func (a NamedSocket) SyscallConn() (syscall.RawConn, error) { return a.Socket.SyscallConn() }
