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
	"fapws/runtime/system"
)

// Parent is the supervisor as its worker sees it.
type Parent struct {
	s       *service
	channel *pool.Channel
	died    <-chan os.Signal // of the supervisor, as the kernel tells
	over    sync.Once
	pool.Start
	root string // of --chroot, to enter when it has loaded, or ""

	mu        sync.Mutex
	listeners []*conn.Listener
	serves    bool           // the server has sites, so it accepts on them
	join      func()         // joins the channels of all workers once
	departs   chan struct{}  // closed by depart
	depart    func()         // called when the workers that replace this one serve
	questions pool.Questions // to the supervisor
	idle      sync.Mutex     // held while idle connections are handed over
	counts    bool
	successor atomic.Pointer[pool.Channel] // another worker, which gets the subscribers, or nil
}

// TakeParent returns the supervisor that started this process, or nil. It removes the variable from the environment,
// because children must not inherit it.
func TakeParent() (*Parent, error) {
	text := takeVariable(pool.Variable)
	if text == "" {
		return nil, nil
	}
	p := &Parent{departs: make(chan struct{})}
	p.depart = sync.OnceFunc(func() { close(p.departs) })
	err := p.take(text)
	if err != nil {
		return nil, process.ExitUsage(fmt.Errorf("%s=%s in the environment is not from a supervisor of this version: %w", pool.Variable, text, err))
	}
	process.TakeName()
	return p, nil
}

// Run serves as a worker until it must stop, and returns the exit code. It must be called on the main thread.
func (p *Parent) Run(what *plan.Plan, stderr io.Writer) (code int, err error) {
	s := &service{plan: what, instance: &Instance{}, log: what.Logger(stderr), parent: p}
	s.relay = newRelay(s, p.channel)
	p.s, p.join = s, sync.OnceFunc(s.relay.join)
	system.Distrust(what.Changeable(&what.Conf))
	// Otherwise the supervisor reads and logs the output of this process.
	if p.Stderr < 0 {
		s.log.OpenAsWorker(&what.Conf)
	}
	code, err = s.run()
	p.Failing(err)
	return code, err
}

// send sends a message to the supervisor. If it has ended, listen sees the end of the channel.
func (p *Parent) send(m *pool.Message) { _ = p.channel.Send(m) }

// confine enters the sandbox and the directory of --chroot. Listeners arrive when the service is complete.
func (p *Parent) confine() error {
	s := p.s
	if p.root != "" && s.app != nil { // Python loads what it cannot find inside
		status := 0
		s.onPython(func() { status = s.app.Tool("_chroot") })
		if status != 0 {
			return process.ExitSilently(status)
		}
	}
	p.configured()
	p.send(&pool.Message{Kind: pool.Confined})
	if err := s.enterSandbox(); err != nil { // before /proc is out of reach
		return err
	}
	if p.root != "" {
		for _, dir := range slices.Concat(s.built.Reads, s.built.Writes) {
			if firstInside(p.root, []string{dir}) == "" {
				return process.ExitNotStarted("--chroot %s: login needs the directory %s, which is outside; keep the file of users and --state-dir inside", p.root, dir)
			}
		}
		if err := confine.EnterChroot(p.root); err != nil {
			return process.ExitNotStarted("%v", err)
		}
	}
	return s.startAsync()
}

func (p *Parent) configure(c *runtime.Config) {
	c.Channels.Epoch, c.Channels.HandOver = p.Epoch, true
	c.Sites.MaxRequests, c.Sites.OnMaxRequests = withJitter(p.s.conf.MaxRequests, p.s.conf.MaxRequestsJitter), func() { p.recycle("max-requests reached") }
	if Workers(&p.s.conf) > 1 {
		c.Accept.Concurrency = max(1, p.s.conf.Threads)
	}
}

// joinEarly is join before the clients that wait become subscribers, for whom past events are no news.
func (p *Parent) joinEarly() {
	if p.s.early != nil {
		p.join()
	}
}

// serving notifies the supervisor after the request of --reload-check was answered.
func (p *Parent) serving() {
	process.LimitOrphan(p.s.conf.ShutdownDelay + p.s.conf.GracefulTimeout + endMargin)
	go p.present()
}

func (p *Parent) take(text string) (err error) {
	if err := json.Unmarshal([]byte(text), &p.Start); err != nil {
		return err
	}
	if p.Stderr >= 0 {
		unix.CloseOnExec(p.Stderr)
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

// restoreStderr writes to standard error again, not to the supervisor.
func (p *Parent) restoreStderr() {
	if p.Stderr >= 0 {
		_ = unix.Dup3(p.Stderr, 2, 0) // failing, it stays as it is
		unix.Close(p.Stderr)
		p.Stderr = -1
	}
}

// present reports that this process can serve, after the request of --reload-check. It runs on a separate goroutine.
func (p *Parent) present() {
	s := p.s
	if p.checksFirst() {
		ctx, cancel := context.WithTimeout(context.Background(), s.conf.LoadTimeout)
		defer cancel()
		if err := checkSelf(ctx, s.server, s.conf.ReloadCheck); err != nil {
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
	p.send(&pool.Message{Kind: pool.Configured, Raw: []byte(asJSON(p.s.settled()))})
}

// checksFirst reports whether this worker sends the request of --reload-check before it serves clients, whose requests
// could fail instead.
func (p *Parent) checksFirst() bool { return p.s.conf.ReloadCheck != "" && p.Role != pool.Asleep }

func (p *Parent) started() { p.send(&pool.Message{Kind: pool.Started}) }

func (p *Parent) loaded() {
	m := &pool.Message{Kind: pool.Loaded, Raw: fmt.Appendf(nil, `{"Protocol":%d}`, pool.Protocol)}
	if h := p.s.python(); h != nil && h.WatchesPresence() {
		m.N = 1
	}
	p.send(m)
}

// settled describes the settings of this process, and the application if it has loaded.
func (s *service) settled() pool.Settled {
	return pool.Settled{
		Config:   s.conf,
		Protocol: pool.Protocol,
		BindFrom: s.plan.Settings.Source("bind"),
		Debug:    s.conf.Server.Debug,
		App:      s.plan.Label(&s.conf),
		Python:   s.plan.Python(),
		Served:   s.plan.Served(s.contents, &s.conf),
		Open:     s.plan.IsOpen(&s.conf, s.contents),
		Script:   s.remembered(),
	}
}

// withJitter adds by chance up to jitter to n; 0 stays.
func withJitter(n, jitter int) int {
	if n == 0 || jitter == 0 {
		return n
	}
	return n + rand.IntN(jitter+1)
}
