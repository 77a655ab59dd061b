package worker

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"fapws/cmd/fapws/certificates"
	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
	"fapws/runtime"
	"fapws/runtime/conn"
	"fapws/runtime/logfile"
)

type alone struct {
	s     *service
	again again
	bound Early[*conn.Listener]
	// the server that accepts connections on the listeners in alone.bound; nil until it starts to accept
	accepting atomic.Pointer[runtime.Server]
	ticks     chan struct{} // ticks of the server (runtime.Config.OnTick), for watchSelf

	mu       sync.Mutex // held while the reader is used
	reader   certificates.Reader
	follower *certificates.Follower
}

// RunAlone serves in this process, without a supervisor, until the server is stopped, and returns the exit code.
// RunAlone must be called on the main thread.
func RunAlone(p *plan.Plan, instance *Instance, stderr io.Writer) (code int, err error) {
	a := &alone{ticks: make(chan struct{}, 1)}
	s := newService(p, instance, stderr, a)
	a.use(s)
	a.bound = Early[*conn.Listener]{Open: Listen, Close: a.close}
	defer a.bound.Drop()
	s.signals.exit = func(code int) {
		a.bound.Drop()
		s.exit(code)
	}
	s.signals.left = instance.Left
	s.signals.terminal = process.AtTerminal() || instance.Left != nil && instance.Left.Terminal
	s.signals.reload = func(reason string) { go a.again.reload(reason) }
	if !p.Conf.NoHeal {
		s.stuck = a.again.heal
	}
	defer instance.Left.Close()
	if instance.Left != nil {
		go a.keepWatchdog()
	}
	if err := s.log.Open(&p.Conf, s.python.followErrors); err != nil {
		return 0, p.Settings.Located("error-log", err)
	}
	if code, err = s.run(s.loadAndServe); err != nil {
		return s.log.Report(err), nil
	}
	if s.again.isNext() && !s.signals.isTold() {
		s.depart(code)
	}
	s.again.cancel()
	instance.Withdraw()
	if code == process.OK {
		s.log.Log(logfile.Info, "stopped")
	}
	return code, nil
}

// keepWatchdog notifies the watchdog of the service manager while the application loads again.
func (a *alone) keepWatchdog() {
	ctx, cancel := context.WithTimeout(context.Background(), a.s.conf.LoadTimeout)
	defer cancel()
	go func() {
		select {
		case <-a.s.signals.served:
			cancel()
		case <-ctx.Done():
		}
	}()
	a.s.instance.Notifier.Watch(ctx, func(context.Context) error { return nil })
}

func (a *alone) use(s *service) {
	a.s, s.https.read, a.again.s = s, a.certificates, s
	s.traits = traits{level: logfile.Info, again: &a.again,
		stopping: "stopping; waiting up to %v for active requests (signal again to exit now)",
		runID:    strconv.FormatInt(s.opened.UnixNano(), 36)}
}

// WebSockets end at once at a reload, because new clients wait until the application is loaded again.
func (a *alone) configure(c *runtime.Config) {
	c.WebSockets.ReloadGrace = 0
	tick := c.OnTick
	c.OnTick = func() {
		tick()
		select {
		case a.ticks <- struct{}{}:
		default: // watchSelf has not yet received the previous tick
		}
	}
}

func (a *alone) tell(*pool.Message) {}

// startMemory is the memory, in bytes, that Python and a small application need to start if none of their files are in
// the page cache. With less memory, the kernel evicts pages that the process must read again, or kills the process.
const startMemory = 20 << 20

// begin listens on the addresses that are known before the application is loaded.
func (a *alone) begin() (early bool, err error) {
	s := a.s
	if s.rates, err = openRates(s.plan, nil); err != nil {
		return false, err
	}
	if limit := settings.Memory(); s.plan.FirstApp() != nil && limit > 0 && limit < startMemory {
		s.warn(fmt.Sprintf("memory limit of %d MiB: a start with Python uses %d MiB, and may hang or be killed with "+
			"less; raise the limit (MemoryMax of systemd, memory limit of the container)", limit>>20, startMemory>>20))
	}
	if want := s.plan.Certificates(&s.conf); want != nil { // read the certificates before the application is loaded
		if _, err := s.https.read(want); err != nil {
			return false, process.ExitNotStarted("%v", err)
		}
	}
	options, err := a.listenOptions()
	if err != nil {
		return false, s.plan.Settings.Located("uds-owner", err)
	}
	addrs, certain := s.instance.Passed.Early(s.plan.Settings, &s.conf, s.plan.FirstApp())
	err = a.bound.Listen(addrs, certain, options)
	return len(a.bound.Sockets()) > 0, s.plan.Settings.Located("bind", err)
}

