package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/cmd/fapws/watch"
	"fapws/cmd/fapws/worker"
	"fapws/pybridge"
	"fapws/runtime/conn"
	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

type supervisor struct {
	plan *plan.Plan
	// A reload has begun, so settings may have changed. Only the function event uses this field.
	reloaded bool
	kept     string // settings that logKept has logged
	unused   string // name of the setting for certificates, if no address uses HTTPS; otherwise ""
	conf     settings.Config
	log      *plan.Logger
	instance *worker.Instance
	memory   confine.Trimmer
	identity *confine.Identity // user to run as; nil means unchanged
	sockets  conn.ListenOptions
	settled  pool.Settled
	viewers  sync.Once
	early    worker.Early[pool.NamedSocket] // sockets that are open before the first worker has loaded
	served   []pool.NamedSocket             // nil until the first worker has loaded
	started  atomic.Bool
	pool     *pool.Pool
	keyring  keyring

	applications applications // those with processes of their own
	counted      ledger
	counting     atomic.Int64 // time at which the counting of requests began, in nanoseconds since 1970; 0 means never
	broker       *pool.Broker // nil if channels are local to this server
	temporary    string       // directory of --sandbox for temporary files, or ""

	watcher *watch.Watcher                  // nil if files are not watched
	site    atomic.Pointer[plan.SiteConfig] // sites in the configuration file at the last reload

	shown   atomic.Pointer[worker.Shown]
	reloads logfile.Seldom
}

// The user of this process becomes the owner of the socket.
func (p *supervisor) openControl() error {
	return p.instance.OpenControl(&p.conf, p.plan.Settings.Source("ctl-socket"), p.command)
}

// Run supervises workers until it is told to stop, and returns the exit code.
func Run(planned *plan.Plan, instance *worker.Instance, stderr io.Writer) (code int, err error) {
	// The supervisor passes messages between goroutines that do little else. On one processor, this wakes no thread.
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
	p := &supervisor{plan: planned, conf: planned.Conf, instance: instance, log: plan.NewLogger(stderr, &planned.Conf)}
	p.early.Open, p.early.Close = openSockets, p.closeSockets
	p.keyring.p = p
	p.site.Store(planned.Site)
	if err := p.findIdentity(); err != nil {
		return 0, err
	}
	if err := p.prepareChroot(); err != nil {
		return 0, err
	}
	system.Distrust(planned.Changeable(&p.conf))
	if p.identity != nil {
		plan.GiveLogs(p.plan.Site.LogFiles(&p.conf), p.identity, p.log)
	}
	if err := p.log.Open(&p.conf, p.reopenWorkerLogs); err != nil {
		return 0, planned.Settings.Located("error-log", err)
	}
	if code, err = p.run(); err != nil {
		return p.log.Report(err), nil
	}
	if code == process.OK {
		p.log.Log(logfile.Info, "stopped")
	}
	return code, nil
}

