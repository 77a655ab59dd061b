package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/pybridge"
	"fapws/runtime"
	"fapws/runtime/conn"
	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

type Parent struct {
	s       *service
	channel *pool.Channel
	died    <-chan os.Signal // receives the signal that the kernel sends if the supervisor dies
	over    sync.Once
	pool.Start
	root string // directory from --chroot, which the worker enters after the application has loaded; "" if not set

	mu        sync.Mutex
	listeners []*conn.Listener
	serves    bool   // the server has sites, so it may accept connections
	join      func() // calls relay.join, but only once
	departs   chan struct{}
	depart    func() // called when the workers that replace this worker serve
	questions pool.Questions
	idle      sync.Mutex
	counts    bool
	successor atomic.Pointer[pool.Channel] // channel to the worker that receives the subscribers, or nil
}

// TakeParent returns the supervisor that started this process, or nil if no supervisor did. TakeParent removes
// pool.Variable from the environment, because child processes must not inherit this variable.
func TakeParent() (*Parent, error) {
	text := takeVariable(pool.Variable)
	if text == "" {
		return nil, nil
	}
	p := &Parent{departs: make(chan struct{})}
	p.depart = sync.OnceFunc(func() { close(p.departs) })
	err := p.take(text)
	if err != nil {
		return nil, process.ExitUsage(fmt.Errorf("%s=%s in the environment is not from a supervisor of this "+
			"version: %w", pool.Variable, text, err))
	}
	process.TakeName()
	return p, nil
}

// Run runs a worker and returns its exit code, and must be called on the main thread.
func (p *Parent) Run(planned *plan.Plan, stderr io.Writer) (code int, err error) {
	s := newService(planned, &Instance{}, stderr, p)
	p.s, p.join = s, sync.OnceFunc(s.relay.join)
	s.relay.channel = p.channel
	s.relay.up.Hold(true) // until relay.join
	s.https.read, s.signals.replace = p.certificates, p.recycle
	s.traits = traits{level: logfile.Debug,
		stopping: fmt.Sprintf("worker %d is stopping: up to %%v for active requests", os.Getpid()),
		runID:    p.Epoch, counts: p.counts, quiet: !p.First, ask: p.ask, otherUploads: p.uploads, stuck: p.onStuck}
	if s.conf.Dev && !s.conf.NoDevRefresh {
		s.refresh = plan.NewRefresh(fmt.Sprintf("%s-%d", p.Epoch, p.Load))
	}
	planned.Doors = map[string]*os.File{}
	for name, fd := range p.Doors {
		planned.Doors[name] = os.NewFile(uintptr(fd), name)
	}
	life := s.loadAndServe
	if p.Role.ServesFirst() {
		s.late = newLateLoad(p)
		life = s.late.run
	}
	system.Distrust(planned.Changeable(&planned.Conf))
	// If p.Stderr is set, the supervisor reads and logs the standard error of this process.
	if p.Stderr < 0 {
		s.log.OpenAsWorker(&planned.Conf)
	} else {
		s.log.LookAs(p.Stderr)
	}
	code, err = s.run(life)
	p.Failing(err)
	return code, err
}

func (p *Parent) begin() (early bool, err error) {
	s := p.s
	if s.late != nil {
		if s.conf, err = s.late.settings(); err != nil {
			return false, err
		}
	}
	var shared *os.File
	if p.Rates > 0 {
		shared = os.NewFile(uintptr(p.Rates), "rate limits")
	}
	if s.rates, err = openRates(s.plan, shared); err != nil {
		return false, err
	}
	go p.listen()
	return p.Role != pool.Plain && p.root == "" && !p.checksFirst(), nil
}

// tell sends a message to the supervisor, and ignores errors: if the supervisor has ended, the method listen notices
// the end of the channel.
func (p *Parent) tell(m *pool.Message) { _ = p.channel.Send(m) }

// enter enters the sandbox and the directory from --chroot. The returned listeners are nil, because a worker receives
// them from the supervisor.
func (p *Parent) enter() ([]*conn.Listener, error) {
	s := p.s
	if p.root != "" && s.python.app != nil { // import modules that the chroot lacks
		status := 0
		s.python.do(func() { status = s.python.app.Tool("_chroot") })
		if status != 0 {
			return nil, process.ExitSilently(status)
		}
	}
	p.configured()
	p.tell(&pool.Message{Kind: pool.Confined})
	if err := s.enterSandbox(); err != nil { // before EnterChroot, because enterSandbox needs /proc
		return nil, err
	}
	if p.root != "" {
		for _, dir := range slices.Concat(s.built.Reads, s.built.Writes) {
			if firstInside(p.root, []string{dir}) == "" {
				return nil, process.ExitNotStarted("--chroot %s: login needs the directory %s, which is outside; "+
					"keep the file of users and --state-dir inside", p.root, dir)
			}
		}
		if err := confine.EnterChroot(p.root); err != nil {
			return nil, process.ExitNotStarted("%v", err)
		}
	}
	return nil, s.startAsync()
}