func (a *alone) serveEarly() {
	listeners := a.bound.Sockets()
	a.s.show(listeners)
	a.accepting.Store(a.s.server)
	a.s.acceptAll(listeners)
	a.s.instance.Left.arrive(a.s)
}

func (a *alone) close(listeners []*conn.Listener) {
	for _, ln := range listeners {
		if server := a.accepting.Load(); server != nil {
			server.Unlisten(ln)
		} else {
			ln.Close()
		}
	}
}

func (a *alone) enter() (listeners []*conn.Listener, err error) {
	s := a.s
	if err := s.startAsync(); err != nil {
		return nil, err
	}
	options, err := a.listenOptions()
	if err != nil {
		return nil, err
	}
	addrs, err := s.instance.Passed.Addresses(&s.conf, s.plan.Settings.Source("bind"), s.log.Log)
	if err != nil {
		return nil, err
	}
	listeners, err = a.bound.Take(addrs, options)
	s.show(listeners)
	a.again.listeners = listeners
	return listeners, s.plan.Settings.Located("bind", err)
}

func (a *alone) listenOptions() (conn.ListenOptions, error) {
	options, err := ListenOptions(&a.s.conf)
	options.Left = a.s.instance.Left.Listening()
	return options, err
}

// serve reports the addresses to the user and to the service manager. Afterwards, as long as requests are answered,
// serve regularly notifies the watchdog of the service manager.
func (a *alone) serve(listeners []*conn.Listener, install func() error) error {
	s := a.s
	if err := install(); err != nil {
		closeAll(listeners)
		return err
	}
	s.acceptAll(listeners)
	s.instance.Left.arrive(s)
	if err := s.instance.OpenControl(&s.conf, s.plan.Settings.Source("ctl-socket"), s.command); err != nil {
		return err
	}
	if socket := s.instance.Control.Load(); socket != nil {
		if err := pybridge.KeepFromChildren(socket); err != nil {
			return process.ExitNotStarted("%v", err)
		}
	}
	s.memory.Started()
	go a.watchSelf()
	if s.conf.Status != "" {
		go s.relay.tellViewers()
	}
	s.instance.Orders.Store(a.order())
	shown := s.shown.Load()
	s.instance.LogNotifyError(s.instance.Notifier.Ready("serving " + URLs(shown.Addrs)))
	go s.instance.Notifier.Watch(context.Background(), s.server.Ping)
	if s.instance.Left != nil {
		s.instance.Left.Complete(s.log.Log)
	} else if s.log.Shows(logfile.Info) {
		fmt.Fprint(s.log.People(), shown.Banner("", s.log.Colors()))
	}
	return nil
}

// tellViewers regularly publishes an event that makes open status pages refresh, as a supervisor does.
func (r *relay) tellViewers() {
	for range time.Tick(ctl.ViewEvery) {
		if pybridge.HasSubscribers(ctl.StatusChannel) {
			r.complain(r.tryPublish(0, &viewEvent))
		}
	}
}

// gilTicks is the number of ticks between two calls of pybridge.Handler.CheckGIL, which make about a second.
const gilTicks = 2

// watchSelf makes the checks that a supervisor requests from a worker (pool.Check), but only while there are
// connections, so that an idle process sleeps. It ends the process if the application has closed a descriptor that
// every request needs.
func (a *alone) watchSelf() {
	s := a.s
	for n := 0; !s.relay.over.Load(); n++ {
		var err error
		select {
		case err = <-s.server.Failed(): // After the application has closed descriptors of Go, timers may be late.
		case <-a.ticks:
		}
		if h := s.python.running(); h != nil && n%gilTicks == 0 {
			h.CheckGIL()
		}
		if reason := s.server.Intact(); reason != nil {
			err = reason
		}
		if err == nil || s.relay.over.Load() {
			continue
		}
		s.log.Log(logfile.Error, err.Error()+"; exiting, because no request can be answered")
		s.exit(process.Failed)
	}
}

func closeAll(listeners []*conn.Listener) {
	for _, ln := range listeners {
		ln.Close()
	}
}