func (p *supervisor) run() (code int, err error) {
	p.instance.LogTo(p.log.Log)
	defer p.instance.Withdraw()
	p.memory.TrimHeap = pybridge.TrimHeap
	handover, err := pool.Inherited()
	if err != nil {
		return 0, process.ExitNotStarted("%v", err)
	}
	if err := p.prepareSandbox(handover != nil); err != nil {
		return 0, err
	}
	defer os.RemoveAll(p.temporary)
	if p.sockets, err = worker.ListenOptions(&p.conf); err != nil {
		return 0, p.plan.Settings.Located("uds-owner", err)
	}
	p.sockets.Left = p.instance.Left.Listening()
	folder, err := p.workerFolder()
	if err != nil {
		return 0, err
	}
	worker.KeepFromWorkers(append(slices.Clone(p.conf.Bind), p.conf.ControlSocket))
	if p.plan.Broker != nil {
		if err := p.connectBroker(handover); err != nil {
			return 0, err
		}
	}
	p.pool = pool.New(pool.Options{
		Dir:           folder,
		Workers:       p.conf.WorkerCount(),
		Kept:          p.plan.Settings.KeptFromFile(),
		LoadTimeout:   p.conf.LoadTimeout,
		MaxRSS:        p.conf.MaxRSS,
		HangupStops:   p.conf.Dev && process.AtTerminal(),
		Stay:          p.conf.Reload || p.conf.Dev,
		RetireFirst:   p.conf.Dev && p.conf.Server.Sites.StartWait > 0 && p.conf.ReloadTarget() == "",
		Early:         p.early.Sockets,
		Open:          p.open,
		Fits:          p.fits,
		Up:            p.up,
		Attributes:    p.attributes,
		Event:         p.event,
		BeforeExec:    p.beforeExec,
		FailureNotice: p.failureNotice(),
		Certificates:  p.keyring.bundle,
		LastWords:     p.lastWords,
		Query:         p.query,
		Doors:         p.applications.doors,
		Reaped:        p.applications.reaped,
		Broker:        p.broker,
		Reopen:        func() { p.log.Follow(); p.applications.reopenLogs() },
		PassStderr:    p.log.Redirected() && p.conf.Chroot != "",
		Log:           p.log.Log,
	})
	p.started.Store(true)
	p.settled = pool.Settled{Config: p.conf, Debug: p.conf.Server.Debug, App: p.plan.Label(&p.conf),
		Python: p.plan.Python()}
	var state leftState
	var left []*os.File
	if handover != nil {
		p.settled = handover.Settled
		if err := json.Unmarshal(handover.State, &state); err != nil {
			return 0, process.ExitNotStarted("state of the previous program: %v", err)
		}
		left = handover.Left()
	}
	p.show()
	if left, err = p.keyring.open(state.Keyring, left); err != nil {
		return 0, err
	}
	if left, err = p.openApplications(state.Applications, left); err != nil {
		return 0, err
	}
	p.instance.TakePid(left)
	if p.identity == nil || handover != nil {
		if err := p.openControl(); err != nil {
			return 0, err
		}
	}
	if err := p.watchFiles(); err != nil {
		return 0, err
	}
	defer p.watcher.Close()
	if handover == nil {
		if err := p.bindEarly(); err != nil {
			return 0, err
		}
		defer p.early.Drop()
	}
	p.watcher.Report(p.pool.ReloadChanged)
	caught := pool.Catch(handover, process.SignalsArrived)
	p.applications.listen()
	process.Beside(func() {
		if handover != nil {
			p.applications.resume()
		}
		p.applications.adopt(p.plan.Site.Children)
		err = p.pool.Run(caught, handover)
	})
	killed, failed := errors.AsType[*process.ExitError](err)
	p.applications.end(failed && killed.Code == process.Failed)
	if p.applications.lost && err == nil {
		err = &process.ExitError{Code: process.Failed}
	}
	removeSocketFiles(p.served, p.log)
	return process.OK, err
}

func (p *supervisor) reopenWorkerLogs() {
	if p.started.Load() {
		p.pool.Reopen()
	}
}

// open performs every action that requires the rights of the user who started the server. open accepts from the worker
// only settings that a script may set, because the worker may run as a user with fewer rights.
func (p *supervisor) open(first *pool.Settled) (addresses []pool.NamedSocket, err error) {
	defer func() {
		if err != nil {
			removeSocketFiles(addresses, p.log)
			addresses = nil
		}
	}()
	p.settled = *first
	if err := p.instance.WritePid(); err != nil {
		return nil, p.plan.Settings.Located("pid", err)
	}
	options := p.sockets
	options.Backlog = p.settled.Backlog
	names, err := p.instance.Passed.Addresses(&p.settled.Config, p.settled.BindFrom, p.log.Log)
	if err != nil {
		return nil, err
	}
	if p.served != nil && p.serves(names) {
		// The worker with the failure page already serves on these addresses.
		return p.served, nil
	}
	if addresses, err = p.early.Take(names, options); err != nil {
		return addresses, p.plan.Settings.Located("bind", err)
	}
	for _, old := range p.served {
		old.Socket.Close()
	}
	if p.identity != nil && p.served == nil {
		if c := p.identity.Credential(); c != nil {
			ctl.Prepare(c)
		}
		if process.OnMain(func() { err = p.identity.Assume(p.conf.Chroot != "") }); err != nil {
			return addresses, process.ExitNotStarted("%v", err)
		}
		if err := p.openControl(); err != nil {
			return nil, err
		}
	}
	p.served = addresses
	return addresses, nil
}

func (p *supervisor) serves(names []string) bool {
	return slices.EqualFunc(names, p.served, func(name string, a pool.NamedSocket) bool { return name == a.Name })
}

// show returns the current settings and addresses, and configures the log by these settings.
func (p *supervisor) show() *worker.Shown {
	p.log.Configure(&p.settled.Config, p.settled.Debug)
	shown := &worker.Shown{Settled: p.settled, Addrs: socketAddrs(p.served)}
	p.shown.Store(shown)
	if p.settled.Status != "" {
		p.viewers.Do(func() { go p.tellViewers() })
	}
	return shown
}