func (p *Parent) configure(c *runtime.Config) {
	c.Channels.Epoch, c.Channels.HandOver = p.Epoch, true
	c.Sites.MaxRequests, c.Sites.OnMaxRequests = withJitter(p.s.conf.MaxRequests), func() {
		p.recycle("max-requests reached")
	}
	if p.s.late != nil {
		c.Sites.Needed = p.s.late.need
	}
	if p.s.conf.WorkerCount() > 1 {
		c.Accept.Concurrency = max(1, p.s.conf.Threads)
	}
}

// joinEarly joins the channels before waiting clients become subscribers. Otherwise these clients would receive past
// events as new events.
func (p *Parent) joinEarly() {
	if p.s.early != nil {
		p.join()
	}
}

func (p *Parent) serveEarly() { p.served() }

// serve makes requests reach the application and, when the request of --reload-check was answered, tells the supervisor
// that this worker can serve.
func (p *Parent) serve(_ []*conn.Listener, install func() error) error {
	// If checks is true, clients wait until the request of --reload-check was answered.
	checks := p.checksFirst()
	if !checks {
		p.started()
	}
	if err := install(); err != nil {
		return err
	}
	if !checks {
		p.served()
	}
	p.joinEarly()
	p.s.memory.Started()
	process.LimitOrphan(p.s.conf.ShutdownDelay + p.s.conf.GracefulTimeout + endMargin)
	go p.present()
	return nil
}

func (p *Parent) take(text string) (err error) {
	if err := json.Unmarshal([]byte(text), &p.Start); err != nil {
		return err
	}
	if p.Stderr >= 0 {
		unix.CloseOnExec(p.Stderr)
	}
	if p.Rates > 0 {
		unix.CloseOnExec(p.Rates)
	}
	for _, fd := range p.Doors {
		unix.CloseOnExec(fd)
	}
	if p.root = takeVariable(confine.ChrootVariable); p.root != "" {
		if err := confine.KeepZone(); err != nil {
			return err
		}
	}
	system.OpenPoll()
	system.OpenHigh(func() { p.channel, err = pool.NewChannel(p.FD) })
	if err != nil {
		return err
	}
	if err = pybridge.ReportCrashTo(p.channel, pool.BeforeReason()); err != nil {
		return err
	}
	if p.died, err = process.WatchParent(loadEnd); err != nil {
		return err
	}
	p.counts = takeVariable(pool.CountVariable) != ""
	return pybridge.KeepFromChildren(p.channel)
}

func takeVariable(name string) string {
	defer os.Unsetenv(name)
	return os.Getenv(name)
}

func (p *Parent) restoreStderr() {
	if p.Stderr >= 0 {
		_ = unix.Dup3(p.Stderr, 2, 0) // if Dup3 fails, standard error stays the same
		unix.Close(p.Stderr)
		p.Stderr = -1
	}
}

// present serves the page from a Notice message. It runs on a separate goroutine.
func (p *Parent) present() {
	s := p.s
	if p.checksFirst() {
		ctx, cancel := context.WithTimeout(context.Background(), s.conf.LoadTimeout)
		defer cancel()
		if err := checkSelf(ctx, s.server, s.conf.ReloadTarget()); err != nil {
			code := s.reportError(process.ExitNotStarted("reload check: %v", err))
			s.signals.end(shutdownRequest{how: quickly, code: code}, code)
			return
		}
		p.started()
		p.served()
	}
	if s.early == nil {
		p.join()
	}
	p.restoreStderr()
	p.loaded()
}

func (p *Parent) configured() {
	p.tell(&pool.Message{Kind: pool.Configured, Raw: asJSON(p.s.settled())})
}

// checksFirst reports whether this worker must answer the request of --reload-check before it serves clients.
func (p *Parent) checksFirst() bool { return p.s.conf.ReloadTarget() != "" && p.s.late == nil }

func (p *Parent) started() { p.tell(&pool.Message{Kind: pool.Started}) }

func (p *Parent) loaded() {
	m := &pool.Message{Kind: pool.Loaded, Raw: fmt.Appendf(nil, `{"Protocol":%d}`, pool.Protocol)}
	if h := p.s.python.running(); h != nil && h.WatchesPresence() {
		m.N = 1
	}
	p.tell(m)
}

// withJitter adds up to a tenth to a number of requests, so that the workers of a server are not replaced all at once.
func withJitter(n int) int { return n + rand.IntN(n/10+1) }
