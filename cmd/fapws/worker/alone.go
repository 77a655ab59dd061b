package worker

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/process"
	"fapws/pybridge"
	"fapws/runtime"
	"fapws/runtime/conn"
	"fapws/runtime/logfile"
)

type alone struct {
	bound  Early[*conn.Listener]
	files  ownCertificates
	opened time.Time

	shown     atomic.Pointer[Shown]
	accepting atomic.Pointer[runtime.Server] // may have the listeners of bound; nil if none
}

// RunAlone serves in this process, which has no supervisor, until told to stop, and returns the exit code. instance has
// its pid file and control socket. It must be called on the main thread.
func RunAlone(p *plan.Plan, instance *Instance, stderr io.Writer) (code int, err error) {
	s := &service{plan: p, instance: instance, log: p.Logger(stderr)}
	s.alone.opened = time.Now()
	s.alone.bound = Early[*conn.Listener]{Open: Listen, Close: s.alone.close}
	s.relay = newRelay(s, nil)
	if err := s.log.Open(&p.Conf, s.followErrors); err != nil {
		return 0, err
	}
	if code, err = s.run(); err != nil {
		return s.log.Report(err), nil
	}
	return code, nil
}

// startMemory is the memory that Python and a small application need to start, in bytes, if none of their files are in
// the page cache. With less, the process reads the same pages repeatedly or is killed.
const startMemory = 20 << 20

// listenEarly listens on the addresses that are known before the application is loaded.
func (s *service) listenEarly() error {
	if limit := memoryLimit(); s.plan.FirstApp() != nil && limit > 0 && limit < startMemory {
		s.warn(fmt.Sprintf("memory limit of %d MiB: a start with Python uses %d MiB, and may hang or be killed with less; raise the limit (MemoryMax of systemd, memory limit of the container)",
			limit>>20, startMemory>>20))
	}
	if want := s.plan.Certificates(&s.conf); want != nil { // before the application is loaded
		if _, err := s.readCertificates(want); err != nil {
			return process.ExitNotStarted("%v", err)
		}
	}
	options, err := ListenOptions(&s.conf)
	if err != nil {
		return err
	}
	addrs, certain := s.instance.Passed.Early(s.plan.Settings, &s.conf, s.plan.FirstApp())
	return s.alone.bound.Listen(addrs, certain, options)
}

func (s *service) earlyListeners() []*conn.Listener {
	listeners := s.alone.bound.Sockets()
	s.show(listeners)
	s.alone.accepting.Store(s.server)
	return listeners
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

func (s *service) show(listeners []*conn.Listener) {
	s.alone.shown.Store(&Shown{s.settled(), BannerOf(listeners)})
}

func (s *service) listen() (listeners []*conn.Listener, err error) {
	if err := s.startAsync(); err != nil {
		return nil, err
	}
	options, err := ListenOptions(&s.conf)
	if err != nil {
		return nil, err
	}
	addrs, err := s.instance.Passed.Addresses(&s.conf, s.plan.Settings.Source("bind"), s.log.Log)
	if err != nil {
		return nil, err
	}
	listeners, err = s.alone.bound.Take(addrs, options)
	s.show(listeners)
	return listeners, err
}

func (s *service) openControl() error {
	if err := s.instance.OpenControl(&s.conf, s.plan.Settings.Source("ctl-socket"), s.command); err != nil {
		return err
	}
	if socket := s.instance.Control.Load(); socket != nil {
		if err := pybridge.KeepFromChildren(socket); err != nil {
			return process.ExitNotStarted("%v", err)
		}
	}
	return nil
}

// serving reports the addresses to the user and the service manager. From now on, the watchdog of the service manager
// is notified while requests are answered.
func (s *service) serving() {
	go s.watchDescriptors()
	if s.conf.Status != "" {
		go s.tellViewers()
	}
	s.orderCertificates()
	shown := s.alone.shown.Load()
	s.instance.LogNotifyError(s.instance.Notifier.Ready("serving " + URLs(shown.Addrs)))
	go s.instance.Notifier.Watch(context.Background(), s.server.Ping)
	if s.log.Shows(logfile.Info) {
		fmt.Fprint(s.log.People(), shown.Banner(""))
	}
}

// tellViewers makes the viewers of the status page refresh it periodically. A supervisor does so instead, if there is
// one, because it numbers the events.
func (s *service) tellViewers() {
	for range time.Tick(ctl.ViewEvery) {
		if pybridge.HasSubscribers(ctl.StatusChannel) {
			s.complain(s.tryPublish(0, &viewEvent))
		}
	}
}

const descriptorsEvery = 2 * time.Second

// watchDescriptors ends the process when the application has closed a descriptor without
// which no request can be answered: it would live on and be of no use. Supervisors ask
// their workers instead.
func (s *service) watchDescriptors() {
	for !s.over.Load() {
		time.Sleep(descriptorsEvery)
		err := s.server.Intact()
		if err == nil || s.over.Load() {
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