// fits returns the reason why the open sockets do not suit the settings of a worker, or "". fits ignores HTTPS, which
// cannot change after an address was opened.
func (p *supervisor) fits(s *pool.Settled) string {
	if !p.serves(s.Bind) && !slices.Equal(s.Bind, p.settled.Bind) {
		p.log.Log(logfile.Warning, fmt.Sprintf("the address is %s now (%s): it takes effect after a restart",
			strings.Join(s.Bind, ", "), s.BindFrom))
	}
	p.settled = *s
	p.unused = ""
	for _, a := range p.served {
		_, secure := settings.SplitSecure(a.Name)
		switch {
		case secure && !s.HTTPS():
			return fmt.Sprintf("has no certificate for %s: name one (certfile or tls), or restart the server to "+
				"serve plain HTTP", a.Name)
		case secure:
			p.unused = ""
			return ""
		case s.HTTPS() && settings.Secure(a.Name) != a.Name:
			p.unused = "tls"
			if len(s.CertFiles) > 0 || s.HostCerts {
				p.unused = "certfile"
			}
		}
	}
	return ""
}

func (p *supervisor) failureNotice() func(string, []byte) *pool.Message {
	if !p.conf.Dev {
		return nil
	}
	return func(ending string, stderr []byte) *pool.Message {
		return failureNotice(filepath.Base(p.plan.Label(&p.conf)), ending, stderr)
	}
}

func (p *supervisor) up(addresses []pool.NamedSocket, resumed bool) {
	p.memory.Started()
	p.keyring.serving()
	p.served = addresses
	shown := p.show()
	p.instance.LogNotifyError(p.instance.Notifier.Ready("serving " + worker.URLs(shown.Addrs)))
	go p.instance.Notifier.Watch(context.Background(), p.answering)
	if p.instance.Left != nil {
		p.instance.Left.Complete(p.log.Log)
	} else if !resumed && p.log.Shows(logfile.Info) && !strings.HasPrefix(p.conf.ControlSocket, ctl.Inherited) {
		fmt.Fprint(p.log.People(), shown.Banner(pool.Count(p.conf.WorkerCount(), "worker"), p.log.Colors()))
	}
}

// answering returns nil if at least one worker responds, even if another worker is blocked. While no worker serves,
// answering also returns nil, because the supervisor starts new workers.
func (p *supervisor) answering(ctx context.Context) error {
	serving := map[int]bool{}
	for _, w := range p.pool.Status().Workers {
		if w.State.CanAnswer() && w.State != pool.Ready {
			serving[w.Pid] = true
		}
	}
	if len(serving) == 0 {
		return nil
	}
	for _, reply := range p.pool.Ask(ctx, worker.AskAlive) {
		if serving[reply.Pid] && reply.Text == worker.Alive {
			return nil
		}
	}
	return errors.New("no worker responded")
}

func (p *supervisor) event(kind pool.StateChange, failure string) {
	n := p.instance.Notifier
	switch kind {
	case pool.Reloading:
		p.reloaded = true
		if children, known := p.readChildren(); known {
			p.instance.LogNotifyError(p.applications.prepare(children))
		}
		p.instance.LogNotifyError(n.Reloading())
	case pool.Reloaded, pool.Upgrading:
		p.memory.Quiet()
		if p.reloaded {
			p.reloaded = false
			p.keyring.reloaded()
			p.logKept()
			p.show()
			p.applications.reloaded(kind == pool.Upgrading)
		}
		p.instance.LogNotifyError(n.Ready(""))
	case pool.Failed:
		p.instance.LogNotifyError(n.Ready(failure))
	case pool.PageUp:
		p.log.Log(logfile.Info, "see why in a browser: "+worker.URLs(p.show().Addrs))
	case pool.Stopping:
		p.instance.LogNotifyError(n.Stopping())
	}
}

// leftState is the state of a supervisor for the program that replaces this program.
type leftState struct{ Keyring, Applications json.RawMessage }

// beforeExec restores the environment variables that this program has removed, for the next program.
func (p *supervisor) beforeExec() (state []byte, files []syscall.Conn) {
	var err error
	p.instance.Notifier.Leave()
	if p.conf.Chroot != "" {
		if err := confine.PassChroot(); err != nil {
			p.log.Log(logfile.Error, err.Error())
		}
	}
	p.instance.Control.Load().Keep()
	var left leftState
	if left.Keyring, files, err = p.keyring.leave(); err != nil {
		p.log.Log(logfile.Error, "certificates for the next program: "+err.Error())
	}
	var doors []syscall.Conn
	left.Applications, doors = p.applications.leave()
	files = append(files, doors...)
	state, _ = json.Marshal(left)
	if pid := p.instance.Pid.Load().Left(); pid != nil {
		files = append(files, pid)
	}
	return state, files
}
